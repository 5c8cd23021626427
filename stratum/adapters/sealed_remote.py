"""A remote store that sees nothing: encrypts what is put into another one, decrypts what is read.

Sizes and offsets of the caller are those of the plaintext. What is not what was stored under its
name is RemoteFailed, and no byte of it is returned.
"""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, aclosing, asynccontextmanager, contextmanager
from typing import TypeVar

import trio

from stratum.adapters.master_keys import Keyring, RandomBytes
from stratum.adapters.pieces import Pieces
from stratum.adapters.sealed_format import (
    HEADER_BYTES,
    MAGIC,
    SEGMENT_SIZE_BYTES,
    Layout,
    Seal,
    new_seal,
    open_header,
)
from stratum.domain.errors import RemoteFailed, SealBroken
from stratum.domain.ranges import Span
from stratum.ports import Buffer, RemoteStore

BATCH_BYTES = 512 * 1024
"""Plaintext encrypted or decrypted at once; a put and a read have one batch in memory each."""
THREAD_MIN_BYTES = 256 * 1024
"""From here on a thread is worth its hop: AES-GCM does some 4 GB/s, without the GIL."""
CRYPTO_THREADS = 4
HEADERS_KNOWN_MAX = 10_000
"""Headers kept, some 300 bytes each, so that a range of a known object is one request."""

Piece = TypeVar("Piece", bytes, bytearray)


