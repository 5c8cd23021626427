"""A whole store in memory with all its use cases, disks that fail on demand, and its own audit.

No threads and no wall clock: `World` with uploads, buckets, disk labels and faults.
"""

from contextlib import aclosing

import trio

from stratum.adapters.memory_disk import MemoryDisk
from stratum.adapters.record_codec import decode_record
from stratum.adapters.s3.digests import combine, digest
from stratum.app.audit import Verifier
from stratum.app.buckets import Buckets
from stratum.app.payload import Stated
from stratum.app.recovery import claim_disks, settle_staged
from stratum.app.scrubber import Scrubber, ShardFinding
from stratum.app.status import status
from stratum.app.uploads import Uploads
from stratum.domain.conditions import NO_CONDITIONS
from stratum.domain.errors import DiskFailed, InsufficientDisks
from stratum.domain.events import UploadStarted
from stratum.domain.names import ObjectKey, Tier
from stratum.domain.ranges import ByteRange
from stratum.domain.stripes import ErasureProfile
from stratum.domain.upload import NamedPart
from stratum.domain.volume import Metadata, Volume
from tests.support.tiering_world import ALICE, BUCKET, World

HOT, WARM, COLD = Tier


class FaultyDisk(MemoryDisk):
    """`failing` names operations that raise DiskFailed from now on: create, append, seal, publish,
    replace, open, delete, staged or label. `creates` fails with the first byte of a new shard."""

    def __init__(self, path: str, **options) -> None:
        super().__init__(path, **options)
        self.failing: set[str] = set()

    @classmethod
    def of(cls, disk: MemoryDisk) -> "FaultyDisk":
        """The same disk with the same content."""
        faulty = cls(disk.path)
        vars(faulty).update(vars(disk))
        return faulty

    def create(self, name):
        return _FaultyWriter(self, super().create(name))

    async def publish(self, name):
        await self.fault("publish")
        await super().publish(name)

    async def replace(self, staged, name):
        await self.fault("replace")
        await super().replace(staged, name)

    async def open(self, name):
        await self.fault("open")
        return await super().open(name)

    async def delete(self, name):
        await self.fault("delete")
        await super().delete(name)

    async def staged(self):
        await self.fault("staged")
        return await super().staged()

    async def label(self, new=None):
        await self.fault("label")
        return await super().label(new)

    async def fault(self, operation: str) -> None:
        await trio.lowlevel.checkpoint()
        if operation in self.failing:
            raise DiskFailed(f"{self.path}: {operation} failed")

    # -- what tests look at and tamper with -----------------------------------------------------
    def shards(self) -> set[str]:
        """Names of whatever is there: published, staged or unsealed."""
        return {*self._published, *self._staged, *self._unsealed}

    def unpublished(self) -> set[str]:
        return {*self._staged, *self._unsealed}

    def data(self, name: str) -> bytearray:
        """The shard's bytes, to be changed in place."""
        return self._find(name)

    def lose(self, name: str) -> None:
        """The shard is gone without a trace."""
        self._drop(name, self._unsealed, self._staged, self._published)

    def add(self, name: str, data: bytes) -> None:
        """A published shard out of nowhere."""
        self._published[name] = bytearray(data)


