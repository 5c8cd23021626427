"""Clients of the simulated store: they do what comes to their mind, and note what they are told."""

from __future__ import annotations

import random

from stratum.app.payload import Stated
from stratum.domain.conditions import Conditions, EntityTags
from stratum.domain.errors import (
    Conflict,
    DiskFailed,
    InsufficientDisks,
    InsufficientShards,
    MoveRefused,
    NoSuchKey,
    NoSuchUpload,
    NoSuchVolume,
    PreconditionFailed,
    RemoteFailed,
    StratumError,
    Unavailable,
)
from stratum.domain.events import UploadStarted
from stratum.domain.listing import ListRequest
from stratum.domain.names import BucketName, ObjectKey, Tier
from stratum.domain.object import Target
from stratum.domain.ranges import Span
from stratum.domain.settings import BucketSettings, Versioning
from stratum.domain.volume import Metadata, ObjectVersion, Upload
from tests.simulation.sim_model import Broken, Content, Model, content_of
from tests.simulation.sim_world import SimStore
from tests.support.store import source_of
from tests.support.tiering_world import ALICE, BUCKET

KEPT = BucketName("kept")
"""The bucket with versioning."""
COUNTER = ObjectKey("counter")
SIZES = (0, 1, 700, 16_384, 16_385, 40_000)
FAILURES = (DiskFailed, InsufficientDisks, InsufficientShards, RemoteFailed, Unavailable)
KEYS_PER_CLIENT = 3


async def prepare(store: SimStore) -> None:
    """Both buckets."""
    await store.make_bucket()
    await store.buckets.create(ALICE, KEPT)
    on = BucketSettings(versioning=Versioning.ENABLED)
    await store.buckets.configure(ALICE, KEPT, "versioning", on)


class Client:
    """One client with keys of its own, so that it knows what each must be."""

    def __init__(self, number: int, store: SimStore, model: Model, chance: random.Random) -> None:
        self._number = number
        self._store = store
        self._model = model
        self._chance = chance
        self._acts = (
            (self._put, 6),
            (self._get, 6),
            (self._delete, 2),
            (self._copy, 2),
            (self._upload, 2),
            (self._swap, 2),
            (self._put_version, 3),
            (self._delete_version, 1),
            (self._move, 3),
            (self._wait, 3),
            (self._scrub, 1),
        )

    async def run(self, requests: int) -> None:
        acts, weights = zip(*self._acts, strict=True)
        for _ in range(requests):
            (act,) = self._chance.choices(acts, weights)
            await act()

    # -- a bucket without versioning ------------------------------------------------------------
    async def _put(self) -> None:
        name, body, mark = self._key(), self._body(), self._mark()
        async with _Write(self, name, content_of(body, mark)):
            await self._store.objects.put(
                ALICE,
                BUCKET,
                ObjectKey(name),
                source_of(body, 8192),
                Stated(size_bytes=len(body)),
                Metadata({}, {"mark": mark}),
            )

    async def _delete(self) -> None:
        name = self._key()
        async with _Write(self, name, None):
            await self._store.objects.delete(ALICE, Target(BUCKET, ObjectKey(name)))

    async def _copy(self) -> None:
        name = self._key()
        try:
            source = self._store.objects.source(BUCKET, ObjectKey(self._key()))
        except NoSuchKey:
            return
        body = await read_version(self._store, source)
        if body is None:
            return
        mark = self._mark()
        async with _Write(self, name, content_of(body, mark)):
            metadata = Metadata({}, {"mark": mark})
            target = (BUCKET, ObjectKey(name))
            await self._store.objects.copy(ALICE, source, target, metadata, None)

    async def _upload(self) -> None:
        name, mark = self._key(), self._mark()
        pieces = [self._body() for _ in range(self._chance.randint(1, 3))]
        try:
            upload = await self._start_upload(name, mark)
            parts = [
                await self._store.put_part(upload, number, piece)
                for number, piece in enumerate(pieces, 1)
            ]
            if self._chance.random() < 0.2:
                await self._store.abort(upload)
                return
        except FAILURES:
            return
        async with _Write(self, name, content_of(b"".join(pieces), mark)):
            await self._store.complete(upload, parts)

    async def _start_upload(self, name: str, mark: str) -> Upload:
        uploads = self._store.uploads
        metadata = Metadata({}, {"mark": mark})
        key, upload_id = ObjectKey(name), uploads.new_upload_id()
        await uploads.start(
            ALICE, UploadStarted(upload_id, BUCKET, key, ALICE.id, ALICE.name, metadata)
        )
        return uploads.get(BUCKET, key, upload_id)

    async def _get(self) -> None:
        name = self._key()
        try:
            version = self._store.objects.head(BUCKET, ObjectKey(name))
        except NoSuchKey:
            self._saw(name, None)
            return
        body = await read_version(self._store, version)
        if body is not None:
            self._saw(name, content_of(body, version.metadata.user["mark"]))

    def _saw(self, name: str, found: Content | None) -> None:
        if not self._store.crashed:
            self._model.key(name).read(found, name)

    # -- compare and swap -----------------------------------------------------------------------
    async def _swap(self) -> None:
        current = self._store.journal.catalog.version(BUCKET, COUNTER)
        if current is None:
            conditions, old = Conditions(if_none_match=EntityTags(any=True)), ""
        else:
            old = current.etag
            conditions = Conditions(if_match=EntityTags(strong=frozenset({old})))
        body = self._mark().encode()
        try:
            new = await self._store.put_source(
                COUNTER, source_of(body), Stated(size_bytes=len(body)), conditions
            )
        except (PreconditionFailed, NoSuchKey, *FAILURES):
            return
        if not self._store.crashed:
            self._model.counter.swapped(old, new.etag)

    # -- a bucket with versioning ---------------------------------------------------------------
    async def _put_version(self) -> None:
        name, body, mark = self._key(), self._body(), self._mark()
        content = content_of(body, mark)
        versions = self._model.of(name)
        versions.maybe.append(content)
        try:
            version = await self._store.objects.put(
                ALICE,
                KEPT,
                ObjectKey(name),
                source_of(body),
                Stated(size_bytes=len(body)),
                Metadata({}, {"mark": mark}),
            )
        except FAILURES:
            return
        if not self._store.crashed:
            versions.maybe.remove(content)
            versions.known[version.version_id] = content
            self._model.acknowledged += 1

    async def _delete_version(self) -> None:
        name = self._key()
        versions = self._model.of(name)
        if not versions.known or self._chance.random() < 0.3:
            target = Target(KEPT, ObjectKey(name))  # a marker, which hides and loses nothing
        else:
            version_id = self._chance.choice(sorted(versions.known))
            versions.doubtful.add(version_id)
            target = Target(KEPT, ObjectKey(name), version_id=version_id)
        try:
            await self._store.objects.delete(ALICE, target)
        except FAILURES:
            return
        if not self._store.crashed and target.version_id is not None:
            del versions.known[target.version_id]
            versions.doubtful.discard(target.version_id)

    # -- what an operator does ------------------------------------------------------------------
    async def _move(self) -> None:
        volumes = self._store.journal.catalog.volumes(limit=100)
        if not volumes:
            return
        target = self._chance.choice(list(Tier))
        try:
            volume = self._chance.choice(volumes)
            await self._store.orders.by_hand(volume.id, target, "alice")
        except (MoveRefused, NoSuchVolume, *FAILURES):
            return

    async def _wait(self) -> None:
        await self._store.days(self._chance.choice((0.001, 0.02, 0.3)))

    async def _scrub(self) -> None:
        try:
            await self._store.scrub(repair=True)
        except (Conflict, *FAILURES):  # another one scrubs already
            return

    # -- inside ---------------------------------------------------------------------------------
    def _key(self) -> str:
        return f"c{self._number}/{self._chance.randrange(KEYS_PER_CLIENT)}"

    def _mark(self) -> str:
        return f"{self._chance.getrandbits(64):016x}"

    def _body(self) -> bytes:
        return self._chance.randbytes(self._chance.choice(SIZES))


