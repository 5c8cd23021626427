"""One transaction for many decisions: what the journal's single writer does with a batch."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
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
    """Appends batches. Made, used and closed by one thread at a time."""

    def __init__(self, datastore: JournalDatastore, now_ms: NowMs) -> None:
        self._datastore = datastore
        self._recorder = JournalRecorder(datastore)
        self._now_ms = now_ms
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

    def run(self, requests: Sequence[Request]) -> int:
        """Answer the first requests, as many as fit in one transaction; returns how many.

        Each has its savepoint, so a refusal undoes only its own. All see what those before them
        did; if the transaction can't be committed, all of them fail.
        """
        answered = 0
        try:
            with self._datastore.transaction(commit=True) as cursor:
                raw = cursor.sqlite_cursor
                catalog = SqliteCatalog(raw.connection)
                before = head = read_head(raw)
                size_bytes = 0
                for request in requests:
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
            if head.seq > before.seq:
                self.transactions += 1
        except (PersistenceError, sqlite3.Error) as error:
            answered = max(answered, 1)
            for request in requests[:answered]:
                failure = meaning_of(error)
                failure.__cause__ = error
                request.fail(failure)
        return answered

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
            request.fail(error)
            return head, 0
        if not events:
            return head, 0
        cursor.execute("SAVEPOINT decision")
        try:
            after, recorded, size_bytes = self._append(cursor, events, request.by, head)
        except Exception as error:
            connection = cursor.sqlite_cursor.connection
            if not connection.in_transaction:
                raise  # SQLite has rolled back everything: disk full, I/O error
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
