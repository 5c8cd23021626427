"""Use cases on buckets."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from functools import partial

from stratum.domain.bucket import (
    Check,
    configure_bucket,
    create_bucket,
    delete_bucket,
    require_bucket,
)
from stratum.domain.catalog import Bucket
from stratum.domain.errors import BucketAlreadyOwnedByYou
from stratum.domain.names import BucketName, Caller
from stratum.domain.ownership import ObjectOwnership
from stratum.domain.settings import NO_SETTINGS, BucketSettings
from stratum.ports import Journal


class Buckets:
    def __init__(
        self,
        journal: Journal,
        region: str,
        default_ownership: ObjectOwnership = ObjectOwnership.OBJECT_WRITER,
    ) -> None:
        """`default_ownership` is that of new buckets which ask for none."""
        self._journal = journal
        self.region = region
        self.default_ownership = default_ownership

    async def create(
        self, caller: Caller, name: BucketName, settings: BucketSettings = NO_SETTINGS
    ) -> None:
        """Creating a bucket again that the caller owns changes nothing, as in Amazon's us-east-1:
        scripts create their bucket before each run. Raises BucketAlreadyExists."""
        decide = partial(
            create_bucket, name=name, owner=caller, region=self.region, settings=settings
        )
        with suppress(BucketAlreadyOwnedByYou):
            await self._journal.transact(decide, by=caller.name)

    async def delete(self, caller: Caller, name: BucketName) -> None:
        """Raises NoSuchBucket, BucketNotEmpty."""
        await self._journal.transact(partial(delete_bucket, name=name), by=caller.name)

    async def configure(
        self,
        caller: Caller,
        name: BucketName,
        setting: str,
        value: BucketSettings,
        check: Check | None = None,
    ) -> None:
        """Change one setting of a bucket to what it is in `value`; None there removes it.

        Raises NoSuchBucket and what `check` raises, which sees the exact state."""
        decide = partial(configure_bucket, name=name, setting=setting, value=value, check=check)
        await self._journal.transact(decide, by=caller.name)

    def find(self, name: BucketName) -> Bucket | None:
        """None if there is no such bucket."""
        return self._journal.catalog.bucket(name)

    def get(self, name: BucketName) -> Bucket:
        """Raises NoSuchBucket."""
        return require_bucket(self._journal.catalog, name)

    def owned_by(self, caller: Caller) -> Sequence[Bucket]:
        """The caller's buckets by name."""
        return [
            bucket for bucket in self._journal.catalog.buckets() if bucket.owner.id == caller.id
        ]
