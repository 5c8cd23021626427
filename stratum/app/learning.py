"""Keeping what is learnt: plans made anew off the event loop, the hazard table and reads on disk.

Where the policy does not learn, only reads are kept. The table is kept when its plans are made
anew, hourly if there is something new, and at shutdown: a crash loses the counts of an hour.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Protocol, TypeVar

from stratum.app.history import ReadKeeper
from stratum.domain.errors import StratumError
from stratum.domain.hazard_following import HazardFollower, Refresh
from stratum.domain.hazard_state import decode_table, encode_table
from stratum.domain.rules import Rules
from stratum.ports import AccessLog, NowMs

SAVE_S = 3600.0

T = TypeVar("T")

log = logging.getLogger("stratum.learning")


class OffLoop(Protocol):
    """Runs a function where it doesn't hold up the event loop."""

    async def __call__(self, work: Callable[[], T], /) -> T: ...


class Learning:
    def __init__(
        self,
        access_log: AccessLog,
        rules: Rules,
        now_ms: NowMs,
        off_loop: OffLoop,
        keeper: ReadKeeper,
    ) -> None:
        follower = rules.follower
        self._follower = follower if isinstance(follower, HazardFollower) else None
        self._access_log = access_log
        self._rules = rules
        self._now_ms = now_ms
        self._off_loop = off_loop
        self.keeper = keeper
        self._saved_changes = 0
        self._saved_ms = now_ms()

    async def load(self) -> None:
        """Go on with what was kept; from the prior if that can't be read. Before anything else."""
        follower = self._follower
        if follower is None:
            return
        try:
            kept = await self._access_log.learnt()
            if kept is not None:
                table = await self._off_loop(lambda: decode_table(kept))
                await self._solve(follower, follower.restore(table, self._now_s()))
        except (StratumError, ValueError) as error:
            log.warning("what was learnt can't be read, tiering starts from the prior: %s", error)

    async def keep_up(self) -> None:
        """Make the plans anew if it is time for it, and save if that is so long ago. To be called
        before the policy is told or asked anything."""
        await self._keep_reads()
        follower = self._follower
        if follower is None:
            return
        now_ms = self._now_ms()
        refreshing = follower.refresh_due(self._now_s())
        if refreshing:
            await self._solve(follower, follower.begin_refresh())
        if refreshing or now_ms - self._saved_ms >= SAVE_S * 1000:
            await self.save()

    async def finish(self) -> None:
        """Keep everything, before the server ends."""
        await self._keep_reads(all_=True)
        await self.save()

    async def save(self) -> None:
        """Keep the table if it has counted anything new."""
        follower = self._follower
        if follower is None or follower.table.changes == self._saved_changes:
            return
        state, changes = follower.table.state(), follower.table.changes
        self._saved_ms = self._now_ms()
        try:
            await self._access_log.learnt(await self._off_loop(lambda: encode_table(state)))
            self._saved_changes = changes
        except StratumError as error:
            log.warning("what was learnt is not saved: %s", error)

    async def _keep_reads(self, *, all_: bool = False) -> None:
        try:
            await self.keeper.keep(all_=all_)
        except StratumError as error:
            log.warning("reads are not kept for simulations: %s", error)

    async def _solve(self, follower: HazardFollower, refresh: Refresh) -> None:
        follower.install(await self._off_loop(refresh.run))

    def _now_s(self) -> float:
        return self._rules.clock_s(self._now_ms())
