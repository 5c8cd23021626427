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
BACKOFF_FIRST_S = 5.0
BACKOFF_MAX_S = 600.0
HELD_BACK_MAX = 2000
"""Copies that wait for readers or for a failing disk or remote; others are reclaimed past them."""

log = logging.getLogger("stratum.reclaimer")


@dataclass(frozen=True)
class _HeldBack:
    attempts: int
    until_ms: int


class Reclaimer:
    def __init__(
        self, journal: Journal, datapath: DataPath, now_ms: NowMs, *, grace_s: float = GRACE_S
    ) -> None:
        self._journal = journal
        self._datapath = datapath
        self._now_ms = now_ms
        self._grace_ms = round(grace_s * 1000)
        self._held_back: dict[str, _HeldBack] = {}

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Reclaim until cancelled."""
        task_status.started()
        while True:
            try:
                reclaimed = await self.reclaim()
                pause_s = 0.0 if reclaimed else await self._pause_s()
            except StratumError as error:
                log.warning("reclaiming pauses: %s", error)
                pause_s = BACKOFF_FIRST_S
            await trio.sleep(pause_s)

    async def reclaim(self) -> int:
        """Delete copies past their grace period, a batch at most; return how many."""
        now_ms = self._now_ms()
        limit = BATCH_COPIES + len(self._held_back)
        garbage = await self._garbage(now_ms - self._grace_ms, limit)
        self._held_back = {
            key: held
            for key, held in self._held_back.items()
            if any(copy_key(copy.location) == key for copy in garbage)
        } if self._held_back else {}
        ready = [copy.location for copy in garbage if self._is_ready(copy.location, now_ms)]
        deleted: list[Location] = []
        turns = trio.Semaphore(DELETES_AT_ONCE)
        async with trio.open_nursery() as nursery:
            for location in ready[:BATCH_COPIES]:
                nursery.start_soon(self._delete, location, turns, deleted)
        if deleted:
            copies = tuple(name for location in deleted for name in _names(location))
            await self._journal.transact(partial(_reclaimed, copies=copies), by="system")
        return len(deleted)

    async def _delete(
        self, location: Location, turns: trio.Semaphore, deleted: list[Location]
    ) -> None:
        async with turns:
            key = copy_key(location)
            if self._datapath.in_use(location):
                self._hold_back(key, BACKOFF_FIRST_S)
                return
            try:
                await self._datapath.delete(location)
            except StratumError as error:
                held = self._held_back.get(key)
                attempts = held.attempts if held else 0
                self._hold_back(key, BACKOFF_FIRST_S * 2.0**attempts)
                log.warning("copy %s in %s not deleted: %s", key, location.tier, error)
                return
            self._held_back.pop(key, None)
            deleted.append(location)
