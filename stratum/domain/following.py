"""What drives a policy: follows objects as they are written, read and moved, sets their timers, and
asks where each belongs.

The server and the simulator drive the same followers in the same way. Tiers are indices into the
configured ones, dearest first; times are in seconds of the tiering clock.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Protocol

from stratum.domain.hazard import DAY_S
from stratum.domain.names import Tier
from stratum.domain.pricing import PriceList
from stratum.domain.tiering import Move, Policy, Stay, Verdict, facts_of_watched
from stratum.domain.watched import Watched


class Follower(Protocol):
    """A policy at work. Equal calls give equal answers: time only comes in as an argument.

    `put`, `read` and `due` return the tier where the object belongs. If it is another one than it
    lies in (the first one, when it is new), the caller moves it there, sooner or later, and says
    so by `moved`; else they have set `due_s`.
    """

    @property
    def policy(self) -> Policy: ...

    def put(self, watched: Watched, now_s: float) -> int:
        """A new object: where to write it."""
        ...

    def read(self, watched: Watched, tier: int, now_s: float, reads: int = 1) -> int:
        """So many reads at once. The caller keeps an earlier timer: reads don't put timers off."""
        ...

    def due(self, watched: Watched, tier: int, now_s: float) -> int:
        """Its timer has come."""
        ...

    def moved(self, watched: Watched, tier: int, now_s: float) -> None:
        """It lies in this tier from now on."""
        ...

    def removed(self, watched: Watched, now_s: float) -> None:
        """It was deleted or overwritten."""
        ...

    def verdict(self, watched: Watched, tier: int, now_s: float, now_ms: int = 0) -> Verdict:
        """The answer with its reasons. Changes nothing. `now_ms` is the same time in Unix ms."""
        ...


class FactsFollower:
    """Drives a policy that needs no more than facts about the one object. It is asked when a timer
    comes, and when an access begins outside the first tier."""

    def __init__(
        self, policy: Policy, prices: PriceList, tiers: Sequence[Tier], day_s: float = DAY_S
    ) -> None:
        self.policy = policy
        self._prices = prices
        self._tiers = tuple(tiers)
        self._day_s = day_s

    def put(self, watched: Watched, now_s: float) -> int:
        return self.due(watched, 0, now_s)

    def read(self, watched: Watched, tier: int, now_s: float, reads: int = 1) -> int:
        if not watched.begins_access(now_s):
            watched.read_on(now_s, reads)
            return tier
        watched.begin_access(now_s, reads)
        return self.due(watched, tier, now_s) if tier else tier

    def due(self, watched: Watched, tier: int, now_s: float) -> int:
        verdict = self.verdict(watched, tier, now_s)
        if isinstance(verdict, Move):
            return self._tiers.index(verdict.decision.target)
        watched.due_s = self._due_s(verdict, now_s)
        return tier

    def moved(self, watched: Watched, tier: int, now_s: float) -> None:
        watched.moved(now_s)
        verdict = self.verdict(watched, tier, now_s)
        # Never at once again, whatever the policy: that could spin.
        watched.due_s = self._due_s(verdict, now_s) if isinstance(verdict, Stay) else now_s + 1

    def removed(self, watched: Watched, now_s: float) -> None:
        pass

    def verdict(self, watched: Watched, tier: int, now_s: float, now_ms: int = 0) -> Verdict:
        facts = facts_of_watched(watched, self._tiers[tier], self._tiers, now_s, self._day_s)
        return self.policy.decide(facts, self._prices, now_ms)

    def _due_s(self, verdict: Stay, now_s: float) -> float:
        if not verdict.look_again_at_ms:
            return math.inf
        return now_s + verdict.look_again_at_ms / 1000 * (DAY_S / self._day_s)
