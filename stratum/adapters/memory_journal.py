"""The journal in memory: the same rows, chain and catalog answers, without a disk or a thread.

Decisions are carried out in the caller's task, so a simulation is deterministic under Trio's
virtual clock. It keeps nothing across a restart except what is handed on with `reopened`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import trio

from stratum.adapters.chain import GENESIS, Link, chain_events
from stratum.adapters.event_codec import decode_event
from stratum.adapters.memory_catalog import MemoryCatalog
from stratum.domain.catalog import Catalog
from stratum.domain.errors import Conflict, JournalCorrupt
from stratum.domain.event_archive import ArchivedRow
from stratum.domain.events import Event, Recorded
from stratum.domain.hash_chain import link
from stratum.ports import Decide, Head, NowMs

T = TypeVar("T")

Row = tuple[str, int, str, bytes, bytes]
"""(stream, version, topic, state, digest)"""


class MemoryJournal:
    """Implements Journal."""

    def __init__(self, now_ms: NowMs, rows: Sequence[Row] = ()) -> None:
        self._now_ms = now_ms
        self._rows: list[Row] = []
        self._streams: dict[str, list[Recorded]] = {}
        self._recorded: list[Recorded] = []
        self._catalog = MemoryCatalog()
        self._head = GENESIS
        for stream, version, topic, state, digest in rows:
            at_ms, by, event = decode_event(topic, state)
            recorded = Recorded(self._head.seq + 1, stream, version, at_ms, by, event)
            self._append(recorded, state, digest)

    def reopened(self, now_ms: NowMs | None = None) -> MemoryJournal:
        """What a new process would make of this journal's rows."""
        return MemoryJournal(now_ms or self._now_ms, self._rows)

    @property
    def catalog(self) -> Catalog:
        return self._catalog

    async def transact(self, decide: Decide, *, by: str) -> Sequence[Recorded]:
        await trio.lowlevel.checkpoint()  # a cancelled caller is told so before, never after
        at_ms = max(self._now_ms(), self._head.at_ms)
        # All that can fail comes first: nothing is appended unless everything is.
        links = self._link(decide(self._catalog), at_ms, by)
        for each in links:
            self._append(*each)
        return [each.recorded for each in links]

    async def query(self, question: Callable[[Catalog], T]) -> T:
        await trio.lowlevel.checkpoint()
        return question(self._catalog)

    async def read(self, after_seq: int = 0, limit: int = 1000) -> Sequence[Recorded]:
        await trio.lowlevel.checkpoint()
        return self._recorded[after_seq : after_seq + limit]

    async def rows(self, after_seq: int, limit: int) -> Sequence[ArchivedRow]:
        await trio.lowlevel.checkpoint()
        wanted = self._rows[after_seq : after_seq + limit]
        return [ArchivedRow(seq, *row) for seq, row in enumerate(wanted, after_seq + 1)]

    async def history(self, stream: str) -> Sequence[Recorded]:
        await trio.lowlevel.checkpoint()
        return list(self._streams.get(stream, ()))

    async def head(self) -> Head:
        await trio.lowlevel.checkpoint()
        return self._head

    async def check_chain(self) -> Head:
        await trio.lowlevel.checkpoint()
        digest = GENESIS.digest
        for seq, (stream, version, topic, state, stored) in enumerate(self._rows, 1):
            digest = link(digest, stream, version, topic, state)
            if digest != stored:
                raise JournalCorrupt(f"Event {seq} does not have the hash it was stored with")
        return self._head

    def _link(self, events: Sequence[Event], at_ms: int, by: str) -> list[Link]:
        links = chain_events(events, self._head, at_ms, by, self._last_version)
        taken: set[tuple[str, int]] = set()
        for recorded, _, _ in links:
            stream, version = recorded.stream, recorded.version
            if version <= self._last_version(stream) or (stream, version) in taken:
                raise Conflict(f"The stream {stream} has an event {version} already")
            taken.add((stream, version))
        return links

    def _last_version(self, stream: str) -> int:
        return len(self._streams.get(stream, ()))

    def _append(self, recorded: Recorded, state: bytes, digest: bytes) -> None:
        row = (recorded.stream, recorded.version, recorded.event.TOPIC, state, digest)
        self._rows.append(row)
        self._recorded.append(recorded)
        self._streams.setdefault(recorded.stream, []).append(recorded)
        self._head = Head(recorded.seq, digest, recorded.at_ms)
        self._catalog.apply(recorded)
