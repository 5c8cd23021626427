"""The codec of the data path: pooled buffers for stripes, and coding on the event loop.

A stripe is received into a buffer, coded where it lies and written to the disks from there. The
number of buffers bounds the memory, and waiting for one is how the store slows its clients down.
`workers` adds processes to this.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import TracebackType

import trio

from stratum.adapters.reed_solomon import ReedSolomon, cell_checksum
from stratum.adapters.stripe_jobs import Slot, StripeMemory
from stratum.domain.errors import InsufficientShards
from stratum.domain.stripes import (
    CELLS,
    CHECKSUM_LENGTH_BYTES,
    DATA_CELLS,
    STRIPE_SIZE_BYTES,
    cell_length,
    check_stripe_size,
    extent_bytes,
    frame_length,
)
from stratum.ports import Buffer, StripeBuffer

BUFFERS_DEFAULT = 16
"""Pooled buffers of a whole stripe, 1.5 MiB each with the default stripe size."""
SMALL_BUFFERS_DEFAULT = 128
SMALL_BUFFER_BYTES = 64 * 1024
"""Stripes known to be no longer use buffers of their own, so that they need not wait for large
ones; 96 KiB of memory each."""


class PooledBuffer:
    """Memory for one stripe. `slot` says where workers find it; None: they can't."""

    def __init__(self, memory: StripeMemory, slot: Slot | None = None) -> None:
        self.memory = memory
        self.slot = slot

    @property
    def data(self) -> memoryview:
        """Writable, as long as the pool's stripes may be: user data goes here."""
        return self.memory.data


def heap_buffer(capacity: int) -> PooledBuffer:
    """A buffer in ordinary memory, for up to `capacity` bytes (a multiple of four)."""
    memory = memoryview(bytearray(StripeMemory.needed_bytes(capacity)))
    return PooledBuffer(StripeMemory(memory, capacity))


class BufferPool:
    """At most `limit` buffers, made when first needed. The last one given back is reused first,
    so that a quiet server touches few of them."""

    def __init__(self, limit: int, make: Callable[[int], PooledBuffer]) -> None:
        """`make` gets the number of the buffer, from 0 to `limit` - 1."""
        self._free: list[PooledBuffer] = []
        self._made = 0
        self._make = make
        self._tokens = trio.Semaphore(limit, max_value=limit)

    async def take(self) -> PooledBuffer:
        """Wait for a buffer; who waits longest is served first. No checkpoint if one is free."""
        try:
            self._tokens.acquire_nowait()
        except trio.WouldBlock:
            await self._tokens.acquire()
        if self._free:
            return self._free.pop()
        try:
            buffer = self._make(self._made)
        except BaseException:
            self._tokens.release()
            raise
        self._made += 1
        return buffer

    def put(self, buffer: PooledBuffer) -> None:
        """Give back what was taken."""
        self._free.append(buffer)
        self._tokens.release()

    @property
    def waiting(self) -> int:
        """Tasks waiting for a buffer."""
        return self._tokens.statistics().tasks_waiting


class Lease:
    """`async with` holds a buffer of the pool and gives it back."""

    def __init__(self, pool: BufferPool) -> None:
        self._pool = pool

    async def __aenter__(self) -> PooledBuffer:
        await trio.lowlevel.checkpoint_if_cancelled()
        self._buffer = await self._pool.take()
        return self._buffer

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._pool.put(self._buffer)


@dataclass
class CodecCounts:
    """How often stripes were coded, and where, since the start."""

    inline: int = 0
    offloaded: int = 0
    fallbacks: int = 0
    """Handed to a worker and then coded inline, since the worker died or hung; also in `inline`."""


