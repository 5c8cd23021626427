"""The placement side of the catalog in SQLite: volumes, garbage, totals, disks, prices, pins."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any

from stratum.adapters.catalog_schema import LOCATION, PENDING
from stratum.adapters.sqlite_connection import meaning_of
from stratum.domain.catalog import DiskLabel, TierTotals, copy_key
from stratum.domain.names import BucketName, ObjectKey, Tier, VolumeId
from stratum.domain.pin import Pin, longest_pin
from stratum.domain.spending import RemoteUse
from stratum.domain.volume import Garbage, Volume

_VOLUME = (
    "SELECT id, bucket, key, size_bytes, checksum, location, created_at_ms, placed_at_ms,"
    " stream_version, pending, storage_class, restored_until_ms FROM volumes"
)
_PIN = "SELECT bucket, prefix, tier, pinned_by, pinned_at_ms, seq, why FROM pins"


class SqlitePlacements:
    """Implements Placements; `catalog.SqliteCatalog` says how."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def _rows(self, sql: str, parameters: Sequence[object] = ()) -> list[Any]:
        try:
            return self._connection.execute(sql, parameters).fetchall()
        except sqlite3.Error as error:
            raise meaning_of(error) from error

    def volume(self, volume_id: VolumeId) -> Volume | None:
        for row in self._rows(f"{_VOLUME} WHERE id=?", (volume_id,)):
            return _volume(*row)
        return None

    def volumes(self, after: str = "", limit: int = 1000) -> Sequence[Volume]:
        rows = self._rows(f"{_VOLUME} WHERE id>? ORDER BY id LIMIT ?", (after, limit))
        return [_volume(*row) for row in rows]

    def residents(self, tier: Tier, limit: int, after: Volume | None = None) -> Sequence[Volume]:
        behind = (after.placed_at_ms, after.id) if after else (-1, "")
        rows = self._rows(
            f"{_VOLUME} WHERE tier=? AND (placed_at_ms, id) > (?,?)"
            " ORDER BY placed_at_ms, id LIMIT ?",
            (tier.value, *behind, limit),
        )
        return [_volume(*row) for row in rows]

    def remote_use(self, month: str = "") -> RemoteUse | None:
        columns = "SELECT month, puts, gets, egress_bytes, capped FROM remote_use"
        if month:
            rows = self._rows(f"{columns} WHERE month=?", (month,))
        else:
            rows = self._rows(f"{columns} ORDER BY seq DESC LIMIT 1")
        for own_month, puts, gets, egress_bytes, capped in rows:
            return RemoteUse(own_month, puts, gets, egress_bytes, bool(capped))
        return None

    def pending_moves(self) -> Sequence[Volume]:
        return [
            _volume(*row) for row in self._rows(f"{_VOLUME} WHERE pending IS NOT NULL ORDER BY id")
        ]

    def incomplete(self, after: str = "", limit: int = 1000) -> Sequence[Volume]:
        # Literally the index's condition: a parameter would not use it.
        rows = self._rows(f"{_VOLUME} WHERE missing>0 AND id>? ORDER BY id LIMIT ?", (after, limit))
        return [_volume(*row) for row in rows]

    def garbage(
        self, freed_before_ms: int, limit: int, after: Garbage | None = None
    ) -> Sequence[Garbage]:
        behind = (after.freed_at_ms, copy_key(after.location)) if after else (-1, "")
        rows = self._rows(
            "SELECT location, freed_at_ms FROM garbage"
            " WHERE freed_at_ms<=? AND (freed_at_ms, copy) > (?,?)"
            " ORDER BY freed_at_ms, copy LIMIT ?",
            (freed_before_ms, *behind, limit),
        )
        return [Garbage(LOCATION.decode(location), freed_at_ms) for location, freed_at_ms in rows]

    def totals(self) -> dict[Tier, TierTotals]:
        volumes, sizes = dict.fromkeys(Tier, 0), dict.fromkeys(Tier, 0)
        missing: dict[Tier, dict[int, int]] = {tier: {} for tier in Tier}
        for name, lost, count, size_bytes in self._rows(
            "SELECT tier, missing, volumes, size_bytes FROM totals WHERE volumes>0"
        ):
            tier = Tier(name)
            volumes[tier] += count
            sizes[tier] += size_bytes
            missing[tier][lost] = count
        return {tier: TierTotals(volumes[tier], sizes[tier], missing[tier]) for tier in Tier}

    def disks(self) -> Sequence[DiskLabel]:
        rows = self._rows("SELECT tier, disk, disk_id FROM disks ORDER BY tier, disk")
        return [DiskLabel(Tier(tier), index, disk_id) for tier, index, disk_id in rows]

    def prices(self, version: str = "") -> tuple[str, str] | None:
        if version:
            sql, parameters = "SELECT version, document FROM prices WHERE version=?", (version,)
        else:
            sql = "SELECT version, document FROM prices ORDER BY adopted_seq DESC LIMIT 1"
            parameters = ()  # type: ignore[assignment]
        for own_version, document in self._rows(sql, parameters):
            return own_version, document
        return None

    def pin_of(self, bucket: BucketName, key: ObjectKey) -> Pin | None:
        def at_or_below(sought: bytes) -> Pin | None:
            for row in self._rows(
                f"{_PIN} WHERE bucket=? AND prefix<=? ORDER BY prefix DESC LIMIT 1",
                (bucket, sought),
            ):
                return _pin(*row)
            return None

        return longest_pin(key.encode(), at_or_below)

    def pins(self, bucket: BucketName | None = None) -> Sequence[Pin]:
        if bucket is None:
            rows = self._rows(f"{_PIN} ORDER BY bucket, prefix")
        else:
            rows = self._rows(f"{_PIN} WHERE bucket=? ORDER BY prefix", (bucket,))
        return [_pin(*row) for row in rows]


def _pin(bucket: str, prefix: bytes, tier: str, by: str, at_ms: int, seq: int, why: str) -> Pin:
    return Pin(BucketName(bucket), prefix.decode(), Tier(tier), by, at_ms, seq, why)


def _volume(
    volume_id: str,
    bucket: str,
    key: bytes,
    size_bytes: int,
    checksum: str,
    location: bytes,
    created_at_ms: int,
    placed_at_ms: int,
    stream_version: int,
    pending: bytes | None,
    storage_class: str,
    restored_until_ms: int,
) -> Volume:
    return Volume(
        VolumeId(volume_id),
        BucketName(bucket),
        ObjectKey(key.decode()),
        size_bytes,
        checksum,
        LOCATION.decode(location),
        created_at_ms,
        placed_at_ms,
        stream_version,
        PENDING.decode(pending) if pending is not None else None,
        storage_class,
        restored_until_ms,
    )
