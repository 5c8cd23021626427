"""Turns of large writes: each holds two stripe buffers while its client sends.

When all turns are taken and others wait, a client that takes longer than SLOW_FILL_S for one stripe
loses its turn: 32 slow ones would otherwise hold up all large uploads for as long as they like.
Nobody waits for ever: a queue that is too long or too slow is refused early.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

import trio

from stratum.domain.errors import TooSlow, Unavailable

SLOW_FILL_S = 20.0
"""So long a client may take for a stripe of 1 MiB while others wait: 52 kB/s."""
WAIT_MAX_S = 30.0
"""So long a large write waits for its turn, then it is refused with SlowDown."""
WAITING_MAX = 256
"""So many wait at once, more are refused at once."""
LOOK_INTERVAL_S = 1.0

T = TypeVar("T")


class Turn:
    """One large write under way. What waits for the client goes through `fill`."""

    def __init__(self) -> None:
        self._scope: trio.CancelScope | None = None
        self.since_s: float | None = None
        """Since when it waits for the client; None while it doesn't."""

    async def fill(self, receive: Callable[[], Awaitable[T]]) -> T:
        """Receive a stripe. Raises TooSlow if it took too long and others waited."""
        self.since_s = trio.current_time()
        try:
            with trio.CancelScope() as self._scope:
                return await receive()
        finally:
            self.since_s = None
        raise TooSlow("The bytes came too slowly while other uploads were waiting")

    def end(self) -> None:
        """Let go of a client that is too slow."""
        assert self._scope is not None, "it is filling"
        self._scope.cancel()
        self.since_s = None


class WriteSlots:
    """At most `turns` large writes at once."""

    def __init__(self, turns: int) -> None:
        self._free = trio.Semaphore(turns)
        self._turns: set[Turn] = set()
        self._waiting = 0

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[Turn]:
        """Raises Unavailable if the queue is too long, or took too long."""
        await self._take()
        turn = Turn()
        self._turns.add(turn)
        try:
            yield turn
        finally:
            self._turns.discard(turn)
            self._free.release()

    async def _take(self) -> None:
        try:
            self._free.acquire_nowait()
            return
        except trio.WouldBlock:
            pass
        if self._waiting >= WAITING_MAX:
            raise Unavailable("Too many large uploads are waiting")
        self._waiting += 1
        try:
            give_up_s = trio.current_time() + WAIT_MAX_S
            while trio.current_time() < give_up_s:
                self._end_a_slow_one()
                with trio.move_on_after(LOOK_INTERVAL_S):
                    await self._free.acquire()
                    return
            raise Unavailable("No turn for a large upload came free")
        finally:
            self._waiting -= 1

    def _end_a_slow_one(self) -> None:
        filling = [
            (turn.since_s, id(turn), turn) for turn in self._turns if turn.since_s is not None
        ]
        if filling:
            since_s, _, turn = min(filling)
            if trio.current_time() - since_s > SLOW_FILL_S:
                turn.end()
