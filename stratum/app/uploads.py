"""Use cases on multipart uploads. Parts are stored like objects; a completion joins their
extents without touching a byte, and adds an empty extent whose shards describe the whole."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from stratum.app.accesses import AccessRecorder
from stratum.app.commit import commit
from stratum.app.datapath import DataPath
from stratum.app.objects import Objects, as_version
from stratum.app.payload import EmptySource, NewHasher, Payload, Stated, StreamSource
from stratum.app.sealing import incoming, recorded_assembly, shown_parts
from stratum.domain.bucket import require_bucket
from stratum.domain.catalog import Catalog
from stratum.domain.checksums import Checksum
from stratum.domain.conditions import NO_CONDITIONS, Conditions
from stratum.domain.encryption import (
    NO_WISH,
    CustomerKey,
    EncryptionWish,
    needs_customer_key,
)
from stratum.domain.errors import NoSuchUpload
from stratum.domain.events import PartStored, UploadStarted, VersionCommitted
from stratum.domain.listing import ListRequest, Page
from stratum.domain.names import BucketName, Caller, ExtentId, ObjectKey, Tier, UploadId, VolumeId
from stratum.domain.object import check_put, new_version_id
from stratum.domain.object_lock import with_default
from stratum.domain.ranges import ByteRange, Span, resolve_copy_range
from stratum.domain.upload import (
    PART_NUMBER_MAX,
    PART_SIZE_MAX_BYTES,
    Assembly,
    Combine,
    Digest,
    NamedPart,
    abort_upload,
    assemble,
    check_part_number,
    check_stated,
    complete_upload,
    require_upload,
    start_upload,
    store_part,
)
from stratum.domain.volume import (
    NULL_VERSION,
    Extent,
    Location,
    ObjectVersion,
    Part,
    ShardRecord,
    Upload,
)
from stratum.ports import ByteSource, Journal, NewId, NowMs


class Uploads:
    def __init__(
        self,
        journal: Journal,
        datapath: DataPath,
        objects: Objects,
        accesses: AccessRecorder,
        new_id: NewId,
        now_ms: NowMs,
        new_hasher: NewHasher,
        combine: Combine,
        digest: Digest,
    ) -> None:
        self._journal = journal
        self._datapath = datapath
        self._objects = objects
        self._accesses = accesses
        self._new_id = new_id
        self._now_ms = now_ms
        self._new_hasher = new_hasher
        self._combine = combine
        self._digest = digest
        self._sealing = objects.sealing

    async def start(
        self, caller: Caller, started: UploadStarted, wish: EncryptionWish = NO_WISH
    ) -> UploadStarted:
        """Begin an upload, whose parts will be encrypted as `wish` and the bucket say; returns it
        as recorded. Raises NoSuchBucket and what `check_asked` and Sealing.begin raise."""
        bucket = require_bucket(self._journal.catalog, started.bucket)
        sealed = self._sealing.begin(bucket.settings.encryption, wish, started.bucket, started.key)
        encryption = sealed.encryption if sealed else None
        started = replace(started, attributes=replace(started.attributes, encryption=encryption))
        decide = partial(start_upload, started=started, now_ms=self._now_ms())
        await self._journal.transact(decide, by=caller.name)
        return started

    def new_upload_id(self) -> UploadId:
        return UploadId(self._new_id())

    def get(self, bucket: BucketName, key: ObjectKey, upload_id: UploadId) -> Upload:
        """Raises NoSuchBucket, NoSuchUpload."""
        return require_upload(self._journal.catalog, bucket, key, upload_id)

    async def put_part(
        self,
        caller: Caller,
        upload: Upload,
        number: int,
        source: ByteSource,
        stated: Stated,
        customer_key: CustomerKey | None = None,
    ) -> PartStored:
        """Store a part; one stored before under the same number is replaced. What is returned has
        the checksums as they are, not as they are recorded.

        Raises InvalidArgument, NoSuchUpload, what Sealing.of_upload and Payload raise,
        InsufficientDisks.
        """
        check_part_number(number)
        sealed = self._sealing.of_upload(upload, customer_key)
        copy_id = ExtentId(self._new_id())
        plain = Payload(source, stated, self._new_hasher, PART_SIZE_MAX_BYTES)
        # Its id names the part among all that were ever sent for this upload.
        body = incoming(plain, stated.size_bytes, sealed, copy_id if sealed else "")
        payload = body.payload
        created_at_ms = self._now_ms()

        def describe(extent: Extent) -> ShardRecord:
            return ShardRecord(
                volume_id=VolumeId(copy_id),
                extent_id=copy_id,
                bucket=upload.bucket,
                key=upload.key,
                version_id=NULL_VERSION,
                size_bytes=payload.size_bytes,
                etag=payload.etag,
                checksum=payload.crc64,
                created_at_ms=created_at_ms,
                tier=Tier.HOT,
                generation=0,
                metadata=upload.metadata,
                checksums=body.kept_checksums,
                extents=(extent,),
                upload_id=upload.id,
                part_number=number,
                attributes=upload.attributes,
            )

        location = await self._datapath.stage(
            Tier.HOT, copy_id, body.stored_size_bytes, payload, describe
        )
        stored = PartStored(
            upload.id,
            number,
            payload.size_bytes,
            payload.etag,
            payload.crc64,
            location,
            body.kept_checksums,
            body.salt,
        )
        decide = partial(store_part, bucket=upload.bucket, key=upload.key, stored=stored)
        await commit(self._journal, self._datapath, decide, location, copy_id, by=caller.name)
        return replace(stored, checksums=payload.checksums)

    async def copy_part(
        self,
        caller: Caller,
        upload: Upload,
        number: int,
        version: ObjectVersion,
        asked: ByteRange | None,
        customer_key: CustomerKey | None = None,
        source_key: CustomerKey | None = None,
    ) -> tuple[PartStored, int]:
        """Store (a range of) a version (see `Objects.source`) as a part; returns it and when, in
        Unix ms. `source_key` is the client's key to the source."""
        check_part_number(number)
        span = (
            resolve_copy_range(asked, version.size_bytes) if asked else Span(0, version.size_bytes)
        )
        stated = Stated(size_bytes=span.length, algorithm=upload.checksum_algorithm)
        async with self._objects.read(version, span, source_key) as pieces:
            source = StreamSource(pieces)
            stored = await self.put_part(caller, upload, number, source, stated, customer_key)
        return stored, self._now_ms()

    async def complete(
        self,
        caller: Caller,
        bucket: BucketName,
        key: ObjectKey,
        upload_id: UploadId,
        named: Sequence[NamedPart],
        stated: Checksum | None = None,
        size_bytes: int | None = None,
        conditions: Conditions = NO_CONDITIONS,
        customer_key: CustomerKey | None = None,
    ) -> ObjectVersion:
        """Join the parts into the key's current version. A repeated completion with the same
        parts gets the same answer as long as the object is there.

        Raises NoSuchUpload, InvalidPart, InvalidPartOrder, EntityTooSmall, BadDigest,
        PreconditionFailed, what Sealing.of_completion raises.
        """
        try:
            # Both in one snapshot: another completion may end the upload at any time.
            upload, parts = await self.parts(bucket, key, upload_id)
        except NoSuchUpload:
            done = self._completed_before(bucket, key, upload_id, named)
            return self._shown(done, customer_key)
        found = check_put(self._journal.catalog, bucket, key, conditions)
        sealed = self._sealing.of_completion(upload, parts, customer_key)
        shown = shown_parts(upload, parts, sealed)
        assembly = assemble(upload, shown, named, self._combine, self._digest)
        check_stated(assembly, stated, size_bytes)
        assembly = recorded_assembly(upload, assembly, parts, sealed)
        volume_id = VolumeId(self._new_id())
        version_id = new_version_id(found, volume_id)
        copy_id = ExtentId(volume_id)
        # A default retention counts from now on, not from when the upload was begun.
        asked = upload.attributes.protection
        locked = with_default(asked, found.settings.object_lock, self._now_ms())
        upload = replace(upload, attributes=upload.attributes.protected(locked))
        manifest = await self._stage_manifest(upload, volume_id, version_id, assembly)
        committed = VersionCommitted(
            volume_id=volume_id,
            bucket=bucket,
            key=key,
            version_id=version_id,
            size_bytes=assembly.size_bytes,
            etag=assembly.etag,
            checksum=assembly.checksum,
            location=_joined(manifest, assembly),
            metadata=upload.metadata,
            checksums=assembly.checksums,
            parts=assembly.completed_parts,
            attributes=upload.attributes,
        )
        decide = partial(
            complete_upload,
            bucket=bucket,
            key=key,
            upload_id=upload_id,
            assembly=assembly,
            committed=committed,
            conditions=conditions,
        )
        try:
            recorded = await commit(
                self._journal, self._datapath, decide, manifest, copy_id, by=caller.name
            )
        except NoSuchUpload:  # a client that lost patience sent the same request again
            done = self._completed_before(bucket, key, upload_id, named)
            return self._shown(done, customer_key)
        self._accesses.track(volume_id)
        return self._shown(as_version(committed, recorded[-1].at_ms), customer_key)

    async def abort(
        self, caller: Caller, bucket: BucketName, key: ObjectKey, upload_id: UploadId
    ) -> None:
        """Raises NoSuchUpload."""
        decide = partial(abort_upload, bucket=bucket, key=key, upload_id=upload_id)
        await self._journal.transact(decide, by=caller.name)

    async def parts(
        self,
        bucket: BucketName,
        key: ObjectKey,
        upload_id: UploadId,
        after: int = 0,
        limit: int = PART_NUMBER_MAX,
    ) -> tuple[Upload, Sequence[Part]]:
        """Up to `limit` parts with numbers above `after`. Raises NoSuchUpload."""

        def question(catalog: Catalog) -> tuple[Upload, Sequence[Part]]:
            upload = require_upload(catalog, bucket, key, upload_id)
            return upload, catalog.parts(upload_id, after, limit)

        return await self._journal.query(question)

    async def listed_parts(
        self,
        bucket: BucketName,
        key: ObjectKey,
        upload_id: UploadId,
        after: int,
        limit: int,
        customer_key: CustomerKey | None = None,
    ) -> tuple[Upload, Sequence[Part]]:
        """As `parts`, with their checksums as they are; without them where only a client's key
        could tell. Raises NoSuchUpload, InvalidRequest for another key."""
        upload, parts = await self.parts(bucket, key, upload_id, after, limit)
        sealed = self._sealing.of_listing(upload, customer_key)
        return upload, shown_parts(upload, parts, sealed)

    async def list(self, bucket: BucketName, request: ListRequest) -> Page[Upload]:
        """Raises NoSuchBucket."""

        def question(catalog: Catalog) -> Page[Upload]:
            require_bucket(catalog, bucket)
            return catalog.list_uploads(bucket, request)

        return await self._journal.query(question)

    def _shown(self, version: ObjectVersion, customer_key: CustomerKey | None) -> ObjectVersion:
        """A version just completed, without checksums where only a client's key could tell."""
        if customer_key is None and needs_customer_key(version.attributes.encryption):
            return replace(version, checksums=())
        return self._objects.unlocked(version, customer_key)

    def _completed_before(
        self, bucket: BucketName, key: ObjectKey, upload_id: UploadId, named: Sequence[NamedPart]
    ) -> ObjectVersion:
        catalog = self._journal.catalog
        done = catalog.completed(upload_id)
        version = catalog.version_of(done[0]) if done else None
        if (
            done is None
            or version is None
            or (version.bucket, version.key) != (bucket, key)
            or done[1] != tuple(dict.fromkeys(part.number for part in named))
        ):
            raise NoSuchUpload("The specified multipart upload does not exist.")
        return version

    async def _stage_manifest(
        self, upload: Upload, volume_id: VolumeId, version_id: str, assembly: Assembly
    ) -> Location:
        created_at_ms = self._now_ms()

        def describe(extent: Extent) -> ShardRecord:
            return ShardRecord(
                volume_id=volume_id,
                extent_id=extent.id,
                bucket=upload.bucket,
                key=upload.key,
                version_id=version_id,
                size_bytes=assembly.size_bytes,
                etag=assembly.etag,
                checksum=assembly.checksum,
                created_at_ms=created_at_ms,
                tier=Tier.HOT,
                generation=0,
                metadata=upload.metadata,
                checksums=assembly.checksums,
                parts=assembly.completed_parts,
                extents=_joined(Location(Tier.HOT, (extent,)), assembly).extents,
                attributes=upload.attributes,
            )

        return await self._datapath.stage(Tier.HOT, ExtentId(volume_id), 0, EmptySource(), describe)


def _joined(manifest: Location, assembly: Assembly) -> Location:
    """The manifest first, since a copy is named by its first extent, then the parts."""
    extents = [extent for part in assembly.parts for extent in part.location.extents]
    return Location(manifest.tier, (*manifest.extents, *extents))
