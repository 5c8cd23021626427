"""SQLite files beside the journal that hold only what can be made anew: counts and timers."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import trio

from stratum.adapters.sqlite_connection import connect, meaning_of


@asynccontextmanager
async def open_side_file(
    path: Path, version: int, schema: Sequence[str]
) -> AsyncIterator[sqlite3.Connection]:
    """Open such a file, making it if need be; its folder must exist. If its tables are of another
    version, `schema` makes them anew. A power cut may take back the last transactions and never
    damages it. Raises DiskFailed."""
    try:
        connection = await trio.to_thread.run_sync(_open, path, version, schema)
    except sqlite3.Error as error:
        raise meaning_of(error) from error
    try:
        yield connection
    finally:
        connection.close()


def _open(path: Path, version: int, schema: Sequence[str]) -> sqlite3.Connection:
    connection = connect(path, synchronous="NORMAL", any_thread=True)
    ((found,),) = connection.execute("PRAGMA user_version").fetchall()
    if found != version:
        connection.execute("BEGIN IMMEDIATE")
        for statement in schema:
            connection.execute(statement)
        connection.execute(f"PRAGMA user_version={version}")
        connection.execute("COMMIT")
    return connection
