"""Decisions about pins: what happened, or why it may not."""

from __future__ import annotations

from collections.abc import Sequence

from stratum.domain.bucket import require_bucket
from stratum.domain.catalog import Catalog, Placements
from stratum.domain.errors import InvalidArgument, MoveRefused, NoSuchPin
from stratum.domain.events import Recorded, TierPinned, TierUnpinned
from stratum.domain.names import BucketName, Tier
from stratum.domain.pin import Pin
from stratum.domain.storage_class import tier_of
from stratum.domain.volume import Volume

PINS_PER_BUCKET_MAX = 1000
"""As many as a bucket may have lifecycle rules in Amazon S3."""
REASON_LENGTH_MAX = 1000


def set_pin(
    catalog: Catalog,
    *,
    bucket: BucketName,
    prefix: str,
    tier: Tier,
    why: str,
    tiers: Sequence[Tier],
) -> Sequence[TierPinned]:
    """Pin a prefix, or pin it anew; no event if it is pinned so already. `tiers`: configured ones.

    Raises NoSuchBucket; MoveRefused if the tier is not configured; InvalidArgument if the bucket
    has too many pins or the reason is too long or no single line.
    """
    require_bucket(catalog, bucket)
    if tier not in tiers:
        raise MoveRefused(f"The {tier} tier is not configured")
    if len(why) > REASON_LENGTH_MAX or not why.isprintable():
        raise InvalidArgument(
            f"A reason is one line of at most {REASON_LENGTH_MAX} characters", "why"
        )
    pins = {pin.prefix: pin for pin in catalog.pins(bucket)}
    current = pins.get(prefix)
    if current is None and len(pins) >= PINS_PER_BUCKET_MAX:
        raise InvalidArgument(f"A bucket has at most {PINS_PER_BUCKET_MAX} pins", "prefix", prefix)
    if current is not None and (current.tier, current.why) == (tier, why):
        return []
    return [TierPinned(bucket, prefix, tier, why)]


def remove_pin(catalog: Catalog, *, bucket: BucketName, prefix: str) -> Sequence[TierUnpinned]:
    """Remove the pin of exactly this prefix. Raises NoSuchBucket, NoSuchPin."""
    require_bucket(catalog, bucket)
    if all(pin.prefix != prefix for pin in catalog.pins(bucket)):
        raise NoSuchPin(f"s3://{bucket}/{prefix} is not pinned")
    return [TierUnpinned(bucket, prefix)]


def pin_on(catalog: Placements, volume: Volume, now_ms: int) -> Pin | None:
    """What fixes a volume's tier now: the pin of its key, or else its storage class."""
    pin = catalog.pin_of(volume.bucket, volume.key)
    return pin or class_pin(volume, now_ms)


def class_pin(volume: Volume, now_ms: int) -> Pin | None:
    """How a volume's storage class fixes its tier, None if it doesn't. While it is restored, that
    is hot."""
    tier = tier_of(volume.storage_class)
    if tier is None:
        return None
    until_ms = volume.restored_until_ms if volume.restored_until_ms > now_ms else 0
    return Pin(
        volume.bucket,
        volume.key,
        Tier.HOT if until_ms else tier,
        "storage class",
        volume.created_at_ms,
        0,
        storage_class=volume.storage_class,
        until_ms=until_ms,
    )


def pin_from(recorded: Recorded) -> Pin:
    """The pin that a recorded `TierPinned` put in force."""
    event = recorded.event
    assert isinstance(event, TierPinned)
    return Pin(
        event.bucket,
        event.prefix,
        event.tier,
        recorded.by,
        recorded.at_ms,
        recorded.seq,
        event.why,
    )
