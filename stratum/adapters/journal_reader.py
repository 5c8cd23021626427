"""Reading a SQLite journal: beside a running server, and under one.

Readers see whole transactions only. Point look-ups run inline on one connection (a thread hop
costs four times as much); everything longer runs in a thread on a small pool of connections, each
question in one read transaction.
"""

from __future__ import annotations

import itertools
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, closing, contextmanager
from functools import partial
from pathlib import Path
from typing import TypeVar

import trio
from eventsourcing.persistence import PersistenceError

from stratum.adapters.catalog import SqliteCatalog
from stratum.adapters.rebuild import (
    Difference,
    Progress,
    build_catalog,
    catalog_is_current,
    differences,
)
from stratum.adapters.recorder import JournalRecorder, read_head, to_recorded, verify_chain
from stratum.adapters.sqlite_connection import JournalDatastore, connect, meaning_of
from stratum.domain.catalog import Catalog
from stratum.domain.errors import Unavailable
from stratum.domain.event_archive import ArchivedRow
from stratum.domain.events import Recorded
from stratum.ports import Decide, Head

T = TypeVar("T")

ROWS_SIZE_MAX_BYTES = 4 << 20
"""States in one answer of `rows`, but for the last of them."""
QUERIES_MAX = 4
"""Questions answered at the same time, each on its own connection and thread."""


class JournalReader:
    """Implements Journal except that `transact` is refused."""

    caching = False
    """Whether what changes buckets is known here: beside a server it is not."""

    def __init__(self, inline: sqlite3.Connection, datastore: JournalDatastore) -> None:
        self._catalog = SqliteCatalog(inline, caching=self.caching)
        self._datastore = datastore
        self._recorder = JournalRecorder(datastore)
        self._limiter = trio.CapacityLimiter(QUERIES_MAX)

    @property
    def catalog(self) -> Catalog:
        """Answers on the newest committed state; only for the thread that opened the journal."""
        return self._catalog

    async def transact(self, decide: Decide, *, by: str) -> Sequence[Recorded]:
        raise Unavailable("The journal is open for reading only")

    async def query(self, question: Callable[[Catalog], T]) -> T:
        return await self._in_snapshot(lambda connection: question(SqliteCatalog(connection)))

    async def read(self, after_seq: int = 0, limit: int = 1000) -> Sequence[Recorded]:
        return await self._in_thread(partial(self._select, after_seq, limit))

    async def rows(self, after_seq: int, limit: int) -> Sequence[ArchivedRow]:
        return await self._in_snapshot(partial(_rows, after_seq=after_seq, limit=limit))

    async def history(self, stream: str) -> Sequence[Recorded]:
        return await self._in_snapshot(partial(_history, stream=stream))

    async def head(self) -> Head:
        return await self._in_snapshot(_head)

    async def check_chain(self) -> Head:
        return await self._in_snapshot(verify_chain)

    async def seq_at(self, at_ms: int) -> int:
        """Number of the last event not after a time (Unix ms); 0 if all are later."""
        return await self._in_snapshot(partial(_seq_at, at_ms=at_ms))

    async def rebuild(
        self, path: Path, until_seq: int | None = None, progress: Progress | None = None
    ) -> Head:
        """Write the catalog as of event `until_seq` (by default of now) to a new file; read it
        with `rebuild.opened_catalog`. `progress` is called in another thread.

        Returns the head at that event. Raises InvalidArgument if the file exists.
        """

        def build(connection: sqlite3.Connection) -> Head:
            head = _head_at(connection, until_seq)
            build_catalog(connection, path, head.seq, progress)
            return head

        return await self._in_snapshot(build)

    async def compare(self, scratch: Path, limit: int = 100) -> Sequence[Difference]:
        """Rebuild the catalog in a new file `scratch`, which is left there, and compare the live
        one with it, on one consistent view. Returns the first `limit` rows that differ."""

        def rebuild_and_compare(connection: sqlite3.Connection) -> Sequence[Difference]:
            build_catalog(connection, scratch, _head(connection).seq)
            rebuilt = connect(scratch, read_only=True)
            try:
                with closing(differences(connection, rebuilt)) as found:
                    return list(itertools.islice(found, limit))
            finally:
                rebuilt.close()

        return await self._in_snapshot(rebuild_and_compare)

    def _select(self, after_seq: int, limit: int) -> Sequence[Recorded]:
        return [
            to_recorded(n.id, str(n.originator_id), n.originator_version, n.topic, n.state)
            for n in self._recorder.select_notifications(after_seq, limit, inclusive_of_start=False)
        ]

    async def _in_snapshot(self, ask: Callable[[sqlite3.Connection], T]) -> T:
        return await self._in_thread(partial(self._ask, ask))

    def _ask(self, ask: Callable[[sqlite3.Connection], T]) -> T:
        with (
            self._datastore.connection() as pooled,
            pooled.transaction(commit=False),
        ):
            return ask(pooled.raw)

    async def _in_thread(self, work: Callable[[], T]) -> T:
        try:
            return await trio.to_thread.run_sync(work, limiter=self._limiter)
        except (PersistenceError, sqlite3.Error) as error:
            raise meaning_of(error) from error


