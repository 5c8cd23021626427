"""The catalog built again from events: after a change of its tables, for a state in the past, and
to prove that the live one is what the journal says."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from stratum.adapters.catalog import SqliteCatalog
from stratum.adapters.projection import CATALOG_VERSION, SCHEMA, TABLES, project
from stratum.adapters.recorder import to_recorded
from stratum.adapters.sqlite_connection import connect
from stratum.domain.errors import InvalidArgument
from stratum.domain.events import Recorded

PROGRESS_EVERY_EVENTS = 1000

Progress = Callable[[int], None]
"""Called with the number of events done so far."""


@dataclass(frozen=True)
class Difference:
    """One row that is not the same in two catalogs; None where it is not there at all."""

    table: str
    key: tuple[object, ...]
    live: tuple[object, ...] | None
    rebuilt: tuple[object, ...] | None


def stream_events(connection: sqlite3.Connection, until_seq: int) -> Iterator[Recorded]:
    """Events 1 … `until_seq` in order, without holding more than one in memory."""
    cursor = connection.cursor()
    cursor.row_factory = None
    for row in cursor.execute(
        "SELECT rowid, originator_id, originator_version, topic, state FROM stored_events"
        " WHERE rowid<=? ORDER BY rowid",
        (until_seq,),
    ):
        yield to_recorded(*row)


def catalog_is_current(connection: sqlite3.Connection) -> bool:
    """Whether the tables were made by this version of the projection."""
    ((version,),) = connection.execute("PRAGMA user_version").fetchall()
    return bool(version == CATALOG_VERSION)


def renew_catalog(connection: sqlite3.Connection, until_seq: int) -> None:
    """Drop the catalog's tables and project all events into new ones. `connection` is in a write
    transaction: after a crash the old tables are still there."""
    for table in TABLES:
        connection.execute(f"DROP TABLE IF EXISTS {table}")
    for statement in SCHEMA:
        connection.execute(statement)
    project(connection.cursor(), stream_events(connection, until_seq))
    connection.execute(f"PRAGMA user_version={CATALOG_VERSION}")


def build_catalog(
    journal: sqlite3.Connection, path: Path, until_seq: int, progress: Progress | None = None
) -> None:
    """Write the catalog as of event `until_seq` to a new file. `journal` is in a read transaction.

    Raises InvalidArgument if the file exists, JournalCorrupt for an event that can't be read.
    """
    if path.exists():
        raise InvalidArgument(f"{path} exists already", "out", str(path))
    target = connect(path, synchronous="OFF")
    try:
        target.execute("BEGIN")
        for statement in SCHEMA:
            target.execute(statement)
        cursor = target.cursor()
        for recorded in stream_events(journal, until_seq):
            project(cursor, (recorded,))
            if progress is not None and recorded.seq % PROGRESS_EVERY_EVENTS == 0:
                progress(recorded.seq)
        target.execute(f"PRAGMA user_version={CATALOG_VERSION}")
        target.execute("COMMIT")
        target.execute("PRAGMA journal_mode=DELETE")  # one plain file, to be copied and read
    finally:
        target.close()
    if progress is not None:
        progress(until_seq)


@contextmanager
def opened_catalog(path: Path) -> Iterator[SqliteCatalog]:
    """A catalog written by `build_catalog`."""
    connection = connect(path, read_only=True)
    try:
        yield SqliteCatalog(connection)
    finally:
        connection.close()


def differences(live: sqlite3.Connection, rebuilt: sqlite3.Connection) -> Iterator[Difference]:
    """Every row that differs, table by table in order of the primary key, in constant memory."""
    for table, key_columns in TABLES.items():
        yield from _table_differences(live, rebuilt, table, key_columns)


def _table_differences(
    live: sqlite3.Connection, rebuilt: sqlite3.Connection, table: str, key_columns: tuple[str, ...]
) -> Iterator[Difference]:
    ours, theirs = (_ordered(c, table, key_columns) for c in (live, rebuilt))
    our_row, their_row = next(ours, None), next(theirs, None)
    width = len(key_columns)
    while our_row is not None or their_row is not None:
        our_key = our_row[:width] if our_row is not None else None
        their_key = their_row[:width] if their_row is not None else None
        if our_key == their_key:
            if our_row != their_row:
                assert our_key is not None
                yield Difference(table, our_key, our_row, their_row)
            our_row, their_row = next(ours, None), next(theirs, None)
        elif their_key is None or (our_key is not None and our_key < their_key):
            assert our_key is not None
            yield Difference(table, our_key, our_row, None)
            our_row = next(ours, None)
        else:
            yield Difference(table, their_key, None, their_row)
            their_row = next(theirs, None)


def _ordered(
    connection: sqlite3.Connection, table: str, key_columns: tuple[str, ...]
) -> Iterator[tuple[object, ...]]:
    """All rows by primary key, the key's columns first."""
    key = ", ".join(key_columns)
    cursor = connection.cursor()
    cursor.row_factory = None
    yield from cursor.execute(f"SELECT {key}, * FROM {table} ORDER BY {key}")  # noqa: S608
