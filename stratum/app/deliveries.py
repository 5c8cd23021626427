"""What is delivered to others in the background, put together."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from stratum.app.access_logs import AccessLogs, NameKey
from stratum.app.config import Config
from stratum.app.notifications import Notifications, Post, Render, RenderTest
from stratum.app.objects import Objects
from stratum.ports import Journal, NewId, NowMs


@dataclass(frozen=True)
class Formats:
    """How notifications, test messages and the keys of log objects look."""

    render: Render
    render_test: RenderTest
    name_key: NameKey


@dataclass(frozen=True)
class Deliveries:
    """Notifications and access logs."""

    notifications: Notifications
    access_logs: AccessLogs

    def loops(self) -> tuple[Callable[..., Awaitable[None]], ...]:
        """What must be running."""
        return self.notifications.run, self.access_logs.run


def make_deliveries(
    config: Config,
    journal: Journal,
    objects: Objects,
    webhooks: Mapping[str, Post],
    formats: Formats,
    new_id: NewId,
    now_ms: NowMs,
) -> Deliveries:
    """Nothing runs yet."""
    return Deliveries(
        Notifications(journal, webhooks, formats.render, formats.render_test, new_id, now_ms),
        AccessLogs(journal, objects, formats.name_key, now_ms, interval_s=config.log_interval_s),
    )
