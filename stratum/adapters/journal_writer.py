"""One transaction for many decisions: what the journal's single writer does with a batch."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field

import trio
from eventsourcing.persistence import PersistenceError, StoredEvent
from eventsourcing.sqlite import SQLiteCursor

from stratum.adapters.catalog import SqliteCatalog
from stratum.adapters.chain import chain_events
from stratum.adapters.projection import project
from stratum.adapters.rebuild import catalog_is_current, renew_catalog
from stratum.adapters.recorder import JournalRecorder, read_head
from stratum.adapters.sqlite_connection import JournalDatastore, meaning_of
from stratum.domain.events import Event, Recorded
from stratum.ports import Decide, Head, NowMs

BATCH_SIZE_MAX_BYTES = 4 << 20
"""States appended by one transaction, but for the last decision in it; bounds time and WAL."""

SLICE_LENGTH = 16
"""Decisions carried out before other tasks get their turn: less than a millisecond."""
BUSY_TIMEOUT_S = 10.0
BUSY_RETRY_S = 0.01


@dataclass(eq=False)
class Request:
    """One caller's decision on its way through the writer; `done` is set when it has its answer."""

    decide: Decide
    by: str
    done: trio.Event = field(default_factory=trio.Event)
    recorded: Sequence[Recorded] = ()
    error: Exception | None = None

    def fail(self, error: Exception) -> None:
        self.recorded, self.error = (), error


class JournalWriter:
    """Appends batches; one task uses it.

    Decisions and inserts run on the event loop, in slices; only COMMIT, with its fsync, runs in a
    thread. In a thread each of the fifteen statements of a decision would have to win the GIL
    back from the loop: under a busy loop that was a third slower, and single commits took seconds.
    """

    def __init__(self, datastore: JournalDatastore, now_ms: NowMs) -> None:
        self._datastore = datastore
        self._recorder = JournalRecorder(datastore)
        self._now_ms = now_ms
        self._limiter = trio.CapacityLimiter(1)
        self.transactions = 0
        """Committed with events in them, since opening."""

    def prepare(self) -> None:
        """Make the tables if there are none, and the catalog anew if an older version made it.

        Raises JournalCorrupt, PersistenceError or sqlite3.Error.
        """
        self._recorder.create_table()
        with self._datastore.transaction(commit=True) as cursor:
            raw = cursor.sqlite_cursor
            if not catalog_is_current(raw.connection):
                renew_catalog(raw.connection, read_head(raw).seq)
        with self._datastore.connection(commit=True) as pooled:
            pooled.raw.execute("PRAGMA busy_timeout=0")  # from now on `_begin` waits, on the loop

    async def run(self, requests: Sequence[Request]) -> int:
        """Answer the first requests, as many as fit in one transaction; returns how many.

        Each has its savepoint, so a refusal undoes only its own. All see what those before them
        did; if the transaction can't be committed, all of them fail. Not to be cancelled.
        """
        answered = 0
        try:
            with ExitStack() as stack:
                cursor = await self._begin(stack)
                raw = cursor.sqlite_cursor
                catalog = SqliteCatalog(raw.connection)
                before = head = read_head(raw)
                size_bytes = 0
                for request in requests:
                    if answered % SLICE_LENGTH == SLICE_LENGTH - 1:
                        await trio.lowlevel.cancel_shielded_checkpoint()
                    answered += 1
                    head, added_bytes = self._answer(cursor, catalog, request, head)
                    size_bytes += added_bytes
                    if size_bytes >= BATCH_SIZE_MAX_BYTES:
                        break
                if head.seq > before.seq:
                    cursor.execute(
                        "UPDATE applied SET seq=?, digest=?, at_ms=?",
                        (head.seq, head.digest, head.at_ms),
                    )
                    commit = stack.pop_all().close
                    await trio.to_thread.run_sync(commit, limiter=self._limiter)
                    self.transactions += 1
        except (PersistenceError, sqlite3.Error) as error:
            answered = answered or len(requests)  # not even begun: locked
            for request in requests[:answered]:
                failure = meaning_of(error)
                failure.__cause__ = error
                request.fail(failure)
        return answered

    async def _begin(self, stack: ExitStack) -> SQLiteCursor:
        """Begin a transaction that closing `stack` commits; waits for the lock without blocking."""
        deadline = trio.current_time() + BUSY_TIMEOUT_S
        while True:
            try:
                return stack.enter_context(self._datastore.transaction(commit=True))
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or trio.current_time() > deadline:
                    raise
            await trio.sleep(BUSY_RETRY_S)

    def _answer(
        self, cursor: SQLiteCursor, catalog: SqliteCatalog, request: Request, head: Head
    ) -> tuple[Head, int]:
        """Carry out one decision; returns the new head and how many bytes its events have.

        Raises only what spoils the whole transaction.
        """
        try:
            # A decision only reads; the savepoint is for what follows.
            events = request.decide(catalog)
        except Exception as error:
            _require_transaction(cursor, error)
            request.fail(error)
            return head, 0
        if not events:
            return head, 0
        cursor.execute("SAVEPOINT decision")
        try:
            after, recorded, size_bytes = self._append(cursor, events, request.by, head)
        except Exception as error:
            _require_transaction(cursor, error)
            cursor.execute("ROLLBACK TO decision")
            cursor.execute("RELEASE decision")
            known = isinstance(error, PersistenceError | sqlite3.Error)
            request.fail(meaning_of(error) if known else error)
            return head, 0
        cursor.execute("RELEASE decision")
        request.recorded = recorded
        return after, size_bytes

    def _append(
        self, cursor: SQLiteCursor, events: Sequence[Event], by: str, head: Head
    ) -> tuple[Head, Sequence[Recorded], int]:
        raw = cursor.sqlite_cursor

        def last_version(stream: str) -> int:
            ((version,),) = raw.execute(
                "SELECT coalesce(max(originator_version), 0) FROM stored_events"
                " WHERE originator_id=?",
                (stream,),
            ).fetchall()
            return int(version)

        at_ms = max(self._now_ms(), head.at_ms)
        links = chain_events(events, head, at_ms, by, last_version)
        recorded = [each.recorded for each in links]
        stored = [
            StoredEvent(each.stream, each.version, each.event.TOPIC, state)
            for each, state, _ in links
        ]
        digests = [each.digest for each in links]
        self._recorder._insert_events(cursor, stored, after_seq=head.seq, digests=digests)
        project(raw, recorded)
        size_bytes = sum(len(each.state) for each in links)
        return Head(recorded[-1].seq, digests[-1], at_ms), recorded, size_bytes


def _require_transaction(cursor: SQLiteCursor, error: Exception) -> None:
    """After some errors (disk full, I/O) SQLite has rolled everything back by itself; to go on
    would lose the decisions before without a word."""
    if not cursor.sqlite_cursor.connection.in_transaction:
        raise PersistenceError(str(error)) from error
