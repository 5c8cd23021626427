"""Copies of the journal on the disks and in the remote tier, a second behind it.

Written off the commit path: an acknowledged write never waits for a copy. Each archive is
followed by a task of its own, so that one that hangs delays no other. What was superseded is not
deleted before enough copies know why (`settled_ms`): a journal made from a copy then never refers
to bytes that are gone.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import trio

from stratum.domain.errors import DiskFailed, JournalCorrupt, RemoteFailed
from stratum.domain.event_archive import (
    HEADER_BYTES,
    SEGMENT_SIZE_BYTES,
    ArchivedRow,
    is_segment,
    pack_frame,
    pack_header,
    parse_segment,
    segment_name,
)
from stratum.domain.hash_chain import GENESIS_DIGEST
from stratum.ports import EventArchive, Journal, NowMs

MIRROR_INTERVAL_S = 1.0
"""How far the copies on disks may be behind the journal, unless a disk is slow or failing."""
REMOTE_INTERVAL_S = 60.0
"""The same for the copy in the remote tier, which is put again as a whole segment."""
COPIES_MIN = 3
"""So many archives must have an event before it counts as mirrored: one is left when any two disks
are lost. With fewer archives, all of them."""
ROWS_AT_ONCE = 1000
RETRY_FIRST_S = 1.0
RETRY_MAX_S = 60.0
FIRST_LOOK_LIMIT_S = 10.0
"""How long a start waits for archives to say where they end; slower ones are looked at later."""

log = logging.getLogger("stratum.mirror")


@dataclass(frozen=True)
class ArchiveStatus:
    """How far one copy of the journal is."""

    place: str
    seq: int
    """The last event it has."""
    fault: str
    """What is wrong with it, or empty."""


@dataclass(frozen=True)
class ArchiveEnd:
    """Where an archive ends, and the segment to go on in (empty: a new one)."""

    seq: int
    digest: bytes
    segment: str = ""
    length: int = 0


async def find_end(archive: EventArchive) -> ArchiveEnd:
    """Read the last segment there is. Raises DiskFailed or RemoteFailed."""
    for name in sorted(filter(is_segment, await archive.names()), reverse=True):
        try:
            data = await archive.read(name)
        except RemoteFailed as error:
            # Its names can be had: it answers, and this is not what was put.
            log.warning("%s", error)
            data = b"damaged"
        if not data:
            continue  # it was emptied
        found = parse_segment(data)
        if found is not None and segment_name(found.first_seq) == name:
            return ArchiveEnd(found.last_seq, found.digest, name, found.length)
        log.warning("%s: %s is no segment, it will be written again", archive.describe(), name)
    return ArchiveEnd(0, GENESIS_DIGEST)


async def empty_segments(archive: EventArchive) -> None:
    """Make an archive one without events, the last ones first."""
    for name in sorted(filter(is_segment, await archive.names()), reverse=True):
        await archive.write_at(name, 0, b"")


async def archive_status(archive: EventArchive) -> ArchiveStatus:
    """What a copy is like, without a server that follows it."""
    try:
        return ArchiveStatus(archive.describe(), (await find_end(archive)).seq, "")
    except (DiskFailed, RemoteFailed) as error:
        return ArchiveStatus(archive.describe(), 0, str(error))


class _Copy:
    """One archive and how far it is; None before it was looked at."""

    def __init__(self, archive: EventArchive, interval_s: float) -> None:
        self.archive = archive
        self.interval_s = interval_s
        self.end: ArchiveEnd | None = None
        self.fault = ""
        self.differs = False

    @property
    def seq(self) -> int:
        return 0 if self.end is None or self.differs else self.end.seq

    async def append(self, rows: Sequence[ArchivedRow]) -> None:
        """Write rows that follow the end, durably."""
        end = self.end
        assert end is not None, "it was looked at"
        assert rows[0].seq == end.seq + 1, "rows follow one another"
        name, length, data = end.segment, end.length, pack_frame(rows)
        if not name or length >= SEGMENT_SIZE_BYTES:
            name, length = segment_name(rows[0].seq), 0
            data = pack_header(rows[0].seq, end.digest) + data
        assert length == 0 or length >= HEADER_BYTES
        await self.archive.write_at(name, length, data)
        self.end = ArchiveEnd(rows[-1].seq, rows[-1].digest, name, length + len(data))


class JournalMirror:
    """`archives` are places with the longest time between two writes to each, in seconds."""

    def __init__(
        self,
        journal: Journal,
        archives: Sequence[tuple[EventArchive, float]],
        now_ms: NowMs,
        *,
        interval_s: float = MIRROR_INTERVAL_S,
        outdated_above: int | None = None,
    ) -> None:
        """`outdated_above`: a recovery, proved by a signed statement, could restore events up to
        this one only. A copy that has others above it was away then, and is written anew."""
        self._outdated_above = outdated_above
        self._journal = journal
        self._copies = [_Copy(archive, interval) for archive, interval in archives]
        self._now_ms = now_ms
        self._interval_s = interval_s
        self._head_seq = 0
        self._grown = trio.Event()
        self._seen: list[tuple[int, int]] = []
        """Heads of the journal and the time up to which they tell everything, oldest first."""
        self._settled_ms = 0 if self._copies else _FOREVER_MS
        self._last_read: tuple[int, Sequence[ArchivedRow]] = (-1, ())

    def status(self) -> tuple[ArchiveStatus, ...]:
        """How far each copy is."""
        return tuple(
            ArchiveStatus(copy.archive.describe(), copy.seq, copy.fault) for copy in self._copies
        )

    @property
    def mirrored_seq(self) -> int:
        """The last event that is in enough copies."""
        furthest = sorted((copy.seq for copy in self._copies), reverse=True)
        return furthest[min(COPIES_MIN, len(furthest)) - 1] if furthest else 0

    def settled_ms(self) -> int:
        """Everything that happened up to this time (Unix ms) is in enough copies."""
        return self._settled_ms

    async def check(self) -> None:
        """Before anything is appended: raise JournalCorrupt if a copy has what the journal lacks.

        A journal put back from an old backup, or cut off, would otherwise go on as if what
        happened since had not. Archives that don't answer are looked at later.
        """
        with trio.move_on_after(FIRST_LOOK_LIMIT_S):
            async with trio.open_nursery() as nursery:
                for copy in self._copies:
                    nursery.start_soon(self._look_quietly, copy)
        for copy in self._copies:
            if copy.differs:
                raise JournalCorrupt(
                    f"{copy.fault}. The metadata directory was put back from an older copy, or"
                    " changed. `stratum recover` makes the journal again from the copies."
                )

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Follow the journal until cancelled."""
        async with trio.open_nursery() as nursery:
            for copy in self._copies:
                nursery.start_soon(self._follow, copy)
            task_status.started()
            while self._copies:
                await self._look_at_journal()
                await trio.sleep(self._interval_s)

    async def catch_up(self, limit_s: float) -> None:
        """Write what is missing, for at most so long: when the server stops."""
        with trio.move_on_after(limit_s):
            await self._look_at_journal()
            async with trio.open_nursery() as nursery:
                for copy in self._copies:
                    nursery.start_soon(self._catch_up_quietly, copy)

    # -- inside ---------------------------------------------------------------------------------
    async def _look_at_journal(self) -> None:
        before_ms = self._now_ms()
        head = await self._journal.head()
        # Events still to come are later than the head, unless they share its millisecond.
        complete_ms = head.at_ms if before_ms > head.at_ms else head.at_ms - 1
        if self._seen and self._seen[-1][0] == head.seq:
            self._seen.pop()
        self._seen.append((head.seq, complete_ms))
        self._settle()
        if head.seq > self._head_seq:
            self._head_seq = head.seq
            self._grown.set()
            self._grown = trio.Event()

    def _settle(self) -> None:
        mirrored = self.mirrored_seq
        while self._seen and self._seen[0][0] <= mirrored:
            self._settled_ms = max(self._settled_ms, self._seen.pop(0)[1])
        if len(self._seen) > _HEADS_MAX:
            del self._seen[1:-1]  # far behind: the newest one will do

    async def _follow(self, copy: _Copy) -> None:
        retry_s = RETRY_FIRST_S
        while True:
            grown = self._grown
            if await self._catch_up_quietly(copy):
                retry_s = RETRY_FIRST_S
                await trio.sleep(max(0.0, copy.interval_s - self._interval_s))
                if copy.seq >= self._head_seq:
                    await grown.wait()
            else:
                await trio.sleep(retry_s)
                retry_s = min(RETRY_MAX_S, 2 * retry_s)

    async def _catch_up_quietly(self, copy: _Copy) -> bool:
        """Whether the copy is as long as the journal was; its `fault` says why not."""
        try:
            if not await self._look(copy):
                return False
            assert copy.end is not None
            while copy.end.seq < self._head_seq and (rows := await self._rows_after(copy.end.seq)):
                await copy.append(rows)
                self._settle()
        except (DiskFailed, RemoteFailed) as error:
            # What was written last may be there in part: look again.
            copy.end = None
            self._report(copy, str(error))
            return False
        self._report(copy, "")
        return True

    async def _look_quietly(self, copy: _Copy) -> None:
        try:
            await self._look(copy)
        except (DiskFailed, RemoteFailed) as error:
            self._report(copy, str(error))

    async def _look(self, copy: _Copy) -> bool:
        """Find out where the archive ends, unless known; whether it belongs to this journal."""
        if copy.differs:
            return False
        if copy.end is not None:
            return True
        end = await find_end(copy.archive)
        if end.seq:
            known = await self._journal.rows(end.seq - 1, 1)
            if not known or known[0].digest != end.digest:
                if self._outdated_above is not None and end.seq > self._outdated_above:
                    log.warning("%s is from before a recovery", copy.archive.describe())
                    await empty_segments(copy.archive)
                    copy.end = ArchiveEnd(0, GENESIS_DIGEST)
                    return True
                copy.differs = True
                own = (
                    f"event {end.seq} of the journal is another"
                    if known
                    else (f"the journal ends at event {(await self._journal.head()).seq}")
                )
                self._report(copy, f"{copy.archive.describe()} has {end.seq} events: {own}")
                return False
        copy.end = end
        return True

    async def _rows_after(self, seq: int) -> Sequence[ArchivedRow]:
        """The copies on disks are mostly equally far: one answer serves all."""
        if self._last_read[0] != seq or not self._last_read[1]:
            self._last_read = (seq, await self._journal.rows(seq, ROWS_AT_ONCE))
        return self._last_read[1]

    def _report(self, copy: _Copy, fault: str) -> None:
        if fault and fault != copy.fault:
            log.warning("the journal's copy in %s: %s", copy.archive.describe(), fault)
        copy.fault = fault


_FOREVER_MS = 1 << 60
_HEADS_MAX = 1000
