"""Timers of lifecycle rules: a small SQLite file of their own, and the same in memory.

`synchronous=NORMAL`, as for the access log: a power cut may take back the last transactions and
never damages the file, and each of them moves timers and position together.
"""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import trio

from stratum.adapters.side_file import open_side_file
from stratum.adapters.sqlite_connection import meaning_of
from stratum.domain.lifecycle_timer import Timer, Walk
from stratum.domain.names import BucketName, ObjectKey

T = TypeVar("T")

_SCHEMA_VERSION = 1
"""A file with other tables is emptied: its timers are made anew by walking the buckets."""
_SCHEMA = (
    "DROP TABLE IF EXISTS timers",
    "DROP TABLE IF EXISTS walks",
    "DROP TABLE IF EXISTS position",
    """CREATE TABLE timers(
        bucket TEXT NOT NULL, key BLOB NOT NULL, upload_id TEXT NOT NULL,
        due_at_ms INTEGER NOT NULL, PRIMARY KEY(bucket, key, upload_id)) STRICT, WITHOUT ROWID""",
    "CREATE INDEX timers_by_time ON timers(due_at_ms)",
    """CREATE TABLE walks(
        bucket TEXT PRIMARY KEY, seq INTEGER NOT NULL, after_key TEXT NOT NULL,
        after_upload TEXT NOT NULL, uploads INTEGER NOT NULL) STRICT, WITHOUT ROWID""",
    "CREATE TABLE position(one INTEGER PRIMARY KEY CHECK (one = 1), seq INTEGER NOT NULL) STRICT",
)
_SET = "INSERT OR REPLACE INTO timers VALUES (?,?,?,?)"
_SET_EARLIER = (
    "INSERT INTO timers VALUES (?,?,?,?) ON CONFLICT DO UPDATE"
    " SET due_at_ms=min(due_at_ms, excluded.due_at_ms)"
)
_REMOVE = "DELETE FROM timers WHERE bucket=? AND key=? AND upload_id=?"


