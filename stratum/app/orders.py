"""Moves that were decided, on their way to the mover: put on record, or refused on record.

What the policy wants is checked against restraints (money, room). What a person, a pin or a full
disk wants is not: it is carried out.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from functools import partial
from typing import Protocol

import trio

from stratum.domain import access, tiering
from stratum.domain.catalog import Catalog
from stratum.domain.errors import MoveRefused, NoSuchVolume, Unavailable
from stratum.domain.events import MoveDeclined
from stratum.domain.move import decide_move
from stratum.domain.names import ExtentId, Tier, VolumeId
from stratum.domain.pricing import PriceList
from stratum.domain.rules import Rules
from stratum.domain.tiering import MANUAL, PINNED, STORAGE_CLASS, Decision, Facts
from stratum.domain.volume import Volume
from stratum.ports import AccessLog, Journal, NewId, NowMs

DECLINED_RETRY_DAYS = 1.0
"""When the policy looks again at a volume that was not moved for want of money or room."""

DECLINED_REMEMBERED_MAX = 100_000
"""Volumes whose latest refusal is remembered, so that it is on record once in that time, however
often they are read. Of more, the longest remembered are forgotten."""

log = logging.getLogger("stratum.orders")


class Moves(Protocol):
    """Who carries decisions out."""

    def require_room(self, target: Tier) -> None:
        """Raises Unavailable if `submit` would have to wait."""
        ...

    async def submit(self, volume_id: VolumeId) -> None: ...


Restraint = Callable[[Decision], str]
"""Why a decision of the policy must not be carried out now; "" if it may."""


class Orders:
    """`rows` is held by whoever reads rows of the access log in order to write them back."""

    def __init__(
        self,
        journal: Journal,
        access_log: AccessLog,
        moves: Moves,
        rules: Rules,
        restraints: Sequence[Restraint],
        declined: Callable[[Tier], None],
        new_id: NewId,
        now_ms: NowMs,
        rows: trio.Lock,
    ) -> None:
        self._journal = journal
        self._access_log = access_log
        self._moves = moves
        self._rules = rules
        self._restraints = restraints
        self._declined = declined
        self._new_id = new_id
        self._now_ms = now_ms
        self._rows = rows
        self._on_record: dict[tuple[VolumeId, Tier], int] = {}
        """By volume and target, until when (Unix ms) a refusal need not be recorded again."""

    @property
    def prices(self) -> PriceList:
        return self._rules.prices

    async def facts(self, volume: Volume) -> Facts:
        """What is known of a volume now."""
        row = await self._access_log.get(volume.id)
        row = row or self._rules.written(volume)
        return self._rules.facts(volume, row, self._now_ms())

    async def by_policy(self, volume_id: VolumeId, decision: Decision) -> None:
        """Raises NoSuchVolume, MoveRefused. Waits while too many moves are under way."""
        reasons = [reason for restraint in self._restraints if (reason := restraint(decision))]
        if reasons and decision.policy not in (PINNED, STORAGE_CLASS):
            self._declined(decision.target)
            if self._is_news(volume_id, decision.target):
                await self._decline(
                    volume_id, decision.target, decision.policy, reasons[0], "policy"
                )
            await self._look_later(volume_id)
        else:
            await self.start(volume_id, decision, "policy")

    async def by_hand(self, volume_id: VolumeId, target: Tier, who: str, why: str = "") -> Decision:
        """Decide a move because somebody (`who`) asks for it, and hand it to the mover.

        Works with tiering switched off, too. Raises NoSuchVolume, MoveRefused; Unavailable if so
        many moves wait already that this one would, too.
        """
        volume = self.require(volume_id, target)
        try:
            self._moves.require_room(target)
        except Unavailable as error:
            self._declined(target)
            await self._decline(volume_id, target, MANUAL, str(error), who)
            raise
        facts = await self.facts(volume)
        decision = tiering.by_hand(facts, target, who, why, self._rules.prices)
        await self.start(volume_id, decision, who)
        return decision

    def require(self, volume_id: VolumeId, target: Tier) -> Volume:
        """The volume, if it can go there at all. Raises NoSuchVolume, MoveRefused."""
        if target not in self._rules.tiers:
            raise MoveRefused(f"The {target} tier is not configured")
        volume = self._journal.catalog.volume(volume_id)
        if volume is None:
            raise NoSuchVolume(f"There is no volume {volume_id}")
        return volume

    async def start(self, volume_id: VolumeId, decision: Decision, by: str) -> None:
        """Record a decision and hand it to the mover, waiting for room there.

        Raises NoSuchVolume, MoveRefused.
        """
        copy_id = ExtentId(self._new_id())
        decide = partial(decide_move, volume_id=volume_id, decision=decision, copy_id=copy_id)
        await self._journal.transact(decide, by=by)
        log.info("%s: %s", volume_id, decision.sentence)
        await self._moves.submit(volume_id)

    async def _decline(
        self, volume_id: VolumeId, target: Tier, policy: str, reason: str, by: str
    ) -> None:
        event = MoveDeclined(volume_id, target, policy, reason)
        await self._journal.transact(partial(_if_there, event=event), by=by)
        log.info("%s not moved to %s: %s", volume_id, target, reason)

    def _is_news(self, volume_id: VolumeId, target: Tier) -> bool:
        """Whether a refusal should go on record; remembers that it does."""
        now_ms, subject = self._now_ms(), (volume_id, target)
        if self._on_record.get(subject, 0) > now_ms:
            return False
        self._on_record.pop(subject, None)
        if len(self._on_record) >= DECLINED_REMEMBERED_MAX:
            del self._on_record[next(iter(self._on_record))]
        self._on_record[subject] = now_ms + self._retry_ms
        return True

    @property
    def _retry_ms(self) -> int:
        return max(1, round(DECLINED_RETRY_DAYS * self._rules.day_s * 1000))

    async def _look_later(self, volume_id: VolumeId) -> None:
        later_ms = self._retry_ms
        async with self._rows:
            row = await self._access_log.get(volume_id)
            if row is not None:
                await self._access_log.put([access.look(row, self._now_ms() + later_ms)])


def _if_there(catalog: Catalog, *, event: MoveDeclined) -> Sequence[MoveDeclined]:
    return [event] if catalog.volume(event.volume_id) is not None else []
