"""The catalog built again from events: after a change of its tables, for a state in the past, and
to prove that the live one is what the journal says."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stratum.adapters.catalog import SqliteCatalog
from stratum.adapters.catalog_schema import CATALOG_VERSION, SCHEMA, TABLES
from stratum.adapters.projection import project
from stratum.adapters.recorder import to_recorded
from stratum.adapters.sqlite_connection import connect
from stratum.domain.errors import InvalidArgument
from stratum.domain.events import Recorded

PROGRESS_EVERY_EVENTS = 1000

Row = tuple[Any, ...]
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


def differences(live: sqlite3.Connection, rebuilt: sqlite3.Connection) -> Generator[Difference]:
    """Every row that differs, table by table in order of the primary key, in constant memory.

    Close it before the connections if it is not read to the end.
    """
    for table, key_columns in TABLES.items():
        width = len(key_columns)
        with (
            closing(_ordered(live, table, key_columns)) as ours,
            closing(_ordered(rebuilt, table, key_columns)) as theirs,
        ):
            for our_row, their_row in _side_by_side(ours, theirs, width):
                if our_row != their_row:
                    key = (our_row or their_row or ())[:width]
                    yield Difference(table, key, our_row, their_row)


def _side_by_side(
    ours: Iterator[Row], theirs: Iterator[Row], width: int
) -> Iterator[tuple[Row | None, Row | None]]:
    """Pair the rows of two sorted sequences that have the same first `width` columns."""
    our_row, their_row = next(ours, None), next(theirs, None)
    while our_row is not None or their_row is not None:
        if their_row is None or (our_row is not None and our_row[:width] < their_row[:width]):
            yield our_row, None
            our_row = next(ours, None)
        elif our_row is None or their_row[:width] < our_row[:width]:
            yield None, their_row
            their_row = next(theirs, None)
        else:
            yield our_row, their_row
            our_row, their_row = next(ours, None), next(theirs, None)


def _ordered(
    connection: sqlite3.Connection, table: str, key_columns: tuple[str, ...]
) -> Generator[Row]:
    """All rows by primary key, the key's columns first."""
    key = ", ".join(key_columns)
    cursor = connection.cursor()
    cursor.row_factory = None
    try:
        yield from cursor.execute(f"SELECT {key}, * FROM {table} ORDER BY {key}")  # noqa: S608
    finally:
        cursor.close()
