"""The six shards of one extent: read through and verified, and written again where they are lost.

A shard is rebuilt beside the old one, read back, and takes its place in one rename, so that a
crash at any moment leaves the old or the new. Memory is that of one stripe.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Sequence
from contextlib import aclosing
from dataclasses import dataclass

import trio

from stratum.app.extents import CLEANUP_LIMIT_S, read_ends, rebuilt_name
from stratum.app.pace import Pace
from stratum.app.together import together
from stratum.domain import stripes
from stratum.domain.errors import DiskFailed, InsufficientShards, ShardCorrupt, ShardNotFound
from stratum.domain.stripes import ErasureProfile, Preamble
from stratum.domain.volume import Extent, ShardRecord
from stratum.ports import Buffer, Codec, ShardReader, ShardStore, ShardWriter

log = logging.getLogger("stratum.scrub")

DecodeRecord = Callable[[bytes], ShardRecord]


@dataclass(frozen=True)
class ScrubTools:
    """What it takes to verify and rebuild any extent."""

    codec: Codec
    decode: DecodeRecord
    profile: ErasureProfile
    pace: Pace


class ExtentShards:
    """What the shards of one extent are like; `verify` finds out.

    `silent` are indices of disks that are not asked. `name` is that of the shard files, other than
    the extent's id for those that a repair has staged.
    """

    def __init__(
        self,
        disks: Sequence[ShardStore],
        extent: Extent,
        silent: Collection[int],
        tools: ScrubTools,
        name: str = "",
    ) -> None:
        self._disks = disks
        self._extent = extent
        self._asked = [index for index in range(len(disks)) if index not in silent]
        self._tools = tools
        self._name = name or extent.id
        self._record: bytes | None = None
        self.staged: dict[int, ShardWriter] = {}
        """Shards rebuilt and not yet in their places."""
        self.lost: dict[int, str] = {}
        """What is wrong, by index of the shard."""
        self.absent: set[int] = set()
        """Those of them that are not there at all."""
        self.refusing: set[int] = set()
        """Those whose disk answered with an error."""
        self.unreadable = ""
        """Why the extent can't be read, if it can't."""

    async def verify(self, only: int | None = None) -> AsyncGenerator[int, None]:
        """Read shards completely, or the one of an index; yields how many bytes at a time."""
        wanted = [index for index in self._asked if only in (None, index)]
        await together(*(lambda index=index: self._check_ends(index) for index in wanted))
        readers = await self._open(wanted)
        try:
            has_whole = await self._whole(readers) is not None
            for stripe in range(self._stripe_count):
                cells = await self._cells(readers, stripe)
                length = self._length(stripe)
                corrupt = await self._tools.codec.verify(self._extent.id, stripe, length, cells)
                for index in corrupt:
                    self._lose(index, f"corrupt in stripe {stripe}")
                good = sum(cell is not None for cell in cells) - len(corrupt)
                is_short = good < self._tools.profile.data and not has_whole
                if only is None and is_short and not self.unreadable:
                    needed = self._tools.profile.data
                    self.unreadable = f"stripe {stripe} has {good} good cells, {needed} are needed"
                yield await self._spent(cells)
        finally:
            _close(readers)

    async def rebuild(self, indices: Collection[int]) -> AsyncGenerator[int, None]:
        """Stage these shards again from the others, and read them back; yields how many bytes at
        a time. At the end those in `staged` are durable.

        Raises InsufficientShards. If it does, or is left early, nothing remains staged.
        """
        if not indices:
            return
        name = rebuilt_name(self._extent.id)
        record = await self._any_record()
        readers = await self._open(self._asked)
        try:
            for index in indices:
                await self._begin(index, name)
            for stripe in range(self._stripe_count):
                if not self.staged:
                    return
                cells = await self._cells(readers, stripe)
                await self._write_stripe(stripe, cells, readers)
                yield await self._spent(cells)
            trailer = stripes.pack_trailer(record, self._extent.size_bytes)
            await self._each(lambda index: self.staged[index].seal([trailer]))
            written = ExtentShards(
                self._disks,
                self._extent,
                set(range(len(self._disks))) - set(self.staged),
                self._tools,
                name,
            )
            async with aclosing(written.verify()) as steps:
                async for size_bytes in steps:
                    yield size_bytes
            for index, reason in written.lost.items():
                await self._give_up(index, f"it reads back wrong: {reason}")
        except BaseException:
            await self.discard()
            raise
        finally:
            _close(readers)

    async def replace(self) -> list[int]:
        """Put the staged shards in their places; indices of those that are there now."""
        name = rebuilt_name(self._extent.id)
        await self._each(lambda index: self._disks[index].replace(name, self._extent.id))
        done = sorted(self.staged)
        self.staged.clear()
        return done

    async def discard(self) -> None:
        """Throw away what is staged. Never raises; safe when cancelled."""
        with trio.move_on_after(CLEANUP_LIMIT_S, shield=True):
            await together(*(writer.discard for writer in self.staged.values()))
        self.staged.clear()

    # -- writing --------------------------------------------------------------------------------
    async def _begin(self, index: int, name: str) -> None:
        extent = self._extent
        profile, flags = self._tools.profile, self._flags(index)
        preamble = Preamble(extent.id, index, extent.stripe_size_bytes, profile, flags)
        try:
            await self._disks[index].delete(name)  # a repair that failed may have left it
            writer = self.staged[index] = self._disks[index].create(name)
            await writer.append([stripes.pack_preamble(preamble)])
        except DiskFailed as error:
            await self._give_up(index, str(error))

    async def _write_stripe(
        self, stripe: int, cells: Sequence[Buffer | None], readers: dict[int, ShardReader]
    ) -> None:
        codec, extent, length = self._tools.codec, self._extent, self._length(stripe)
        extent_id = extent.id
        pieces: Sequence[memoryview]
        try:
            pieces, _ = await codec.decode(extent_id, stripe, length, cells)
        except InsufficientShards:
            whole = await self._whole(readers)
            if whole is None:
                raise
            pieces = [whole]
        async with codec.stripe_buffer(length) as buffer:
            filled = 0
            for piece in pieces:
                buffer.data[filled : filled + len(piece)] = piece
                filled += len(piece)
            frames = await codec.encode(buffer, extent_id, stripe, length)
            await self._each(lambda index: self.staged[index].append(frames[index]))
            at = extent.whole
            if at in self.staged:
                data = buffer.data[:length]
                checksum = codec.checksum(extent_id, stripes.WHOLE_STRIPE, at, data)
                await self._each(lambda index: self.staged[index].append([checksum, data]), at)

    async def _each(self, act: Callable[[int], Awaitable[None]], only: int | None = None) -> None:
        """Do it with every staged shard; one that fails is given up, the others go on."""

        async def guarded(index: int) -> None:
            try:
                await act(index)
            except (DiskFailed, ShardNotFound) as error:
                await self._give_up(index, str(error))

        wanted = [index for index in self.staged if only in (None, index)]
        await together(*(lambda index=index: guarded(index) for index in wanted))

    async def _give_up(self, index: int, reason: str) -> None:
        log.warning("shard %d of %s not rebuilt: %s", index, self._extent.id, reason)
        writer = self.staged.pop(index, None)
        if writer is not None:
            await writer.discard()

    # -- reading --------------------------------------------------------------------------------
    @property
    def _stripe_count(self) -> int:
        return stripes.stripe_count(self._extent.size_bytes, self._extent.stripe_size_bytes)

    def _length(self, stripe: int) -> int:
        extent = self._extent
        return stripes.stripe_length(extent.size_bytes, stripe, extent.stripe_size_bytes)

    async def _check_ends(self, index: int) -> None:
        try:
            self._record = await self._read_record(index)
        except ShardNotFound:
            self.absent.add(index)
            self._lose(index, "not there")
        except ShardCorrupt as error:
            self._lose(index, str(error))
        except DiskFailed as error:
            self._refuse(index, error)

    async def _read_record(self, index: int) -> bytes:
        """The record as stored. Raises ShardCorrupt if the shard is another than expected."""
        extent = self._extent
        ends = await read_ends(self._disks[index], self._name)
        found, size_bytes = ends.preamble, ends.size_bytes
        if (found.extent_id, found.index, size_bytes) != (extent.id, index, extent.size_bytes):
            raise ShardCorrupt(f"shard {found.index} of {found.extent_id}, {size_bytes} bytes")
        if found.flags != self._flags(index):
            raise ShardCorrupt(f"it has flags {found.flags}, not {self._flags(index)}")
        if found.stripe_size_bytes != extent.stripe_size_bytes:
            raise ShardCorrupt(f"it has stripes of {found.stripe_size_bytes} bytes")
        belongs_to = self._tools.decode(ends.record).extent_id
        if belongs_to != extent.id:
            raise ShardCorrupt(f"its record is that of {belongs_to}")
        return ends.record

    async def _any_record(self) -> bytes:
        """All shards carry the same record. Raises InsufficientShards if none has it."""
        for index in self._asked:
            if self._record is not None:
                break
            try:
                self._record = await self._read_record(index)
            except (ShardNotFound, ShardCorrupt, DiskFailed):
                continue
        if self._record is None:
            raise InsufficientShards(f"no shard of {self._extent.id} has its record")
        return self._record

    async def _open(self, indices: Sequence[int]) -> dict[int, ShardReader]:
        """Readers of those that can be opened: cells of a shard with a broken end may be good."""
        readers: dict[int, ShardReader] = {}

        async def open_one(index: int) -> None:
            try:
                readers[index] = await self._disks[index].open(self._name)
            except ShardNotFound:
                self.absent.add(index)
                self._lose(index, "not there")
            except DiskFailed as error:
                self._refuse(index, error)

        try:
            await together(*(lambda index=index: open_one(index) for index in indices))
        except BaseException:
            _close(readers)
            raise
        return readers

    async def _cells(self, readers: dict[int, ShardReader], stripe: int) -> list[Buffer | None]:
        offset = stripes.frame_offset(stripe, self._extent.stripe_size_bytes)
        length = stripes.frame_length(self._length(stripe))
        cells: list[Buffer | None] = [None] * self._tools.profile.shards

        async def fetch(index: int) -> None:
            try:
                cells[index] = await readers[index].read_at(offset, length)
            except DiskFailed as error:
                self._refuse(index, error)

        await together(*(lambda index=index: fetch(index) for index in readers))
        return cells

    def _flags(self, index: int) -> int:
        return stripes.FLAG_WHOLE if index == self._extent.whole else 0

    async def _whole(self, readers: dict[int, ShardReader]) -> memoryview | None:
        """All bytes of a small extent as one shard has them, None where none does."""
        extent = self._extent
        index = extent.whole
        if index is None or index not in readers:
            return None
        offset = stripes.frames_end(extent.size_bytes, extent.stripe_size_bytes)
        length = stripes.whole_length(extent.size_bytes)
        try:
            framed = memoryview(await readers[index].read_at(offset, length))
        except DiskFailed as error:
            self._refuse(index, error)
            return None
        data = framed[stripes.CHECKSUM_LENGTH_BYTES :]
        checksum = self._tools.codec.checksum(extent.id, stripes.WHOLE_STRIPE, index, data)
        if framed[: stripes.CHECKSUM_LENGTH_BYTES] != checksum or len(framed) != length:
            self._lose(index, "corrupt in the whole")
            return None
        return data

    async def _spent(self, cells: Sequence[Buffer | None]) -> int:
        size_bytes = sum(len(cell) for cell in cells if cell is not None)
        await self._tools.pace.spend(size_bytes)
        return size_bytes

    def _lose(self, index: int, reason: str) -> None:
        self.lost.setdefault(index, reason)

    def _refuse(self, index: int, error: DiskFailed) -> None:
        self.refusing.add(index)
        self._lose(index, str(error))


def _close(readers: dict[int, ShardReader]) -> None:
    for reader in readers.values():
        reader.close()
