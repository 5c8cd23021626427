"""Storage classes and restores, as clients of a tiered store know them.

Objects in cold can be read at once whatever their class. Restoring one of an archive class brings
it up to hot for some days; then it goes back.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import partial

from stratum.domain.attributes import VersionAttributes
from stratum.domain.catalog import Catalog
from stratum.domain.errors import InvalidObjectState, RestoreInProgress
from stratum.domain.events import VersionChanged
from stratum.domain.names import BucketName, Caller, ObjectKey, Tier, VolumeId
from stratum.domain.object import change_version, require_version
from stratum.domain.storage_class import ARCHIVES, kept_class, shown_class
from stratum.domain.volume import ObjectVersion
from stratum.ports import Journal, NowMs

SECONDS_PER_DAY = 86400.0
DAY_MS = 86_400_000


@dataclass(frozen=True)
class Restored:
    """A version that is restored, or being restored."""

    ongoing: bool
    until_ms: int
    """Unix ms."""


class StorageClasses:
    """`track` is told of every version that may lie elsewhere now."""

    def __init__(
        self,
        journal: Journal,
        tiers: Collection[Tier],
        day_s: float,
        now_ms: NowMs,
        track: Callable[[VolumeId], None],
    ) -> None:
        self._journal = journal
        self._tiers = tiers
        self._day_s = day_s
        self._now_ms = now_ms
        self._track = track

    def kept(self, asked: str | None) -> str:
        """What is kept of the class a request asks for. Raises InvalidStorageClass."""
        return kept_class(asked, self._tiers)

    def restored(self, version: ObjectVersion) -> Restored | None:
        """Whether a version is restored at the moment."""
        return restored(version, self._now_ms())

    async def restore(
        self,
        caller: Caller,
        bucket: BucketName,
        key: ObjectKey,
        version_id: str | None,
        days: int,
    ) -> bool:
        """Keep a version of an archive class in hot for some days from now. True if that begins
        now, False if it was so already and only the time is another.

        Raises what `require_version` raises, InvalidObjectState, RestoreInProgress.
        """
        now_ms = self._now_ms()
        decide = partial(
            _restore,
            bucket=bucket,
            key=key,
            version_id=version_id,
            now_ms=now_ms,
            until_ms=self._until_ms(now_ms, days),
        )
        before = require_version(self._journal.catalog, bucket, key, version_id)
        recorded = await self._journal.transact(decide, by=caller.name)
        for each in recorded:
            self._track(VolumeId(each.stream))
        return restored(before, now_ms) is None

    def _until_ms(self, now_ms: int, days: int) -> int:
        """As Amazon counts: rounded up to the next midnight UTC, where days are real ones."""
        until_ms = now_ms + round(days * self._day_s * 1000)
        return -(-until_ms // DAY_MS) * DAY_MS if self._day_s == SECONDS_PER_DAY else until_ms


def restored(version: ObjectVersion, now_ms: int) -> Restored | None:
    """Whether a version is restored at a time (Unix ms)."""
    until_ms = version.attributes.restored_until_ms
    if until_ms <= now_ms or version.attributes.storage_class not in ARCHIVES:
        return None
    return Restored(version.tier is not Tier.HOT, until_ms)


def _restore(
    catalog: Catalog,
    *,
    bucket: BucketName,
    key: ObjectKey,
    version_id: str | None,
    now_ms: int,
    until_ms: int,
) -> Sequence[VersionChanged]:
    version = require_version(catalog, bucket, key, version_id)
    if version.attributes.storage_class not in ARCHIVES:
        storage_class = shown_class(version.attributes.storage_class, version.tier)
        raise InvalidObjectState(
            "Restore is not allowed for the object's current storage class", storage_class
        )
    before = restored(version, now_ms)
    if before is not None and before.ongoing:
        raise RestoreInProgress("Object restore is already in progress")
    value = VersionAttributes(restored_until_ms=until_ms)
    return change_version(
        catalog,
        bucket=bucket,
        key=key,
        version_id=version_id,
        attribute="restored_until_ms",
        value=value,
    )
