"""A journal made from rows that were kept elsewhere.

It is written beside the place of the real one and takes that place when it is whole, so that a
recovery that is interrupted is simply begun again.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import trio

from stratum.adapters.event_codec import decode_event
from stratum.adapters.recorder import EVENTS_SCHEMA
from stratum.adapters.sqlite_connection import connect, meaning_of
from stratum.domain.event_archive import ArchivedRow

UNFINISHED = ".recovering"
SUFFIXES = ("", "-wal", "-shm")
"""Of the files that are a SQLite database in use."""


class RestoredJournal:
    """Takes rows in order. Without catalog: who opens the journal for writing makes that."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._limiter = trio.CapacityLimiter(1)

    async def append(self, rows: Sequence[ArchivedRow]) -> None:
        """Rows that follow one another. Raises DiskFailed, Conflict, or JournalCorrupt for an
        event that this version can't read."""
        try:
            await trio.to_thread.run_sync(self._append, rows, limiter=self._limiter)
        except sqlite3.Error as error:
            raise meaning_of(error) from error

    def _append(self, rows: Sequence[ArchivedRow]) -> None:
        last = rows[-1]
        at_ms, _, _ = decode_event(last.topic, last.state)
        with self._connection:
            self._connection.execute("BEGIN")
            self._connection.executemany(
                "INSERT INTO stored_events(rowid, originator_id, originator_version, topic, state,"
                " hash) VALUES (?,?,?,?,?,?)",
                [(r.seq, r.stream, r.version, r.topic, r.state, r.digest) for r in rows],
            )
            self._connection.execute(
                "UPDATE applied SET seq=?, digest=?, at_ms=?",
                (last.seq, last.digest, at_ms),
            )


@contextmanager
def restored_journal(path: Path) -> Iterator[RestoredJournal]:
    """A new, empty journal; one that an interrupted recovery left there is thrown away."""
    path.parent.mkdir(parents=True, exist_ok=True)
    remove_database(path)
    connection = connect(path, synchronous="OFF", any_thread=True)
    try:
        for statement in EVENTS_SCHEMA:
            connection.execute(statement)
        yield RestoredJournal(connection)
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    finally:
        connection.close()


def unfinished(journal: Path) -> Path:
    """Where a recovery of this journal builds it."""
    return journal.with_name(journal.name + UNFINISHED)


def remove_database(path: Path) -> None:
    """Delete a database that nobody has open."""
    for suffix in (*SUFFIXES, ".writer"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)


def put_in_place(built: Path, journal: Path, aside: str) -> Path | None:
    """Make a whole, closed database the journal, durably; where the one before is now, if there
    was one: under its name with `aside` after it."""
    moved = None
    for suffix in SUFFIXES:
        old = journal.with_name(journal.name + suffix)
        if old.exists():
            moved = moved or journal.with_name(journal.name + aside)
            old.rename(moved.with_name(moved.name + suffix))
    descriptor = os.open(built, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    built.rename(journal)
    remove_database(built)
    folder = os.open(journal.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
    return moved
