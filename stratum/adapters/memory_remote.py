"""A remote tier in memory, with the failures of a real one to switch on."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager

import trio

from stratum.domain.errors import RemoteFailed
from stratum.ports import Buffer

PIECE_SIZE_BYTES = 64 * 1024


class MemoryRemote:
    """A RemoteStore in memory. Every operation is a checkpoint."""

    def __init__(self, where: str = "memory") -> None:
        self._where = where
        self._objects: dict[str, bytearray] = {}
        self._failures = 0
        self._lost_answers = 0
        self._truncated_reads: list[int] = []
        self._reason = ""

    # -- the contract ---------------------------------------------------------------------------
    def describe(self) -> str:
        return self._where

    async def put(self, name: str, size_bytes: int, body: AsyncIterator[Buffer]) -> None:
        await self._step()
        data = bytearray()
        async for piece in body:
            data += piece
            if len(data) > size_bytes:
                break
        if len(data) != size_bytes:
            raise RemoteFailed(f"{self._where}: {name}: the bytes are not {size_bytes}")
        self._objects[name] = data
        self._lose_answer()

    @asynccontextmanager
    async def read(self, name: str, start: int, stop: int) -> AsyncIterator[AsyncIterator[Buffer]]:
        await self._step()
        data = self._objects.get(name)
        if data is None:
            raise RemoteFailed(f"{self._where}: {name}: NoSuchKey")
        if not 0 <= start <= stop <= len(data):
            raise RemoteFailed(f"{self._where}: {name}: InvalidRange")
        end = stop
        if self._truncated_reads:
            end = min(stop, start + self._truncated_reads.pop(0))
        pieces = self._pieces(name, bytes(data[start:end]), complete=end == stop)
        try:
            yield pieces
        finally:
            await pieces.aclose()

    async def size(self, name: str) -> int | None:
        await self._step()
        data = self._objects.get(name)
        return None if data is None else len(data)

    async def delete(self, name: str) -> None:
        await self._step()
        self._objects.pop(name, None)
        self._lose_answer()

    async def names(self) -> AsyncIterator[str]:
        await self._step()
        for name in sorted(self._objects):
            yield name

    # -- what can happen to a remote ------------------------------------------------------------
    def fail_next(self, calls: int, reason: str = "ServiceUnavailable") -> None:
        """The next so many calls raise RemoteFailed and have no effect."""
        self._failures = calls
        self._reason = reason

    def lose_next_answers(self, calls: int) -> None:
        """The next so many puts or deletes have their effect and raise RemoteFailed all the same,
        as when the connection breaks before the answer."""
        self._lost_answers = calls

    def truncate_next_read(self, after_bytes: int) -> None:
        """The next read breaks off with RemoteFailed after so many bytes."""
        self._truncated_reads.append(after_bytes)

    def corrupt(self, name: str, offset: int) -> None:
        """Invert the byte at `offset`: reads then return wrong bytes, without an error."""
        self._objects[name][offset] ^= 0xFF

    def lose(self, name: str) -> None:
        """The object is gone, as if somebody else had deleted it."""
        del self._objects[name]

    # -- inside ---------------------------------------------------------------------------------
    async def _step(self) -> None:
        await trio.lowlevel.checkpoint()
        if self._failures:
            self._failures -= 1
            raise RemoteFailed(f"{self._where}: {self._reason}")

    def _lose_answer(self) -> None:
        if self._lost_answers:
            self._lost_answers -= 1
            raise RemoteFailed(f"{self._where}: the answer was lost")

    async def _pieces(
        self, name: str, data: bytes, *, complete: bool
    ) -> AsyncGenerator[Buffer, None]:
        for start in range(0, len(data), PIECE_SIZE_BYTES):
            await trio.lowlevel.checkpoint()
            yield data[start : start + PIECE_SIZE_BYTES]
        if not complete:
            raise RemoteFailed(f"{self._where}: {name}: the connection broke after {len(data)}")
