"""Use cases on objects: put, open, head, copy, delete, list."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial

from stratum.app.accesses import AccessRecorder
from stratum.app.commit import commit
from stratum.app.datapath import DataPath
from stratum.app.payload import NewHasher, Payload, Stated, StreamSource
from stratum.app.sealing import Sealing, incoming
from stratum.app.together import together
from stratum.domain.attributes import VersionAttributes
from stratum.domain.bucket import require_bucket
from stratum.domain.catalog import Catalog, ListedObject, ListedVersion
from stratum.domain.checksums import ChecksumAlgorithm
from stratum.domain.conditions import NO_CONDITIONS, Conditions, check_copy_source, check_read
from stratum.domain.encryption import NO_WISH, CustomerKey, EncryptionWish
from stratum.domain.errors import (
    InsufficientShards,
    InvalidRequest,
    RemoteFailed,
    StratumError,
)
from stratum.domain.events import VersionCommitted, VersionRemoved
from stratum.domain.listing import ListRequest, Page
from stratum.domain.names import BucketName, Caller, ExtentId, ObjectKey, Tier, VolumeId
from stratum.domain.object import (
    PUT_SIZE_MAX_BYTES,
    CheckVersion,
    Deletion,
    Target,
    change_version,
    check_put,
    commit_version,
    delete_version,
    deletion_of,
    new_version_id,
    require_version,
)
from stratum.domain.parts import resolve
from stratum.domain.ranges import ByteRange, Span
from stratum.domain.volume import Extent, Metadata, ObjectVersion, ShardRecord
from stratum.ports import Buffer, ByteSource, Journal, NewId, NowMs

DELETES_AT_ONCE = 64
"""Deletions of one DeleteObjects request that wait for the journal together."""


@dataclass(frozen=True)
class Download:
    """A version being read: `span` of it, in pieces."""

    version: ObjectVersion
    span: Span
    partial: bool
    """Whether a range (or part) was asked for."""
    pieces: AsyncIterator[Buffer]


class Objects:
    def __init__(
        self,
        journal: Journal,
        datapath: DataPath,
        accesses: AccessRecorder,
        new_id: NewId,
        now_ms: NowMs,
        new_hasher: NewHasher,
        sealing: Sealing,
    ) -> None:
        self._journal = journal
        self._datapath = datapath
        self._accesses = accesses
        self._new_id = new_id
        self._now_ms = now_ms
        self._new_hasher = new_hasher
        self.sealing = sealing

    # -- writing --------------------------------------------------------------------------------
    async def put(
        self,
        caller: Caller,
        bucket: BucketName,
        key: ObjectKey,
        source: ByteSource,
        stated: Stated,
        metadata: Metadata,
        conditions: Conditions = NO_CONDITIONS,
        attributes: VersionAttributes | None = None,
        wish: EncryptionWish = NO_WISH,
    ) -> ObjectVersion:
        """Store an object. Returns when it would survive a power cut. `attributes` are the
        version's; by default it is just the caller's.

        Raises NoSuchBucket, PreconditionFailed, InsufficientDisks, what `check_asked`, Sealing and
        Payload raise. Refusals that don't depend on the bytes come before the first byte is read.
        """
        found = check_put(self._journal.catalog, bucket, key, conditions)
        sealed = self.sealing.begin(found.settings.encryption, wish, bucket, key)
        plain = Payload(source, stated, self._new_hasher, PUT_SIZE_MAX_BYTES)
        body = incoming(plain, stated.size_bytes, sealed)
        volume_id = VolumeId(self._new_id())
        version_id = new_version_id(found, volume_id)
        created_at_ms = self._now_ms()
        asked = attributes or VersionAttributes(caller.id, caller.name)
        own = body.described(asked.born_in(found.settings.object_lock, created_at_ms))

        def describe(extent: Extent) -> ShardRecord:
            return ShardRecord(
                volume_id=volume_id,
                extent_id=extent.id,
                bucket=bucket,
                key=key,
                version_id=version_id,
                size_bytes=body.payload.size_bytes,
                etag=body.payload.etag,
                checksum=body.payload.crc64,
                created_at_ms=created_at_ms,
                tier=Tier.HOT,
                generation=0,
                metadata=metadata,
                checksums=body.kept_checksums,
                extents=(extent,),
                attributes=own,
            )

        copy_id = ExtentId(volume_id)
        location = await self._datapath.stage(
            Tier.HOT, copy_id, body.stored_size_bytes, body.payload, describe
        )
        committed = VersionCommitted(
            volume_id=volume_id,
            bucket=bucket,
            key=key,
            version_id=version_id,
            size_bytes=body.payload.size_bytes,
            etag=body.payload.etag,
            checksum=body.payload.crc64,
            location=location,
            metadata=metadata,
            checksums=body.kept_checksums,
            attributes=own,
        )
        decide = partial(commit_version, committed=committed, conditions=conditions)
        recorded = await commit(
            self._journal, self._datapath, decide, location, copy_id, by=caller.name
        )
        self._accesses.track(volume_id)
        stored = as_version(committed, recorded[-1].at_ms)
        return sealed.revealed(stored) if sealed else stored

    async def copy(
        self,
        caller: Caller,
        version: ObjectVersion,
        target: tuple[BucketName, ObjectKey],
        metadata: Metadata | None,
        algorithm: ChecksumAlgorithm | None,
        conditions: Conditions = NO_CONDITIONS,
        attributes: VersionAttributes | None = None,
        *,
        changed: bool = False,
        wish: EncryptionWish = NO_WISH,
        source_key: CustomerKey | None = None,
    ) -> ObjectVersion:
        """Copy a version (see `source`) on the server; `metadata` None keeps the source's.
        `changed`: the copy differs in something else, so it may replace its source.
        `source_key`: the client's key to the source.

        Raises PreconditionFailed, InvalidRequest (onto itself, changing nothing), what
        Sealing.begin and Sealing.of_version raise.
        """
        current = self._journal.catalog.version(*target)
        onto_itself = current is not None and current.volume_id == version.volume_id
        changed = changed or wish != NO_WISH
        if onto_itself and metadata is None and algorithm is None and not changed:
            raise InvalidRequest(
                "This copy request is illegal because it is trying to copy an object to itself"
                " without changing the object's metadata, storage class, website redirect location"
                " or encryption attributes."
            )
        if algorithm is None and version.checksums:
            algorithm = version.checksums[0].algorithm
        stated = Stated(size_bytes=version.size_bytes, algorithm=algorithm)
        async with self.read(version, Span(0, version.size_bytes), source_key) as pieces:
            return await self.put(
                caller,
                *target,
                StreamSource(pieces),
                stated,
                version.metadata if metadata is None else metadata,
                conditions,
                attributes,
                wish,
            )

    async def delete(self, caller: Caller, target: Target) -> Deletion:
        """Delete what the target names, or hide it behind a delete marker where the bucket has
        versioning; nothing there is no error. Raises NoSuchBucket, PreconditionFailed,
        AccessDenied."""
        decide = partial(
            delete_version,
            target=target,
            marker_id=self._new_id(),
            by=caller,
            now_ms=self._now_ms(),
        )
        recorded = await self._journal.transact(decide, by=caller.name)
        events = [each.event for each in recorded]
        for event in events:
            if isinstance(event, VersionRemoved):
                self._accesses.forget(event.volume_id)
        return deletion_of(events, target)

    async def delete_many(
        self, caller: Caller, bucket: BucketName, targets: Sequence[Target]
    ) -> Sequence[StratumError | Deletion]:
        """Delete each; per target what was done or what went wrong. Raises NoSuchBucket."""
        require_bucket(self._journal.catalog, bucket)

        def deletion(target: Target) -> Callable[[], Awaitable[StratumError | Deletion]]:
            async def run() -> StratumError | Deletion:
                try:
                    return await self.delete(caller, target)
                except StratumError as error:
                    return error

            return run

        results: list[StratumError | Deletion] = []
        for start in range(0, len(targets), DELETES_AT_ONCE):
            batch = targets[start : start + DELETES_AT_ONCE]
            results += await together(*(deletion(target) for target in batch))
        return results

    async def change(
        self,
        caller: Caller,
        bucket: BucketName,
        key: ObjectKey,
        version_id: str | None,
        attribute: str,
        value: VersionAttributes,
        check: CheckVersion | None = None,
    ) -> ObjectVersion:
        """Change one attribute of a version; `check` sees the exact state. Returns the version as
        it was. Raises what `require_version` and `check` raise."""
        version = require_version(self._journal.catalog, bucket, key, version_id)
        decide = partial(
            change_version,
            bucket=bucket,
            key=key,
            version_id=version.version_id,
            attribute=attribute,
            value=value,
            check=check,
        )
        await self._journal.transact(decide, by=caller.name)
        return version

    # -- reading --------------------------------------------------------------------------------
    def head(
        self,
        bucket: BucketName,
        key: ObjectKey,
        conditions: Conditions = NO_CONDITIONS,
        version_id: str | None = None,
        found: ObjectVersion | None = None,
    ) -> ObjectVersion:
        """`found`: the version if it was looked up since the last checkpoint.

        Raises what `require_version` raises, PreconditionFailed, NotModified."""
        version = found or require_version(self._journal.catalog, bucket, key, version_id)
        check_read(conditions, version.etag, version.modified_at_ms)
        return version

    def source(
        self,
        bucket: BucketName,
        key: ObjectKey,
        version_id: str | None = None,
        conditions: Conditions = NO_CONDITIONS,
    ) -> ObjectVersion:
        """The version that is to be copied. Raises what `require_version` raises,
        PreconditionFailed."""
        version = require_version(self._journal.catalog, bucket, key, version_id)
        check_copy_source(conditions, version.etag, version.modified_at_ms)
        return version

    @asynccontextmanager
    async def open(
        self,
        bucket: BucketName,
        key: ObjectKey,
        asked: ByteRange | None = None,
        part_number: int | None = None,
        conditions: Conditions = NO_CONDITIONS,
        version_id: str | None = None,
    ) -> AsyncIterator[Download]:
        """Open a version for reading; entering reads its first bytes and counts the access.

        Raises what `head` raises, InvalidRange, InsufficientShards, RemoteFailed.
        """
        version = self.head(bucket, key, conditions, version_id)
        span = resolve(version, asked, part_number)
        is_partial = asked is not None or part_number is not None
        async with self.read(version, span) as pieces:
            yield Download(version, span, is_partial, pieces)

    def unlocked(
        self, version: ObjectVersion, customer_key: CustomerKey | None = None
    ) -> ObjectVersion:
        """A version with everything it may be asked for. Raises what Sealing.of_version raises."""
        sealed = self.sealing.of_version(version, customer_key)
        return sealed.revealed(version) if sealed else version

    @asynccontextmanager
    async def read(
        self, version: ObjectVersion, span: Span, customer_key: CustomerKey | None = None
    ) -> AsyncIterator[AsyncIterator[Buffer]]:
        """Bytes of a version as looked up before; counts as an access. Raises what
        Sealing.of_version raises, InsufficientShards, RemoteFailed, SealBroken."""
        sealed = self.sealing.of_version(version, customer_key)
        plan = sealed.plan(version, span) if sealed else None
        stored = plan.stored if plan else span
        self._accesses.record(version.volume_id)
        async with AsyncExitStack() as stack:
            try:
                pieces = await stack.enter_async_context(
                    self._datapath.read(version.location, stored)
                )
            except (InsufficientShards, RemoteFailed):
                # A move may have reclaimed this copy since the look-up.
                fresh = self._journal.catalog.version_of(version.volume_id)
                if fresh is None or fresh.location == version.location:
                    raise
                pieces = await stack.enter_async_context(
                    self._datapath.read(fresh.location, stored)
                )
            if plan is None:
                yield pieces
            else:
                opened = plan.opened(pieces)
                await opened.begin()
                yield opened

    async def list(self, bucket: BucketName, request: ListRequest) -> Page[ListedObject]:
        """Raises NoSuchBucket."""

        def question(catalog: Catalog) -> Page[ListedObject]:
            require_bucket(catalog, bucket)
            return catalog.list_objects(bucket, request)

        return await self._journal.query(question)

    async def list_versions(self, bucket: BucketName, request: ListRequest) -> Page[ListedVersion]:
        """Raises NoSuchBucket."""

        def question(catalog: Catalog) -> Page[ListedVersion]:
            require_bucket(catalog, bucket)
            return catalog.list_versions(bucket, request)

        return await self._journal.query(question)


def as_version(committed: VersionCommitted, at_ms: int) -> ObjectVersion:
    """The catalog's view of a version just committed."""
    return ObjectVersion(
        bucket=committed.bucket,
        key=committed.key,
        version_id=committed.version_id,
        volume_id=committed.volume_id,
        size_bytes=committed.size_bytes,
        etag=committed.etag,
        modified_at_ms=at_ms,
        location=committed.location,
        checksum=committed.checksum,
        metadata=committed.metadata,
        checksums=committed.checksums,
        parts=committed.parts,
        attributes=committed.attributes,
    )
