"""A remote store that counts what costs money: requests that write, that read, and bytes read."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from typing import Protocol

from stratum.adapters.remote_s3 import MULTIPART_THRESHOLD_BYTES, PART_SIZE_BYTES
from stratum.ports import Buffer, RemoteStore

NAMES_PER_REQUEST = 1000


class Meter(Protocol):
    def put(self, requests: int = 1) -> None: ...

    def get(self) -> None: ...

    def received(self, size_bytes: int) -> None: ...


class MeteredRemote:
    """A RemoteStore over another one. Deletions are free of charge with all providers we know;
    requests that were repeated count once."""

    def __init__(self, inner: RemoteStore, meter: Meter) -> None:
        self._inner = inner
        self._meter = meter

    def describe(self) -> str:
        return self._inner.describe()

    async def put(self, name: str, size_bytes: int, body: AsyncIterator[Buffer]) -> None:
        in_parts = size_bytes > MULTIPART_THRESHOLD_BYTES
        self._meter.put(2 - (-size_bytes // PART_SIZE_BYTES) if in_parts else 1)
        await self._inner.put(name, size_bytes, body)

    @asynccontextmanager
    async def read(self, name: str, start: int, stop: int) -> AsyncIterator[AsyncIterator[Buffer]]:
        self._meter.get()
        async with (
            self._inner.read(name, start, stop) as pieces,
            aclosing(self._counted(pieces)) as counted,
        ):
            yield counted

    async def size(self, name: str) -> int | None:
        self._meter.get()
        return await self._inner.size(name)

    async def delete(self, name: str) -> None:
        await self._inner.delete(name)

    async def names(self) -> AsyncIterator[str]:
        number = 0
        async for name in self._inner.names():
            if number % NAMES_PER_REQUEST == 0:
                self._meter.get()
            number += 1
            yield name

    async def _counted(self, pieces: AsyncIterator[Buffer]) -> AsyncGenerator[Buffer, None]:
        async for piece in pieces:
            self._meter.received(len(piece))
            yield piece
