"""The event table: `eventsourcing`'s SQLite recorder, append-only and with a hash in each row."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any

from eventsourcing.persistence import IntegrityError, StoredEvent
from eventsourcing.sqlite import SQLiteApplicationRecorder, SQLiteCursor

from stratum.adapters.catalog_schema import SCHEMA
from stratum.adapters.chain import GENESIS
from stratum.adapters.event_codec import decode_event
from stratum.domain.errors import JournalCorrupt
from stratum.domain.events import Recorded
from stratum.domain.hash_chain import link
from stratum.ports import Head

# The library reads the position as `rowid`; AUTOINCREMENT keeps SQLite from reusing one.
EVENTS_SCHEMA = (
    """CREATE TABLE IF NOT EXISTS stored_events(
        rowid INTEGER PRIMARY KEY AUTOINCREMENT, originator_id TEXT NOT NULL,
        originator_version INTEGER NOT NULL, topic TEXT NOT NULL, state BLOB NOT NULL,
        hash BLOB NOT NULL, UNIQUE(originator_id, originator_version))""",
    """CREATE TRIGGER IF NOT EXISTS events_are_not_altered BEFORE UPDATE ON stored_events
        BEGIN SELECT RAISE(ABORT, 'the journal is append-only'); END""",
    """CREATE TRIGGER IF NOT EXISTS events_are_not_deleted BEFORE DELETE ON stored_events
        BEGIN SELECT RAISE(ABORT, 'the journal is append-only'); END""",
    """CREATE TABLE IF NOT EXISTS applied(
        one INTEGER PRIMARY KEY CHECK(one=1), seq INTEGER NOT NULL, digest BLOB NOT NULL,
        at_ms INTEGER NOT NULL)""",
    "INSERT OR IGNORE INTO applied VALUES (1, 0, zeroblob(32), 0)",
)


class JournalRecorder(SQLiteApplicationRecorder):
    """Stores events with the digests given to it; reads are the library's."""

    def construct_create_table_statements(self) -> list[str]:
        return [*EVENTS_SCHEMA, *SCHEMA]

    def _insert_events(
        self,
        c: SQLiteCursor,
        stored_events: Sequence[StoredEvent],
        *,
        after_seq: int = -1,
        digests: Sequence[bytes] = (),
        **_: Any,
    ) -> Sequence[int]:
        """Append inside the caller's transaction. Raises IntegrityError if a stream has such a
        version already, and ValueError for events that come without their digests."""
        seqs = range(after_seq + 1, after_seq + 1 + len(stored_events))
        rows = [
            (seq, e.originator_id, e.originator_version, e.topic, e.state, digest)
            for seq, e, digest in zip(seqs, stored_events, digests, strict=True)
        ]
        try:
            c.executemany(
                "INSERT INTO stored_events(rowid, originator_id, originator_version, topic, state,"
                " hash) VALUES (?,?,?,?,?,?)",
                rows,
            )
        except sqlite3.IntegrityError as error:
            raise IntegrityError(str(error)) from error
        return seqs


def read_head(cursor: sqlite3.Cursor) -> Head:
    """The journal's end as its last transaction left it."""
    seq, digest, at_ms = cursor.execute("SELECT seq, digest, at_ms FROM applied").fetchone()
    return Head(seq, bytes(digest), at_ms)


def to_recorded(seq: int, stream: str, version: int, topic: str, state: bytes) -> Recorded:
    """Raises JournalCorrupt."""
    at_ms, by, event = decode_event(topic, state)
    return Recorded(seq, stream, version, at_ms, by, event)


def verify_chain(connection: sqlite3.Connection) -> Head:
    """Follow the chain from the first event. `connection` is in a read transaction.

    Raises JournalCorrupt naming the first event that is missing, altered or out of place.
    """
    cursor = connection.cursor()
    cursor.row_factory = None
    head = read_head(cursor)
    seq, digest = GENESIS.seq, GENESIS.digest
    cursor.execute(
        "SELECT rowid, originator_id, originator_version, topic, state, hash FROM stored_events"
        " ORDER BY rowid"
    )
    while (row := _next_row(cursor, seq + 1)) is not None:
        found, stream, version, topic, state, stored = row
        seq += 1
        if found != seq:
            raise JournalCorrupt(f"Event {seq} is missing from the journal; the next is {found}")
        try:
            digest = link(digest, stream, version, topic, state)
        except (TypeError, AttributeError, OverflowError):  # a column of another type
            digest = b""
        if digest != stored:
            raise JournalCorrupt(f"Event {seq} does not have the hash it was stored with")
    if (seq, digest) != (head.seq, head.digest):
        raise JournalCorrupt(f"The journal ends at event {seq}, its catalog at event {head.seq}")
    return head


def _next_row(cursor: sqlite3.Cursor, seq: int) -> tuple[Any, ...] | None:
    try:
        row: tuple[Any, ...] | None = cursor.fetchone()
    except sqlite3.OperationalError as error:
        if hasattr(error, "sqlite_errorcode"):
            raise
        # Not from SQLite but from Python's conversion: a text that is not UTF-8.
        raise JournalCorrupt(f"Event {seq} cannot be read: {error}") from error
    return row
