"""One extent on the six disks of a tier: writing its shards, reading its stripes.

Durability (ADR 3): every shard is staged and synced before the journal commits; publishing is a
rename afterwards. Reading needs any four good cells of a stripe; the checksum of each cell is
bound to extent, stripe and shard index, so a stale or misplaced cell counts as corrupt.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import trio

from stratum.app.together import together
from stratum.domain import stripes
from stratum.domain.errors import (
    DiskFailed,
    InsufficientDisks,
    InsufficientShards,
    ShardCorrupt,
    ShardNotFound,
)
from stratum.domain.names import ExtentId
from stratum.domain.stripes import ErasureProfile, Preamble
from stratum.domain.volume import Extent
from stratum.ports import Buffer, Codec, ShardReader, ShardStore, ShardWriter, StripeBuffer

CLEANUP_LIMIT_S = 20.0
"""How long throwing away a half-written extent may hold up a request that failed."""

REBUILT_PREFIX = "rebuilt-"

log = logging.getLogger("stratum.extents")


def rebuilt_name(extent_id: ExtentId) -> str:
    """Under which a shard is staged that is to replace another. Not under its own name: readers
    and recovery would take it for the shard before it is whole."""
    return REBUILT_PREFIX + extent_id


def is_rebuilt(name: str) -> bool:
    """Whether a repair staged it; without that repair it is of no use."""
    return name.startswith(REBUILT_PREFIX)


class ExtentWriter:
    """Six shards being written. A disk that fails is left out as long as `quorum` others work."""

    def __init__(
        self,
        disks: Sequence[ShardStore],
        codec: Codec,
        extent_id: ExtentId,
        profile: ErasureProfile,
        stripe_size_bytes: int,
        quorum: int,
    ) -> None:
        self._codec = codec
        self._id = extent_id
        self._stripe_size_bytes = stripe_size_bytes
        self._quorum = quorum
        self._disks = disks
        self._writers: list[ShardWriter] = [disk.create(extent_id) for disk in disks]
        self._failed: set[int] = set()
        self._pending: list[list[Buffer]] = [
            [stripes.pack_preamble(Preamble(extent_id, index, stripe_size_bytes, profile))]
            for index in range(len(disks))
        ]
        self._stripe = 0
        self.size_bytes = 0

    async def stripe(self, buffer: StripeBuffer, length: int, *, last: bool = False) -> None:
        """Encode the next stripe and, unless it is the last, write it."""
        pairs = await self._codec.encode(buffer, self._id, self._stripe, length)
        for index, pair in enumerate(pairs):
            if index not in self._failed:
                self._pending[index].extend(pair)
        self._stripe += 1
        self.size_bytes += length
        if not last:
            await self._each(lambda index: self._writers[index].append(self._take(index)))

    def extent(self) -> Extent:
        """What has been written so far; after `seal`, what is durable."""
        missing = tuple(sorted(self._failed))
        return Extent(self._id, self.size_bytes, self._stripe_size_bytes, missing)

    async def seal(self, record: bytes) -> Extent:
        """Make the shards durable. Raises InsufficientDisks."""
        trailer = stripes.pack_trailer(record, self.size_bytes)
        for parts in self._pending:
            parts.append(trailer)
        await self._each(lambda index: self._writers[index].seal(self._take(index)))
        return self.extent()

    async def discard(self) -> None:
        """Throw everything away; never raises, bounded in time, works while being cancelled."""
        with trio.move_on_after(CLEANUP_LIMIT_S, shield=True):
            await together(*(writer.discard for writer in self._writers))

    def _take(self, index: int) -> list[Buffer]:
        parts, self._pending[index] = self._pending[index], []
        return parts

    async def _each(self, act: Callable[[int], Awaitable[None]]) -> None:
        async def guarded(index: int) -> None:
            try:
                await act(index)
            except DiskFailed as error:
                self._failed.add(index)
                self._pending[index].clear()
                log.warning("shard %d of %s not written: %s", index, self._id, error)
                # Nobody refers to what the disk has of it: on a full disk it would only be in
                # the way.
                await self._writers[index].discard()

        alive = [index for index in range(len(self._writers)) if index not in self._failed]
        await together(*(lambda index=index: guarded(index) for index in alive))
        if len(self._writers) - len(self._failed) < self._quorum:
            raise InsufficientDisks(
                f"Only {len(self._writers) - len(self._failed)} of {len(self._writers)} disks "
                f"accept data; at least {self._quorum} are needed"
            )


Report = Callable[[Extent, int, str], None]
"""Called with the extent, the shard index and what is wrong, once for each shard and read."""


class ExtentReader:
    """Stripes of one extent, reconstructed where shards are missing or corrupt."""

    def __init__(
        self,
        disks: Sequence[ShardStore],
        codec: Codec,
        profile: ErasureProfile,
        extent: Extent,
        report: Report,
    ) -> None:
        self._disks = disks
        self._codec = codec
        self._profile = profile
        self._extent = extent
        self._report = report
        self._readers: dict[int, ShardReader] = {}
        self._lost: set[int] = set(extent.missing)

    def close(self) -> None:
        for reader in self._readers.values():
            reader.close()
        self._readers.clear()

    async def stripe(self, number: int) -> Sequence[memoryview]:
        """The stripe's bytes in pieces. Raises InsufficientShards."""
        wanted = [index for index in range(self._profile.shards) if index not in self._lost]
        if wanted[: self._profile.data] == list(range(self._profile.data)):
            wanted = wanted[: self._profile.data]
        # else all that is left: with one cell more than needed a lost one is a mere XOR away.
        everything = list(range(self._profile.shards))
        try:
            return await self._attempt(number, wanted)
        except InsufficientShards:
            # A shard that failed in an earlier stripe may be good in this one: ask all six.
            return await self._attempt(number, everything)

    async def _attempt(self, number: int, wanted: Sequence[int]) -> Sequence[memoryview]:
        length = stripes.stripe_length(self._extent.size_bytes, number, self._stripe_size_bytes)
        cells: list[Buffer | None] = [None] * self._profile.shards

        async def fetch(index: int) -> None:
            cells[index] = await self._cell(index, number)

        await together(*(lambda index=index: fetch(index) for index in wanted))
        pieces, corrupt = await self._codec.decode(self._extent.id, number, length, cells)
        for index in corrupt:
            self._lose(index, f"corrupt in stripe {number}")
        return pieces

    @property
    def _stripe_size_bytes(self) -> int:
        return self._extent.stripe_size_bytes

    async def _cell(self, index: int, number: int) -> Buffer | None:
        offset = stripes.frame_offset(number, self._stripe_size_bytes)
        length = stripes.frame_length(
            stripes.stripe_length(self._extent.size_bytes, number, self._stripe_size_bytes)
        )
        try:
            reader = self._readers.get(index)
            if reader is None:
                reader = self._readers[index] = await self._disks[index].open(self._extent.id)
            framed = await reader.read_at(offset, length)
        except ShardNotFound:
            self._lose(index, "missing")
            return None
        except DiskFailed as error:
            self._lose(index, str(error))
            return None
        if len(framed) < length:
            self._lose(index, "too short")
            return None
        return framed

    def _lose(self, index: int, reason: str) -> None:
        if index not in self._lost:
            self._lost.add(index)
            self._report(self._extent, index, reason)


@dataclass(frozen=True)
class ShardEnds:
    """What a shard says of itself at its beginning and its end; `size_bytes` is the extent's."""

    preamble: Preamble
    size_bytes: int
    record: bytes


async def read_ends(disk: ShardStore, name: str) -> ShardEnds:
    """Beginning and end of a shard, checked. The cells in between are not read.

    Raises ShardCorrupt (torn, garbage, of another length than it says), ShardNotFound, DiskFailed.
    """
    reader = await disk.open(name)
    try:
        size = reader.size()
        if size < stripes.PREAMBLE_BYTES + stripes.TAIL_BYTES:
            raise ShardCorrupt(f"{size} bytes are too few for a shard")
        preamble = stripes.parse_preamble(await reader.read_at(0, stripes.PREAMBLE_BYTES))
        tail = stripes.parse_tail(
            await reader.read_at(size - stripes.TAIL_BYTES, stripes.TAIL_BYTES)
        )
        offset = tail.check_shard(size, preamble.stripe_size_bytes)
        record = tail.check_record(await reader.read_at(offset, tail.record_length))
        return ShardEnds(preamble, tail.size_bytes, bytes(record))
    finally:
        reader.close()
