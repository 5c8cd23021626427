"""Streams of sealed segments: bodies encrypted as they come, stored bytes decrypted as read."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from typing import Protocol, TypeVar

import trio

from stratum.app.payload import Hasher, Payload, StreamSource
from stratum.domain.checksums import Checksum
from stratum.domain.errors import SealBroken
from stratum.domain.sealing import TAG_BYTES, PartRead, Segments
from stratum.ports import Buffer

BATCH_SEGMENTS = 8
"""Encrypted or decrypted at once: 512 KiB. A write holds one segment more, a read no more."""
CRYPTO_OFFLOAD_MIN_BYTES = 256 * 1024
"""From here on a thread is worth its hop: AES-GCM does some 4 GB/s, without the GIL."""
STAGING_FREE_MAX = 16
"""Buffers kept for the next request, 576 KiB each."""

T = TypeVar("T")


class Cipher(Protocol):
    """Seals and opens the segments of one plaintext."""

    def seal_into(
        self, first: int, plaintext: memoryview, sealed: memoryview, *, last: bool
    ) -> int:
        """Encrypt consecutive segments from number `first`; returns the bytes written."""
        ...

    def open(self, first: int, sealed: memoryview, *, last: bool) -> Sequence[bytes]:
        """The plaintext of consecutive segments, one piece each. Raises SealBroken."""
        ...


class StagingPool:
    """Buffers for one batch, sealed, or plain with one segment more. Who does not give one back
    only costs the next one the making of it."""

    def __init__(self, segment_size_bytes: int) -> None:
        plain = (BATCH_SEGMENTS + 1) * segment_size_bytes
        self._size_bytes = max(plain, BATCH_SEGMENTS * (segment_size_bytes + TAG_BYTES))
        self._free: list[memoryview] = []

    def take(self, size_bytes: int | None) -> memoryview:
        """A buffer; a smaller one, of just this size, where it is known to be enough."""
        if size_bytes is not None and size_bytes < self._size_bytes:
            return memoryview(bytearray(size_bytes))
        return self._free.pop() if self._free else memoryview(bytearray(self._size_bytes))

    def give(self, buffer: memoryview) -> None:
        if len(buffer) == self._size_bytes and len(self._free) < STAGING_FREE_MAX:
            self._free.append(buffer)


class SealedPayload:
    """A ByteSource of what is stored of a payload: its segments, sealed.

    The last segment comes only when the body is known to be whole and as stated. Results are
    there once it has returned 0.
    """

    def __init__(
        self,
        plain: Payload,
        size_bytes: int | None,
        cipher: Cipher,
        segment_size_bytes: int,
        crc: Hasher,
        pool: StagingPool,
        hide: Callable[[str], str],
    ) -> None:
        """`size_bytes` of the plaintext if known, `crc` for what is stored; `hide` makes the ETag
        of the plaintext's MD5."""
        self._plain = plain
        self._size_bytes = size_bytes
        self._cipher = cipher
        self._segment = segment_size_bytes
        self._crc = crc
        self._pool = pool
        self._hide = hide
        self._buffer: memoryview | None = None
        self._held = 0
        """Bytes at the start of the buffer, of a segment that may be the last one."""
        self._number = 0
        self._left = memoryview(b"")
        self._ended = False

    async def read_into(self, buffer: memoryview) -> int:
        """Raises what Payload.read_into raises."""
        if not self._left and not self._ended:
            return await self._next_batch(buffer)
        length = min(len(self._left), len(buffer))
        buffer[:length] = self._left[:length]
        self._left = self._left[length:]
        return length

    async def _next_batch(self, buffer: memoryview) -> int:
        """Seal what comes next into `buffer`, or what does not fit there into `_left`."""
        if self._buffer is None:
            # One byte more: a body that ends must be seen to end.
            size = self._size_bytes
            self._buffer = self._pool.take(None if size is None else size + 1)
        staging = self._buffer[: (BATCH_SEGMENTS + 1) * self._segment]
        filled = self._held + await self._plain.read_into(staging[self._held :])
        self._ended = filled < len(staging)
        plain = staging[: filled if self._ended else len(staging) - self._segment]
        size = Segments(len(plain), self._segment).sealed_size_bytes
        fits = size <= len(buffer)
        target = buffer[:size] if fits else memoryview(bytearray(size))
        await _off_the_loop(len(plain), lambda: self._seal(plain, target))
        if self._ended:
            self._pool.give(self._buffer)
            self._buffer = None
        else:
            staging[: self._segment] = staging[len(plain) :]
            self._held = self._segment
            self._number += BATCH_SEGMENTS
        if fits:
            return size
        self._left = target
        return await self.read_into(buffer)

    def _seal(self, plain: memoryview, target: memoryview) -> None:
        self._cipher.seal_into(self._number, plain, target, last=self._ended)
        self._crc.update(target)

    @property
    def size_bytes(self) -> int:
        """Of the plaintext."""
        return self._plain.size_bytes

    @property
    def etag(self) -> str:
        return self._hide(self._plain.etag)

    @property
    def crc64(self) -> str:
        """Of the stored bytes."""
        return self._crc.digest().hex()

    @property
    def checksums(self) -> tuple[Checksum, ...]:
        """Of the plaintext."""
        return self._plain.checksums


