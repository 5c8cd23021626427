"""A copy of the journal in the remote tier: each file is one object, put whole when it grows.

Encrypted like everything there if the remote is (`sealed_remote`).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

from stratum.domain.errors import RemoteFailed
from stratum.domain.event_archive import SEGMENT_SIZE_BYTES
from stratum.ports import Buffer, RemoteStore

FOLDER = "journal/"
PUTS_MAX = 3
"""Attempts at a file that reads back as other bytes than were put."""
OBJECT_SIZE_MAX_BYTES = 16 * SEGMENT_SIZE_BYTES
"""A remote object that says it is longer is not one of ours."""


class RemoteArchive:
    """Implements EventArchive. The file written last is kept in memory, to be put again.

    Objects begin with `magic`, as all of ours do: without encryption nothing else tells that
    they are.
    """

    def __init__(self, remote: RemoteStore, magic: bytes) -> None:
        self._remote = remote
        self._magic = magic
        self._kept: tuple[str, bytes] = ("", b"")

    def describe(self) -> str:
        return f"{self._remote.describe()} {FOLDER}"

    async def names(self) -> Sequence[str]:
        return sorted(
            [
                name.removeprefix(FOLDER)
                async for name in self._remote.names()
                if name.startswith(FOLDER)
            ]
        )

    async def read(self, name: str) -> bytes:
        size = await self._remote.size(FOLDER + name)
        if not size:
            return b""
        if size > OBJECT_SIZE_MAX_BYTES:
            raise RemoteFailed(f"{self.describe()}: {name} has {size} bytes")
        async with self._remote.read(FOLDER + name, 0, size) as pieces:
            whole = b"".join([bytes(piece) async for piece in pieces])
        if not whole.startswith(self._magic):
            raise RemoteFailed(f"{self.describe()}: {name} is not one of ours")
        return whole[len(self._magic) :]

    async def write_at(self, name: str, offset: int, data: bytes) -> None:
        kept_name, kept = self._kept
        if kept_name != name:
            kept = await self.read(name) if offset else b""
        whole = kept[:offset] + data
        self._kept = ("", b"")
        size_bytes = len(self._magic) + len(whole)
        for _ in range(PUTS_MAX):
            await self._remote.put(FOLDER + name, size_bytes, _body(self._magic, whole))
            if await self._reads_back(name, whole):
                self._kept = (name, whole)
                return
        raise RemoteFailed(f"{self.describe()}: {name} reads back as other bytes than were put")

    async def _reads_back(self, name: str, whole: bytes) -> bool:
        """What is put in the place of what was there must be right: nothing else has it."""
        try:
            return await self.read(name) == whole
        except RemoteFailed:
            return False


async def _body(*parts: bytes) -> AsyncIterator[Buffer]:
    for part in parts:
        yield part
