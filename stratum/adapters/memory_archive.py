"""A copy of the journal in memory."""

from __future__ import annotations

from collections.abc import Sequence

import trio


class MemoryArchive:
    """Implements EventArchive."""

    def __init__(self, place: str = "memory") -> None:
        self._place = place
        self._files: dict[str, bytes] = {}

    def describe(self) -> str:
        return self._place

    async def names(self) -> Sequence[str]:
        await trio.lowlevel.checkpoint()
        return sorted(self._files)

    async def read(self, name: str) -> bytes:
        await trio.lowlevel.checkpoint()
        return self._files.get(name, b"")

    async def write_at(self, name: str, offset: int, data: bytes) -> None:
        await trio.lowlevel.checkpoint()
        kept = self._files.get(name, b"")
        assert offset <= len(kept), "a file has no holes"
        self._files[name] = kept[:offset] + data
