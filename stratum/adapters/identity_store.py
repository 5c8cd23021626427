"""Identities and their secrets: a small SQLite file of its own, and the same in memory.

Not in the journal: an event can't be taken back, a secret must be. The record of changes goes to
the journal, through an outbox that is written in one transaction with the change.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeVar

import msgspec
import trio

from stratum.adapters.sqlite_connection import connect, meaning_of
from stratum.domain.directory import Change
from stratum.domain.errors import DiskFailed
from stratum.domain.identity import AccessKey, Account, Group, Identity, Role, TokenKey, User
from stratum.domain.identity_events import IDENTITY_EVENTS, IdentityEvent
from stratum.ports import Unreported

T = TypeVar("T")

_KINDS: dict[str, type[Identity]] = {
    "account": Account,
    "key": AccessKey,
    "user": User,
    "group": Group,
    "role": Role,
    "token": TokenKey,
}
_NAMES = {kind: name for name, kind in _KINDS.items()}
_EVENTS = {event.TOPIC: event for event in IDENTITY_EVENTS}
_SCHEMA = (
    """CREATE TABLE IF NOT EXISTS identities(
        kind TEXT NOT NULL, id TEXT NOT NULL, document TEXT NOT NULL,
        PRIMARY KEY(kind, id)) STRICT, WITHOUT ROWID""",
    """CREATE TABLE IF NOT EXISTS outbox(
        number INTEGER PRIMARY KEY AUTOINCREMENT, by TEXT NOT NULL, topic TEXT NOT NULL,
        event TEXT NOT NULL) STRICT""",
)


class SqliteIdentityStore:
    """Implements IdentityStore. Made by `open_identity_store`."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._limiter = trio.CapacityLimiter(1)

    async def load(self) -> Sequence[Identity]:
        rows = await self._in_thread(
            lambda: self._connection.execute("SELECT kind, document FROM identities").fetchall()
        )
        try:
            return [msgspec.json.decode(text, type=_KINDS[kind]) for kind, text in rows]
        except (KeyError, msgspec.MsgspecError) as error:
            raise DiskFailed(f"An identity can't be read: {error}") from error

    async def apply(self, change: Change, *, by: str) -> None:
        await self._in_thread(lambda: self._apply(change, by))

    async def unreported(self) -> Sequence[Unreported]:
        rows = await self._in_thread(
            lambda: self._connection.execute(
                "SELECT number, by, topic, event FROM outbox ORDER BY number"
            ).fetchall()
        )
        return [
            Unreported(number, by, msgspec.json.decode(text, type=_EVENTS[topic]))
            for number, by, topic, text in rows
        ]

    async def reported(self, number: int) -> None:
        await self._in_thread(
            lambda: self._connection.execute("DELETE FROM outbox WHERE number<=?", (number,))
        )

    def _apply(self, change: Change, by: str) -> None:
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            self._connection.executemany(
                "DELETE FROM identities WHERE kind=? AND id=?",
                [(_NAMES[type(gone)], gone.id) for gone in change.removed],
            )
            self._connection.executemany(
                "INSERT OR REPLACE INTO identities VALUES (?,?,?)",
                [(_NAMES[type(new)], new.id, _json(new)) for new in change.put],
            )
            self._connection.executemany(
                "INSERT INTO outbox(by, topic, event) VALUES (?,?,?)",
                [(by, event.TOPIC, _json(event)) for event in change.events],
            )
            self._connection.execute("COMMIT")
        finally:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")

    async def _in_thread(self, work: Callable[[], T]) -> T:
        try:
            return await trio.to_thread.run_sync(work, limiter=self._limiter)
        except sqlite3.Error as error:
            raise meaning_of(error) from error


def _json(value: Identity | IdentityEvent) -> str:
    return msgspec.json.encode(value).decode()


@asynccontextmanager
async def open_identity_store(path: Path) -> AsyncIterator[SqliteIdentityStore]:
    """Open the store, making the file (mode 0600) if need be; its folder must exist.

    Whoever changes it holds the journal's lock. Raises DiskFailed, JournalCorrupt.
    """
    try:
        connection = await trio.to_thread.run_sync(_open, path)
    except OSError as error:
        raise DiskFailed(f"The identities can't be opened: {error}") from error
    except sqlite3.Error as error:
        raise meaning_of(error) from error
    try:
        yield SqliteIdentityStore(connection)
    finally:
        connection.close()


def _open(path: Path) -> sqlite3.Connection:
    # SQLite gives its other files the mode of this one.
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    connection = connect(path, any_thread=True)
    connection.execute("PRAGMA secure_delete=ON")
    for statement in _SCHEMA:
        connection.execute(statement)
    return connection


class MemoryIdentityStore:
    """Implements IdentityStore without a file."""

    def __init__(self) -> None:
        self._identities: dict[tuple[type[Identity], str], Identity] = {}
        self._outbox: list[Unreported] = []
        self._numbers = 0

    async def load(self) -> Sequence[Identity]:
        await trio.lowlevel.checkpoint()
        return list(self._identities.values())

    async def apply(self, change: Change, *, by: str) -> None:
        await trio.lowlevel.checkpoint()
        for gone in change.removed:
            self._identities.pop((type(gone), gone.id), None)
        for new in change.put:
            self._identities[type(new), new.id] = new
        for event in change.events:
            self._numbers += 1
            self._outbox.append(Unreported(self._numbers, by, event))

    async def unreported(self) -> Sequence[Unreported]:
        await trio.lowlevel.checkpoint()
        return list(self._outbox)

    async def reported(self, number: int) -> None:
        await trio.lowlevel.checkpoint()
        self._outbox = [each for each in self._outbox if each.number > number]
