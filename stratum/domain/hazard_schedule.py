"""The cheapest plan for an idle period, given how likely a read is at each idle age.

Backward induction over the bins of idle age, W_b(i) being the expected cost from bin b on for an
object that enters it in tier i:

    W_b(i) = min over j ≥ i of  m(i→j) + c_j·s·Δ_b·(1 − (h_b + d_b)/2)
                                + h_b·(r_j + V_j) + (1 − h_b − d_b)·W_{b+1}(j)
    V_j    = min over k of  m⁺(j→k) + e·r_k + W_0(k),  less the least V

with h and d the rates of reads and deletions, e the reads that follow a read within the hour, c
storage, r reads, m moves and m⁺ moves of bytes in flight. What comes after the next read (V) is a
period like this one, found by a few sweeps.

This module is the definition. A faster solver has to give the same plans.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Protocol

from stratum.domain.hazard import (
    BIN_LENGTHS_DAYS,
    BIN_STARTS_DAYS,
    BINS,
    PRIOR,
    Counts,
    Rates,
    Vector,
    shrunk,
    vectors,
)
from stratum.domain.names import Tier
from stratum.domain.pricing import BYTES_PER_GB, PriceList

SWEEPS = 4
CAP_FACTOR = 2.0
"""Whatever the table says, an object leaves a tier after this many break-even times."""


@dataclass(frozen=True)
class TierCosts:
    """The cost model for one size, by index of the usable tiers (dearest first). $; days."""

    tiers: tuple[Tier, ...]
    keep: tuple[float, ...]
    """c_i·s: a day in the tier."""
    read: tuple[float, ...]
    """r_i: one read from it."""
    write: tuple[float, ...]
    """m⁺(→i): writing bytes at hand to it."""
    fetch: tuple[float, ...]
    """What m(i→j) adds to m⁺(→j): getting the bytes out of it."""
    break_even_days: tuple[float, ...]
    """B: the idle time after which leaving a tier has paid, whatever comes; or infinity."""
    cap: tuple[tuple[float, int], ...]
    """The idle days after which an object leaves a tier in any case, and where it goes."""


def tier_costs(prices: PriceList, tiers: Sequence[Tier], size_gb: float) -> TierCosts:
    """The cost model for objects of a size in the configured tiers."""
    leaving = [_break_even(prices, tiers, source, size_gb) for source in range(len(tiers))]
    return TierCosts(
        tuple(tiers),
        keep=tuple(prices.storage_per_day(tier, size_gb) for tier in tiers),
        read=tuple(prices.read_cost(tier, size_gb) for tier in tiers),
        write=tuple(prices.in_flight_cost(tier, size_gb) for tier in tiers),
        fetch=tuple(
            prices.of(tier).get + prices.of(tier).retrieval_per_gb * size_gb for tier in tiers
        ),
        break_even_days=tuple(days for days, _ in leaving),
        cap=tuple((CAP_FACTOR * days, target) for days, target in leaving),
    )


def _break_even(
    prices: PriceList, tiers: Sequence[Tier], source: int, size_gb: float
) -> tuple[float, int]:
    usable = prices.usable(tiers, size_gb)
    options = [
        (max(0.0, prices.break_even_days(tiers[source], tiers[target], size_gb)), target)
        for target in range(source + 1, len(tiers))
        if tiers[target] in usable
    ]
    return min(options, default=(math.inf, source))


@dataclass(frozen=True)
class Schedule:
    """What to do with an object of one kind and size; tiers are indices."""

    landing: Sequence[int]
    """Where it should be after a read from each tier."""
    path: bytes
    """By bin, then by tier: where to go when the bin begins. See `target`."""

    def target(self, number: int, tier: int) -> int:
        """Where to go from a tier when bin `number` begins."""
        return self.path[number * len(self.landing) + tier]

    def leave_days(self, tier: int, first: int) -> float:
        """The idle age at which it leaves a tier, looking from bin `first` on; or infinity."""
        tiers = len(self.landing)
        for number, target in enumerate(self.path[first * tiers + tier :: tiers], first):
            if target != tier:
                return BIN_STARTS_DAYS[number]
        return math.inf


@dataclass(frozen=True)
class Workings:
    """A schedule and the costs it was chosen by, in $."""

    schedule: Schedule
    inside: Sequence[Sequence[float]]
    """By bin and tier: spending that bin there, and whatever comes after."""
    landed: Sequence[float]
    """By tier: being there after a read, the rest of the access included."""

    def saving_by_going_down(
        self, costs: TierCosts, number: int, source: int, target: int
    ) -> float:
        """What is saved on average by leaving now instead of one bin later."""
        move = costs.write[target] + costs.fetch[source]
        return self.inside[number][source] - (move + self.inside[number][target])

    def saving_by_coming_up(self, costs: TierCosts, source: int, target: int) -> float:
        """What is saved on average by coming up after this read."""
        return self.landed[source] - (costs.write[target] + self.landed[target])


def schedule(known: Rates, costs: TierCosts) -> Schedule:
    """The cheapest plan by the recursion above."""
    return work_out(known, costs).schedule


def work_out(known: Rates, costs: TierCosts) -> Workings:
    """The cheapest plan, with the costs it was chosen by."""
    count = len(costs.keep)
    later = [0.0] * count
    path: list[list[int]] = []
    inside: list[list[float]] = []
    first: list[float] = []
    again = [known.more_reads * read for read in costs.read]
    landed: list[tuple[float, int]] = []
    for _ in range(SWEEPS):
        path, inside, first = _induction(known, costs, later)
        landed = [
            _least(
                [again[k] + first[k] + (0.0 if k == j else costs.write[k]) for k in range(count)], j
            )
            for j in range(count)
        ]
        least = min(landed)[0]
        later = [value - least for value, _ in landed]
    plan = Schedule([target for _, target in landed], bytes(chain(*path)))
    return Workings(plan, inside, [again[k] + first[k] for k in range(count)])


def _induction(
    known: Rates, costs: TierCosts, later: Sequence[float]
) -> tuple[list[list[int]], list[list[float]], list[float]]:
    """By bin, where to go and what each tier costs; then what the period costs from its begin."""
    count = len(costs.keep)
    path: list[list[int]] = [[]] * BINS
    all_inside: list[list[float]] = [[]] * BINS
    after = [0.0] * count
    for number in range(BINS - 1, -1, -1):
        read, deleted = known.reads[number], known.deletes[number]
        kept = BIN_LENGTHS_DAYS[number] * (1 - (read + deleted) / 2)
        survives = 1 - read - deleted
        inside = [
            costs.keep[j] * kept + read * (costs.read[j] + later[j]) + survives * after[j]
            for j in range(count)
        ]
        chosen = [
            _least(
                [
                    inside[j] if j == i else (costs.write[j] + costs.fetch[i]) + inside[j]
                    for j in range(i, count)
                ]
            )
            for i in range(count)
        ]
        after = [cost for cost, _ in chosen]
        path[number] = [i + offset for i, (_, offset) in enumerate(chosen)]
        all_inside[number] = inside
    return path, all_inside, after


def _least(values: Sequence[float], favourite: int = 0) -> tuple[float, int]:
    """The least value and its position; of equal ones the favourite, or else the first."""
    best, position = values[favourite], favourite
    for index, value in enumerate(values):
        if value < best:
            best, position = value, index
    return best, position


class Known(Protocol):
    """What a table had taught at some moment. Cells that came later are not in it."""

    def __len__(self) -> int:
        """How many cells there were; at least one."""
        ...

    def rates(self, cell: int) -> Rates: ...

    def vectors(self, cell: int) -> tuple[Vector, ...]:
        """The vectors of the cell and all above it, the root's first."""
        ...

    def passed(self, cell: int, level: int, number: int) -> int:
        """How many UNITs of periods reached a bin, of the cell above that is at a level (0: the
        root); 0 if the cell is above that level."""
        ...


