"""The loop that asks the policy, driven by timers: it looks only at volumes whose time has come,
never at the whole store.
"""

from __future__ import annotations

import logging
import math
from dataclasses import replace
from functools import partial
from typing import Protocol

import trio

from stratum.domain import access, tiering
from stratum.domain.access import Access
from stratum.domain.errors import MoveRefused, NoSuchVolume, StratumError
from stratum.domain.move import decide_move
from stratum.domain.names import ExtentId, Tier, VolumeId
from stratum.domain.tiering import Decision, Rules, Stay, Verdict
from stratum.domain.volume import Volume
from stratum.ports import AccessLog, Journal, NewId, NowMs

BATCH_ROWS = 100
INTERVAL_S = 60.0
PAUSE_MIN_S = 0.01
"""Shortest wait for the next timer: timers nearer than this are looked at together."""
UNDER_WAY_S = 60.0
"""When a volume is looked at again that should move: long after its move has normally set its
next timer, soon enough when a crash came before the move was recorded."""

log = logging.getLogger("stratum.tierer")


class Moves(Protocol):
    """Who carries decisions out."""

    def require_room(self, target: Tier) -> None:
        """Raises Unavailable if `submit` would have to wait."""
        ...

    async def submit(self, volume_id: VolumeId) -> None: ...


class Tierer:
    def __init__(
        self,
        journal: Journal,
        access_log: AccessLog,
        moves: Moves,
        rules: Rules,
        new_id: NewId,
        now_ms: NowMs,
        rows: trio.Lock,
        *,
        interval_s: float = INTERVAL_S,
        enabled: bool = True,
    ) -> None:
        self._journal = journal
        self._access_log = access_log
        self._moves = moves
        self._rules = rules
        self._new_id = new_id
        self._now_ms = now_ms
        self._rows = rows
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
                look_at_ms = later_ms
                if volume.pending is None:
                    verdict = self._verdict(volume, row, now_ms)
                    if isinstance(verdict, Stay):
                        look_at_ms = verdict.look_again_at_ms
                    else:
                        decided.append((volume.id, verdict.decision))
                rows.append(replace(row, look_at_ms=look_at_ms))
            if rows:
                await self._access_log.put(rows)
            if gone:
                await self._access_log.forget(gone)
        for volume_id, decision in decided:
            try:
                await self._start(volume_id, decision, "policy")
            except (NoSuchVolume, MoveRefused) as error:
                log.info("not moved: %s", error)
        return len(due)

    def _verdict(self, volume: Volume, row: Access, now_ms: int) -> Verdict:
        pin = self._journal.catalog.pin_of(volume.bucket, volume.key)
        return self._rules.verdict(volume, row, now_ms, pin)

    async def move_by_hand(
        self, volume_id: VolumeId, target: Tier, who: str, why: str = ""
    ) -> Decision:
        """Decide a move because somebody (`who`) asks for it, and hand it to the mover.

        Works with tiering switched off, too. Raises NoSuchVolume, MoveRefused; Unavailable if so
        many moves wait already that this one would, too.
        """
        if target not in self._rules.tiers:
            raise MoveRefused(f"The {target} tier is not configured")
        volume = self._journal.catalog.volume(volume_id)
        if volume is None:
            raise NoSuchVolume(f"There is no volume {volume_id}")
        self._moves.require_room(target)
        row = await self._access_log.get(volume_id)
        row = row or access.unread(volume_id, volume.placed_at_ms)
        facts = self._rules.facts(volume, row, self._now_ms())
        decision = tiering.by_hand(facts, target, who, why, self._rules.prices)
        await self._start(volume_id, decision, who)
        return decision

    async def _start(self, volume_id: VolumeId, decision: Decision, by: str) -> None:
        copy_id = ExtentId(self._new_id())
        decide = partial(decide_move, volume_id=volume_id, decision=decision, copy_id=copy_id)
        await self._journal.transact(decide, by=by)
        log.info("%s: %s", volume_id, decision.sentence)
        await self._moves.submit(volume_id)

    async def _pause_s(self) -> float:
        """Until the next timer, within reason."""
        due_ms = await self._access_log.next_due_ms()
        if due_ms is None:
            return self._interval_s
        return max(PAUSE_MIN_S, min(self._interval_s, (due_ms - self._now_ms()) / 1000))
