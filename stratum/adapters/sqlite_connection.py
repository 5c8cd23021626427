"""SQLite connections as the journal needs them, on the pool and transactions of `eventsourcing`.

The library's own pool leaves `synchronous` at whatever SQLite was built with, caches one
statement, begins writers with a deferred BEGIN (which fails at once with "database is locked"
after a read) and keeps a connection whose COMMIT failed inside its transaction for ever. All four
are put right here.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from urllib.parse import quote

from eventsourcing.persistence import InterfaceError, PersistenceError
from eventsourcing.sqlite import (
    SQLiteConnection,
    SQLiteConnectionPool,
    SQLiteCursor,
    SQLiteDatastore,
    SQLiteTransaction,
)

from stratum.domain.errors import (
    Conflict,
    DiskFailed,
    DiskFull,
    JournalCorrupt,
    StratumError,
    Unavailable,
)

SQLITE_VERSION_MIN = (3, 37, 0)
"""STRICT tables; https://www.sqlite.org/stricttables.html"""
STATEMENT_CACHE_ENTRIES = 256
CACHE_SIZE_KIB = 64 * 1024
MMAP_SIZE_BYTES = 1 << 30
WAL_CHECKPOINT_PAGES = 4000
WAL_SIZE_LIMIT_BYTES = 64 << 20
BUSY_TIMEOUT_S = 5.0


def connect(
    path: Path, *, read_only: bool = False, synchronous: str = "FULL", any_thread: bool = False
) -> sqlite3.Connection:
    """A connection in autocommit mode to a database in WAL mode.

    `any_thread`: the caller sees to it that one thread at a time uses it. Raises sqlite3.Error.
    """
    if sqlite3.sqlite_version_info < SQLITE_VERSION_MIN:
        raise Unavailable(f"SQLite {sqlite3.sqlite_version} is too old; 3.37 or later is needed")
    connection = sqlite3.connect(
        f"file:{quote(str(path))}?mode={'ro' if read_only else 'rwc'}",
        uri=True,
        timeout=BUSY_TIMEOUT_S,
        isolation_level=None,
        check_same_thread=not any_thread,
        cached_statements=STATEMENT_CACHE_ENTRIES,
    )
    try:
        connection.execute(f"PRAGMA cache_size=-{CACHE_SIZE_KIB}")
        connection.execute(f"PRAGMA mmap_size={MMAP_SIZE_BYTES}")
        if not read_only:
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute(f"PRAGMA synchronous={synchronous}")
            connection.execute(f"PRAGMA wal_autocheckpoint={WAL_CHECKPOINT_PAGES}")
            connection.execute(f"PRAGMA journal_size_limit={WAL_SIZE_LIMIT_BYTES}")
    except BaseException:
        connection.close()
        raise
    return connection


def meaning_of(error: Exception) -> StratumError:
    """What an error of sqlite3 or of the library's persistence module means to our callers."""
    cause = error.__cause__ if isinstance(error, PersistenceError) else error
    code = getattr(cause, "sqlite_errorname", "") or ""
    if code.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
        return Unavailable(f"The journal is locked by another program: {error}")
    is_unreadable = isinstance(cause, sqlite3.OperationalError) and "decode" in str(cause)
    if code.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB")) or is_unreadable:
        return JournalCorrupt(f"The journal's database is damaged: {error}")
    if code.startswith("SQLITE_CONSTRAINT"):
        return Conflict(f"The event contradicts one that is there already: {error}")
    if code.startswith("SQLITE_FULL"):
        return DiskFull(f"There is no room for the journal: {error}")
    return DiskFailed(f"The journal cannot be read or written: {error}")


class JournalTransaction(SQLiteTransaction):
    """Takes the write lock at once, and never leaves a transaction open behind it."""

    def __enter__(self) -> SQLiteCursor:
        cursor = self.connection.cursor()
        cursor.execute("BEGIN IMMEDIATE" if self.commit else "BEGIN")
        return cursor

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_val: BaseException | None,
        exc_tb: TracebackType | None,
    ) -> None:
        try:
            super().__exit__(exc_type, exc_val, exc_tb)
        finally:
            assert isinstance(self.connection, JournalConnection)
            if self.connection.raw.in_transaction:  # COMMIT failed
                self.connection.rollback()


class JournalConnection(SQLiteConnection):
    """A pooled connection whose transactions are `JournalTransaction`s."""

    @property
    def raw(self) -> sqlite3.Connection:
        return self._sqlite_conn

    @contextmanager
    def transaction(self, *, commit: bool) -> Iterator[SQLiteCursor]:
        with JournalTransaction(self, commit=commit) as cursor, cursor:
            yield cursor


class JournalConnectionPool(SQLiteConnectionPool):
    """Connections opened by `connect`."""

    def __init__(self, path: Path, *, read_only: bool, size: int) -> None:
        super().__init__(db_name=str(path), pool_size=size, max_overflow=0)
        self._path = path
        self._read_only = read_only

    def _create_connection(self) -> SQLiteConnection:
        try:
            connection = connect(self._path, read_only=self._read_only, any_thread=True)
        except sqlite3.Error as error:
            raise InterfaceError(str(error)) from error
        connection.row_factory = sqlite3.Row  # what the library's recorder reads by name
        return JournalConnection(sqlite_conn=connection, max_age=None)


class JournalDatastore(SQLiteDatastore):
    """The library's datastore over our pool: one writing connection, or `size` reading ones."""

    def __init__(self, path: Path, *, read_only: bool, size: int = 1) -> None:
        super().__init__(str(path), originator_id_type="text")
        self.pool.close()  # the library's, which has opened nothing yet
        self.pool = JournalConnectionPool(path, read_only=read_only, size=size)

    @contextmanager
    def connection(self, *, commit: bool = False) -> Iterator[JournalConnection]:
        """A connection of the pool, outside any transaction."""
        with self.get_connection(commit=commit) as connection:
            assert isinstance(connection, JournalConnection)
            yield connection


def checkpoint(datastore: JournalDatastore) -> None:
    """Move everything from the write-ahead log into the database file, before closing.

    While a reader holds the log it stays: slower to open again, and no less durable.
    """
    with contextlib.suppress(PersistenceError, sqlite3.Error), datastore.connection() as pooled:
        pooled.raw.execute("PRAGMA busy_timeout=1000")
        pooled.raw.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
