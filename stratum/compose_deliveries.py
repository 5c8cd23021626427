"""What is delivered to others in the background, put together."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from stratum.adapters.web.delivery_formats import delivery_formats
from stratum.adapters.web.delivery_metrics import DeliveryMetrics
from stratum.adapters.webhook import open_webhooks
from stratum.app.config import Config
from stratum.app.deliveries import Deliveries, make_deliveries
from stratum.app.objects import Objects
from stratum.ports import Journal, NewId, NowMs


@asynccontextmanager
async def open_deliveries(
    config: Config,
    journal: Journal,
    objects: Objects,
    metrics: DeliveryMetrics,
    new_id: NewId,
    now_ms: NowMs,
) -> AsyncIterator[Deliveries]:
    """Notifications and access logs; their loops do not run yet. Raises InvalidConfig."""
    async with open_webhooks(config.webhooks) as webhooks:
        formats = delivery_formats(config.region, new_id)
        made = make_deliveries(config, journal, objects, webhooks, formats, new_id, now_ms)
        metrics.watch("notification", lambda: made.notifications.lost)
        metrics.watch("log line", lambda: made.access_logs.lost)
        yield made
