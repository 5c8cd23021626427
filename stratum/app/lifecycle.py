"""Keeping the timers of lifecycle rules: what has to be looked at, and when.

New versions, tags and uploads get their timers by following the journal. When the rules of a
bucket change, its versions and uploads are walked once, page by page; a walk that a crash cut short
goes on where it was. What is overdue by the new rules goes at the next midnight: who made a mistake
has until then to take it back. `LifecycleActs` does what is due. No pass ever scans a bucket in
between, and while no bucket has rules nothing happens at all.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import trio

from stratum.app.lifecycle_acts import LifecycleActs, Tell
from stratum.app.tiering_services import TieringServices
from stratum.domain.catalog import Catalog
from stratum.domain.errors import StratumError
from stratum.domain.events import (
    BucketConfigured,
    BucketDeleted,
    DeleteMarkerCreated,
    DeleteMarkerRemoved,
    Recorded,
    UploadStarted,
    VersionChanged,
    VersionCommitted,
    VersionRemoved,
)
from stratum.domain.lifecycle import Rule
from stratum.domain.lifecycle_actions import abortion_due, by_a_rule, look
from stratum.domain.lifecycle_schedule import Clock
from stratum.domain.lifecycle_timer import Timer, Walk
from stratum.domain.listing import ListRequest, Position
from stratum.domain.names import BucketName, ObjectKey, UploadId
from stratum.domain.rules import Rules
from stratum.domain.storage_class import kept_class
from stratum.ports import Journal, LifecycleTimers, NewId, NowMs

FOLLOW_S = 5.0
FOLLOW_MIN_S = 0.05
FOLLOWS_PER_DAY_MIN = 100
"""However short a day of the tiering clock is, the journal is read this often in it."""
FOLLOW_BATCH_EVENTS = 1000
WALK_PAGE = 250
"""Versions or uploads of one page of a walk."""
WALK_PAUSE_S = 0.02
"""Between two pages, so that a long walk leaves room for others."""
RETRY_S = 5.0
IDLE = 0
"""Position that says: no bucket had rules. Whatever was written since is walked, not followed."""

log = logging.getLogger("stratum.lifecycle")


@dataclass
class _Found:
    """Timers of one batch of events or one page. `earlier`: of keys with more versions than were
    looked at; the timers they have may be due to those."""

    exact: list[Timer] = field(default_factory=list)
    earlier: list[Timer] = field(default_factory=list)


@dataclass
class _Touched:
    """What events touched, in buckets that have rules."""

    keys: dict[tuple[BucketName, ObjectKey], None] = field(default_factory=dict)
    uploads: list[UploadStarted] = field(default_factory=list)
    walks: list[Walk] = field(default_factory=list)


class LifecycleWorker:
    def __init__(
        self, journal: Journal, timers: LifecycleTimers, acts: LifecycleActs, day_s: float
    ) -> None:
        self._journal = journal
        self._timers = timers
        self._acts = acts
        self._follow_s = max(FOLLOW_MIN_S, min(FOLLOW_S, day_s / FOLLOWS_PER_DAY_MIN))
        self._configured: set[BucketName] = set()
        self._position = IDLE
        self._woken = trio.Event()

    def check_classes(self, rules: Iterable[Rule]) -> None:
        """Raises InvalidStorageClass for a transition to a class whose tier isn't configured."""
        for rule in rules:
            classes = [step.storage_class for step in rule.transitions]
            classes += [step.storage_class for step in rule.noncurrent_transitions]
            for storage_class in classes:
                kept_class(storage_class, self._acts.tiers)

    def wake(self) -> None:
        """Say that a bucket was given rules."""
        self._woken.set()

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Work until cancelled."""
        task_status.started()
        while True:
            self._woken = trio.Event()
            try:
                pause_s = await self.step()
            except StratumError as error:
                log.warning("lifecycle rules pause: %s", error)
                pause_s = RETRY_S
            with trio.move_on_after(pause_s):
                await self._woken.wait()

    async def step(self) -> float:
        """Bring the timers up to date with the journal, walk a page, do some of what is due.
        Returns for how long there is nothing to do, in seconds."""
        if not self._configured:
            await self._begin()
        if not self._configured:
            return math.inf
        await self._follow()
        walking = await self._walk()
        acting = await self._acts.act()
        if acting:
            return 0.0
        return WALK_PAUSE_S if walking else min(self._follow_s, await self._acts.pause_s())

    # -- following ------------------------------------------------------------------------------
    async def _begin(self) -> None:
        """Find out which buckets have rules; walk all of them if it isn't known what has happened
        since there were any."""
        head = (await self._journal.head()).seq
        buckets = await self._journal.query(_configured)
        self._configured = set(buckets)
        if not buckets:
            return
        self._position = await self._timers.position() or IDLE
        if self._position == IDLE or self._position > head:  # of another, longer journal
            self._position = head
            await self._timers.record(walks=[Walk(name, head) for name in buckets], position=head)

    async def _follow(self) -> None:
        while recorded := await self._journal.read(self._position, FOLLOW_BATCH_EVENTS):
            touched = self._touched(recorded)
            found = await self._journal.query(partial(self._timers_of, touched))
            position = recorded[-1].seq if self._configured else IDLE
            await self._timers.record(
                found.exact, earlier=found.earlier, walks=touched.walks, position=position
            )
            self._position = recorded[-1].seq
            if not self._configured:
                return

    def _touched(self, recorded: Iterable[Recorded]) -> _Touched:
        touched = _Touched()
        for record in recorded:
            match record.event:
                case BucketConfigured(bucket, "lifecycle", value):
                    if value.lifecycle is None:
                        self._configured.discard(bucket)
                    else:
                        self._configured.add(bucket)
                        touched.walks.append(Walk(bucket, record.seq))
                case BucketDeleted(bucket):
                    self._configured.discard(bucket)
                case UploadStarted() as event if event.bucket in self._configured:
                    touched.uploads.append(event)
                case (VersionRemoved() | DeleteMarkerRemoved()) as event if by_a_rule(event.reason):
                    pass  # `LifecycleActs` has looked again itself
                case (
                    VersionCommitted()
                    | VersionChanged()
                    | VersionRemoved()
                    | DeleteMarkerCreated()
                    | DeleteMarkerRemoved()
                ) as event if event.bucket in self._configured:
                    touched.keys[event.bucket, event.key] = None
        return touched

    def _timers_of(self, touched: _Touched, catalog: Catalog) -> _Found:
        found = _Found()
        clock = self._acts.clock()
        for bucket, key in touched.keys:
            _look_at_key(catalog, bucket, key, clock, found)
        for started in touched.uploads:
            _look_at_upload(catalog, started.bucket, started.key, started.upload_id, clock, found)
        return found

    # -- walking --------------------------------------------------------------------------------
    async def _walk(self) -> bool:
        """One page of the walk begun first. Returns whether there was one."""
        walks = await self._timers.walks()
        if not walks:
            return False
        found, further = await self._journal.query(partial(self._page, walks[0]))
        await self._timers.record(
            found.exact,
            earlier=found.earlier,
            walks=[] if further is None else [further],
            done=[walks[0]] if further is None else [],
        )
        return True

    def _page(self, walk: Walk, catalog: Catalog) -> tuple[_Found, Walk | None]:
        """The timers of one page of a bucket, and how to go on; None after the last one."""
        found, clock = _Found(), self._acts.clock()
        bucket = walk.bucket
        if not walk.uploads:
            after = Position(walk.after_key) if walk.after_key else None
            versions = catalog.list_versions(bucket, ListRequest(after=after, max_keys=WALK_PAGE))
            keys = dict.fromkeys(listed.key for listed in versions.entries)
            for key in keys:
                _look_at_key(catalog, bucket, key, clock, found, begin_ms=clock.midnight_ms)
            if versions.next is None:
                return found, replace(walk, after_key="", uploads=True)
            # Of the last key the page may have only some versions; it was looked at as a whole.
            return found, replace(walk, after_key=versions.next.key)
        after = Position(walk.after_key, within=walk.after_upload) if walk.after_key else None
        uploads = catalog.list_uploads(bucket, ListRequest(after=after, max_keys=WALK_PAGE))
        for upload in uploads.entries:
            _look_at_upload(
                catalog, bucket, upload.key, upload.id, clock, found, begin_ms=clock.midnight_ms
            )
        if uploads.next is None:
            return found, None
        return found, replace(
            walk, after_key=uploads.next.key, after_upload=uploads.next.within or ""
        )


def make_lifecycle(
    journal: Journal,
    timers: LifecycleTimers,
    tiering: TieringServices,
    rules: Rules,
    new_id: NewId,
    now_ms: NowMs,
    tell: Tell,
) -> LifecycleWorker:
    """The worker with what it acts through; it does not run yet."""
    acts = LifecycleActs(
        journal, timers, tiering.mover, rules, tiering.accesses.forget, new_id, now_ms, tell
    )
    return LifecycleWorker(journal, timers, acts, rules.day_s)


def _configured(catalog: Catalog) -> Sequence[BucketName]:
    return [bucket.name for bucket in catalog.buckets() if bucket.settings.lifecycle is not None]


def _look_at_key(
    catalog: Catalog,
    bucket: BucketName,
    key: ObjectKey,
    clock: Clock,
    found: _Found,
    *,
    begin_ms: int = 0,
) -> None:
    """Set a key's timer, not before `begin_ms`."""
    seen = look(catalog, bucket, key, clock)
    due_at_ms = clock.now_ms if seen.due else seen.look_at_ms
    timer = Timer(bucket, key, max(due_at_ms, begin_ms) if due_at_ms else 0)
    (found.exact if seen.next is None else found.earlier).append(timer)


def _look_at_upload(
    catalog: Catalog,
    bucket: BucketName,
    key: ObjectKey,
    upload_id: UploadId,
    clock: Clock,
    found: _Found,
    *,
    begin_ms: int = 0,
) -> None:
    due = abortion_due(catalog, bucket, upload_id, clock)
    found.exact.append(Timer(bucket, key, max(due[0], begin_ms) if due else 0, upload_id))
