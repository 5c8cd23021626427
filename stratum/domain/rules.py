"""What all tiering decisions of a server share: policy, prices, tiers and clock.

Turns what the access log keeps of a volume (`Access`, in Unix ms) into what the policy looks at
(`Watched`, in seconds of the tiering clock) and back, and sets the volume's timer.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from stratum.domain import access
from stratum.domain.access import Access
from stratum.domain.following import Follower
from stratum.domain.hazard import DAY_S
from stratum.domain.names import BucketName, ObjectKey, Tier, VolumeId
from stratum.domain.pin import Pin
from stratum.domain.pricing import PriceList
from stratum.domain.tiering import (
    Decision,
    Facts,
    Move,
    Verdict,
    facts_of_watched,
    obey,
)
from stratum.domain.volume import Volume
from stratum.domain.watched import ACCESS_S, Watched

Reads = tuple[int, int, int]
"""Reads of one volume: the first and the last, in Unix ms, and how many."""


def clock_s(at_ms: int, day_s: float) -> float:
    """Unix ms in seconds of a tiering clock whose days last so many real seconds."""
    return at_ms / (day_s * 1000 / DAY_S)


@dataclass(frozen=True)
class Rules:
    follower: Follower
    prices: PriceList
    tiers: tuple[Tier, ...]
    """Tiers that are configured, dearest first."""
    day_s: float
    """Real seconds per day of the tiering clock."""

    @property
    def policy_name(self) -> str:
        return self.follower.policy.name

    @property
    def session_ms(self) -> float:
        """How long an access lasts at most."""
        return ACCESS_S * self._ms_per_s

    def clock_s(self, at_ms: int) -> float:
        """Unix ms in seconds of the tiering clock."""
        return at_ms / self._ms_per_s

    # -- what happens to a volume -----------------------------------------------------------------
    def written(self, volume: Volume) -> Access:
        """The row of a volume that nobody has read, with its timer."""
        watched = self._new(volume)
        here = self._here(volume)
        wanted = self.follower.put(watched, watched.birth_s)
        row = self._row(volume.id, watched)
        return access.look(row, volume.created_at_ms if wanted != here else row.due_at_ms)

    def read(self, volume: Volume, before: Access, reads: Sequence[Reads], now_ms: int) -> Access:
        """The row after some reads, oldest first."""
        watched = self.watched(volume, before)
        wanted = here = self._here(volume)
        for first_ms, last_ms, number in reads:
            wanted = self.follower.read(watched, here, self.clock_s(first_ms), number)
            watched.last_s = max(watched.last_s, self.clock_s(last_ms))
        if wanted != here:
            return access.look(self._row(volume.id, watched), now_ms)
        # A timer that comes earlier is left alone: it would have to be set with every read.
        return self._row(volume.id, watched, before.look_at_ms)

    def moved(self, volume: Volume, before: Access) -> Access:
        """The row of a volume that came to another tier."""
        watched = self.watched(volume, before)
        self.follower.moved(watched, self._here(volume), watched.placed_s)
        return self._row(volume.id, watched)

    def pinned(self, volume: Volume, row: Access, now_ms: int, pin: Pin) -> Access:
        """The row of a volume whose key is pinned: looked at now if it lies elsewhere."""
        verdict = self.verdict(volume, row, now_ms, pin)
        return access.look(row, now_ms if isinstance(verdict, Move) else verdict.look_again_at_ms)

    def removed(self, bucket: BucketName, key: ObjectKey, before: Access, at_ms: int) -> None:
        """It was deleted or overwritten. Its size is known by its class (`Access.period`)."""
        watched = Watched(f"{bucket}/{key}", 0, 0.0)
        self._remember(watched, before)
        self.follower.removed(watched, self.clock_s(at_ms))

    def look(
        self, volume: Volume, before: Access, now_ms: int, pin: Pin | None
    ) -> tuple[Access, Decision | None]:
        """Its timer has come: the row with the next one, or the decision to move it."""
        if pin is not None:
            verdict = self.verdict(volume, before, now_ms, pin)
            if isinstance(verdict, Move):
                return before, verdict.decision
            return access.look(before, verdict.look_again_at_ms), None
        if not 0 < before.due_at_ms <= now_ms:
            return replace(before, look_at_ms=before.due_at_ms), None
        watched = self.watched(volume, before)
        here = self._here(volume)
        wanted = self.follower.due(watched, here, self.clock_s(now_ms))
        row = self._row(volume.id, watched)
        if wanted == here:
            return access.look(row, max(row.due_at_ms, now_ms + 1) if row.due_at_ms else 0), None
        verdict = self.verdict(volume, row, now_ms)
        return row, verdict.decision if isinstance(verdict, Move) else None

    # -- what would be said of it -----------------------------------------------------------------
    def verdict(self, volume: Volume, row: Access, now_ms: int, pin: Pin | None = None) -> Verdict:
        """What the pin that counts for a volume's key says of it now, or without one the policy."""
        if pin is not None:
            return obey(pin, self.facts(volume, row, now_ms), self.prices, now_ms)
        watched = self.watched(volume, row)
        here = self._here(volume)
        return self.follower.verdict(watched, here, self.clock_s(now_ms), now_ms)

    def facts(self, volume: Volume, row: Access, now_ms: int) -> Facts:
        watched = self.watched(volume, row)
        return facts_of_watched(watched, volume.tier, self.tiers, self.clock_s(now_ms), self.day_s)

    # -- within -----------------------------------------------------------------------------------
    @cached_property
    def _ms_per_s(self) -> float:
        return self.day_s * 1000 / DAY_S

    def _here(self, volume: Volume) -> int:
        return self.tiers.index(volume.tier)

    def _new(self, volume: Volume) -> Watched:
        created_s = self.clock_s(volume.created_at_ms)
        watched = Watched(f"{volume.bucket}/{volume.key}", volume.size_bytes, created_s)
        watched.placed_s = self.clock_s(volume.placed_at_ms)
        return watched

    def watched(self, volume: Volume, row: Access) -> Watched:
        """What the policy sees of a volume."""
        watched = self._new(volume)
        self._remember(watched, row)
        if row.session_at_ms < volume.placed_at_ms:
            # The row is told of a move a moment after the catalog: until then its sessions are
            # those of the place before, and would bring the volume straight back.
            watched.accesses, watched.gap_s = 0, 0.0
        return watched

    def _remember(self, watched: Watched, row: Access) -> None:
        watched.last_s = max(watched.birth_s, self.clock_s(row.last_at_ms))
        watched.reads = row.reads
        watched.accesses = row.sessions
        if row.session_at_ms:
            watched.access_s = self.clock_s(row.session_at_ms)
        watched.gap_s = row.gap_ms / self._ms_per_s
        if row.active_at_ms:
            watched.active_s = self.clock_s(row.active_at_ms)
        watched.active_days = row.active_days
        watched.log_gap = row.log_gap
        watched.more_reads = row.more_reads
        watched.period = row.period
        watched.due_s = self.clock_s(row.due_at_ms) if row.due_at_ms else math.inf
        watched.counted = row.counted

    def _row(self, volume_id: VolumeId, watched: Watched, timer_ms: int = 0) -> Access:
        """The row with its timer: the one given (0: none), or when it is due if that is earlier."""
        due_at_ms = self._timer_ms(watched.due_s)
        earlier = due_at_ms and (due_at_ms < timer_ms or not timer_ms)
        return Access(
            volume_id,
            last_at_ms=self._ms(watched.last_s),
            reads=watched.reads,
            sessions=watched.accesses,
            look_at_ms=due_at_ms if earlier else timer_ms,
            session_at_ms=self._ms(watched.access_s),
            gap_ms=self._ms(watched.gap_s),
            due_at_ms=due_at_ms,
            active_at_ms=self._ms(watched.active_s),
            active_days=watched.active_days,
            log_gap=watched.log_gap,
            more_reads=watched.more_reads,
            period=watched.period,
            counted=watched.counted,
        )

    def _ms(self, at_s: float) -> int:
        """Exactly what `clock_s` was given; 0 for what never was."""
        return round(at_s * self._ms_per_s) if at_s > -math.inf else 0

    def _timer_ms(self, at_s: float) -> int:
        # A little is taken off first, so that what `clock_s` was given stays the same.
        return math.ceil(at_s * self._ms_per_s - 0.01) if at_s < math.inf else 0
