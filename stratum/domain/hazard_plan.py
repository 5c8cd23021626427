"""Where the hazard table wants an object: the cheapest plan, held back by the guards.

The plan (`hazard_schedule`) is the cheapest on average by what the table believes. Guards say how
far to believe it:

- **Little evidence.** As long as fewer than κ idle periods have been followed up to the break-even
  time, nothing leaves a tier before that time, or a day if that is less: what was just written to
  a new store stays hot for the day. And as long as that is so for objects of its habit, nothing
  comes up before it was read in two accesses no further apart than the break-even time: one scan
  over an archive pulls none of it up.
- **Residence.** What was moved stays for the break-even time, or a day if that is less.
- **Cap.** Whatever the table says, an object leaves a tier after twice the break-even time.

Objects go down by timers only, an hour after a read at the earliest; up only at a read.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

from stratum.domain.hazard import (
    BIN_LENGTHS_DAYS,
    BIN_STARTS_DAYS,
    BINS,
    SHRINKAGE,
    UNIT,
    Rates,
    Vector,
    bin_of,
    rates_of,
)
from stratum.domain.hazard_schedule import (
    Known,
    Schedule,
    TierCosts,
    Workings,
    octave_size_gb,
    schedule,
    tier_costs,
    work_out,
)
from stratum.domain.names import Tier
from stratum.domain.pricing import PriceList

DOWN_EVIDENCE_LEVEL = 0
"""Evidence for going down early is what all objects have shown, …"""
UP_EVIDENCE_LEVEL = 1
"""… for coming up at a first read what those of the same habit have."""
EVIDENCE_MIN = SHRINKAGE
"""So many periods followed up to the break-even time are evidence, …"""
EVIDENCE_MAX_DAYS = 7.0
"""… or up to this age, if that is less."""
UNKNOWN_ACCESSES_MIN = 2
"""Accesses that bring an object up as long as there is little evidence."""
HOLD_MAX_DAYS = 1.0
RESIDENCE_MAX_DAYS = 1.0
RECORDED_PLANS_KEPT = 4096
"""Plans made again from records that are kept, since many decisions share one."""


@dataclass(frozen=True, eq=False)
class Plan:
    """A schedule, with what it was made from."""

    schedule: Schedule
    costs: TierCosts
    known: Known
    cell: int

    @cached_property
    def vectors(self) -> tuple[Vector, ...]:
        """Of the cell and all above it, the root's first."""
        return self.known.vectors(self.cell)

    @cached_property
    def down_evident(self) -> tuple[bool, ...]:
        """By tier: whether enough is known to leave it before the break-even time."""
        return self._evident(DOWN_EVIDENCE_LEVEL)

    @cached_property
    def up_evident(self) -> tuple[bool, ...]:
        """By tier: whether enough is known to come up to it at a first read."""
        return self._evident(UP_EVIDENCE_LEVEL)

    def _evident(self, level: int) -> tuple[bool, ...]:
        return tuple(
            days < math.inf and self.periods(min(days, EVIDENCE_MAX_DAYS), level) >= EVIDENCE_MIN
            for days in self.costs.break_even_days
        )

    @cached_property
    def hold_days(self) -> tuple[float, ...]:
        """By tier: the idle age before which nothing leaves it."""
        return tuple(
            max(BIN_STARTS_DAYS[1], 0.0 if evident else min(days, HOLD_MAX_DAYS))
            for evident, days in zip(self.down_evident, self.costs.break_even_days, strict=True)
        )

    @cached_property
    def rates(self) -> Rates:
        return self.known.rates(self.cell)

    @cached_property
    def workings(self) -> Workings:
        return work_out(self.rates, self.costs)

    def periods(self, idle_days: float, level: int) -> float:
        """How many periods were followed up to the bin of an idle age, at a level of cells."""
        return self.known.passed(self.cell, level, bin_of(idle_days)) / UNIT

    def after_read(self, tier: int, accesses: int, gap_days: float) -> int:
        """Where an object belongs that is being read from a tier: there, or further up."""
        up = self.schedule.landing[tier]
        if up >= tier:
            return tier
        if self.up_evident[up]:
            return up
        near = accesses >= UNKNOWN_ACCESSES_MIN and gap_days <= self.costs.break_even_days[up]
        return up if near else tier

    def when_idle(self, tier: int, idle_days: float, residence_days: float) -> int:
        """Where an object belongs that has been idle so long: there, or further down.
        `residence_days`: since it was moved there; infinity if it was written there."""
        if idle_days < self.hold_days[tier] or residence_days < self.residence_days(tier):
            return tier
        target = self.schedule.target(bin_of(idle_days), tier)
        caps = self.costs.cap
        while idle_days >= caps[target][0]:
            target = caps[target][1]
        return target

    def residence_days(self, tier: int) -> float:
        """How long an object stays at least where it was moved."""
        return min(self.costs.break_even_days[tier], RESIDENCE_MAX_DAYS)

    def leave_days(self, tier: int, idle_days: float, residence_days: float) -> float:
        """The next idle age after this one at which it may leave a tier, or infinity; it must be
        asked again then."""
        stays_until = idle_days + self.residence_days(tier) - residence_days
        held_until = max(self.hold_days[tier], stays_until)
        number = bin_of(idle_days)
        if idle_days < held_until and self.schedule.target(number, tier) != tier:
            leaves = held_until
        else:
            leaves = max(self.schedule.leave_days(tier, number + 1), held_until)
        cap = max(self.costs.cap[tier][0], held_until)
        return min(leaves, cap)


class RecordedKnown:
    """What a decision recorded of the table: one cell and all above it."""

    def __init__(self, chain: Sequence[Vector]) -> None:
        self._chain = tuple(chain)

    def __len__(self) -> int:
        return 1

    def rates(self, cell: int) -> Rates:
        return rates_of(self._chain)

    def vectors(self, cell: int) -> tuple[Vector, ...]:
        return self._chain

    def passed(self, cell: int, level: int, number: int) -> int:
        return self._chain[level][number] if level < len(self._chain) else 0


@dataclass(frozen=True)
class Kind:
    """What is known of objects like the one at hand."""

    template: str
    """Of their names."""
    active_days: int
    log_gap: float
    plan: Plan


@lru_cache(maxsize=RECORDED_PLANS_KEPT)
def recorded_plan(
    chain: tuple[Vector, ...], prices: PriceList, tiers: tuple[Tier, ...], octave: int
) -> Plan:
    """The plan that was made from these vectors, made again by the definition."""
    known = RecordedKnown(chain)
    costs = tier_costs(prices, tiers, octave_size_gb(octave))
    return Plan(schedule(known.rates(0), costs), costs, known, 0)


def probability(known: Rates, idle_days: float, within_days: float) -> float:
    """How likely a read comes within so many days after an idle age, by the rates of the bins; of
    a bin that is passed in part, that part of its rate counts."""
    until_days = idle_days + within_days
    left, read = 1.0, 0.0
    for number in range(bin_of(idle_days), BINS):
        start, length = BIN_STARTS_DAYS[number], BIN_LENGTHS_DAYS[number]
        if start >= until_days:
            break
        passed = min(start + length, until_days) - max(start, idle_days)
        share = min(1.0, max(0.0, passed / length))
        read += left * share * known.reads[number]
        left *= 1 - share * (known.reads[number] + known.deletes[number])
    return read
