"""Which volumes were read when: a SQLite file of its own, and the same in memory.

One row for each batch: zlib of records of 32 bytes, `id` (16 bytes), first read (Unix ms, 8 bytes),
ms from the first to the last (4) and number of reads (4), little-endian; some 20 bytes for a run of
reads when compressed. `synchronous=NORMAL`, as for the access log.
"""

from __future__ import annotations

import sqlite3
import struct
import zlib
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeVar

import trio

from stratum.adapters.sqlite_connection import connect, meaning_of
from stratum.domain.access import ReadRun
from stratum.domain.names import VolumeId

T = TypeVar("T")

_SCHEMA_VERSION = 1
_SCHEMA = (
    "CREATE TABLE batch(number INTEGER PRIMARY KEY, last_ms INTEGER NOT NULL, runs BLOB NOT NULL)"
    " STRICT",
    "CREATE TABLE since(one INTEGER PRIMARY KEY CHECK(one=1), at_ms INTEGER NOT NULL) STRICT",
)
_RECORD = struct.Struct("<16sqII")
_FORGOTTEN_SHARE = 10
"""When the file is too large, one in so many batches goes, the oldest first."""


class SqliteReadHistory:
    """Implements ReadHistory. Made by `open_read_history`; raises DiskFailed or Unavailable."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._limiter = trio.CapacityLimiter(1)

    async def since_ms(self) -> int:
        def ask() -> int:
            return int(self._connection.execute("SELECT at_ms FROM since").fetchone()[0])

        return await self._in_thread(ask)

    async def append(self, runs: Sequence[ReadRun]) -> None:
        if not runs:
            return
        last_ms = max(run.last_ms for run in runs)
        sql = "INSERT INTO batch(last_ms, runs) VALUES (?,?)"
        await self._in_thread(lambda: self._connection.execute(sql, (last_ms, _packed(runs))))

    async def read(self, after: int = 0) -> tuple[int, Sequence[ReadRun]]:
        def ask() -> tuple[int, Sequence[ReadRun]]:
            row = self._connection.execute(
                "SELECT number, runs FROM batch WHERE number>? ORDER BY number LIMIT 1", (after,)
            ).fetchone()
            return (int(row[0]), _unpacked(row[1])) if row else (after, [])

        return await self._in_thread(ask)

    async def forget(self, before_ms: int, bytes_max: int) -> None:
        await self._in_thread(lambda: self._forget(before_ms, bytes_max))

    def _forget(self, before_ms: int, bytes_max: int) -> None:
        # Batches are as old as their numbers: the first one that is young enough ends it.
        execute = self._connection.execute
        (first,) = execute(
            "SELECT min(number) FROM batch WHERE last_ms>=?", (before_ms,)
        ).fetchone()
        (lowest, highest) = execute("SELECT min(number), max(number) FROM batch").fetchone()
        if lowest is None:
            return
        first = highest + 1 if first is None else first
        ((used,),) = execute(
            "SELECT (page_count - freelist_count) * page_size FROM pragma_page_count,"
            " pragma_freelist_count, pragma_page_size"
        ).fetchall()
        if used > bytes_max:
            first = max(first, lowest + 1 + (highest - lowest) // _FORGOTTEN_SHARE)
        if first <= lowest:
            return
        execute("BEGIN IMMEDIATE")
        try:
            (gone_ms,) = execute(
                "SELECT max(last_ms) FROM batch WHERE number<?", (first,)
            ).fetchone()
            execute("DELETE FROM batch WHERE number<?", (first,))
            execute("UPDATE since SET at_ms=max(at_ms, ?)", (gone_ms + 1,))
            execute("COMMIT")
        finally:
            if self._connection.in_transaction:
                execute("ROLLBACK")

    async def _in_thread(self, work: Callable[[], T]) -> T:
        try:
            return await trio.to_thread.run_sync(work, limiter=self._limiter)
        except sqlite3.Error as error:
            raise meaning_of(error) from error


@asynccontextmanager
async def open_read_history(path: Path, now_ms: int) -> AsyncIterator[SqliteReadHistory]:
    """Open the history, making the file if need be: it then begins now. Raises DiskFailed."""
    try:
        connection = await trio.to_thread.run_sync(_open, path, now_ms)
    except sqlite3.Error as error:
        raise meaning_of(error) from error
    try:
        yield SqliteReadHistory(connection)
    finally:
        connection.close()


def _open(path: Path, now_ms: int) -> sqlite3.Connection:
    connection = connect(path, synchronous="NORMAL", any_thread=True)
    ((version,),) = connection.execute("PRAGMA user_version").fetchall()
    if version != _SCHEMA_VERSION:
        connection.execute("BEGIN IMMEDIATE")
        for statement in _SCHEMA:
            connection.execute(statement)
        connection.execute("INSERT INTO since VALUES (1,?)", (now_ms,))
        connection.execute(f"PRAGMA user_version={_SCHEMA_VERSION}")
        connection.execute("COMMIT")
    return connection


def _packed(runs: Sequence[ReadRun]) -> bytes:
    most = 2**32 - 1
    records = [
        _RECORD.pack(
            bytes.fromhex(run.volume_id),
            run.first_ms,
            min(most, max(0, run.last_ms - run.first_ms)),
            min(most, run.reads),
        )
        for run in sorted(runs, key=lambda run: run.volume_id)
    ]
    return zlib.compress(b"".join(records))


def _unpacked(data: bytes) -> list[ReadRun]:
    return [
        ReadRun(VolumeId(volume_id.hex()), first_ms, first_ms + span_ms, reads)
        for volume_id, first_ms, span_ms, reads in _RECORD.iter_unpack(zlib.decompress(data))
    ]


class MemoryReadHistory:
    """Implements ReadHistory without a file."""

    def __init__(self, now_ms: int) -> None:
        self._since_ms = now_ms
        self._batches: dict[int, Sequence[ReadRun]] = {}
        self._appended = 0

    async def since_ms(self) -> int:
        await trio.lowlevel.checkpoint()
        return self._since_ms

    async def append(self, runs: Sequence[ReadRun]) -> None:
        await trio.lowlevel.checkpoint()
        if runs:
            self._appended += 1
            self._batches[self._appended] = sorted(runs, key=lambda run: run.volume_id)

    async def read(self, after: int = 0) -> tuple[int, Sequence[ReadRun]]:
        await trio.lowlevel.checkpoint()
        number = min((each for each in self._batches if each > after), default=None)
        return (after, []) if number is None else (number, self._batches[number])

    async def forget(self, before_ms: int, bytes_max: int) -> None:
        await trio.lowlevel.checkpoint()
        for number, runs in list(self._batches.items()):
            too_many = sum(map(len, self._batches.values())) * _RECORD.size > bytes_max
            last_ms = max(run.last_ms for run in runs)
            if last_ms >= before_ms and not too_many:
                return
            del self._batches[number]
            self._since_ms = max(self._since_ms, last_ms + 1)
