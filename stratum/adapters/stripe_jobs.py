"""A stripe in memory that processes share, and the coding of it in place.

Worker processes import this module and what it needs, and nothing else of ours: numpy, xxhash
and reedsolo. Keep Trio and the web stack out, each worker would pay for them in memory.

The memory is a file that lives in memory only (`memfd_create(2)`). A worker opens it as
`/proc/PID/fd/FD` of its parent. It has no name that could be left behind when the processes are
killed, it isn't bounded by the size of /dev/shm, and no resource tracker has to know it.
"""

from __future__ import annotations

import mmap
import os
from functools import cache
from typing import NamedTuple

from stratum.adapters.reed_solomon import ReedSolomon, cell_checksum
from stratum.domain.stripes import (
    CELLS,
    CHECKSUM_LENGTH_BYTES,
    DATA_CELLS,
    PARITY_CELLS,
    cell_length,
)

CHECKSUMS_BYTES = CELLS * CHECKSUM_LENGTH_BYTES


class StripeMemory:
    """The parts of one stripe: data cells one after the other, parity cells, six checksums.

    `capacity` is the most user data it holds, a multiple of four bytes; `memory` is at least
    `needed_bytes(capacity)` long. Cells of a short stripe lie close together at the beginning of
    their part.
    """

    def __init__(self, memory: memoryview, capacity: int) -> None:
        parity_end = capacity + capacity // DATA_CELLS * PARITY_CELLS
        self.data = memory[:capacity]
        self.parity = memory[capacity:parity_end]
        self.checksums = memory[parity_end : parity_end + CHECKSUMS_BYTES]

    @staticmethod
    def needed_bytes(capacity: int) -> int:
        """Bytes of memory for a stripe with up to `capacity` bytes of user data."""
        return capacity + capacity // DATA_CELLS * PARITY_CELLS + CHECKSUMS_BYTES

    def cells(self, length: int) -> list[memoryview]:
        """The six cells of a stripe with `length` bytes of user data."""
        size = cell_length(length)
        data = [self.data[i * size : (i + 1) * size] for i in range(DATA_CELLS)]
        return data + [self.parity[i * size : (i + 1) * size] for i in range(PARITY_CELLS)]

    def frames(self, length: int) -> list[tuple[memoryview, memoryview]]:
        """The six (checksum, cell) pairs of a stripe with `length` bytes of user data."""
        step = CHECKSUM_LENGTH_BYTES
        return [
            (self.checksums[i * step : (i + 1) * step], cell)
            for i, cell in enumerate(self.cells(length))
        ]

    def encode(
        self, kernel: ReedSolomon, extent: bytes, stripe: int, length: int
    ) -> list[tuple[memoryview, memoryview]]:
        """Fill in padding, parity and checksums for the first `length` bytes of data.

        Returns the frames. May be repeated: user data is not changed.
        """
        size = cell_length(length)
        padded = size * DATA_CELLS
        self.data[length:padded] = bytes(padded - length)
        kernel.encode(self.data[:padded], self.parity[: size * PARITY_CELLS])
        frames = self.frames(length)
        for index, (checksum, cell) in enumerate(frames):
            checksum[:] = cell_checksum(extent, stripe, index, cell)
        return frames


class Slot(NamedTuple):
    """Where a worker finds a stripe: a place in a file in memory. Small, since it is pickled."""

    path: str
    inode: int
    file_size_bytes: int
    offset: int
    capacity: int


class SharedMemory:
    """Room for a number of stripes in memory that worker processes can open.

    Memory is taken from the system slot by slot, when first asked for, and given back by `close`
    or, whatever happens to the process, when the last process that maps it has ended.
    Raises OSError where the system has no such files (Linux has them) or no memory.
    """

    def __init__(self, slots: int, capacity: int) -> None:
        self._capacity = capacity
        page = mmap.PAGESIZE
        self._slot_bytes = -(-StripeMemory.needed_bytes(capacity) // page) * page
        self._size_bytes = slots * self._slot_bytes
        if not hasattr(os, "memfd_create"):
            raise OSError("this system has no memfd_create")
        self._fd = os.memfd_create("stratum-stripes", os.MFD_CLOEXEC)
        try:
            os.ftruncate(self._fd, self._size_bytes)
            self._inode = os.fstat(self._fd).st_ino
            self._view = memoryview(mmap.mmap(self._fd, self._size_bytes))
        except BaseException:
            os.close(self._fd)
            raise

    def slot(self, number: int) -> tuple[Slot, StripeMemory]:
        """A stripe's memory, and where others find it. Raises OSError if memory is short.

        The pages are allocated here: touching one that the system cannot give would be SIGBUS.
        """
        offset = number * self._slot_bytes
        os.posix_fallocate(self._fd, offset, self._slot_bytes)
        path = f"/proc/{os.getpid()}/fd/{self._fd}"
        slot = Slot(path, self._inode, self._size_bytes, offset, self._capacity)
        return slot, StripeMemory(self._view[offset : offset + self._slot_bytes], self._capacity)

    def close(self) -> None:
        """Let go of the file. The memory is freed when nobody holds a view of it any more."""
        os.close(self._fd)


# -- what runs in a worker ----------------------------------------------------------------------
def warm_up(slot: Slot) -> None:
    """Do once what the first job would wait for. Raises OSError if the memory can't be opened."""
    kernel()
    stripe_memory(slot)


def encode(slot: Slot, extent: bytes, stripe: int, length: int) -> None:
    """`StripeMemory.encode` for a stripe in shared memory."""
    stripe_memory(slot).encode(kernel(), extent, stripe, length)


@cache
def kernel() -> ReedSolomon:
    """The worker's own."""
    return ReedSolomon()


def stripe_memory(slot: Slot) -> StripeMemory:
    """A stripe in shared memory. Raises OSError if the memory can't be opened."""
    view = _attach(slot.path, slot.inode, slot.file_size_bytes)
    return StripeMemory(view[slot.offset :], slot.capacity)


@cache
def _attach(path: str, inode: int, size_bytes: int) -> memoryview:
    fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        if os.fstat(fd).st_ino != inode:
            raise FileNotFoundError(f"{path} is another file by now")
        return memoryview(mmap.mmap(fd, size_bytes))
    finally:
        os.close(fd)
