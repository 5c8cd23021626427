"""Pinning keys to a tier, and telling the volumes that are there already.

New volumes learn of a pin with their first timer. For older ones the keys under the prefix are
walked in the background, page by page, and the timers of those that lie elsewhere set to now; the
tierer does the rest. A walk that a crash cut short begins again at the next start.
"""

from __future__ import annotations

import heapq
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import trio

from stratum.domain import access
from stratum.domain.access import Access
from stratum.domain.catalog import Catalog
from stratum.domain.errors import StratumError
from stratum.domain.events import Recorded, TierPinned, TierUnpinned
from stratum.domain.listing import ListRequest, Position
from stratum.domain.names import BucketName, Caller, Tier, VolumeId
from stratum.domain.pinning import remove_pin, set_pin
from stratum.domain.rules import Rules
from stratum.domain.volume import DeleteMarker, ObjectVersion
from stratum.ports import AccessLog, Decide, Journal, NowMs

PAGE_KEYS = 250
PAUSE_S = 0.02
"""Between two pages, so that a long walk leaves room for others."""
RETRY_S = 5.0
READER = "pins"

log = logging.getLogger("stratum.pins")


@dataclass(frozen=True, order=True)
class _Walk:
    """What is to be told: everything under a prefix that was pinned or unpinned."""

    seq: int
    bucket: BucketName
    prefix: str


class Pins:
    """`rows` is held by whoever reads rows of the access log in order to write them back; `wake`
    is called with the earliest timer (Unix ms) that was set."""

    def __init__(
        self,
        journal: Journal,
        access_log: AccessLog,
        rules: Rules,
        now_ms: NowMs,
        rows: trio.Lock,
        wake: Callable[[int], None],
    ) -> None:
        self._journal = journal
        self._access_log = access_log
        self._rules = rules
        self._now_ms = now_ms
        self._rows = rows
        self._wake = wake
        self._walks: list[_Walk] = []
        self._ordering = trio.Lock()
        self._added = trio.Event()

    # -- use cases ------------------------------------------------------------------------------
    async def pin(
        self, caller: Caller, bucket: BucketName, prefix: str, tier: Tier, why: str = ""
    ) -> None:
        """Pin all keys under a prefix to a tier, those there are and those to come.

        Raises NoSuchBucket, MoveRefused, InvalidArgument.
        """
        decide = partial(
            set_pin, bucket=bucket, prefix=prefix, tier=tier, why=why, tiers=self._rules.tiers
        )
        await self._change(decide, caller)

    async def unpin(self, caller: Caller, bucket: BucketName, prefix: str) -> None:
        """Leave them to the policy, or to the pin of a shorter prefix. Raises NoSuchBucket,
        NoSuchPin."""
        await self._change(partial(remove_pin, bucket=bucket, prefix=prefix), caller)

    async def _change(self, decide: Decide, caller: Caller) -> None:
        # The position of the walks only goes forward: they are queued in journal order.
        async with self._ordering:
            for recorded in await self._journal.transact(decide, by=caller.name):
                self._add(_walk_of(recorded))

    # -- in the background ----------------------------------------------------------------------
    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Walk until cancelled, first what the last run left undone."""
        task_status.started()
        await self._resume()
        while True:
            self._added = trio.Event()
            while self._walks:
                walk = self._walks[0]
                try:
                    await self._carry_out(walk)
                    await self._access_log.position(walk.seq, READER)
                except StratumError as error:
                    log.warning("pins are told later: %s", error)
                    await trio.sleep(RETRY_S)
                    continue
                heapq.heappop(self._walks)  # the same one: those added since come later
            await self._added.wait()

    async def _resume(self) -> None:
        done: int | None = None
        while done is None:
            try:
                done = await self._access_log.position(reader=READER)
            except StratumError as error:
                log.warning("pins are told later: %s", error)
                await trio.sleep(RETRY_S)
        for pin in self._journal.catalog.pins():
            walk = _Walk(pin.seq, pin.bucket, pin.prefix)
            if pin.seq > done and walk not in self._walks:
                self._add(walk)

    def _add(self, walk: _Walk) -> None:
        heapq.heappush(self._walks, walk)
        self._added.set()

    async def _carry_out(self, walk: _Walk) -> None:
        after: Position | None = None
        while True:
            question = partial(_elsewhere, bucket=walk.bucket, prefix=walk.prefix, after=after)
            volume_ids, after = await self._journal.query(question)
            if volume_ids:
                await self._set_due(volume_ids)
            if after is None:
                return
            await trio.sleep(PAUSE_S)

    async def _set_due(self, volume_ids: Sequence[VolumeId]) -> None:
        rows: list[Access] = []
        async with self._rows:
            now_ms = self._now_ms()
            for volume_id in volume_ids:
                volume = self._journal.catalog.volume(volume_id)
                if volume is not None:
                    row = await self._access_log.get(volume_id)
                    row = row or self._rules.written(volume)
                    rows.append(access.look(row, now_ms))
            await self._access_log.put(rows)
        self._wake(now_ms)


def _elsewhere(
    catalog: Catalog, *, bucket: BucketName, prefix: str, after: Position | None
) -> tuple[list[VolumeId], Position | None]:
    """The volumes of one page of versions that don't lie where a pin wants them; the next page."""
    request = ListRequest(prefix=prefix, after=after, max_keys=PAGE_KEYS)
    page = catalog.list_versions(bucket, request)
    found: list[VolumeId] = []
    for listed in page.entries:
        if isinstance(listed.shown, DeleteMarker):
            continue
        pin = catalog.pin_of(bucket, listed.key)
        if pin is None or pin.tier is not listed.shown.tier:
            version = catalog.version_by_id(bucket, listed.key, listed.version_id)
            if isinstance(version, ObjectVersion):
                found.append(version.volume_id)
    return found, page.next


def _walk_of(recorded: Recorded) -> _Walk:
    event = recorded.event
    assert isinstance(event, TierPinned | TierUnpinned)
    return _Walk(recorded.seq, event.bucket, event.prefix)
