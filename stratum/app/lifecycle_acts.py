"""Doing what lifecycle rules say is due: deleting, moving to another storage class, aborting.

Each act is decided inside the journal's transaction, on the exact state, so an object that was
written, tagged or locked a moment ago is judged as it is now.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Protocol

import trio

from stratum.app.together import together
from stratum.domain.catalog import Catalog
from stratum.domain.errors import StratumError
from stratum.domain.events import (
    DeleteMarkerCreated,
    DeleteMarkerRemoved,
    Event,
    TierDecided,
    VersionRemoved,
)
from stratum.domain.lifecycle_actions import (
    BY,
    Cursor,
    Due,
    Look,
    abort_expired,
    abortion_due,
    look,
)
from stratum.domain.lifecycle_decisions import carry_out
from stratum.domain.lifecycle_schedule import VERSIONS_THAT_COUNT, Clock, clock_of
from stratum.domain.lifecycle_timer import Timer
from stratum.domain.names import BucketName, ExtentId, ObjectKey, Tier, UploadId, VolumeId
from stratum.domain.notification import EventName, ObjectChange
from stratum.domain.rules import Rules
from stratum.ports import Journal, LifecycleTimers, NewId, NowMs

DUE_BATCH = 256
"""Keys and uploads looked at together."""
ACTS_AT_ONCE = 64
"""Transactions that wait for the journal together: that many share one fsync."""
VERSIONS_PER_LOOK = 250
RETRY_S = 60.0
"""When something is tried again that failed. What may not be done, because the key is pinned or a
move is under way, is tried again after a day."""

Tell = Callable[[Sequence[ObjectChange]], None]

log = logging.getLogger("stratum.lifecycle")


class Moves(Protocol):
    """Who carries moves out."""

    async def submit(self, volume_id: VolumeId) -> None: ...


class LifecycleActs:
    """`forget` is told of volumes that were removed, `tell` of whatever was done."""

    def __init__(
        self,
        journal: Journal,
        timers: LifecycleTimers,
        moves: Moves,
        rules: Rules,
        forget: Callable[[VolumeId], None],
        new_id: NewId,
        now_ms: NowMs,
        tell: Tell = lambda changes: None,
    ) -> None:
        self._journal = journal
        self._tell = tell
        self._timers = timers
        self._moves = moves
        self._rules = rules
        self._forget = forget
        self._new_id = new_id
        self._now_ms = now_ms
        self._turns = trio.Semaphore(ACTS_AT_ONCE)

    @property
    def tiers(self) -> Sequence[Tier]:
        """Those that are configured."""
        return self._rules.tiers

    def clock(self) -> Clock:
        """The time, and a day of the tiering clock."""
        return clock_of(self._now_ms(), self._rules.day_s)

    async def pause_s(self) -> float:
        """Until something is due."""
        due_ms = await self._timers.next_due_ms()
        return math.inf if due_ms is None else max(0.0, (due_ms - self._now_ms()) / 1000)

    async def act(self) -> bool:
        """Do what is due of some keys and uploads, and set their timers anew. Returns whether there
        was anything."""
        due = await self._timers.due(self._now_ms(), DUE_BATCH)
        clock = self.clock()
        seen = await self._looks(due, clock, VERSIONS_PER_LOOK)
        acts = (partial(self._act_on, timer, seen.get(timer), clock) for timer in due)
        done = await together(*acts)
        # Positions have changed: a version became noncurrent, a marker is alone now.
        changed = [each.timer for each in done if each.changed]
        after = await self._looks(changed, clock, VERSIONS_THAT_COUNT)
        await self._timers.record([_next(each, after.get(each.timer), clock) for each in done])
        return bool(due)

    async def _looks(
        self, timers: Sequence[Timer], clock: Clock, limit: int
    ) -> Mapping[Timer, Look]:
        keys = [timer for timer in timers if not timer.upload_id]

        def question(catalog: Catalog) -> Mapping[Timer, Look]:
            return {each: look(catalog, each.bucket, each.key, clock, limit=limit) for each in keys}

        return await self._journal.query(question) if keys else {}

    async def _act_on(self, timer: Timer, seen: Look | None, clock: Clock) -> _Done:
        """Do what is due of one key or upload."""
        try:
            if seen is None:
                due_at_ms = await self._abort(timer.bucket, UploadId(timer.upload_id), clock)
                return _Done(timer, due_at_ms)
            return await self._act_on_versions(timer, seen, clock)
        except StratumError as error:
            log.warning("s3://%s/%s is looked at later: %s", timer.bucket, timer.key, error)
            return _Done(timer, self._now_ms() + round(min(RETRY_S, self._rules.day_s) * 1000))

    async def _abort(self, bucket: BucketName, upload_id: UploadId, clock: Clock) -> int:
        decide = partial(abort_expired, bucket=bucket, upload_id=upload_id, clock=clock)
        async with self._turns:
            if await self._journal.transact(decide, by=BY):
                return 0
        due = abortion_due(self._journal.catalog, bucket, upload_id, clock)
        return due[0] if due else 0

    async def _act_on_versions(self, timer: Timer, seen: Look, clock: Clock) -> _Done:
        timers: list[int] = []
        results: list[bool] = []
        while True:
            timers.append(seen.look_at_ms)
            for start in range(0, len(seen.due), ACTS_AT_ONCE):
                some = seen.due[start : start + ACTS_AT_ONCE]
                acts = (
                    partial(self._carry_out, timer.bucket, timer.key, due, clock) for due in some
                )
                results += await together(*acts)
            if seen.next is None:
                break
            seen = await self._journal.query(partial(_further, timer, clock, seen.next))
        if not all(results):
            timers.append(clock.now_ms + clock.day_ms)
        return _Done(timer, _earliest(timers), any(results))

    async def _carry_out(self, bucket: BucketName, key: ObjectKey, due: Due, clock: Clock) -> bool:
        """Returns whether anything was done."""
        decide = partial(
            carry_out,
            bucket=bucket,
            key=key,
            due=due,
            clock=clock,
            rules=self._rules,
            marker_id=self._new_id(),
            copy_id=ExtentId(self._new_id()),
        )
        async with self._turns:
            recorded = await self._journal.transact(decide, by=BY)
        self._tell(_changes(bucket, key, [record.event for record in recorded]))
        for record in recorded:
            if isinstance(record.event, VersionRemoved):
                self._forget(record.event.volume_id)
            elif isinstance(record.event, TierDecided):
                log.info("%s: %s", record.event.volume_id, record.event.decision.sentence)
                await self._moves.submit(record.event.volume_id)
        return bool(recorded)


def _changes(bucket: BucketName, key: ObjectKey, events: Sequence[Event]) -> Sequence[ObjectChange]:
    """What happened to a key, as notifications name it; a marker hides what made way for it."""
    found: dict[EventName, str | None] = {}
    for event in events:
        match event:
            case VersionRemoved() | DeleteMarkerRemoved():
                found[EventName.EXPIRED] = event.version_id
            case DeleteMarkerCreated():
                found[EventName.EXPIRED_MARKER] = event.version_id
            case TierDecided():
                found[EventName.TRANSITION] = None
    if EventName.EXPIRED_MARKER in found:
        found.pop(EventName.EXPIRED, None)
    return [ObjectChange(name, bucket, key, version_id) for name, version_id in found.items()]


@dataclass(frozen=True)
class _Done:
    """What came of one timer: when it is due again (0: never), and whether the key's versions
    have changed, so that it has to be looked at once more."""

    timer: Timer
    due_at_ms: int
    changed: bool = False


def _next(done: _Done, after: Look | None, clock: Clock) -> Timer:
    due_at_ms = done.due_at_ms
    if after is not None:
        due_at_ms = _earliest([due_at_ms, clock.now_ms if after.due else after.look_at_ms])
    return replace(done.timer, due_at_ms=due_at_ms)


def _earliest(timers: Sequence[int]) -> int:
    return min((timer for timer in timers if timer), default=0)


def _further(timer: Timer, clock: Clock, cursor: Cursor, catalog: Catalog) -> Look:
    return look(catalog, timer.bucket, timer.key, clock, limit=VERSIONS_PER_LOOK, cursor=cursor)
