"""What events on placements do to the catalog's tables: moves, disks, prices, pins, garbage."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import Any

from stratum.adapters.catalog_schema import LOCATION, PENDING
from stratum.domain.catalog import copy_key, missing_shards
from stratum.domain.events import (
    CopiesReclaimed,
    DiskAdded,
    MoveAbandoned,
    MoveDeclined,
    PricesAdopted,
    Recorded,
    RemoteUsed,
    ShardsRebuilt,
    SpendCapReached,
    TierDecided,
    TierPinned,
    TierUnpinned,
    VolumeMoved,
)
from stratum.domain.names import ExtentId, Tier
from stratum.domain.redundancy import with_shards
from stratum.domain.volume import Location, PendingMove, unfinished_copy

Execute = Callable[..., sqlite3.Cursor]
Projection = Callable[[Execute, Recorded, Any], None]


def _tier_decided(execute: Execute, row: Recorded, event: TierDecided) -> None:
    decision = event.decision
    pending = PendingMove(decision.target, event.copy_id, row.at_ms, decision.sentence)
    execute(
        "UPDATE volumes SET pending=?, stream_version=? WHERE id=?",
        (PENDING.encode(pending), row.version, event.volume_id),
    )


def _volume_moved(execute: Execute, row: Recorded, event: VolumeMoved) -> None:
    target = event.target
    tier, missing = target.tier.value, missing_shards(target)
    for bucket, key, size_bytes, old_tier, old_missing in execute(
        "SELECT bucket, key, size_bytes, tier, missing FROM volumes WHERE id=?",
        (event.volume_id,),
    ).fetchall():
        execute(
            "UPDATE volumes SET tier=?, missing=?, location=?, placed_at_ms=?, stream_version=?,"
            " pending=NULL WHERE id=?",
            (tier, missing, LOCATION.encode(target), row.at_ms, row.version, event.volume_id),
        )
        where = (tier, bucket, key, event.volume_id)
        shown = execute("UPDATE objects SET tier=? WHERE bucket=? AND key=? AND volume_id=?", where)
        if shown.rowcount == 0:
            execute("UPDATE noncurrent SET tier=? WHERE bucket=? AND key=? AND volume_id=?", where)
        count_volumes(execute, old_tier, old_missing, -1, -size_bytes)
        count_volumes(execute, tier, missing, 1, size_bytes)
        free_copy(execute, row, event.source)


def _move_abandoned(execute: Execute, row: Recorded, event: MoveAbandoned) -> None:
    execute(
        "UPDATE volumes SET pending=NULL, stream_version=? WHERE id=?",
        (row.version, event.volume_id),
    )
    free_unfinished(execute, row, event.to, event.copy_id)


def _shards_rebuilt(execute: Execute, row: Recorded, event: ShardsRebuilt) -> None:
    for blob, size_bytes, tier, old_missing in execute(
        "SELECT location, size_bytes, tier, missing FROM volumes WHERE id=?", (event.volume_id,)
    ).fetchall():
        location = with_shards(LOCATION.decode(blob), event.extent_id, event.indices)
        missing = missing_shards(location)
        execute(
            "UPDATE volumes SET missing=?, location=?, stream_version=? WHERE id=?",
            (missing, LOCATION.encode(location), row.version, event.volume_id),
        )
        count_volumes(execute, tier, old_missing, -1, -size_bytes)
        count_volumes(execute, tier, missing, 1, size_bytes)


def _copies_reclaimed(execute: Execute, row: Recorded, event: CopiesReclaimed) -> None:
    for copy in event.copies:
        execute("DELETE FROM garbage WHERE copy=?", (copy,))


def _disk_added(execute: Execute, row: Recorded, event: DiskAdded) -> None:
    execute(
        "INSERT OR REPLACE INTO disks VALUES (?,?,?)",
        (event.tier.value, event.index, event.disk_id),
    )


def _prices_adopted(execute: Execute, row: Recorded, event: PricesAdopted) -> None:
    execute(
        "INSERT OR REPLACE INTO prices VALUES (?,?,?)",
        (event.version, event.document, row.seq),
    )


def _tier_pinned(execute: Execute, row: Recorded, event: TierPinned) -> None:
    execute(
        "INSERT OR REPLACE INTO pins VALUES (?,?,?,?,?,?,?)",
        (
            event.bucket,
            event.prefix.encode(),
            event.tier.value,
            row.by,
            row.at_ms,
            row.seq,
            event.why,
        ),
    )


def _tier_unpinned(execute: Execute, row: Recorded, event: TierUnpinned) -> None:
    execute("DELETE FROM pins WHERE bucket=? AND prefix=?", (event.bucket, event.prefix.encode()))


def _move_declined(execute: Execute, row: Recorded, event: MoveDeclined) -> None:
    execute("UPDATE volumes SET stream_version=? WHERE id=?", (row.version, event.volume_id))


def _remote_used(execute: Execute, row: Recorded, event: RemoteUsed) -> None:
    execute(
        "INSERT INTO remote_use VALUES (?,?,?,?,0,?) ON CONFLICT(month) DO UPDATE SET"
        " puts=excluded.puts, gets=excluded.gets, egress_bytes=excluded.egress_bytes,"
        " seq=excluded.seq",
        (event.month, event.puts, event.gets, event.egress_bytes, row.seq),
    )


def _spend_cap_reached(execute: Execute, row: Recorded, event: SpendCapReached) -> None:
    execute("UPDATE remote_use SET capped=1 WHERE month=?", (event.month,))


def count_volumes(execute: Execute, tier: str, missing: int, volumes: int, size_bytes: int) -> None:
    execute(
        "INSERT INTO totals VALUES (?,?,?,?) ON CONFLICT(tier, missing) DO UPDATE"
        " SET volumes=volumes+excluded.volumes, size_bytes=size_bytes+excluded.size_bytes",
        (tier, missing, volumes, size_bytes),
    )


def free_copy(execute: Execute, row: Recorded, location: Location) -> None:
    execute(
        "INSERT OR REPLACE INTO garbage VALUES (?,?,?)",
        (copy_key(location), row.at_ms, LOCATION.encode(location)),
    )


def free_unfinished(execute: Execute, row: Recorded, to: Tier, copy_id: ExtentId) -> None:
    """The move may have left a copy behind that a crash made us forget."""
    left = unfinished_copy(to, copy_id)
    if left is not None:
        free_copy(execute, row, left)


PROJECTIONS: dict[type, Projection] = {
    TierDecided: _tier_decided,
    VolumeMoved: _volume_moved,
    MoveAbandoned: _move_abandoned,
    ShardsRebuilt: _shards_rebuilt,
    CopiesReclaimed: _copies_reclaimed,
    DiskAdded: _disk_added,
    PricesAdopted: _prices_adopted,
    TierPinned: _tier_pinned,
    TierUnpinned: _tier_unpinned,
    MoveDeclined: _move_declined,
    RemoteUsed: _remote_used,
    SpendCapReached: _spend_cap_reached,
}