class InlineCodec:
    """Codes on the event loop: no threads, no processes, no clock. Implements `ports.Codec`."""

    def __init__(
        self,
        stripe_size_bytes: int = STRIPE_SIZE_BYTES,
        buffers: int = BUFFERS_DEFAULT,
        small_buffers: int = SMALL_BUFFERS_DEFAULT,
    ) -> None:
        """Raises InvalidConfig for a stripe size that can't be used."""
        self.stripe_size_bytes = check_stripe_size(stripe_size_bytes)
        self.counts = CodecCounts()
        self._kernel = ReedSolomon()
        self._pool = BufferPool(buffers, self._make_buffer)
        self._small_pool = BufferPool(small_buffers, lambda _: heap_buffer(SMALL_BUFFER_BYTES))

    def stripe_buffer(self, length_max: int | None = None) -> Lease:
        """A free buffer of the pool; waits until one is free. Holding two can deadlock.

        Who knows that no more than `length_max` bytes will go into it says so: up to
        SMALL_BUFFER_BYTES the buffer comes from a pool of small ones, and its `data` has
        SMALL_BUFFER_BYTES. What is in the buffer at first is arbitrary.
        """
        small = length_max is not None and length_max <= SMALL_BUFFER_BYTES
        return Lease(self._small_pool if small else self._pool)

    @property
    def waiting(self) -> int:
        """Tasks waiting for a buffer."""
        return self._pool.waiting + self._small_pool.waiting

    async def encode(
        self, buffer: StripeBuffer, extent_id: str, stripe: int, length: int
    ) -> Sequence[tuple[Buffer, Buffer]]:
        """Six (16-byte checksum, cell) pairs for the first `length` bytes of the buffer.

        They are views of the buffer, valid until it is released or encoded again. Cancellation
        takes effect before the work begins or not at all.
        """
        await trio.lowlevel.checkpoint_if_cancelled()
        assert isinstance(buffer, PooledBuffer), "a buffer of this codec's own"
        assert 0 <= length <= len(buffer.data), "more bytes than the buffer holds"
        return await self._encode(buffer, extent_bytes(extent_id), stripe, length)

    def checksum(self, extent_id: str, stripe: int, index: int, cell: Buffer) -> bytes:
        """As in the frames that `encode` makes."""
        return cell_checksum(extent_bytes(extent_id), stripe, index, cell)

    async def verify(
        self, extent_id: str, stripe: int, length: int, cells: Sequence[Buffer | None]
    ) -> frozenset[int]:
        """As `decode` finds corrupt cells, and nothing else; any number may be missing."""
        await trio.lowlevel.checkpoint_if_cancelled()
        assert len(cells) == CELLS, "one entry for each cell, None where it is missing"
        return _verify(extent_bytes(extent_id), stripe, length, cells)[1]

    async def decode(
        self, extent_id: str, stripe: int, length: int, cells: Sequence[Buffer | None]
    ) -> tuple[Sequence[memoryview], frozenset[int]]:
        """The stripe's `length` bytes in pieces, and the indices of corrupt cells.

        `cells` are six frames as read (checksum, then cell), None where missing; a frame of
        another length is corrupt. All that are given are verified. Pieces are views of `cells`,
        those that had to be rebuilt new memory. Raises InsufficientShards unless four are good.
        """
        await trio.lowlevel.checkpoint_if_cancelled()
        assert len(cells) == CELLS, "one entry for each cell, None where it is missing"
        good, corrupt = _verify(extent_bytes(extent_id), stripe, length, cells)
        good_count = CELLS - good.count(None)
        if good_count < DATA_CELLS:
            raise InsufficientShards(
                f"stripe {stripe} of extent {extent_id} has {good_count} good cells,"
                f" {DATA_CELLS} are needed; corrupt: {sorted(corrupt) or 'none'}"
            )
        return _pieces(self._kernel.reconstruct(good), length), corrupt

    async def _encode(
        self, buffer: PooledBuffer, extent: bytes, stripe: int, length: int
    ) -> Sequence[tuple[Buffer, Buffer]]:
        self.counts.inline += 1
        return buffer.memory.encode(self._kernel, extent, stripe, length)

    def _make_buffer(self, number: int) -> PooledBuffer:
        return heap_buffer(self.stripe_size_bytes)


def _pieces(data_cells: Sequence[Buffer], length: int) -> list[memoryview]:
    """The data of a stripe without its padding."""
    size = cell_length(length)
    used = (min(size, length - index * size) for index in range(DATA_CELLS))
    return [memoryview(cell)[:n] for cell, n in zip(data_cells, used, strict=True) if n > 0]


def _verify(
    extent: bytes, stripe: int, length: int, cells: Sequence[Buffer | None]
) -> tuple[list[memoryview | None], frozenset[int]]:
    """The cells that are as they were written, None for the others; which ones are corrupt."""
    good: list[memoryview | None] = []
    corrupt = []
    for index, framed in enumerate(cells):
        cell = None
        if framed is not None:
            view = memoryview(framed)
            cell = view[CHECKSUM_LENGTH_BYTES:]
            matches = view[:CHECKSUM_LENGTH_BYTES] == cell_checksum(extent, stripe, index, cell)
            if len(view) != frame_length(length) or not matches:
                corrupt.append(index)
                cell = None
        good.append(cell)
    return good, frozenset(corrupt)
