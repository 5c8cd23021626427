"""The policies a simulation can compare, by name.

`hazard` and `break-even` are the decision code of the server. The others are the rules of other
stores, for comparison: S3 lifecycle rules by age; S3 Intelligent-Tiering's and Google Autoclass's
by idle time (30 and 90 days; objects under 128 KB stay; a read brings an object back).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from stratum.domain.break_even import BreakEven
from stratum.domain.errors import InvalidArgument
from stratum.domain.hazard import DAY_S, HOUR_S
from stratum.domain.hazard_policy import HazardPolicy
from stratum.domain.hazard_schedule import Solver
from stratum.domain.names import Tier
from stratum.domain.pricing import BYTES_PER_GB, PriceList
from stratum.domain.simulation import SimulatedPolicy
from stratum.domain.tiering import Facts, Policy, Stay, Verdict

RULE_DAYS = (30.0, 90.0)
"""When the rules of other stores move an object to the second and the third tier."""
IDLE_RULE_SIZE_MIN_BYTES = 128 * 1024


class _Remembered:
    """What the simple rules remember of an object."""

    __slots__ = ("after_s", "due_s", "since_s")

    def __init__(self, now_s: int, days: Sequence[float] = ()) -> None:
        self.since_s = now_s
        """When it was written or, for rules of idle time, last read."""
        self.after_s = [math.ceil(day * DAY_S) if day < math.inf else day for day in days]
        self.due_s = math.inf


@dataclass(frozen=True)
class Always:
    """One tier for everything."""

    tier: int

    def put(self, key: str, size_bytes: int, now_s: int) -> tuple[_Remembered, int]:
        return _Remembered(now_s), self.tier

    def read(self, memory: _Remembered, tier: int, now_s: int) -> int:
        return tier

    def due(self, memory: _Remembered, tier: int, now_s: int) -> int:
        return tier

    def removed(self, memory: _Remembered, now_s: int) -> None:
        pass


class ByDays:
    """Down to a tier after so many days, of age or without a read; in the latter case a read
    brings an object back to the first tier."""

    def __init__(self, days_of: Callable[[int], Sequence[float]], *, idle: bool) -> None:
        """`days_of`: for a size in bytes, the days for each tier but the first."""
        self._days_of = days_of
        self._idle = idle

    def put(self, key: str, size_bytes: int, now_s: int) -> tuple[_Remembered, int]:
        memory = _Remembered(now_s, self._days_of(size_bytes))
        memory.due_s = now_s + min(memory.after_s)
        return memory, 0

    def read(self, memory: _Remembered, tier: int, now_s: int) -> int:
        if not self._idle:
            return tier
        memory.since_s = now_s
        memory.due_s = now_s + min(memory.after_s)
        return 0

    def due(self, memory: _Remembered, tier: int, now_s: int) -> int:
        since_s = now_s - memory.since_s
        target = tier
        for number, after_s in enumerate(memory.after_s, 1):
            if since_s >= after_s:
                target = max(target, number)
        later_s = [after_s for after_s in memory.after_s[target:] if after_s > since_s]
        memory.due_s = memory.since_s + min(later_s, default=math.inf)
        return target

    def removed(self, memory: _Remembered, now_s: int) -> None:
        pass


class _Counted:
    """What a policy of the server is told of an object, in s."""

    __slots__ = (
        "birth_s", "due_s", "gap_s", "last_s", "placed_s", "reads", "session_s", "sessions",
        "size_gb",
    )  # fmt: skip

    def __init__(self, now_s: int, size_gb: float) -> None:
        self.birth_s = self.last_s = self.placed_s = now_s
        self.size_gb = size_gb
        self.reads = self.sessions = self.session_s = self.gap_s = 0
        self.due_s = math.inf


class ByFacts:
    """A policy of the server (`tiering.Policy`), asked when the server asks it: when a timer
    comes, and when a new session of reads begins outside the first tier."""

    def __init__(self, policy: Policy, prices: PriceList, tiers: Sequence[Tier]) -> None:
        self._policy = policy
        self._prices = prices
        self._tiers = tuple(tiers)
        self._index = {tier: number for number, tier in enumerate(tiers)}

    def put(self, key: str, size_bytes: int, now_s: int) -> tuple[_Counted, int]:
        memory = _Counted(now_s, size_bytes / BYTES_PER_GB)
        self._set_timer(memory, 0, now_s)
        return memory, 0

    def read(self, memory: _Counted, tier: int, now_s: int) -> int:
        memory.last_s = now_s
        memory.reads += 1
        if memory.sessions and now_s - memory.session_s <= HOUR_S:
            return tier
        memory.gap_s = now_s - memory.session_s if memory.sessions else 0
        memory.session_s = now_s
        memory.sessions += 1
        return self.due(memory, tier, now_s) if tier else tier

    def due(self, memory: _Counted, tier: int, now_s: int) -> int:
        verdict = self._ask(memory, tier, now_s)
        if isinstance(verdict, Stay):
            memory.due_s = _due_s(verdict)
            return tier
        target = self._tiers.index(verdict.decision.target)
        memory.placed_s = now_s
        memory.sessions = memory.session_s = memory.gap_s = 0
        self._set_timer(memory, target, now_s)
        return target

    def removed(self, memory: _Counted, now_s: int) -> None:
        pass

    def _set_timer(self, memory: _Counted, tier: int, now_s: int) -> None:
        verdict = self._ask(memory, tier, now_s)
        memory.due_s = _due_s(verdict) if isinstance(verdict, Stay) else now_s + 1

    def _ask(self, memory: _Counted, tier: int, now_s: int) -> Verdict:
        facts = Facts(
            tier=self._tiers[tier],
            tiers=self._tiers,
            size_gb=memory.size_gb,
            idle_days=(now_s - memory.last_s) / DAY_S,
            age_days=(now_s - memory.birth_s) / DAY_S,
            residence_days=(now_s - memory.placed_s) / DAY_S,
            reads=float(memory.reads),
            sessions=float(memory.sessions),
            gap_days=memory.gap_s / DAY_S,
            day_s=float(DAY_S),
        )
        return self._policy.decide(facts, self._prices, now_s * 1000)


def _due_s(verdict: Stay) -> float:
    return math.ceil(verdict.look_again_at_ms / 1000) if verdict.look_again_at_ms else math.inf


def _rule_days(tiers: int, size_min_bytes: int) -> Callable[[int], Sequence[float]]:
    days = RULE_DAYS[: tiers - 1]
    never = (math.inf,) * (tiers - 1)
    return lambda size_bytes: days if size_bytes >= size_min_bytes else never


def _break_even_days(prices: PriceList, tiers: Sequence[Tier]) -> Callable[[int], Sequence[float]]:
    def days(size_bytes: int) -> Sequence[float]:
        return [
            max(0.0, prices.break_even_days(above, below, size_bytes / BYTES_PER_GB))
            for above, below in pairwise(tiers)
        ]

    return days


HAZARD = "hazard"
POLICIES = (
    HAZARD, "break-even", "ski-rental", "idle-30-90", "age-30-90",
    "always-hot", "always-warm", "always-cold",
)  # fmt: skip
"""Names of all policies that can be simulated."""


def make_policy(
    name: str, prices: PriceList, tiers: Sequence[Tier], solver: Solver
) -> SimulatedPolicy:
    """A fresh policy by its name. Raises InvalidArgument for an unknown one or a missing tier."""
    if name == HAZARD:
        return HazardPolicy(prices, tiers, solver)
    if name == "break-even":
        return ByFacts(BreakEven(), prices, tiers)
    if name == "ski-rental":
        return ByDays(_break_even_days(prices, tiers), idle=True)
    if name == "idle-30-90":
        return ByDays(_rule_days(len(tiers), IDLE_RULE_SIZE_MIN_BYTES), idle=True)
    if name == "age-30-90":
        return ByDays(_rule_days(len(tiers), 0), idle=False)
    if name.startswith("always-") and name.removeprefix("always-") in tiers:
        return Always(list(tiers).index(Tier(name.removeprefix("always-"))))
    raise InvalidArgument(f"there is no policy {name!r}; there are {', '.join(POLICIES)}")
