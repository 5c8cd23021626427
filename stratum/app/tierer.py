"""The loop that asks the policy, driven by timers: it looks only at volumes whose time has come,
never at the whole store.
"""

from __future__ import annotations

import logging
import math

import trio

from stratum.app.learning import Learning
from stratum.app.orders import Orders
from stratum.domain import access
from stratum.domain.access import Access
from stratum.domain.errors import MoveRefused, NoSuchVolume, StratumError
from stratum.domain.names import VolumeId
from stratum.domain.pinning import pin_on
from stratum.domain.rules import Rules
from stratum.domain.tiering import Decision
from stratum.ports import AccessLog, Journal, NowMs

BATCH_ROWS = 100
INTERVAL_S = 60.0
PAUSE_MIN_S = 0.01
"""Shortest wait for the next timer: timers nearer than this are looked at together."""
UNDER_WAY_S = 60.0
"""When a volume is looked at again that should move: long after its move has normally set its
next timer, soon enough when a crash came before the move was recorded."""

log = logging.getLogger("stratum.tierer")


class Tierer:
    def __init__(
        self,
        journal: Journal,
        access_log: AccessLog,
        orders: Orders,
        rules: Rules,
        now_ms: NowMs,
        rows: trio.Lock,
        learning: Learning,
        *,
        interval_s: float = INTERVAL_S,
        enabled: bool = True,
    ) -> None:
        self._journal = journal
        self._access_log = access_log
        self._orders = orders
        self._rules = rules
        self._now_ms = now_ms
        self._rows = rows
        self._learning = learning
        self._interval_s = interval_s
        self._enabled = enabled
        self._woken = trio.Event()
        self._asleep_until_ms: float = 0

    def wake(self, timer_ms: int) -> None:
        """Say that a timer was set to this time: it must not be slept through."""
        if timer_ms < self._asleep_until_ms:
            self._woken.set()

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Decide until cancelled; returns at once when tiering is switched off."""
        task_status.started()
        while self._enabled:
            self._woken = trio.Event()
            # Whatever timer is set while we look: look at it before going to sleep.
            self._asleep_until_ms = math.inf
            try:
                pause_s = 0.0 if await self.look() == BATCH_ROWS else await self._pause_s()
            except StratumError as error:
                log.warning("tiering pauses: %s", error)
                pause_s = self._interval_s
            self._asleep_until_ms = self._now_ms() + round(pause_s * 1000)
            with trio.move_on_after(pause_s):
                await self._woken.wait()

    async def look(self) -> int:
        """Look at the volumes whose time has come, at most BATCH_ROWS; return how many."""
        await self._learning.keep_up()
        async with self._rows:
            now_ms = self._now_ms()
            due = await self._access_log.due(now_ms, BATCH_ROWS)
            rows: list[Access] = []
            gone: list[VolumeId] = []
            decided: list[tuple[VolumeId, Decision]] = []
            later_ms = now_ms + round(UNDER_WAY_S * 1000)
            for row in due:
                volume = self._journal.catalog.volume(row.volume_id)
                if volume is None:
                    gone.append(row.volume_id)
                    continue
                if volume.pending is None:
                    pin = pin_on(self._journal.catalog, volume, now_ms)
                    row, decision = self._rules.look(volume, row, now_ms, pin)
                    if decision is None:
                        rows.append(row)
                        continue
                    decided.append((volume.id, decision))
                rows.append(access.look(row, later_ms))
            if rows:
                await self._access_log.put(rows)
            if gone:
                await self._access_log.forget(gone)
        for volume_id, decision in decided:
            try:
                await self._orders.by_policy(volume_id, decision)
            except (NoSuchVolume, MoveRefused) as error:
                log.info("not moved: %s", error)
        return len(due)

    async def _pause_s(self) -> float:
        """Until the next timer, within reason."""
        due_ms = await self._access_log.next_due_ms()
        if due_ms is None:
            return self._interval_s
        return max(PAUSE_MIN_S, min(self._interval_s, (due_ms - self._now_ms()) / 1000))