class SqliteLifecycleTimers:
    """Implements LifecycleTimers. Made by `open_lifecycle_timers`."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._limiter = trio.CapacityLimiter(1)

    async def record(
        self,
        timers: Sequence[Timer] = (),
        *,
        earlier: Sequence[Timer] = (),
        walks: Sequence[Walk] = (),
        done: Sequence[Walk] = (),
        position: int | None = None,
    ) -> None:
        await self._in_thread(partial(self._record, timers, earlier, walks, done, position))

    def _record(
        self,
        timers: Sequence[Timer],
        earlier: Sequence[Timer],
        walks: Sequence[Walk],
        done: Sequence[Walk],
        position: int | None,
    ) -> None:
        connection = self._connection
        connection.execute("BEGIN IMMEDIATE")
        try:
            connection.executemany(_SET, [_row(each) for each in timers if each.due_at_ms])
            connection.executemany(
                _REMOVE, [_row(each)[:3] for each in timers if not each.due_at_ms]
            )
            connection.executemany(_SET_EARLIER, [_row(each) for each in earlier if each.due_at_ms])
            connection.executemany(
                "INSERT OR REPLACE INTO walks VALUES (?,?,?,?,?)",
                [(w.bucket, w.seq, w.after_key, w.after_upload, w.uploads) for w in walks],
            )
            connection.executemany(
                "DELETE FROM walks WHERE bucket=? AND seq<=?", [(w.bucket, w.seq) for w in done]
            )
            if position is not None:
                connection.execute("INSERT OR REPLACE INTO position VALUES (1,?)", (position,))
            connection.execute("COMMIT")
        finally:
            if connection.in_transaction:
                connection.execute("ROLLBACK")

    async def due(self, before_ms: int, limit: int) -> Sequence[Timer]:
        rows = await self._select(
            "SELECT bucket, key, due_at_ms, upload_id FROM timers WHERE due_at_ms<=?"
            " ORDER BY due_at_ms, bucket, key, upload_id LIMIT ?",
            before_ms,
            limit,
        )
        return [
            Timer(BucketName(bucket), ObjectKey(key.decode()), due_at_ms, upload_id)
            for bucket, key, due_at_ms, upload_id in rows
        ]

    async def next_due_ms(self) -> int | None:
        ((earliest,),) = await self._select("SELECT min(due_at_ms) FROM timers")
        return None if earliest is None else int(earliest)

    async def walks(self) -> Sequence[Walk]:
        rows = await self._select(
            "SELECT bucket, seq, after_key, after_upload, uploads FROM walks ORDER BY seq, bucket"
        )
        return [
            Walk(BucketName(bucket), seq, after_key, after_upload, bool(uploads))
            for bucket, seq, after_key, after_upload, uploads in rows
        ]

    async def position(self) -> int | None:
        rows = await self._select("SELECT seq FROM position")
        return int(rows[0][0]) if rows else None

    async def _select(self, sql: str, *parameters: object) -> list[Any]:
        return await self._in_thread(lambda: self._connection.execute(sql, parameters).fetchall())

    async def _in_thread(self, work: Callable[[], T]) -> T:
        try:
            return await trio.to_thread.run_sync(work, limiter=self._limiter)
        except sqlite3.Error as error:
            raise meaning_of(error) from error


def _row(timer: Timer) -> tuple[str, bytes, str, int]:
    return timer.bucket, timer.key.encode(), timer.upload_id, timer.due_at_ms


@asynccontextmanager
async def open_lifecycle_timers(path: Path) -> AsyncIterator[SqliteLifecycleTimers]:
    """Open the timers, making the file if need be; its folder must exist. Raises DiskFailed."""
    async with open_side_file(path, _SCHEMA_VERSION, _SCHEMA) as connection:
        yield SqliteLifecycleTimers(connection)


class MemoryLifecycleTimers:
    """Implements LifecycleTimers without a file."""

    def __init__(self) -> None:
        self._timers: dict[tuple[str, bytes, str], Timer] = {}
        self._walks: dict[str, Walk] = {}
        self._position: int | None = None

    async def record(
        self,
        timers: Sequence[Timer] = (),
        *,
        earlier: Sequence[Timer] = (),
        walks: Sequence[Walk] = (),
        done: Sequence[Walk] = (),
        position: int | None = None,
    ) -> None:
        await trio.lowlevel.checkpoint()
        for timer in timers:
            self._timers.pop(_row(timer)[:3], None)
            if timer.due_at_ms:
                self._timers[_row(timer)[:3]] = timer
        for timer in earlier:
            known = self._timers.get(_row(timer)[:3])
            if timer.due_at_ms and (known is None or timer.due_at_ms < known.due_at_ms):
                self._timers[_row(timer)[:3]] = timer
        self._walks.update((walk.bucket, walk) for walk in walks)
        for walk in done:
            if walk.bucket in self._walks and self._walks[walk.bucket].seq <= walk.seq:
                del self._walks[walk.bucket]
        if position is not None:
            self._position = position

    async def due(self, before_ms: int, limit: int) -> Sequence[Timer]:
        await trio.lowlevel.checkpoint()
        due = [timer for timer in self._timers.values() if timer.due_at_ms <= before_ms]
        return sorted(due, key=lambda timer: (timer.due_at_ms, *_row(timer)))[:limit]

    async def next_due_ms(self) -> int | None:
        await trio.lowlevel.checkpoint()
        return min((timer.due_at_ms for timer in self._timers.values()), default=None)

    async def walks(self) -> Sequence[Walk]:
        await trio.lowlevel.checkpoint()
        return sorted(self._walks.values(), key=lambda walk: (walk.seq, walk.bucket))

    async def position(self) -> int | None:
        await trio.lowlevel.checkpoint()
        return self._position
