"""Access counts: a small SQLite file of its own, and the same in memory.

`synchronous=NORMAL`: a power cut may take back the last flushes and never damages the file. Kept
apart from the journal so that counting reads never delays a commit.
"""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import fields
from functools import partial
from operator import attrgetter
from pathlib import Path
from typing import Any, TypeVar

import trio

from stratum.adapters.side_file import open_side_file
from stratum.adapters.sqlite_connection import meaning_of
from stratum.domain.access import Access
from stratum.domain.names import VolumeId

T = TypeVar("T")

ROWS_PER_TRANSACTION_MAX = 1000
"""So that a large flush does not hold up a look-up."""

ROWS_PER_QUERY_MAX = 500
_SCHEMA_VERSION = 5
"""A file with other tables is emptied: its rows follow again from the journal, its counts start
anew."""
_NAMES = tuple(field.name for field in fields(Access))
_COLUMNS = ", ".join(_NAMES)
_values = attrgetter(*_NAMES)
_SCHEMA = (
    "DROP TABLE IF EXISTS access",
    "DROP TABLE IF EXISTS position",
    "DROP TABLE IF EXISTS learnt",
    "CREATE TABLE access(volume_id TEXT PRIMARY KEY, "
    + ", ".join(
        f"{field.name} {'REAL' if field.type == 'float' else 'INTEGER'} NOT NULL"
        for field in fields(Access)[1:]
    )
    + ") STRICT, WITHOUT ROWID",
    "CREATE INDEX access_timers ON access(look_at_ms, volume_id) WHERE look_at_ms > 0",
    "CREATE TABLE position(reader TEXT PRIMARY KEY, seq INTEGER NOT NULL) STRICT, WITHOUT ROWID",
    "CREATE TABLE learnt(one INTEGER PRIMARY KEY CHECK(one=1), state BLOB NOT NULL) STRICT",
)