class _FaultyWriter:
    def __init__(self, disk: FaultyDisk, writer) -> None:
        self._disk = disk
        self._writer = writer
        self._begun = False

    async def append(self, parts):
        await self._begin()
        await self._fail_after("append", parts)
        await self._writer.append(parts)

    async def seal(self, parts):
        await self._begin()
        await self._fail_after("seal", parts)
        await self._writer.seal(parts)

    def begin_seal(self, parts):
        return None

    async def discard(self):
        await self._writer.discard()

    async def _begin(self):
        if not self._begun:
            self._begun = True
            await self._disk.fault("create")

    async def _fail_after(self, operation, parts):
        """A write that fails leaves half of its bytes behind."""
        if operation in self._disk.failing:
            joined = b"".join(parts)
            await self._writer.append([joined[: len(joined) // 2]])
        await self._disk.fault(operation)


class Store(World):
    """Everything a server is made of but HTTP."""

    def __init__(self, **options) -> None:
        options.setdefault("enabled", False)
        super().__init__(**options)
        for disks in self.disks.values():
            disks[:] = [FaultyDisk.of(disk) for disk in disks]
        self.buckets = Buckets(self.journal, "us-east-1")
        self.uploads = Uploads(
            self.journal,
            self.datapath,
            self.objects,
            self.recorder,
            self.new_id,
            self.now_ms,
            self.objects._new_hasher,
            combine,
            digest,
        )

        self.scrubber = Scrubber(
            self.journal,
            self.disks,
            self.datapath._codec,
            decode_record,
            ErasureProfile(),
            bytes_per_s=None,
        )

    @property
    def hot(self) -> list[FaultyDisk]:
        return self.disks[HOT]

    # -- life -----------------------------------------------------------------------------------
    def restarted(self) -> "Store":
        """A new process over what is durable right now."""
        return type(self)(before=self, journal=self.journal.reopened(), **self._made_with)

    async def settle(self):
        """What recovery does before the server listens."""
        return await settle_staged(self.journal, self.disks, decode_record)

    async def claim(self):
        return await claim_disks(self.journal, self.disks, self.new_id)

    # -- use ------------------------------------------------------------------------------------
    async def put(self, key: str, content: bytes) -> Volume:
        await self.put_source(key, source_of(content), Stated(size_bytes=len(content)))
        return self.volume(key)

    async def put_source(self, key, source, stated=None, conditions=NO_CONDITIONS):
        await self.make_bucket()
        return await self.objects.put(
            ALICE, BUCKET, ObjectKey(key), source, stated or Stated(), Metadata(), conditions
        )

    async def get_range(self, key: str, first: int, last: int | None = None) -> bytes:
        asked = ByteRange(first, last)
        async with self.objects.open(BUCKET, ObjectKey(key), asked) as download:
            return b"".join([bytes(piece) async for piece in download.pieces])

    async def start_upload(self, key: str, **options):
        await self.make_bucket()
        upload_id = self.uploads.new_upload_id()
        started = UploadStarted(
            upload_id, BUCKET, ObjectKey(key), ALICE.id, ALICE.name, Metadata(), **options
        )
        await self.uploads.start(ALICE, started)
        return self.uploads.get(BUCKET, ObjectKey(key), upload_id)

    async def put_part(self, upload, number: int, content: bytes) -> NamedPart:
        stored = await self.uploads.put_part(
            ALICE, upload, number, source_of(content), Stated(size_bytes=len(content))
        )
        return NamedPart(number, stored.etag)

    async def complete(self, upload, named, **options):
        return await self.uploads.complete(
            ALICE, upload.bucket, upload.key, upload.id, named, **options
        )

    async def abort(self, upload) -> None:
        await self.uploads.abort(ALICE, upload.bucket, upload.key, upload.id)

    # -- inspection -----------------------------------------------------------------------------
    async def findings(self, differences=()):
        """What an audit of this store reports."""
        verifier = Verifier(self.journal, self.disks, self.remote, differences)
        async with aclosing(verifier.findings()) as findings:
            return [finding async for finding in findings]

    async def scrub(self, **options) -> list[ShardFinding]:
        """What a scrub finds, and with `repair=True` mends."""
        async with self.scrubber.run(**options) as steps:
            return [step async for step in steps if isinstance(step, ShardFinding)]

    async def status(self):
        return await status(self.journal, self.disks, self.remote, ErasureProfile())

    def shards(self, tier: Tier = HOT) -> set[str]:
        """Names of all extents of which there is anything on the disks of a tier."""
        return set().union(*(disk.shards() for disk in self.disks[tier]))

    def unpublished(self) -> set[str]:
        return set().union(*(d.unpublished() for disks in self.disks.values() for d in disks))

    def extents(self, key: str) -> list[str]:
        return [extent.id for extent in self.volume(key).location.extents]

    def damage_shard(self, key: str, index: int, how: str) -> None:
        """Do something to shard `index` of every extent of an object."""
        disk = self.disks[self.tier(key)][index]
        for name in self.extents(key):
            if how == "lost":
                disk.lose(name)
                continue
            data = disk.data(name)
            if how == "garbage":
                data[:] = bytes(each ^ 0x55 for each in data)
            elif how == "garbage in cells":
                data[64:-200] = bytes(each ^ 0x55 for each in data[64:-200])
            elif how == "garbage in trailer":
                data[-200:] = bytes(200)
            elif how == "truncated":
                del data[len(data) // 2 :]
            elif how == "empty":
                data.clear()
            else:
                raise AssertionError(how)


class BytesSource:
    """A byte source over `content`, at most `piece_bytes` at a time, with a checkpoint each."""

    def __init__(self, content: bytes, piece_bytes: int) -> None:
        self._rest = memoryview(content)
        self._piece_bytes = piece_bytes

    async def read_into(self, buffer: memoryview) -> int:
        await trio.lowlevel.checkpoint()
        piece = self._rest[: min(len(buffer), self._piece_bytes)]
        buffer[: len(piece)] = piece
        self._rest = self._rest[len(piece) :]
        return len(piece)


def source_of(content: bytes, piece_bytes: int = 1 << 20) -> BytesSource:
    return BytesSource(content, piece_bytes)


class CancelAtStep(trio.abc.Instrument):
    """Cancels a scope before step `number` of the scheduler; counts the steps."""

    def __init__(self, number: int, scope: trio.CancelScope) -> None:
        self.steps = 0
        self._number = number
        self._scope = scope

    def before_task_step(self, task) -> None:
        self.steps += 1
        if self.steps == self._number:
            self._scope.cancel()


async def cancelled_at_step(number: int, act) -> bool:
    """Run `act()`, cancelled before a step of the scheduler; whether it had ended by then."""
    with trio.CancelScope() as scope:
        instrument = CancelAtStep(number, scope)
        trio.lowlevel.add_instrument(instrument)
        try:
            await act()
        finally:
            trio.lowlevel.remove_instrument(instrument)
    return instrument.steps < number


class CrashAtStep(trio.abc.Instrument):
    """Takes what a new process would find, before a step of the scheduler."""

    def __init__(self, store, number, scope):
        self.steps = 0
        self.after = None
        self._store, self._number, self._scope = store, number, scope

    def before_task_step(self, task):
        self.steps += 1
        if self.steps == self._number:
            self.after = self._store.restarted()
            self._scope.cancel()


async def crashed_before_step(store, step, act):
    """The store as found after a crash before a step of `act()`; None if that had ended."""
    with trio.CancelScope() as scope:
        crash = CrashAtStep(store, step, scope)
        trio.lowlevel.add_instrument(crash)
        try:
            await act()
        except (DiskFailed, InsufficientDisks):
            assert crash.after is not None  # from the disks before the crash
        finally:
            trio.lowlevel.remove_instrument(crash)
    return crash.after
