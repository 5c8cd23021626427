"""One extent on the six disks of a tier: reading its stripes.

Needs any four good cells of a stripe, or the whole of a small extent from the one shard that has
it. The checksum of each is bound to extent, stripe and shard index, so a stale or misplaced cell
counts as corrupt. What is in memory is read at once, without a task or a thread.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

import trio

from stratum.app.crew import Crew
from stratum.domain import stripes
from stratum.domain.errors import DiskFailed, InsufficientShards, ShardNotFound
from stratum.domain.stripes import ErasureProfile
from stratum.domain.volume import Extent
from stratum.ports import Buffer, Codec, ShardReader, ShardStore

HEDGE_S = 0.25
"""How long a read waits for a data shard before it asks for parity shards instead."""
READ_LIMIT_S = 30.0
"""How long it waits for enough shards of any kind."""

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
        crew: Crew,
        on_hedge: Callable[[], None],
    ) -> None:
        self._crew = crew
        self._on_hedge = on_hedge
        self._disks = disks
        self._codec = codec
        self._profile = profile
        self._extent = extent
        self._report = report
        self._readers: dict[int, ShardReader] = {}
        self._lost: set[int] = set(extent.missing)
        self._late: set[int] = set()
        """Shards that were slow: the others are asked first from then on."""
        self._busy: set[int] = set()
        """Shards that are being read."""
        self._closed = False

    def close(self) -> None:
        self._closed = True
        for reader in self._readers.values():
            reader.close()
        self._readers.clear()

    async def stripe(self, number: int) -> Sequence[memoryview]:
        """The stripe's bytes in pieces. Raises InsufficientShards."""
        data = await self._whole()
        if data is not None:
            return [data]
        avoided = self._lost | self._late
        wanted = [index for index in range(self._profile.shards) if index not in avoided]
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
        found = await self._cells(number, wanted)
        cells = [found.get(index) for index in range(self._profile.shards)]
        pieces, corrupt = await self._codec.decode(self._extent.id, number, length, cells)
        for index in corrupt:
            self._lose(index, f"corrupt in stripe {number}")
        return pieces

    async def _cells(self, number: int, wanted: Sequence[int]) -> dict[int, Buffer]:
        """Cells of a stripe by index: those that are wanted, or, when one takes longer than
        HEDGE_S or can't be had, any that are enough."""
        offset = stripes.frame_offset(number, self._stripe_size_bytes)
        length = stripes.frame_length(
            stripes.stripe_length(self._extent.size_bytes, number, self._stripe_size_bytes)
        )
        found: dict[int, Buffer] = {}
        asked = []
        for index in wanted:
            framed = self._bytes_now(index, offset, length)
            if framed is not None:
                found[index] = framed
            elif index not in self._busy:
                asked.append(index)
        if len(found) == len(wanted):
            return found
        begun = self._crew.round({index: self._fetch(index, offset, length) for index in asked})
        with trio.move_on_after(HEDGE_S):
            await begun.until(len(asked))
        late = begun.under_way
        if late or len(asked) + len(found) < len(wanted):
            self._late.update(late)
            others = set(range(self._profile.shards)).difference(
                asked, found, self._lost, self._busy
            )
            for index in others:
                begun.begin(index, self._fetch(index, offset, length))
            if others and late:
                self._on_hedge()
            with trio.move_on_after(READ_LIMIT_S):
                await begun.until(self._profile.data - len(found))
        for index, result in begun.results.items():
            if result.done and result.value is not None:
                found[index] = result.value
        return found

    async def _whole(self) -> memoryview | None:
        """All bytes of a small extent from the shard that has them, if that can be done soon."""
        index, size_bytes = self._extent.whole, self._extent.size_bytes
        if index is None or index in self._lost or index in self._late:
            return None
        offset = stripes.frames_end(size_bytes, self._stripe_size_bytes)
        length = stripes.whole_length(size_bytes)
        framed = self._bytes_now(index, offset, length)
        if framed is None:
            begun = self._crew.round({index: self._fetch(index, offset, length)})
            with trio.move_on_after(HEDGE_S):
                await begun.until(1)
            framed = begun.results[index].value
            if begun.under_way:
                self._late.add(index)
                self._on_hedge()
            if framed is None:
                return None
        data = memoryview(framed)[stripes.CHECKSUM_LENGTH_BYTES :]
        checksum = self._codec.checksum(self._extent.id, stripes.WHOLE_STRIPE, index, data)
        if framed[: stripes.CHECKSUM_LENGTH_BYTES] != checksum:
            self._lose(index, "corrupt in the whole")
            return None
        return data

    def _bytes_now(self, index: int, offset: int, length: int) -> Buffer | None:
        """Bytes of a shard if they are in memory. Whatever is wrong, the slower way finds out."""
        if index in self._busy:
            return None
        try:
            reader = self._readers.get(index)
            if reader is None:
                reader = self._disks[index].open_now(self._extent.id)
                if reader is None:
                    return None
                self._readers[index] = reader
            framed = reader.read_now(offset, length)
        except DiskFailed:
            return None
        return framed if framed is not None and len(framed) == length else None

    def _fetch(self, index: int, offset: int, length: int) -> Callable[[], Awaitable[Buffer]]:
        async def run() -> Buffer:
            self._busy.add(index)
            try:
                return await self._bytes(index, offset, length)
            finally:
                self._busy.discard(index)

        return run

    @property
    def _stripe_size_bytes(self) -> int:
        return self._extent.stripe_size_bytes

    async def _bytes(self, index: int, offset: int, length: int) -> Buffer:
        """Raises ShardNotFound or DiskFailed, and takes note of it."""
        try:
            reader = self._readers.get(index)
            if reader is None:
                reader = await self._disks[index].open(self._extent.id)
                if self._closed:
                    reader.close()
                    raise DiskFailed("it came too late")
                self._readers[index] = reader
            framed = await reader.read_at(offset, length)
        except ShardNotFound:
            self._lose(index, "missing")
            raise
        except DiskFailed as error:
            self._lose(index, str(error))
            raise
        if len(framed) < length:
            self._lose(index, "too short")
            raise ShardNotFound(f"shard {index} of {self._extent.id} is too short")
        return framed

    def _lose(self, index: int, reason: str) -> None:
        if index not in self._lost:
            self._lost.add(index)
            self._report(self._extent, index, reason)
