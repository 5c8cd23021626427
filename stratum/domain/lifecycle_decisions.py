"""What lifecycle rules do to one version, decided inside the journal's transaction."""

from __future__ import annotations

from collections.abc import Sequence

from stratum.domain.attributes import VersionAttributes
from stratum.domain.catalog import Catalog
from stratum.domain.events import Event, TierDecided, VersionChanged
from stratum.domain.lifecycle_actions import Due, judge_again, rule_reason
from stratum.domain.lifecycle_schedule import Change, Clock, Position
from stratum.domain.names import BucketName, ExtentId, ObjectKey
from stratum.domain.object import Target, delete_version, removal
from stratum.domain.pricing import BYTES_PER_GB
from stratum.domain.rules import Rules
from stratum.domain.storage_class import tier_of
from stratum.domain.tiering import by_rule
from stratum.domain.volume import ObjectVersion, Volume


def carry_out(
    catalog: Catalog,
    *,
    bucket: BucketName,
    key: ObjectKey,
    due: Due,
    clock: Clock,
    rules: Rules,
    marker_id: str,
    copy_id: ExtentId,
) -> Sequence[Event]:
    """Do what is due of a version, as the rules and the state are now. No event if nothing is due
    any more, or can't be done now: the key is pinned to another tier, a move is under way, or the
    tier of the class isn't configured.

    `marker_id` and `copy_id` are those of a delete marker and of a copy, if one is to be made.
    """
    found = catalog.bucket(bucket)
    again = judge_again(catalog, found, key, due, clock) if found else None
    if found is None or again is None:
        return []
    version, position, action = again
    if isinstance(action, Change):
        assert isinstance(version, ObjectVersion), "markers have no storage class"
        return _change(catalog, version, action, position, clock, rules, copy_id)
    reason = rule_reason(action.rule)
    if position.noncurrent_since_ms is None and isinstance(version, ObjectVersion):
        target = Target(bucket, key)
        return delete_version(
            catalog,
            target=target,
            marker_id=marker_id,
            by=found.owner,
            now_ms=clock.now_ms,
            reason=reason,
        )
    return [removal(version, reason)]


def _change(
    catalog: Catalog,
    version: ObjectVersion,
    change: Change,
    position: Position,
    clock: Clock,
    rules: Rules,
    copy_id: ExtentId,
) -> Sequence[Event]:
    volume = catalog.volume(version.volume_id)
    assert volume is not None, "a version has its volume"
    changed = VersionChanged(
        version.volume_id,
        version.bucket,
        version.key,
        version.version_id,
        "storage_class",
        VersionAttributes(storage_class=change.storage_class),
    )
    target = tier_of(change.storage_class)
    if target is None or target is volume.tier:
        return [changed]
    pin = catalog.pin_of(version.bucket, version.key)
    if pin is not None and pin.tier is not target:
        return []
    if volume.pending is not None:
        return [changed] if volume.pending.to is target else []
    if target not in rules.tiers:
        return []
    decision = by_rule(
        volume.tier, target, change.step, _facts(volume, position, clock), rules.prices
    )
    return [changed, TierDecided(volume.id, decision, copy_id)] if decision else []


def _facts(volume: Volume, position: Position, clock: Clock) -> dict[str, float]:
    since_ms = position.noncurrent_since_ms
    counted_ms = clock.now_ms - (volume.created_at_ms if since_ms is None else since_ms)
    return {
        "size_gb": volume.size_bytes / BYTES_PER_GB,
        "counted_days": max(0, counted_ms) / clock.day_ms,
        "now_ms": float(clock.now_ms),
        "day_s": clock.day_ms / 1000,
    }
