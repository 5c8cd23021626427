"""Counting reads without an event per read, and keeping every volume's timer.

A read costs one dictionary entry. A loop writes the entries to the access log in batches, and
follows the journal to give new volumes a row, moved ones a fresh start and removed ones none. A
crash loses the reads of the last interval; the journal position makes sure it loses no volume.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

import trio

from stratum.app.learning import Learning
from stratum.domain import access
from stratum.domain.access import Access
from stratum.domain.errors import StratumError
from stratum.domain.events import (
    MoveAbandoned,
    Recorded,
    VersionChanged,
    VersionCommitted,
    VersionRemoved,
    VolumeMoved,
)
from stratum.domain.names import VolumeId
from stratum.domain.pinning import pin_on
from stratum.domain.rules import Rules
from stratum.domain.volume import Volume
from stratum.ports import AccessLog, Journal, NowMs

FLUSH_S = 5.0
FLUSH_MIN_S = 0.05
FLUSHES_PER_DAY_MIN = 100
"""However short a day of the tiering clock is, reads are noted this often in it."""
FLUSH_LIMIT_S = 10.0
"""How long the last flush may hold up a shutdown."""
BATCH_ROWS = 1000
FOLLOW_BATCH_EVENTS = 250
UNFLUSHED_VOLUMES_MAX = 100_000
"""Reads of further volumes are not counted until the next flush, which then starts at once."""
SESSIONS_PER_FLUSH_MAX = 1000
ABANDONED_RETRY_DAYS = 1.0
"""When the policy looks again at a volume whose move failed for good."""

FOLLOWED = (VersionCommitted, VersionChanged, VolumeMoved, MoveAbandoned, VersionRemoved)

log = logging.getLogger("stratum.accesses")


class AccessRecorder:
    """`rows` is held by whoever reads rows of the access log in order to write them back; `wake`
    is called with the earliest timer (Unix ms) that was set. `learning` is kept up with every
    flush."""

    def __init__(
        self,
        journal: Journal,
        access_log: AccessLog,
        rules: Rules,
        now_ms: NowMs,
        rows: trio.Lock,
        wake: Callable[[int], None],
        learning: Learning,
        *,
        flush_s: float = FLUSH_S,
    ) -> None:
        self._journal = journal
        self._access_log = access_log
        self._rules = rules
        self._now_ms = now_ms
        self._rows = rows
        self._wake = wake
        self._learning = learning
        self._flush_s = max(FLUSH_MIN_S, min(flush_s, rules.day_s / FLUSHES_PER_DAY_MIN))
        self._session_ms = rules.session_ms
        # Per volume, sessions as [first read, last read, number of reads].
        self._reads: dict[VolumeId, list[list[int]]] = {}
        self._full = trio.Event()
        self._behind = True

    # -- called by requests ---------------------------------------------------------------------
    def record(self, volume_id: VolumeId) -> None:
        """Count one read, now. HEAD, LIST and tagging must not call this."""
        at_ms = self._now_ms()
        sessions = self._reads.get(volume_id)
        if sessions is None:
            if len(self._reads) >= UNFLUSHED_VOLUMES_MAX:
                self._full.set()
                return
            self._reads[volume_id] = [[at_ms, at_ms, 1]]
            return
        latest = sessions[-1]
        if at_ms - latest[0] <= self._session_ms or len(sessions) >= SESSIONS_PER_FLUSH_MAX:
            latest[1] = at_ms
            latest[2] += 1
        else:
            sessions.append([at_ms, at_ms, 1])

    def track(self, volume_id: VolumeId) -> None:
        """Say that an event about a volume was committed: its row follows at the next flush."""
        self._behind = True

    def forget(self, volume_id: VolumeId) -> None:
        """Say that a volume was removed."""
        self._reads.pop(volume_id, None)
        self._behind = True

    # -- in the background ----------------------------------------------------------------------
    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Flush until cancelled, and once more then."""
        await self._learning.load()
        task_status.started()
        try:
            while True:
                await self._try_flush()
                self._full = trio.Event()
                with trio.move_on_after(self._flush_s):
                    await self._full.wait()
        finally:
            with trio.move_on_after(FLUSH_LIMIT_S, shield=True):
                await self._try_flush()
                await self._learning.finish()

    async def flush(self) -> None:
        """Bring the access log up to date with the journal, then write the reads noted so far."""
        await self._learning.keep_up()
        if self._behind:
            self._behind = False
            await self._follow()
        reads, self._reads = self._reads, {}
        while reads:
            batch = [(volume_id, reads.pop(volume_id)) for volume_id in [*reads][:BATCH_ROWS]]
            # Once begun it is done, so that a shutdown neither loses these reads nor counts them
            # twice; what has not begun is for the last flush.
            with trio.CancelScope(shield=True):
                await self._store(batch)
            try:
                await trio.lowlevel.checkpoint()
            except trio.Cancelled:
                for volume_id, sessions in reads.items():
                    self._reads[volume_id] = sessions + self._reads.get(volume_id, [])
                raise

    async def _try_flush(self) -> None:
        try:
            await self.flush()
        except StratumError as error:
            self._behind = True
            log.warning("reads not noted: %s", error)

    async def _follow(self) -> None:
        position = await self._access_log.position()
        while recorded := await self._journal.read(position, FOLLOW_BATCH_EVENTS):
            await self._apply(recorded)
            position = recorded[-1].seq
            await self._access_log.position(position)

    async def _apply(self, recorded: Sequence[Recorded]) -> None:
        latest: dict[VolumeId, list[Recorded]] = {}
        for record in recorded:
            event = record.event
            if isinstance(event, FOLLOWED):
                latest.setdefault(event.volume_id, []).append(record)
        now_ms = self._now_ms()
        rows: list[Access] = []
        gone: list[VolumeId] = []
        async with self._rows:
            before = await self._access_log.get_many(list(latest))
            for volume_id, events in latest.items():
                volume = self._journal.catalog.volume(volume_id)
                row = before.get(volume_id)
                if volume is not None:
                    rows.append(self._followed(volume, row, events, now_ms))
                    continue
                gone.append(volume_id)
                removed = events[-1].event
                if row is not None and isinstance(removed, VersionRemoved):
                    self._rules.removed(removed.bucket, removed.key, row, events[-1].at_ms)
            if rows:
                await self._access_log.put(rows)
            if gone:
                await self._access_log.forget(gone)
        self._announce(rows)

    def _followed(
        self, volume: Volume, row: Access | None, events: Sequence[Recorded], now_ms: int
    ) -> Access:
        """The row of a volume after some of its events. What the volume is now is in the catalog;
        the events only say what has happened to it."""
        if row is None or isinstance(events[0].event, VersionCommitted):
            row = self._rules.written(volume)
        if any(isinstance(record.event, VolumeMoved) for record in events):
            row = self._rules.moved(volume, row)
        if isinstance(events[-1].event, MoveAbandoned):
            retry_at_ms = now_ms + max(1, round(ABANDONED_RETRY_DAYS * self._rules.day_s * 1000))
            return access.look(row, retry_at_ms)
        pin = pin_on(self._journal.catalog, volume, now_ms)
        return row if pin is None else self._rules.pinned(volume, row, now_ms, pin)

    async def _store(self, noted: Sequence[tuple[VolumeId, list[list[int]]]]) -> None:
        now_ms = self._now_ms()
        rows: list[Access] = []
        async with self._rows:
            before = await self._access_log.get_many([volume_id for volume_id, _ in noted])
            for volume_id, sessions in noted:
                volume = self._journal.catalog.volume(volume_id)
                if volume is not None:
                    row = before.get(volume_id) or self._rules.written(volume)
                    reads = [(first, last, number) for first, last, number in sessions]
                    rows.append(self._rules.read(volume, row, reads, now_ms))
                    self._learning.keeper.note(volume_id, reads)
            if rows:
                await self._access_log.put(rows)
        self._announce(rows)

    def _announce(self, rows: Sequence[Access]) -> None:
        timers = [row.look_at_ms for row in rows if row.look_at_ms]
        if timers:
            self._wake(min(timers))
