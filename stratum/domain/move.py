"""Decisions about moves. Each runs on the exact current state, inside the journal's transaction:
a move that lost a race against an overwrite, a delete or another move is found out here.
"""

from __future__ import annotations

from collections.abc import Sequence

from stratum.domain.catalog import Placements
from stratum.domain.errors import Conflict, MoveRefused, NoSuchVolume
from stratum.domain.events import MoveAbandoned, PricesAdopted, TierDecided, VolumeMoved
from stratum.domain.names import ExtentId, Tier, VolumeId
from stratum.domain.pricing import PriceList
from stratum.domain.storage_class import tier_of
from stratum.domain.tiering import PINNED, Decision
from stratum.domain.volume import Location, Volume


def adopt_prices(catalog: Placements, *, prices: PriceList) -> Sequence[PricesAdopted]:
    """Put a price list in force, so that the decisions that name its version can be derived
    again; no event if it is in force already."""
    current = catalog.prices()
    if current is not None and current[0] == prices.version():
        return []
    return [PricesAdopted(prices.version(), prices.document())]


def decide_move(
    catalog: Placements, *, volume_id: VolumeId, decision: Decision, copy_id: ExtentId
) -> Sequence[TierDecided]:
    """Record that a volume is to move. The copy that carries the move out will be `copy_id`.

    Raises NoSuchVolume; MoveRefused if it is there already, has moved since the decision was
    made, has a move under way, or is pinned elsewhere (whoever decided, and however early).
    """
    volume = catalog.volume(volume_id)
    if volume is None:
        raise NoSuchVolume(f"There is no volume {volume_id}")
    if volume.pending is not None:
        raise MoveRefused(f"A move of {volume_id} to {volume.pending.to} is under way")
    if volume.tier is decision.target:
        raise MoveRefused(f"{volume_id} is in {decision.target} already")
    if volume.tier is not decision.source:
        raise MoveRefused(f"{volume_id} is in {volume.tier}, no longer in {decision.source}")
    pin = catalog.pin_of(volume.bucket, volume.key)
    if pin is not None and pin.tier is not decision.target:
        raise MoveRefused(f"s3://{volume.bucket}/{volume.key} is {pin.describe()}")
    if pin is None and decision.target not in allowed_tiers(volume):
        url = f"s3://{volume.bucket}/{volume.key}"
        raise MoveRefused(f"{url} is stored as {volume.storage_class}, which fixes its tier")
    if pin is None and decision.policy == PINNED:
        raise MoveRefused(f"s3://{volume.bucket}/{volume.key} is no longer pinned")
    return [TierDecided(volume_id, decision, copy_id)]


def allowed_tiers(volume: Volume) -> tuple[Tier, ...]:
    """Where a volume may lie by its storage class: where that asks, and in hot while restored."""
    tier = tier_of(volume.storage_class)
    if tier is None:
        return tuple(Tier)
    return (tier, Tier.HOT) if volume.restored_until_ms else (tier,)


def complete_move(
    catalog: Placements,
    *,
    volume_id: VolumeId,
    copy_id: ExtentId,
    target: Location,
    checksum: str,
) -> Sequence[VolumeMoved]:
    """Make a verified copy the volume's location; the old one becomes garbage.

    `checksum` is what was computed from the copy, CRC-64/NVME as 16 hex digits. Raises Conflict
    if the volume is gone, its pending move is not this copy, or the copy has other bytes.
    """
    volume = catalog.volume(volume_id)
    if volume is None:
        raise Conflict(f"{volume_id} was overwritten or deleted while it was moved")
    if not is_pending(volume, copy_id):
        raise Conflict(f"The move of {volume_id} as copy {copy_id} is not pending")
    if checksum != volume.checksum:
        raise Conflict(f"Copy {copy_id} has checksum {checksum}, {volume_id} {volume.checksum}")
    return [VolumeMoved(volume_id, volume.location, target, checksum)]


def abandon_move(
    catalog: Placements, *, volume_id: VolumeId, copy_id: ExtentId, reason: str
) -> Sequence[MoveAbandoned]:
    """Give a pending move up. No event if the volume is gone or another move is pending."""
    volume = catalog.volume(volume_id)
    if volume is None or volume.pending is None or not is_pending(volume, copy_id):
        return []
    return [MoveAbandoned(volume_id, volume.pending.to, copy_id, reason)]


def is_pending(volume: Volume, copy_id: ExtentId) -> bool:
    """Whether the volume's pending move is the one that makes this copy."""
    return volume.pending is not None and volume.pending.copy_id == copy_id
