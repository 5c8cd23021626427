"""Bytes to copies and back: the only module that knows where a volume's bytes physically are.

A copy is staged (durable, invisible), then the journal commits it, then it is published. Memory
is bounded: a PUT of any size holds at most two stripe buffers, a GET one stripe.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Awaitable,
    Callable,
    Iterator,
    Mapping,
    Sequence,
)
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial

import trio

from stratum.app.crew import Crew
from stratum.app.extent_reader import ExtentReader
from stratum.app.extents import CLEANUP_LIMIT_S, ExtentWriter
from stratum.app.streams import Pieces, cut, nothing, resumed
from stratum.app.together import together
from stratum.app.write_slots import Turn, WriteSlots
from stratum.domain import stripes
from stratum.domain.catalog import copy_key
from stratum.domain.errors import (
    DiskFailed,
    InsufficientDisks,
    RemoteFailed,
    ShardNotFound,
    StratumError,
)
from stratum.domain.names import ExtentId, Tier
from stratum.domain.ranges import Span
from stratum.domain.stripes import STRIPE_SIZE_BYTES, ErasureProfile
from stratum.domain.volume import Extent, Location, RemoteObject, ShardRecord, remote_name
from stratum.ports import Buffer, ByteSource, Codec, RemoteStore, ShardStore, StripeBuffer

REMOTE_MAGIC = b"STRATUMR"
PUBLISH_PATIENCE_S = 2.0
"""How long an answer waits for the slowest disks to publish; they go on by themselves."""
DELETE_LIMIT_S = 30.0
"""How long a deletion waits for a disk before it counts as failed."""
REMOTE_PIECE_BYTES = 1 << 20
"""How much of a volume is in memory at once on its way to the remote tier."""

log = logging.getLogger("stratum.datapath")

Describe = Callable[[Extent], ShardRecord]
Damage = Callable[[Tier, Extent, int, str], None]


class DataPath:
    """Copies on disks and in the remote tier.

    `large_writes` bounds how many writes of more than one stripe run at once; each needs two
    buffers of the codec's pool, so it must be at most half the pool's size.
    """

    def __init__(
        self,
        disks: Mapping[Tier, Sequence[ShardStore]],
        remote: RemoteStore | None,
        codec: Codec,
        encode_record: Callable[[ShardRecord], bytes],
        *,
        profile: ErasureProfile,
        write_quorum: int,
        large_writes: int,
        on_damage: Damage,
        stripe_size_bytes: int = STRIPE_SIZE_BYTES,
        crew: Crew | None = None,
        on_hedge: Callable[[Tier], None] = lambda _: None,
    ) -> None:
        """Calls to disks run in `crew`, which may go on with them when nobody waits any more.
        `on_hedge` is told when a read asks for parity because a disk is slow."""
        self._crew = crew or Crew()
        self._on_hedge = on_hedge
        self._disks = disks
        self._remote = remote
        self._codec = codec
        self._encode_record = encode_record
        self._profile = profile
        self._quorum = write_quorum
        self._large_writes = WriteSlots(large_writes)
        self._on_damage = on_damage
        self._stripe_size_bytes = stripe_size_bytes
        self._readers: Counter[str] = Counter()

    @property
    def tiers(self) -> frozenset[Tier]:
        """Tiers that are configured."""
        return frozenset(self._disks) | ({Tier.COLD} if self._remote else frozenset())

    # -- writing --------------------------------------------------------------------------------
    async def stage(
        self,
        tier: Tier,
        copy_id: ExtentId,
        size_bytes: int | None,
        source: ByteSource,
        describe: Describe,
    ) -> Location:
        """Write all of `source` as copy `copy_id` on a tier: durable, not yet published.

        `describe` is called once, when all bytes are read (for the remote tier before the first,
        where `size_bytes` must be known). Raises InsufficientDisks, RemoteFailed and whatever the
        source raises; then, or when cancelled, nothing is left behind.
        """
        if tier is Tier.COLD:
            return await self._stage_remote(copy_id, size_bytes, source, describe)
        writer = ExtentWriter(
            self._disks_of(tier),
            self._codec,
            copy_id,
            self._profile,
            self._stripe_size_bytes,
            self._quorum,
            self._crew,
        )
        try:
            if size_bytes is not None and size_bytes < self._stripe_size_bytes:
                extent = await self._write_one_stripe(writer, size_bytes, source, describe)
            else:
                async with self._large_writes.turn() as turn:
                    extent = await self._write_stripes(writer, source, describe, turn)
        except BaseException:
            await writer.discard()
            raise
        return Location(tier, (extent,))

    async def _write_one_stripe(
        self, writer: ExtentWriter, size_bytes: int, source: ByteSource, describe: Describe
    ) -> Extent:
        # One byte more than stated: a source with too many must be noticed, not cut.
        async with self._codec.stripe_buffer(size_bytes + 1) as buffer:
            length = await _fill(source, buffer.data)
            if length:
                await writer.stripe(buffer, length, last=True)
            return await writer.seal(self._encode_record(describe(writer.extent())))

    async def _write_stripes(
        self, writer: ExtentWriter, source: ByteSource, describe: Describe, turn: Turn
    ) -> Extent:
        """Receive the next stripe while the one before is coded and written."""
        async with self._codec.stripe_buffer() as first, self._codec.stripe_buffer() as second:
            ready, spare = first, second
            length = await turn.fill(partial(_fill, source, ready.data))
            while length == self._stripe_size_bytes:
                store = _store(writer, ready, length)
                fill = partial(turn.fill, partial(_fill, source, spare.data))
                _, following = await together(store, fill)
                ready, spare, length = spare, ready, following
            if length:
                await writer.stripe(ready, length, last=True)
            return await writer.seal(self._encode_record(describe(writer.extent())))

    async def _stage_remote(
        self, copy_id: ExtentId, size_bytes: int | None, source: ByteSource, describe: Describe
    ) -> Location:
        remote = self._remote_or_fail()
        assert size_bytes is not None, "a move knows the size of what it moves"
        record = self._encode_record(describe(Extent(copy_id, size_bytes, 0)))
        frame = REMOTE_MAGIC + len(record).to_bytes(4, "little") + record
        name = remote_name(copy_id)

        async def body() -> AsyncIterator[Buffer]:
            yield frame
            buffer = bytearray(min(REMOTE_PIECE_BYTES, max(size_bytes, 1)))
            view = memoryview(buffer)
            while length := await source.read_into(view):
                yield view[:length]

        try:
            await remote.put(name, len(frame) + size_bytes, body())
        except BaseException:
            await self.discard(Tier.COLD, copy_id)
            raise
        return Location(Tier.COLD, remote=RemoteObject(name, len(frame), size_bytes))

    async def publish(self, location: Location) -> None:
        """Make a committed copy's shards appear under their final names. Never fails the caller:
        staged shards are readable, and recovery publishes them at the next start."""
        for extent in location.extents:
            present = [
                disk
                for index, disk in enumerate(self._disks_of(location.tier))
                if index not in extent.missing
            ]
            rest = [disk for disk in present if not disk.publish_now(extent.id)]
            if not rest:
                continue
            jobs = {n: _publisher(disk, extent.id) for n, disk in enumerate(rest)}
            with trio.move_on_after(PUBLISH_PATIENCE_S):
                await self._crew.round(jobs).until_all()

    async def discard(self, tier: Tier, copy_id: ExtentId) -> None:
        """Throw away a copy that was not committed. Never raises; bounded in time."""
        with trio.move_on_after(CLEANUP_LIMIT_S, shield=True):
            try:
                if tier is Tier.COLD:
                    await self._remote_or_fail().delete(remote_name(copy_id))
                else:
                    await self._delete_everywhere(tier, copy_id)
            except StratumError as error:
                log.warning("copy %s on %s not thrown away: %s", copy_id, tier, error)

    async def delete(self, location: Location) -> None:
        """Delete as much of a copy as can be. Idempotent. Raises DiskFailed or RemoteFailed if
        some of it remains."""
        if location.remote:
            await self._remote_or_fail().delete(location.remote.name)
            return
        failure: DiskFailed | None = None
        for extent in location.extents:
            try:
                await self._delete_everywhere(location.tier, extent.id)
            except DiskFailed as error:
                failure = failure or error
        if failure is not None:
            raise failure

    async def _delete_everywhere(self, tier: Tier, name: str) -> None:
        """Delete a shard from all disks; a failing one must not keep the others from it.

        Raises a DiskFailed at the end.
        """
        disks = self._disks_of(tier)
        begun = self._crew.round({n: partial(disk.delete, name) for n, disk in enumerate(disks)})
        with trio.move_on_after(DELETE_LIMIT_S):
            await begun.until_all()
        for index, result in begun.results.items():
            if not result.done:
                raise DiskFailed(f"{disks[index].path}: no answer in {DELETE_LIMIT_S:.0f} s")
            if result.error is not None:
                raise result.error

    # -- reading --------------------------------------------------------------------------------
    def in_use(self, location: Location) -> bool:
        """True while somebody reads this copy."""
        return copy_key(location) in self._readers

    @asynccontextmanager
    async def read(self, location: Location, span: Span) -> AsyncIterator[AsyncIterator[Buffer]]:
        """The bytes [span.start, span.stop) in pieces.

        Entering reads the first stripe, so that InsufficientShards or RemoteFailed come before
        any byte; a failure later raises in the middle of the stream.
        """
        key = copy_key(location)
        self._readers[key] += 1
        try:
            async with AsyncExitStack() as stack:
                if location.remote:
                    yield await self._open_remote(stack, location.remote, span)
                elif _is_one_stripe(location):
                    yield Pieces(await self._read_stripe(location, span))
                else:
                    stream = self._read_extents(location, span)
                    stack.push_async_callback(stream.aclose)
                    first = await anext(stream, None)
                    following = resumed(first, stream)
                    stack.push_async_callback(following.aclose)
                    yield following
        finally:
            self._readers[key] -= 1
            if not self._readers[key]:
                del self._readers[key]

    async def _open_remote(
        self, stack: AsyncExitStack, remote: RemoteObject, span: Span
    ) -> AsyncIterator[Buffer]:
        if span.start == span.stop:
            return nothing()
        start = remote.payload_offset_bytes
        return await stack.enter_async_context(
            self._remote_or_fail().read(remote.name, start + span.start, start + span.stop)
        )

    async def _read_extents(self, location: Location, span: Span) -> AsyncGenerator[Buffer, None]:
        begin = 0
        for extent in location.extents:
            end = begin + extent.size_bytes
            start, stop = max(span.start, begin), min(span.stop, end)
            if start < stop:
                reader = self._reader(location.tier, extent)
                try:
                    for part in stripes.stripes_of_range(
                        start - begin, stop - begin, extent.stripe_size_bytes
                    ):
                        pieces = await reader.stripe(part.stripe)
                        for piece in cut(pieces, part.start, part.stop):
                            yield piece
                finally:
                    reader.close()
            begin = end

    async def _read_stripe(self, location: Location, span: Span) -> Iterator[Buffer]:
        if span.start == span.stop:
            return iter(())
        reader = self._reader(location.tier, location.extents[0])
        try:
            return cut(await reader.stripe(0), span.start, span.stop)
        finally:
            reader.close()

    def _reader(self, tier: Tier, extent: Extent) -> ExtentReader:
        return ExtentReader(
            self._disks_of(tier),
            self._codec,
            self._profile,
            extent,
            partial(self._on_damage, tier),
            self._crew,
            partial(self._on_hedge, tier),
        )

    def _disks_of(self, tier: Tier) -> Sequence[ShardStore]:
        try:
            return self._disks[tier]
        except KeyError:
            raise InsufficientDisks(f"The {tier} tier is not configured") from None

    def _remote_or_fail(self) -> RemoteStore:
        if self._remote is None:
            raise RemoteFailed("The cold tier is not configured")
        return self._remote


async def _fill(source: ByteSource, view: memoryview) -> int:
    """Fill `view` from the source; less than all of it only at the end."""
    filled = 0
    while filled < len(view):
        length = await source.read_into(view[filled:])
        if not length:
            break
        filled += length
    return filled


def _store(writer: ExtentWriter, buffer: StripeBuffer, length: int) -> Callable[[], Awaitable[int]]:
    async def run() -> int:
        await writer.stripe(buffer, length)
        return length

    return run


def _publisher(disk: ShardStore, name: str) -> Callable[[], Awaitable[None]]:
    async def run() -> None:
        try:
            await disk.publish(name)
        except (DiskFailed, ShardNotFound) as error:
            log.warning("shard %s on %s stays staged: %s", name, disk.path, error)

    return run


def _is_one_stripe(location: Location) -> bool:
    extent = location.extents[0]
    return len(location.extents) == 1 and extent.size_bytes <= extent.stripe_size_bytes
