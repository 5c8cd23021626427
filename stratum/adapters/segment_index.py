"""Where the packed shards of one disk are: a table in SQLite that only saves reading the segments.

The segments are the truth. The index is brought up to `position` in them, and whatever was
appended later is applied again, by the same function that runs live. So the file may be older
than the segments, or missing: that only makes the next start longer. Recent changes are kept in
memory and written in batches.
"""

from __future__ import annotations

import logging
import sqlite3
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from stratum.adapters.segment_format import Flag, Kind, Place, Record, footprint
from stratum.adapters.sqlite_connection import connect

SCHEMA_VERSION = 1
NAMES_PER_PAGE = 1000
CACHE_SIZE_KIB = 8 * 1024
"""Per disk: a store has twelve of them."""

_STATE = Flag.PUBLISHED | Flag.FILE_BESIDE
_SCHEMA = """
CREATE TABLE entries (
  name TEXT PRIMARY KEY, segment INTEGER NOT NULL, start INTEGER NOT NULL,
  length INTEGER NOT NULL, flags INTEGER NOT NULL) WITHOUT ROWID;
CREATE INDEX staged ON entries (name) WHERE flags & 1 = 0;
CREATE TABLE live (segment INTEGER PRIMARY KEY, bytes INTEGER NOT NULL);
CREATE TABLE state (version INTEGER, disk TEXT, segment INTEGER, offset INTEGER);
"""

_STAGED = "SELECT name FROM entries WHERE flags & 1 = 0 AND name > ? ORDER BY name LIMIT ?"
_PUBLISHED = "SELECT name FROM entries WHERE flags & 1 = 1 AND name > ? ORDER BY name LIMIT ?"

log = logging.getLogger("stratum.disk")


class Entry(NamedTuple):
    """A packed shard."""

    segment: int
    start: int
    length: int
    flags: int

    @property
    def place(self) -> Place:
        return Place(self.segment, self.start)

    @property
    def published(self) -> bool:
        return bool(self.flags & Flag.PUBLISHED)


Changes = dict[str, Entry | None]


