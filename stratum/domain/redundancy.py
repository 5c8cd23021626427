"""Which shards of a volume exist: the decision that shards written later count from now on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from stratum.domain.catalog import Placements
from stratum.domain.errors import Conflict
from stratum.domain.events import ShardsRebuilt
from stratum.domain.names import ExtentId, VolumeId
from stratum.domain.volume import Extent, Location


def find_extent(location: Location, extent_id: ExtentId) -> Extent | None:
    """The extent of that id, None if the location has none."""
    return next((each for each in location.extents if each.id == extent_id), None)


def with_shards(location: Location, extent_id: ExtentId, indices: Sequence[int]) -> Location:
    """The location in which these shards of an extent are no longer missing."""
    extents = tuple(
        replace(extent, missing=tuple(i for i in extent.missing if i not in indices))
        if extent.id == extent_id
        else extent
        for extent in location.extents
    )
    return replace(location, extents=extents)


def record_rebuilt(
    catalog: Placements, *, volume_id: VolumeId, extent_id: ExtentId, indices: Sequence[int]
) -> Sequence[ShardsRebuilt]:
    """Record that shards which were missing at the commit are durable and published now.

    No event if none of them counts as missing. Raises Conflict if the volume is gone or its bytes
    are no longer in this extent: a rebuild that lost a race against an overwrite or a move.
    """
    volume = catalog.volume(volume_id)
    extent = find_extent(volume.location, extent_id) if volume else None
    if extent is None:
        raise Conflict(f"{volume_id} left extent {extent_id} while its shards were rebuilt")
    known = tuple(index for index in extent.missing if index in indices)
    return [ShardsRebuilt(volume_id, extent_id, known)] if known else []
