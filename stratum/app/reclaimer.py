"""Deleting copies nobody refers to, a grace period after they were superseded.

The grace period covers a reader that has looked a location up and not opened it yet; readers
that have opened it are counted by the data path. Deleting is idempotent, so a crash between the
deletion and its event only repeats it.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import trio

from stratum.app.datapath import DataPath
from stratum.domain.catalog import Catalog, copy_key
from stratum.domain.errors import StratumError
from stratum.domain.events import CopiesReclaimed
from stratum.domain.volume import Garbage, Location
from stratum.ports import Journal, NowMs

GRACE_S = 60.0
BATCH_COPIES = 256
DELETES_AT_ONCE = 8
PAUSE_MIN_S = 0.05
PAUSE_MAX_S = 60.0
BACKOFF_FIRST_S = 5.0
BACKOFF_MAX_S = 600.0
HELD_BACK_MAX = 100_000
"""Copies whose next attempt is remembered; of more, the longest remembered are tried earlier."""

log = logging.getLogger("stratum.reclaimer")


@dataclass(frozen=True)
class _HeldBack:
    failures: int
    until_ms: int


class Reclaimer:
    """Only what was freed at or before `settled_ms()` (Unix ms) is deleted: copies of the journal
    know by then why. None: the journal has no copies."""

    def __init__(
        self,
        journal: Journal,
        datapath: DataPath,
        now_ms: NowMs,
        *,
        grace_s: float = GRACE_S,
        settled_ms: NowMs | None = None,
    ) -> None:
        self._settled_ms = settled_ms or now_ms
        self._journal = journal
        self._datapath = datapath
        self._now_ms = now_ms
        self._grace_ms = round(grace_s * 1000)
        self._held_back: dict[str, _HeldBack] = {}
        # Where the pass over all garbage is: copies that can't be deleted yet (readers, a disk or
        # remote that fails) must not hide those behind them.
        self._passed: Garbage | None = None

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Reclaim until cancelled."""
        task_status.started()
        while True:
            try:
                await self.reclaim()
                pause_s = 0.0 if self._passed else await self._pause_s()
            except StratumError as error:
                log.warning("reclaiming pauses: %s", error)
                pause_s = BACKOFF_FIRST_S
            await trio.sleep(pause_s)

    async def reclaim(self) -> int:
        """Look at the next BATCH_COPIES past their grace period and delete those that can be;
        return how many."""
        now_ms = self._now_ms()
        garbage = await self._garbage(now_ms - self._grace_ms, BATCH_COPIES, self._passed)
        self._passed = garbage[-1] if len(garbage) == BATCH_COPIES else None
        ready = [
            copy.location
            for copy in garbage
            if self._ready_at_ms(copy) <= now_ms and not self._is_read(copy.location, now_ms)
        ]
        deleted: list[Location] = []
        turns = trio.Semaphore(DELETES_AT_ONCE)
        async with trio.open_nursery() as nursery:
            for location in ready:
                nursery.start_soon(self._delete, location, turns, deleted)
        if deleted:
            copies = tuple(name for location in deleted for name in _names(location))
            await self._journal.transact(partial(_reclaimed, copies=copies), by="system")
        return len(deleted)

    async def _delete(
        self, location: Location, turns: trio.Semaphore, deleted: list[Location]
    ) -> None:
        key = copy_key(location)
        async with turns:
            try:
                await self._datapath.delete(location)
            except StratumError as error:
                failures = self._held_back[key].failures if key in self._held_back else 0
                backoff_s = min(BACKOFF_MAX_S, BACKOFF_FIRST_S * 2.0 ** min(failures, 16))
                self._hold_back(key, failures + 1, backoff_s)
                if not failures:
                    log.warning("copy %s in %s not deleted: %s", key, location.tier, error)
            else:
                self._held_back.pop(key, None)
                deleted.append(location)

    def _is_read(self, location: Location, now_ms: int) -> bool:
        """Whether somebody still reads a copy; it is then held back for a while."""
        if not self._datapath.in_use(location):
            return False
        self._hold_back(copy_key(location), 0, BACKOFF_FIRST_S)
        return True

    def _hold_back(self, key: str, failures: int, pause_s: float) -> None:
        self._held_back.pop(key, None)
        if len(self._held_back) >= HELD_BACK_MAX:
            del self._held_back[next(iter(self._held_back))]
        self._held_back[key] = _HeldBack(failures, self._now_ms() + round(pause_s * 1000))

    def _ready_at_ms(self, copy: Garbage) -> int:
        held = self._held_back.get(copy_key(copy.location))
        return held.until_ms if held else copy.freed_at_ms + self._grace_ms

    async def _garbage(
        self, freed_before_ms: int, limit: int, after: Garbage | None = None
    ) -> Sequence[Garbage]:
        until_ms = min(freed_before_ms, self._settled_ms())

        def question(catalog: Catalog) -> Sequence[Garbage]:
            return catalog.garbage(until_ms, limit, after)

        return await self._journal.query(question)

    async def _pause_s(self) -> float:
        """Until the next copy is ready."""
        now_ms = self._now_ms()
        oldest = await self._garbage(now_ms, 1)
        ready_ms = [self._ready_at_ms(copy) for copy in oldest]
        ready_ms += [held.until_ms for held in self._held_back.values()]
        # With nothing waiting, the first copy freed from now on is due a grace period later.
        pauses = [(at_ms - now_ms) / 1000 for at_ms in ready_ms]
        return max(PAUSE_MIN_S, min([self._grace_ms / 1000, PAUSE_MAX_S, *pauses]))


def _reclaimed(catalog: Catalog, *, copies: tuple[str, ...]) -> Sequence[CopiesReclaimed]:
    return [CopiesReclaimed(copies)]


def _names(location: Location) -> tuple[str, ...]:
    if location.remote:
        return (location.remote.name,)
    return tuple(extent.id for extent in location.extents)
