"""All open HTTP/1.1 connections of one server: their number, their time-outs, their farewell."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

import trio

from stratum.adapters.web.limits import ConnectionLimits
from stratum.adapters.web.transport import SocketTransport

# Time-outs fire at most this much late: the price of no cancel scope per request.
REAP_INTERVAL_S = 1.0
# Connections beyond the limit that are being told so; more are dropped without a word.
REFUSALS_AT_ONCE = 64


class ConnectionPool:
    """Counts connections, ends those that exceed a time-out, and drains at shutdown.

    One `supervise()` must run as long as connections do: without it nothing times out.
    """

    def __init__(self, limits: ConnectionLimits) -> None:
        self.limits = limits
        self._transports: set[SocketTransport] = set()
        self._refused_count = 0
        self._draining = False

    def __len__(self) -> int:
        """Open connections, those that are only being refused not counted."""
        return len(self._transports) - self._refused_count

    @property
    def is_full(self) -> bool:
        return len(self) >= self.limits.connections

    @property
    def is_overrun(self) -> bool:
        """So full that even saying so costs too much."""
        return self._refused_count >= REFUSALS_AT_ONCE

    def is_draining(self) -> bool:
        return self._draining

    @contextmanager
    def holding(self, transport: SocketTransport, *, is_refused: bool) -> Iterator[None]:
        """Watch over `transport` while the block runs; closes it at the end."""
        self._transports.add(transport)
        self._refused_count += is_refused
        try:
            yield
        finally:
            self._transports.discard(transport)
            self._refused_count -= is_refused
            transport.close()

    def drain(self) -> None:
        """Close idle connections now and the others after their response.

        A request that has already arrived on an idle connection is still answered.
        """
        self._draining = True
        for transport in self._transports:
            if transport.idle:
                transport.end_idling()

    async def supervise(self, until: Callable[[], Awaitable[object]]) -> None:
        """End overdue waits until cancelled; drain as soon as `until()` returns."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._reap)
            await until()
            self.drain()

    async def _reap(self) -> None:
        while True:
            await trio.sleep(REAP_INTERVAL_S)
            now = trio.current_time()
            for transport in self._transports:
                transport.expire(now)
