"""The policies of other stores, and the simplest ones: by age, by idle time, one tier for all.

S3 lifecycle rules go by age; S3 Intelligent-Tiering and Google Autoclass by idle time (30 and 90
days; objects under 128 KB stay; a read brings an object back). Ski rental is the textbook rule:
down at the break-even time, up with every read (Karlin et al. 1988).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise

from stratum.domain import wording
from stratum.domain.names import Tier
from stratum.domain.pricing import BYTES_PER_GB, PriceList
from stratum.domain.tiering import Decision, Facts, Move, Stay, Verdict, look_again

RULE_DAYS = (30.0, 90.0)
"""When the rules of other stores move an object to the second and the third tier."""
IDLE_RULE_SIZE_MIN_BYTES = 128 * 1024

DaysOf = Callable[[Facts, PriceList], Sequence[float]]
"""For each tier but the first, the days after which an object goes there."""


class ByDays:
    """Down to a tier after so many days, of age or without a read; in the latter case a read
    brings an object back to the first tier."""

    def __init__(self, name: str, days_of: DaysOf, *, idle: bool) -> None:
        self.name = name
        self._days_of = days_of
        self._idle = idle

    def decide(self, facts: Facts, prices: PriceList, now_ms: int) -> Verdict:
        here = facts.tiers.index(facts.tier)
        if self._idle and here and facts.sessions:
            why = f"read in {facts.tier}"
            return Move(self._decision(facts, prices, 0, why, {}))
        passed = facts.idle_days if self._idle else facts.age_days
        days = self._days_of(facts, prices)
        target = max(
            (number for number, after in enumerate(days, 1) if passed >= after), default=here
        )
        what = "without a read" if self._idle else "old"
        if target > here:
            after = days[target - 1]
            why = f"{wording.duration(passed, facts.day_s)} {what}"
            return Move(self._decision(facts, prices, target, why, {"after_days": after}))
        later = [
            (after, number)
            for number, after in enumerate(days, 1)
            if number > here and after < math.inf
        ]
        where = f"{wording.size(facts.size_gb)} in {facts.tier}"
        if not later:
            return Stay(0, f"{where}: by the rules of {self.name} it goes no further down", None)
        after, number = min(later)
        sentence = (
            f"{where}, {wording.duration(passed, facts.day_s)} {what}: by the rules of {self.name}"
            f" it goes to {facts.tiers[number]} after {wording.duration(after, facts.day_s)}"
        )
        return Stay(look_again(facts, after - passed, now_ms), sentence, facts.tiers[number])

    def _decision(
        self, facts: Facts, prices: PriceList, target: int, why: str, numbers: dict[str, float]
    ) -> Decision:
        there = facts.tiers[target]
        sentence = (
            f"{wording.size(facts.size_gb)}, {why}: {facts.tier} → {there}, by the rules of"
            f" {self.name}"
        )
        return Decision(
            facts.tier, there, self.name, sentence, prices.version(), facts.record(), numbers
        )


class Always:
    """One tier for everything."""

    def __init__(self, tier: Tier) -> None:
        self.name = f"always-{tier}.1"
        self._tier = tier

    def decide(self, facts: Facts, prices: PriceList, now_ms: int) -> Verdict:
        where = f"{wording.size(facts.size_gb)} in {facts.tier}"
        if facts.tier is self._tier:
            return Stay(0, f"{where}, where everything belongs by the rules of {self.name}", None)
        if self._tier not in facts.tiers:
            return Stay(0, f"{where}; the {self._tier} tier is not configured", None)
        sentence = f"{where}: {facts.tier} → {self._tier}, by the rules of {self.name}"
        return Move(
            Decision(facts.tier, self._tier, self.name, sentence, prices.version(), facts.record())
        )


def by_rule_days(size_min_bytes: int) -> DaysOf:
    """30 and 90 days for objects of this size or more, never for smaller ones."""

    def days(facts: Facts, prices: PriceList) -> Sequence[float]:
        lower_tiers = len(facts.tiers) - 1
        small = facts.size_gb * BYTES_PER_GB < size_min_bytes
        return (math.inf,) * lower_tiers if small else RULE_DAYS[:lower_tiers]

    return days


def break_even_days(facts: Facts, prices: PriceList) -> Sequence[float]:
    """The break-even time of each step down."""
    return [
        max(0.0, prices.break_even_days(above, below, facts.size_gb))
        for above, below in pairwise(facts.tiers)
    ]
