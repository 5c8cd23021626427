"""What lifecycle rules will do to one version, as sentences for `stratum explain`."""

from __future__ import annotations

from stratum.domain import wording
from stratum.domain.catalog import Namespace
from stratum.domain.lifecycle_actions import entry_of, position_of
from stratum.domain.lifecycle_schedule import Action, Change, Clock, Position, actions_of
from stratum.domain.volume import ObjectVersion


def lifecycle_outlook(catalog: Namespace, version: ObjectVersion, clock: Clock) -> tuple[str, ...]:
    """`rule archive: to GLACIER, 2026-12-01 00:00:00 UTC`; soonest first, none without rules."""
    bucket = catalog.bucket(version.bucket)
    if bucket is None or bucket.settings.lifecycle is None:
        return ()
    position = position_of(catalog, version.bucket, version.key, version.version_id, clock)
    if position is None:
        return ()
    entry = entry_of(version, clock.now_ms)
    found = actions_of(bucket.settings.lifecycle, version.key, entry, position, clock)
    keeps = bucket.settings.versioning is not None
    return tuple(
        _sentence(action, position, clock, keeps=keeps)
        for action in sorted(found, key=lambda action: action.due_at_ms)
    )


def _sentence(action: Action, position: Position, clock: Clock, *, keeps: bool) -> str:
    when = "now" if action.due_at_ms <= clock.now_ms else wording.moment(action.due_at_ms)
    if isinstance(action, Change):
        return f"rule {action.step.rule}: to {action.storage_class}, {when}"
    hides = keeps and position.noncurrent_since_ms is None
    what = "hidden behind a delete marker" if hides else "deleted"
    return f"rule {action.rule}: {what}, {when}"
