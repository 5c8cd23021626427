"""Doing what lifecycle rules say is due: deleting, moving to another storage class, aborting.

Each act is decided inside the journal's transaction, on the exact state, so an object that was
written, tagged or locked a moment ago is judged as it is now.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Protocol

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

DUE_BATCH = 100
"""Keys and uploads looked at together."""
KEYS_AT_ONCE = 16
ACTS_AT_ONCE = 16
"""Of one key; together with KEYS_AT_ONCE what waits for one commit of the journal."""
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
        for start in range(0, len(due), KEYS_AT_ONCE):
            some = due[start : start + KEYS_AT_ONCE]
            following = await together(*(partial(self._act_on, timer) for timer in some))
            await self._timers.record(following)
        return bool(due)

    async def _act_on(self, timer: Timer) -> Timer:
        """Do what is due of one key or upload; returns its next timer."""
        try:
            if timer.upload_id:
                due_at_ms = await self._abort(timer.bucket, UploadId(timer.upload_id))
            else:
                due_at_ms = await self._act_on_versions(timer.bucket, timer.key)
        except StratumError as error:
            log.warning("s3://%s/%s is looked at later: %s", timer.bucket, timer.key, error)
            due_at_ms = self._retry_at_ms()
        return Timer(timer.bucket, timer.key, due_at_ms, timer.upload_id)

    async def _abort(self, bucket: BucketName, upload_id: UploadId) -> int:
        clock = self.clock()
        decide = partial(abort_expired, bucket=bucket, upload_id=upload_id, clock=clock)
        if await self._journal.transact(decide, by=BY):
            return 0
        due = abortion_due(self._journal.catalog, bucket, upload_id, clock)
        return due[0] if due else 0

    async def _act_on_versions(self, bucket: BucketName, key: ObjectKey) -> int:
        clock = self.clock()
        timers: list[int] = []
        results: list[bool] = []
        cursor: Cursor | None = None
        while True:
            seen = await self._look(bucket, key, clock, VERSIONS_PER_LOOK, cursor)
            timers.append(seen.look_at_ms)
            for start in range(0, len(seen.due), ACTS_AT_ONCE):
                some = seen.due[start : start + ACTS_AT_ONCE]
                acts = (partial(self._carry_out, bucket, key, due, clock) for due in some)
                results += await together(*acts)
            cursor = seen.next
            if cursor is None:
                break
        if not all(results):
            timers.append(clock.now_ms + clock.day_ms)
        if any(results):
            # Positions have changed: a version became noncurrent, a marker is alone now.
            seen = await self._look(bucket, key, clock, VERSIONS_THAT_COUNT)
            timers.append(clock.now_ms if seen.due else seen.look_at_ms)
        return min((timer for timer in timers if timer), default=0)

    async def _look(
        self,
        bucket: BucketName,
        key: ObjectKey,
        clock: Clock,
        limit: int,
        cursor: Cursor | None = None,
    ) -> Look:
        def question(catalog: Catalog) -> Look:
            return look(catalog, bucket, key, clock, limit=limit, cursor=cursor)

        return await self._journal.query(question)

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
        recorded = await self._journal.transact(decide, by=BY)
        self._tell(_changes(bucket, key, [record.event for record in recorded]))
        for record in recorded:
            if isinstance(record.event, VersionRemoved):
                self._forget(record.event.volume_id)
            elif isinstance(record.event, TierDecided):
                log.info("%s: %s", record.event.volume_id, record.event.decision.sentence)
                await self._moves.submit(record.event.volume_id)
        return bool(recorded)

    def _retry_at_ms(self) -> int:
        return self._now_ms() + round(min(RETRY_S, self._rules.day_s) * 1000)


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