class OpenedPieces:
    """The plaintext of what is read, piece by piece. Raises SealBroken before a byte that is not
    what was stored; `begin` does so for the first ones."""

    def __init__(
        self,
        pieces: AsyncIterator[Buffer],
        reads: Sequence[PartRead],
        cipher_of: Callable[[int], Cipher],
        pool: StagingPool,
    ) -> None:
        self._source = StreamSource(pieces)
        self._reads = reads
        self._cipher_of = cipher_of
        self._pool = pool
        self._batches = self._cut()
        self._ready: list[Buffer] = []
        self._buffer: memoryview | None = None

    async def begin(self) -> None:
        """Decrypt the first batch."""
        await self._open_next()

    def __aiter__(self) -> OpenedPieces:
        return self

    async def __anext__(self) -> Buffer:
        while not self._ready:
            if not await self._open_next():
                raise StopAsyncIteration
        return self._ready.pop(0)

    def _cut(self) -> Iterator[tuple[PartRead, Cipher, range]]:
        for read in self._reads:
            cipher = self._cipher_of(read.index)
            for first in read.numbers[::BATCH_SEGMENTS]:
                stop = min(first + BATCH_SEGMENTS, read.numbers.stop)
                yield read, cipher, range(first, stop)

    async def _open_next(self) -> bool:
        """Decrypt the next batch into `_ready`; False if there is none."""
        batch = next(self._batches, None)
        if batch is None:
            if self._buffer is not None:
                self._pool.give(self._buffer)
                self._buffer = None
            return False
        read, cipher, numbers = batch
        length = read.segments.sealed_span(numbers).length
        if self._buffer is None or len(self._buffer) < length:
            self._buffer = self._pool.take(length)
        sealed = self._buffer[:length]
        if await _fill(self._source, sealed) < length:
            raise SealBroken("there are fewer bytes than were stored")
        last = numbers.stop == read.segments.count
        opened = await _off_the_loop(length, lambda: cipher.open(numbers.start, sealed, last=last))
        begin = numbers.start * read.segments.segment_size_bytes
        for piece in opened:
            low, high = max(read.plain.start - begin, 0), min(read.plain.stop - begin, len(piece))
            if low < high:
                self._ready.append(memoryview(piece)[low:high])
            begin += len(piece)
        return True


async def _fill(source: StreamSource, view: memoryview) -> int:
    filled = 0
    while filled < len(view) and (length := await source.read_into(view[filled:])):
        filled += length
    return filled


async def _off_the_loop(size_bytes: int, work: Callable[[], T]) -> T:
    if size_bytes < CRYPTO_OFFLOAD_MIN_BYTES:
        return work()
    return await trio.to_thread.run_sync(work)
