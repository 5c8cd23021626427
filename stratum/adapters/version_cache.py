"""Current object versions in memory, each until an event touches it.

Exact like the catalog itself: look-ups run on the event loop, between two checkpoints, and whoever
commits calls `forget` on the same loop before any caller has its answer. So what was read before a
commit is gone before anybody can know of the commit.
"""

from __future__ import annotations

from collections.abc import Iterable

from stratum.domain.events import (
    CopiesReclaimed,
    DeleteMarkerCreated,
    DeleteMarkerRemoved,
    Event,
    MoveAbandoned,
    PartStored,
    ShardsRebuilt,
    TierDecided,
    UploadAborted,
    UploadCompleted,
    UploadStarted,
    VersionChanged,
    VersionCommitted,
    VersionRemoved,
    VolumeMoved,
)
from stratum.domain.names import BucketName, ObjectKey, VolumeId
from stratum.domain.volume import ObjectVersion

VERSIONS_MAX = 4096
"""Some 2 KiB each. A multipart object may have 10,000 parts in it: such ones are not kept."""

ON_KEY = (
    VersionCommitted,
    VersionRemoved,
    VersionChanged,
    DeleteMarkerCreated,
    DeleteMarkerRemoved,
)
ON_VOLUME = (VersionRemoved, VersionChanged, VolumeMoved, ShardsRebuilt)
ON_NO_VERSION = (
    UploadStarted,
    PartStored,
    UploadCompleted,
    UploadAborted,
    TierDecided,
    MoveAbandoned,
    CopiesReclaimed,
)
"""What changes nothing that an `ObjectVersion` says and happens often. All other events, also those
that are yet to be invented, empty the cache."""


class VersionCache:
    """The current version by bucket and key. A key without one is never kept."""

    def __init__(self) -> None:
        self._versions: dict[tuple[BucketName, ObjectKey], ObjectVersion] = {}
        self._places: dict[VolumeId, tuple[BucketName, ObjectKey]] = {}

    def get(self, bucket: BucketName, key: ObjectKey) -> ObjectVersion | None:
        """The current version, if it is known."""
        return self._versions.get((bucket, key))

    def keep(self, version: ObjectVersion) -> None:
        """Remember what was just looked up."""
        if version.parts:
            return
        if len(self._versions) >= VERSIONS_MAX:
            self.clear()
        place = version.bucket, version.key
        self._versions[place] = version
        self._places[version.volume_id] = place

    def forget(self, events: Iterable[Event]) -> None:
        """These were committed."""
        for event in events:
            if isinstance(event, ON_KEY):
                self._drop((event.bucket, event.key))
            if isinstance(event, ON_VOLUME):
                place = self._places.get(event.volume_id)
                if place is not None:
                    self._drop(place)
            elif not isinstance(event, ON_KEY + ON_NO_VERSION):
                self.clear()

    def clear(self) -> None:
        """Who knows what was committed."""
        self._versions.clear()
        self._places.clear()

    def _drop(self, place: tuple[BucketName, ObjectKey]) -> None:
        version = self._versions.pop(place, None)
        if version is not None:
            del self._places[version.volume_id]
