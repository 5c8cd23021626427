"""Use cases of object lock."""

from __future__ import annotations

from stratum.app.buckets import Buckets
from stratum.app.objects import Objects
from stratum.domain.attributes import VersionAttributes
from stratum.domain.bucket_lock import check_lockable
from stratum.domain.catalog import Bucket
from stratum.domain.names import BucketName, Caller, ObjectKey
from stratum.domain.object_lock import (
    ObjectLock,
    Retention,
    check_change,
    check_future,
    require_lock,
)
from stratum.domain.settings import BucketSettings
from stratum.domain.volume import ObjectVersion
from stratum.ports import NowMs


class Locks:
    def __init__(self, buckets: Buckets, objects: Objects, now_ms: NowMs) -> None:
        self._buckets = buckets
        self._objects = objects
        self._now_ms = now_ms

    async def configure(self, caller: Caller, bucket: BucketName, lock: ObjectLock) -> None:
        """Set a bucket's default, or enable locks. Raises NoSuchBucket, InvalidBucketState."""
        await self._buckets.configure(
            caller, bucket, "object_lock", BucketSettings(object_lock=lock), check_lockable
        )

    async def retain(
        self,
        caller: Caller,
        bucket: BucketName,
        key: ObjectKey,
        version_id: str | None,
        retention: Retention | None,
        *,
        bypass: bool,
    ) -> None:
        """Set a version's retention, or with None remove it. `bypass`: the caller wants, and may,
        override one in GOVERNANCE mode.

        Raises what `require_version` raises; InvalidRequest without locks on the bucket;
        InvalidArgument for a date in the past; AccessDenied if what there is may not be changed so.
        """
        now_ms = self._now_ms()

        def check(found: Bucket, version: ObjectVersion) -> None:
            require_lock(found.settings.object_lock)
            if retention is not None:
                check_future(retention, now_ms)
            check_change(version.attributes.retention, retention, now_ms, bypass=bypass)

        value = VersionAttributes(retention=retention)
        await self._objects.change(caller, bucket, key, version_id, "retention", value, check)

    async def hold(
        self,
        caller: Caller,
        bucket: BucketName,
        key: ObjectKey,
        version_id: str | None,
        *,
        on: bool,
    ) -> None:
        """Set a version's legal hold. Raises what `require_version` raises; InvalidRequest without
        locks on the bucket."""

        def check(found: Bucket, _: ObjectVersion) -> None:
            require_lock(found.settings.object_lock)

        value = VersionAttributes(legal_hold=on)
        await self._objects.change(caller, bucket, key, version_id, "legal_hold", value, check)
