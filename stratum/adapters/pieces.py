"""Bytes that come in pieces of any size, taken in lengths of one's own."""

from __future__ import annotations

from collections.abc import AsyncIterator

from stratum.ports import Buffer


class Pieces:
    """Cuts the pieces of a source anew. Raises what the source raises."""

    def __init__(self, source: AsyncIterator[Buffer]) -> None:
        self._source = source
        self._left = memoryview(b"")

    async def fill(self, buffer: memoryview) -> int:
        """Fill `buffer`, fewer bytes of it only at the end of the source; return how many."""
        done = 0
        while done < len(buffer):
            taken = await self.take(len(buffer) - done)
            if not len(taken):
                break
            buffer[done : done + len(taken)] = taken
            done += len(taken)
        return done

    async def take(self, length_max: int) -> memoryview:
        """What is there of the next `length_max` bytes, without a copy; empty only at the end."""
        if await self.at_end():
            return self._left
        taken, self._left = self._left[:length_max], self._left[length_max:]
        return taken

    async def at_end(self) -> bool:
        """Whether there is nothing more; asks the source if need be."""
        while not len(self._left):
            piece = await anext(self._source, None)
            if piece is None:
                return True
            self._left = memoryview(piece).cast("B")
        return False