class SqliteAccessLog:
    """Implements AccessLog. Made by `open_access_log`; raises DiskFailed or Unavailable."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._limiter = trio.CapacityLimiter(1)

    async def get(self, volume_id: VolumeId) -> Access | None:
        rows = await self._select(
            f"SELECT {_COLUMNS} FROM access WHERE volume_id=?",  # noqa: S608
            volume_id,
        )
        return Access(*rows[0]) if rows else None

    async def get_many(self, volume_ids: Sequence[VolumeId]) -> Mapping[VolumeId, Access]:
        found: dict[VolumeId, Access] = {}
        for start in range(0, len(volume_ids), ROWS_PER_QUERY_MAX):
            some = volume_ids[start : start + ROWS_PER_QUERY_MAX]
            places = ",".join("?" * len(some))
            rows = await self._select(
                f"SELECT {_COLUMNS} FROM access WHERE volume_id IN ({places})",  # noqa: S608
                *some,
            )
            found.update((row[0], Access(*row)) for row in rows)
        return found

    async def put(self, rows: Sequence[Access]) -> None:
        places = ",".join("?" * len(_NAMES))
        await self._write(
            f"INSERT OR REPLACE INTO access VALUES ({places})",  # noqa: S608
            [_values(row) for row in rows],
        )

    async def due(self, before_ms: int, limit: int) -> Sequence[Access]:
        rows = await self._select(
            f"SELECT {_COLUMNS} FROM access WHERE look_at_ms>0 AND look_at_ms<=?"  # noqa: S608
            " ORDER BY look_at_ms, volume_id LIMIT ?",
            before_ms,
            limit,
        )
        return [Access(*row) for row in rows]

    async def next_due_ms(self) -> int | None:
        ((earliest,),) = await self._select("SELECT min(look_at_ms) FROM access WHERE look_at_ms>0")
        return None if earliest is None else int(earliest)

    async def forget(self, volume_ids: Sequence[VolumeId]) -> None:
        await self._write("DELETE FROM access WHERE volume_id=?", [(each,) for each in volume_ids])

    async def position(self, seq: int | None = None, reader: str = "volumes") -> int:
        if seq is not None:
            await self._write("INSERT OR REPLACE INTO position VALUES (?,?)", [(reader, seq)])
            return seq
        stored = await self._select("SELECT seq FROM position WHERE reader=?", reader)
        return int(stored[0][0]) if stored else 0

    async def learnt(self, state: bytes | None = None) -> bytes | None:
        if state is not None:
            await self._write("INSERT OR REPLACE INTO learnt VALUES (1,?)", [(state,)])
            return state
        kept = await self._select("SELECT state FROM learnt")
        return kept[0][0] if kept else None

    async def _select(self, sql: str, *parameters: object) -> list[Any]:
        return await self._in_thread(lambda: self._connection.execute(sql, parameters).fetchall())

    async def _write(self, sql: str, rows: Sequence[tuple[Any, ...]]) -> None:
        # Sorted by volume: neighbours share a page of the tree.
        ordered = sorted(rows)
        for start in range(0, len(ordered), ROWS_PER_TRANSACTION_MAX):
            some = ordered[start : start + ROWS_PER_TRANSACTION_MAX]
            await self._in_thread(partial(self._change, sql, some))

    def _change(self, sql: str, rows: Sequence[tuple[Any, ...]]) -> None:
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            self._connection.executemany(sql, rows)
            self._connection.execute("COMMIT")
        finally:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")

    async def _in_thread(self, work: Callable[[], T]) -> T:
        try:
            return await trio.to_thread.run_sync(work, limiter=self._limiter)
        except sqlite3.Error as error:
            raise meaning_of(error) from error


@asynccontextmanager
async def open_access_log(path: Path) -> AsyncIterator[SqliteAccessLog]:
    """Open the log, making the file if need be; its folder must exist. Raises DiskFailed."""
    async with open_side_file(path, _SCHEMA_VERSION, _SCHEMA) as connection:
        yield SqliteAccessLog(connection)


class MemoryAccessLog:
    """Implements AccessLog without a file."""

    def __init__(self) -> None:
        self._rows: dict[VolumeId, Access] = {}
        self._positions: dict[str, int] = {}
        self._learnt: bytes | None = None

    async def get(self, volume_id: VolumeId) -> Access | None:
        await trio.lowlevel.checkpoint()
        return self._rows.get(volume_id)

    async def get_many(self, volume_ids: Sequence[VolumeId]) -> Mapping[VolumeId, Access]:
        await trio.lowlevel.checkpoint()
        return {each: self._rows[each] for each in volume_ids if each in self._rows}

    async def put(self, rows: Sequence[Access]) -> None:
        await trio.lowlevel.checkpoint()
        self._rows.update((row.volume_id, row) for row in rows)

    async def due(self, before_ms: int, limit: int) -> Sequence[Access]:
        await trio.lowlevel.checkpoint()
        due = [row for row in self._rows.values() if 0 < row.look_at_ms <= before_ms]
        return sorted(due, key=lambda row: (row.look_at_ms, row.volume_id))[:limit]

    async def next_due_ms(self) -> int | None:
        await trio.lowlevel.checkpoint()
        return min((r.look_at_ms for r in self._rows.values() if r.look_at_ms > 0), default=None)

    async def forget(self, volume_ids: Sequence[VolumeId]) -> None:
        await trio.lowlevel.checkpoint()
        for volume_id in volume_ids:
            self._rows.pop(volume_id, None)

    async def position(self, seq: int | None = None, reader: str = "volumes") -> int:
        await trio.lowlevel.checkpoint()
        if seq is not None:
            self._positions[reader] = seq
        return self._positions.get(reader, 0)

    async def learnt(self, state: bytes | None = None) -> bytes | None:
        await trio.lowlevel.checkpoint()
        if state is not None:
            self._learnt = state
        return self._learnt