class SegmentIndex:
    """`disk` identifies whose index it is; a file of another's is begun anew.

    `path` None keeps it in memory. With `read_only` the file is another process's, and is only
    looked up; changes stay in memory. One thread at a time changes it. Raises sqlite3.Error.
    """

    def __init__(self, path: Path | None, disk: str, *, read_only: bool = False) -> None:
        self.disk = disk
        self._recent: Changes = {}
        self._flushing: Changes = {}
        self._reads, self._writes = _connections(path, disk, read_only=read_only)
        found = self._reads.execute("SELECT segment, offset FROM state").fetchone()
        self.position = Place(*found)
        """Up to where the segments are known to the file."""
        self.live = Counter(dict(self._reads.execute("SELECT segment, bytes FROM live")))
        """Bytes of segments that are in use, by number."""

    # -- questions ------------------------------------------------------------------------------
    def get(self, name: str) -> Entry | None:
        """Microseconds; may be called on the event loop."""
        if name in self._recent:
            return self._recent[name]
        if name in self._flushing:
            return self._flushing[name]
        row = self._reads.execute(
            "SELECT segment, start, length, flags FROM entries WHERE name=?", (name,)
        ).fetchone()
        return Entry(*row) if row else None

    def names(self, *, published: bool, after: str = "") -> list[str]:
        """Some of the names in order, empty at the end. `recent_names` has the others."""
        question = _PUBLISHED if published else _STAGED
        rows = self._reads.execute(question, (after, NAMES_PER_PAGE))
        return [name for (name,) in rows]

    def recent_names(self, *, published: bool) -> list[str]:
        """Names of what has changed lately."""
        changes = {**self._flushing, **self._recent}
        return [name for name, e in changes.items() if e and e.published == published]

    def entries_in(self, segment: int) -> list[tuple[str, Entry]]:
        """All shards in a segment, in the order of their places."""
        rows = self._reads.execute(
            "SELECT name, segment, start, length, flags FROM entries WHERE segment=?", (segment,)
        )
        found: Changes = {name: Entry(*rest) for name, *rest in rows}
        found |= self._flushing | self._recent
        mine = [(name, e) for name, e in found.items() if e and e.segment == segment]
        return sorted(mine, key=lambda each: each[1].start)

    @property
    def recent(self) -> int:
        """How many changes are in memory only."""
        return len(self._recent)

    def is_recent(self, name: str) -> bool:
        """Whether there is such a shard among the recent changes. Never touches the file."""
        return bool(self._recent.get(name) or self._flushing.get(name))

    def has_changed(self, name: str) -> bool:
        """Whether what the file says of a name is out of date."""
        return name in self._recent or name in self._flushing

    # -- changes --------------------------------------------------------------------------------
    def add(self, record: Record) -> None:
        """A shard whose name was never used before: `apply` without looking for an older one."""
        if self.has_changed(record.name):
            self.apply(record)
            return
        entry = Entry(*record.place, record.length, record.flags & _STATE)
        self.live[entry.segment] += footprint(len(record.name), entry.length)
        self._recent[record.name] = entry

    def apply(self, record: Record) -> None:
        """What a record changes; records that are applied again change nothing."""
        name, kind, state = record.name, record.kind, record.flags & _STATE
        if kind == Kind.SHARD and not record.flags & Flag.RELOCATED:
            self._set(name, Entry(*record.place, record.length, state))
        elif kind == Kind.SHARD:
            old = self.get(name)
            if old is None or old.place == record.target:
                state = old.flags if old else state
                self._set(name, Entry(*record.place, record.length, state))
        elif kind == Kind.PUBLISH:
            if old := self.get(name):
                self.publish(name, old, state)
        elif kind == Kind.DELETE:
            self._set(name, None)
        elif kind == Kind.RENAME and (old := self.get(name)):
            self._set(name, None)
            self._set(record.payload.decode(), old._replace(flags=_STATE))

    def publish(self, name: str, entry: Entry, flags: int = 0) -> None:
        """A shard that is there, as `entry` says, is published; it stays where it is."""
        flags |= entry.flags | Flag.PUBLISHED
        self._recent[name] = Entry(entry.segment, entry.start, entry.length, flags)

    def _set(self, name: str, entry: Entry | None) -> None:
        old = self.get(name)
        if old is not None:
            self.live[old.segment] -= footprint(len(name), old.length)
        if entry is not None:
            self.live[entry.segment] += footprint(len(name), entry.length)
        self._recent[name] = entry

    def forget_segment(self, segment: int) -> None:
        """A segment is gone, and what was in it."""
        for name, _ in self.entries_in(segment):
            self._set(name, None)
        self.live.pop(segment, None)

    # -- the file -------------------------------------------------------------------------------
    def begin_flush(self) -> Changes:
        """The changes to be written now; later ones are for the next time."""
        assert not self._flushing, "one flush at a time"
        self._flushing, self._recent = self._recent, {}
        return self._flushing

    def flush(self, changes: Changes, position: Place, live: dict[int, int]) -> None:
        """Write changes, all or none; blocks. What is before `position` in the segments is
        durable and among them, or was written earlier."""
        kept = [(name, *entry) for name, entry in changes.items() if entry]
        gone = [(name,) for name, entry in changes.items() if not entry]
        write = self._writes
        write.execute("BEGIN IMMEDIATE")
        try:
            write.executemany("INSERT OR REPLACE INTO entries VALUES (?,?,?,?,?)", kept)
            write.executemany("DELETE FROM entries WHERE name=?", gone)
            write.execute("DELETE FROM live")
            write.executemany("INSERT INTO live VALUES (?,?)", live.items())
            write.execute("UPDATE state SET segment=?, offset=?", position)
            write.execute("COMMIT")
        except BaseException:
            with suppress(sqlite3.Error):
                write.execute("ROLLBACK")
            raise

    def end_flush(self, position: Place | None) -> None:
        """The flush has ended: at this position, or (None) it failed."""
        if position is None:
            self._recent = {**self._flushing, **self._recent}
        else:
            self.position = position
        self._flushing = {}

    def close(self) -> None:
        self._reads.close()
        self._writes.close()  # closing twice is harmless


def _connections(
    path: Path | None, disk: str, *, read_only: bool
) -> tuple[sqlite3.Connection, sqlite3.Connection]:
    """For reading and for writing. A file that can't be used is begun anew."""
    if path is not None and not read_only:
        if path.exists():
            try:
                writes = _checked(_connect(path), disk)
                return _connect(path), writes
            except (sqlite3.DatabaseError, _OtherIndex) as error:
                log.warning("index %s is made again from the segments: %s", path, error)
        for suffix in ("", "-wal", "-shm"):
            path.with_name(path.name + suffix).unlink(missing_ok=True)
        path.parent.mkdir(parents=True, exist_ok=True)
        writes = _connect(path)
        _begin(writes, disk)
        return _connect(path), writes
    if path is not None and path.exists():
        try:
            reads = _checked(connect(path, read_only=True, any_thread=True), disk)
            return reads, reads
        except (sqlite3.DatabaseError, _OtherIndex) as error:
            log.info("index %s is not used: %s", path, error)
    memory = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
    _begin(memory, disk)
    return memory, memory


class _OtherIndex(Exception):
    """The file is another disk's, or of another version."""


def _connect(path: Path) -> sqlite3.Connection:
    # NORMAL: a power cut may take back the last transactions; they are in the segments.
    connection = connect(path, synchronous="NORMAL", any_thread=True)
    connection.execute(f"PRAGMA cache_size=-{CACHE_SIZE_KIB}")
    return connection


def _checked(connection: sqlite3.Connection, disk: str) -> sqlite3.Connection:
    try:
        found = connection.execute("SELECT version, disk FROM state").fetchone()
        if found != (SCHEMA_VERSION, disk):
            raise _OtherIndex(f"it is of version and disk {found}")
    except BaseException:
        connection.close()
        raise
    return connection


def _begin(connection: sqlite3.Connection, disk: str) -> None:
    connection.executescript(_SCHEMA)
    connection.execute("INSERT INTO state VALUES (?,?,0,0)", (SCHEMA_VERSION, disk))
