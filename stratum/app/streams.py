"""Streams of pieces: what is in memory, what is still to come, and parts of it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Sequence

from stratum.ports import Buffer


class Pieces:
    """What is in memory already, as a stream that needs no closing."""

    def __init__(self, pieces: Iterator[Buffer]) -> None:
        self._pieces = pieces

    def __aiter__(self) -> AsyncIterator[Buffer]:
        return self

    async def __anext__(self) -> Buffer:
        try:
            return next(self._pieces)
        except StopIteration:
            raise StopAsyncIteration from None


async def resumed(
    first: Buffer | None, rest: AsyncIterator[Buffer]
) -> AsyncGenerator[Buffer, None]:
    """A piece that was taken from a stream, and then the rest of it."""
    if first is not None:
        yield first
    async for piece in rest:
        yield piece


async def nothing() -> AsyncIterator[Buffer]:
    """A stream without a piece."""
    no_pieces: tuple[Buffer, ...] = ()
    for piece in no_pieces:
        yield piece


def cut(pieces: Sequence[memoryview], start: int, stop: int) -> Iterator[memoryview]:
    """The bytes [start, stop) of the concatenated pieces."""
    begin = 0
    for piece in pieces:
        end = begin + len(piece)
        low, high = max(start, begin), min(stop, end)
        if low < high:
            yield piece[low - begin : high - begin]
        begin = end