class Solver(Protocol):
    """Conclusions and plans. Both methods may run in any thread."""

    def learn(self, table: Counts) -> Known: ...

    def solve(self, known: Known, pairs: Sequence[tuple[int, TierCosts]]) -> list[Schedule]:
        """The plans for (known) cells and costs."""
        ...


class PlainKnown:
    """What one table knows, all worked out."""

    def __init__(self, table: Counts) -> None:
        self._parents = table.parents
        self._vectors = vectors(table)
        self._rates: list[Rates] = []
        for cell, vector in enumerate(self._vectors):
            above = self._rates[table.parents[cell]] if cell else PRIOR
            self._rates.append(shrunk(vector, above))

    def __len__(self) -> int:
        return len(self._rates)

    def rates(self, cell: int) -> Rates:
        return self._rates[cell]

    def vectors(self, cell: int) -> tuple[Vector, ...]:
        return tuple(self._vectors[each] for each in lineage(self._parents, cell))

    def passed(self, cell: int, level: int, number: int) -> int:
        line = lineage(self._parents, cell)
        return self._vectors[line[level]][number] if level < len(line) else 0


class PlainSolver:
    """The definition, one pair after the other."""

    def learn(self, table: Counts) -> Known:
        return PlainKnown(table)

    def solve(self, known: Known, pairs: Sequence[tuple[int, TierCosts]]) -> list[Schedule]:
        return [schedule(known.rates(cell), costs) for cell, costs in pairs]


def lineage(parents: Sequence[int], cell: int) -> list[int]:
    """The cell and all above it, the root first."""
    line = [cell]
    while cell:
        cell = parents[cell]
        line.append(cell)
    return line[::-1]


def known_ancestor(parents: Sequence[int], cell: int, known: int) -> int:
    """The nearest cell upwards that is among the first `known`."""
    while cell >= known:
        cell = parents[cell]
    return cell


OCTAVE_NONE = -1


def octave_of(size_bytes: int) -> int:
    """The size's power of two; OCTAVE_NONE for 0 bytes."""
    return size_bytes.bit_length() - 1


def octave_size_gb(octave: int) -> float:
    """The size that stands for an octave: its geometric middle."""
    return 0.0 if octave == OCTAVE_NONE else 2.0**octave * math.sqrt(2) / BYTES_PER_GB