class SealedRemote:
    """A RemoteStore over another one.

    With `sealing` off, what is put is not encrypted; sealed objects are still read. Objects that
    are not sealed are read if they begin with `plain_magic`, and refused if that is None: a remote
    could otherwise pass off one of its own making for one of ours.
    """

    def __init__(
        self,
        inner: RemoteStore,
        keys: Keyring,
        *,
        sealing: bool = True,
        plain_magic: bytes | None = None,
        random_bytes: RandomBytes = os.urandom,
        segment_size_bytes: int = SEGMENT_SIZE_BYTES,
        thread_min_bytes: int = THREAD_MIN_BYTES,
    ) -> None:
        assert sealing or plain_magic, "what is put can be read"
        self._inner = inner
        self._keys = keys
        self._sealing = sealing
        self._plain_magic = plain_magic
        self._random_bytes = random_bytes
        self._segment_size_bytes = segment_size_bytes
        self._thread_min_bytes = thread_min_bytes
        self._threads = trio.CapacityLimiter(CRYPTO_THREADS)
        self._known: OrderedDict[str, Seal | None] = OrderedDict()
        """Seals of objects by name, the one used last at the end; None of those not sealed."""

    def describe(self) -> str:
        if not self._sealing:
            return self._inner.describe()
        key = self._keys.newest
        said = f"encrypted with key {key.short_id}" if key else "its master key is missing"
        return f"{self._inner.describe()} ({said})"

    # -- writing --------------------------------------------------------------------------------
    async def put(self, name: str, size_bytes: int, body: AsyncIterator[Buffer]) -> None:
        """Raises RemoteFailed also without a master key, or if `body` has another length."""
        self._known.pop(name, None)
        if not self._sealing:
            await self._inner.put(name, size_bytes, body)
            return
        layout = Layout(size_bytes, self._segment_size_bytes)
        with self._explained(name):
            seal, header = new_seal(name, layout, self._keys, self._random_bytes)
        async with aclosing(self._sealed(name, seal, header, Pieces(body))) as sealed:
            await self._inner.put(name, layout.sealed_size_bytes, sealed)
        self._remember(name, seal)

    async def _sealed(
        self, name: str, seal: Seal, header: bytes, body: Pieces
    ) -> AsyncGenerator[Buffer, None]:
        """The sealed object. The last segment comes only when the body is known to be whole."""
        size = seal.layout.size_bytes
        yield header
        per_batch = self._per_batch(seal.layout)
        plaintext = memoryview(bytearray(min(size, per_batch * seal.layout.segment_size_bytes)))
        for first in range(0, seal.layout.segments.count, per_batch):
            start = first * seal.layout.segment_size_bytes
            batch = plaintext[: size - start]
            length = await body.fill(batch)
            is_last = start + length == size
            if length < len(batch) or (is_last and not await body.at_end()):
                raise RemoteFailed(f"{self.describe()}: {name}: the bytes to put are not {size}")
            for segment in await self._off_the_loop(seal.close, first, batch):
                yield segment

    async def delete(self, name: str) -> None:
        self._known.pop(name, None)
        await self._inner.delete(name)

    # -- reading --------------------------------------------------------------------------------
    @asynccontextmanager
    async def read(self, name: str, start: int, stop: int) -> AsyncIterator[AsyncIterator[Buffer]]:
        """Entering decrypts the first segments, so that what is wrong with them is known before
        the first piece."""
        async with aclosing(_Download(self._inner, name)) as download:
            pieces = self._plaintext(name, Span(start, stop), download)
            async with aclosing(pieces):
                first = await anext(pieces, None)
                resumed = _resumed(first, pieces)
                async with aclosing(resumed):
                    yield resumed

    async def _plaintext(
        self, name: str, wanted: Span, download: _Download
    ) -> AsyncGenerator[Buffer, None]:
        if wanted.start == wanted.stop:
            return
        seal = await self._seal_for(name, download, wanted)
        if seal is None:
            await download.go(wanted)
            async for piece in download.pieces():
                yield piece
            return
        layout = seal.layout
        if not 0 <= wanted.start < wanted.stop <= layout.size_bytes:
            raise RemoteFailed(f"{self.describe()}: {name}: InvalidRange")
        numbers = layout.segments.holding(wanted)
        per_batch = self._per_batch(layout)
        await download.go(layout.sealed_span(numbers))
        buffer = memoryview(bytearray(layout.sealed_span(numbers[:per_batch]).length))
        for first in numbers[::per_batch]:
            batch = range(first, min(first + per_batch, numbers.stop))
            sealed = buffer[: layout.sealed_span(batch).length]
            await download.fill(sealed)
            with self._explained(name):
                opened = await self._off_the_loop(seal.open, first, sealed)
            begin = first * layout.segment_size_bytes
            for piece in opened:
                low, high = max(wanted.start - begin, 0), min(wanted.stop - begin, len(piece))
                yield piece if high - low == len(piece) else memoryview(piece)[low:high]
                begin += len(piece)

    async def _seal_for(
        self, name: str, download: _Download, wanted: Span | None = None
    ) -> Seal | None:
        """The seal of an object, None if it is not sealed. Asks the remote unless it is known.

        Near the beginning the header comes with the bytes that are wanted anyway, in one request,
        so that reading a whole object is one. An object that is not sealed, or in larger segments,
        may be shorter than that asks for: then the header is asked for alone.
        """
        if name in self._known:
            self._known.move_to_end(name)
            return self._known[name]
        header = memoryview(bytearray(HEADER_BYTES))
        if wanted is not None and wanted.start < self._segment_size_bytes:
            sealed = Layout(wanted.stop, self._segment_size_bytes).sealed_size_bytes
            likely = sealed if self._sealing else max(wanted.stop, HEADER_BYTES)
            try:
                await download.go(Span(0, likely))
                await download.fill(header)
            except RemoteFailed:
                pass
            else:
                return self._seal_of(name, bytes(header))
        await download.go(Span(0, HEADER_BYTES))
        await download.fill(header)
        return self._seal_of(name, bytes(header))

    def _seal_of(self, name: str, header: bytes) -> Seal | None:
        with self._explained(name):
            if self._plain_magic is not None and header.startswith(self._plain_magic):
                seal = None
            elif header.startswith(MAGIC):
                seal = open_header(name, header, self._keys)
            else:
                raise SealBroken("this is not a sealed object")
        self._remember(name, seal)
        return seal

    async def size(self, name: str) -> int | None:
        """The plaintext's size, more or less by as much as the sealed object is too long or too
        short. Raises RemoteFailed also if its header can't be opened."""
        held = await self._inner.size(name)
        if held is None or held < HEADER_BYTES:
            return held
        async with aclosing(_Download(self._inner, name)) as download:
            seal = await self._seal_for(name, download)
        if seal is None:
            return held
        return max(0, seal.layout.size_bytes + held - seal.layout.sealed_size_bytes)

    def names(self) -> AsyncIterator[str]:
        return self._inner.names()

    # -- inside ---------------------------------------------------------------------------------
    def _per_batch(self, layout: Layout) -> int:
        """How many segments are encrypted or decrypted at once."""
        return max(1, BATCH_BYTES // layout.segment_size_bytes)

    async def _off_the_loop(
        self, crypt: Callable[[int, memoryview], list[Piece]], first: int, data: memoryview
    ) -> list[Piece]:
        if len(data) < self._thread_min_bytes:
            return crypt(first, data)
        return await trio.to_thread.run_sync(crypt, first, data, limiter=self._threads)

    def _remember(self, name: str, seal: Seal | None) -> None:
        self._known[name] = seal
        self._known.move_to_end(name)
        if len(self._known) > HEADERS_KNOWN_MAX:
            self._known.popitem(last=False)

    @contextmanager
    def _explained(self, name: str) -> Iterator[None]:
        try:
            yield
        except SealBroken as error:
            self._known.pop(name, None)
            raise RemoteFailed(f"{self._inner.describe()}: {name}: {error}") from error


class _Download:
    """Bytes of one object in order. Raises RemoteFailed."""

    def __init__(self, remote: RemoteStore, name: str) -> None:
        self._remote = remote
        self._name = name
        self._request = AsyncExitStack()
        self._body: Pieces | None = None
        self._coming = Span(0, 0)
        """What the request under way has still to bring."""
        self._stop = 0

    async def go(self, wanted: Span) -> None:
        """What is taken next are the bytes of `wanted`. A request under way that leads there is
        used, and followed by another one if it does not bring all of them."""
        self._stop = wanted.stop
        if not self._coming.start <= wanted.start < self._coming.stop:
            await self._ask(wanted)
        while self._coming.start < wanted.start:
            await self._take(wanted.start - self._coming.start)

    async def fill(self, buffer: memoryview) -> None:
        """Fill the whole buffer."""
        done = 0
        while done < len(buffer):
            taken = await self._take(len(buffer) - done)
            buffer[done : done + len(taken)] = taken
            done += len(taken)

    async def pieces(self) -> AsyncGenerator[Buffer, None]:
        """The rest of what is wanted, as it comes."""
        while self._coming.start < self._stop:
            yield await self._take(self._stop - self._coming.start)

    async def aclose(self) -> None:
        await self._request.aclose()

    async def _take(self, length_max: int) -> memoryview:
        if not self._coming.length:
            await self._ask(Span(self._coming.stop, self._stop))
        assert self._body is not None, "a request is under way"
        taken = await self._body.take(min(length_max, self._coming.length))
        if not len(taken):
            raise RemoteFailed(f"{self._remote.describe()}: {self._name}: fewer bytes than asked")
        self._coming = Span(self._coming.start + len(taken), self._coming.stop)
        return taken

    async def _ask(self, wanted: Span) -> None:
        await self._request.aclose()
        self._coming = Span(wanted.start, wanted.start)
        request = self._remote.read(self._name, wanted.start, wanted.stop)
        self._body = Pieces(await self._request.enter_async_context(request))
        self._coming = wanted


async def _resumed(
    first: Buffer | None, rest: AsyncIterator[Buffer]
) -> AsyncGenerator[Buffer, None]:
    if first is not None:
        yield first
    async for piece in rest:
        yield piece