@contextmanager
def reading_connections(path: Path) -> Iterator[tuple[sqlite3.Connection, JournalDatastore]]:
    """What a JournalReader works with, closed at the end. Raises Unavailable, JournalCorrupt."""
    try:
        inline = connect(path, read_only=True)
    except sqlite3.Error as error:
        raise Unavailable(f"The journal {path} cannot be opened: {error}") from error
    datastore = JournalDatastore(path, read_only=True, size=QUERIES_MAX)
    try:
        yield inline, datastore
    finally:
        datastore.close()
        inline.close()


@asynccontextmanager
async def open_journal_readonly(path: Path) -> AsyncIterator[JournalReader]:
    """Open a journal for reading, whether or not a server has it open.

    Raises Unavailable if there is none, or if its catalog needs a server of this version to be
    started first; JournalCorrupt if the file is damaged.
    """
    with reading_connections(path) as (inline, datastore):
        try:
            current = catalog_is_current(inline)
        except sqlite3.Error as error:
            raise meaning_of(error) from error
        if not current:
            raise Unavailable(
                f"The catalog in {path} was made by another version of Stratum; start the server"
                " once to bring it up to date"
            )
        yield JournalReader(inline, datastore)


def _head(connection: sqlite3.Connection) -> Head:
    return read_head(connection.cursor())


def _head_at(connection: sqlite3.Connection, until_seq: int | None) -> Head:
    head = _head(connection)
    if until_seq is None or until_seq >= head.seq:
        return head
    for topic, state, digest in connection.execute(
        "SELECT topic, state, hash FROM stored_events WHERE rowid=?", (until_seq,)
    ).fetchall():
        at_ms = to_recorded(until_seq, "", 0, topic, state).at_ms
        return Head(until_seq, bytes(digest), at_ms)
    return Head(0, bytes(32))


def _rows(connection: sqlite3.Connection, after_seq: int, limit: int) -> Sequence[ArchivedRow]:
    cursor = connection.cursor()
    cursor.row_factory = None
    rows: list[ArchivedRow] = []
    size_bytes = 0
    with closing(cursor):
        for row in cursor.execute(
            "SELECT rowid, originator_id, originator_version, topic, state, hash FROM stored_events"
            " WHERE rowid>? ORDER BY rowid LIMIT ?",
            (after_seq, limit),
        ):
            rows.append(ArchivedRow(*row))
            size_bytes += len(rows[-1].state)
            if size_bytes >= ROWS_SIZE_MAX_BYTES:
                break
    return rows


def _history(connection: sqlite3.Connection, stream: str) -> Sequence[Recorded]:
    rows = connection.execute(
        "SELECT rowid, originator_id, originator_version, topic, state FROM stored_events"
        " WHERE originator_id=? ORDER BY originator_version",
        (stream,),
    ).fetchall()
    return [to_recorded(*row) for row in rows]


def _seq_at(connection: sqlite3.Connection, at_ms: int) -> int:
    # Times never go back along the journal, so the event is found by bisection.
    low, high = 0, _head(connection).seq
    while low < high:
        middle = (low + high + 1) // 2
        ((topic, state),) = connection.execute(
            "SELECT topic, state FROM stored_events WHERE rowid=?", (middle,)
        ).fetchall()
        if to_recorded(middle, "", 0, topic, state).at_ms <= at_ms:
            low = middle
        else:
            high = middle - 1
    return low