class _Write:
    """A write under way: before its answer either may be, after it only the new."""

    def __init__(self, client: Client, name: str, new: Content | None) -> None:
        self._store, self._model, self._new = client._store, client._model, new
        self._key = client._model.key(name)

    async def __aenter__(self) -> None:
        self._key.begin(self._new)

    async def __aexit__(self, kind, error, traceback) -> bool:
        if kind is None and not self._store.crashed:
            self._key.acknowledged(self._new)
            self._model.acknowledged += 1
        return kind is not None and issubclass(kind, (*FAILURES, NoSuchUpload))


async def read_version(store: SimStore, version: ObjectVersion) -> bytes | None:
    """A version's bytes; None if it was deleted meanwhile or the remote does not answer. What is
    on disks can always be read: the budget has two bad disks."""
    try:
        async with store.objects.read(version, Span(0, version.size_bytes)) as pieces:
            return b"".join([bytes(piece) async for piece in pieces])
    except RemoteFailed:
        return None
    except InsufficientShards as error:
        fresh = store.journal.catalog.version_of(version.volume_id)
        if store.crashed or fresh is None or fresh.location != version.location:
            return None
        raise Broken(f"{version.bucket}/{version.key} cannot be read: {error}") from error
    except StratumError:
        if store.crashed:
            return None
        raise


async def abort_uploads(store: SimStore) -> None:
    """Give up what clients left unfinished: a scrub mends volumes, not parts."""
    for upload in store.journal.catalog.list_uploads(BUCKET, ListRequest()).entries:
        await store.abort(upload)


async def check_all(store: SimStore, model: Model) -> None:
    """Read everything there is and compare."""
    for name, key in model.keys.items():
        version = store.journal.catalog.version(BUCKET, ObjectKey(name))
        key.read(await _content(store, version), name)
    for name, versions in model.versions.items():
        page = store.journal.catalog.list_versions(KEPT, ListRequest(prefix=name))
        found = {}
        for listed in page.entries:
            version = store.journal.catalog.version_by_id(KEPT, ObjectKey(name), listed.version_id)
            if isinstance(version, ObjectVersion):
                found[version.version_id] = await _content(store, version)
        versions.check(found, name)


async def _content(store: SimStore, version: ObjectVersion | None) -> Content | None:
    if version is None:
        return None
    body = await read_version(store, version)
    if body is None:
        raise Broken(f"{version.bucket}/{version.key} cannot be read from {version.tier}")
    return content_of(body, version.metadata.user["mark"])
