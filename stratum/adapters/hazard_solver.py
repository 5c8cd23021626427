"""Plans for all (cell, size) pairs at once with numpy: the same plans, bit for bit, as
`hazard_schedule.schedule` makes one by one, since every number comes from the same operations in
the same order."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from stratum.domain.hazard import (
    ACCESSES_AT,
    BIN_LENGTHS_DAYS,
    BINS,
    COUNTS_PER_CELL,
    LEVELS,
    MORE_READS_AT,
    PRIOR,
    READS_AT,
    SHRINKAGE,
    HazardTable,
    Rates,
)
from stratum.domain.hazard_schedule import (
    SWEEPS,
    PlainSolver,
    Schedule,
    TierCosts,
    known_ancestor,
)

Floats = npt.NDArray[np.float64]
Indices = npt.NDArray[np.intp]
FEW_PAIRS = 8
"""So few are solved sooner one by one."""


class ArraySolver(PlainSolver):
    """A `Solver`. With few pairs it uses the definition."""

    def __init__(self) -> None:
        super().__init__()
        self._matrix = PRIOR_MATRIX

    def refresh(self, table: HazardTable) -> None:
        self._matrix = rate_matrix(table)

    def solve(self, table: HazardTable, pairs: Sequence[tuple[int, TierCosts]]) -> list[Schedule]:
        known = len(self._matrix)
        rows = [known_ancestor(table, cell, known) for cell, _ in pairs]
        costs = [cost for _, cost in pairs]
        if len(pairs) < FEW_PAIRS:
            return self.solve_each([_rates(self._matrix[row]) for row in rows], costs)
        return solve_all(self._matrix[rows], costs)


def _row(known: Rates) -> list[float]:
    """Rates as a row of a matrix: reads, deletes, more reads."""
    return [*known.reads, *known.deletes, known.more_reads]


def _rates(row: Floats) -> Rates:
    values = row.tolist()
    return Rates(values[:BINS], values[BINS:-1], values[-1])


PRIOR_MATRIX: Floats = np.array([_row(PRIOR)], dtype=np.float64)


def rate_matrix(table: HazardTable) -> Floats:
    """`hazard.rates` as an array, a row for each cell (see `_row`)."""
    counts = np.array(table.counts, dtype=np.float64).reshape(-1, COUNTS_PER_CELL)
    parents = np.array(table.parents, dtype=np.intp)
    levels = np.array(table.levels)
    for level in range(LEVELS - 1, 0, -1):
        cells = np.nonzero(levels == level)[0]
        # Unbuffered and in the order of cells, as the definition adds them.
        np.add.at(counts, parents[cells], counts[cells])
    kappa = SHRINKAGE * table.weight
    passed = counts[:, :BINS] + kappa
    divisors = np.concatenate([passed, passed, counts[:, ACCESSES_AT, None] + kappa], axis=1)
    seen = np.concatenate([counts[:, READS_AT:ACCESSES_AT], counts[:, MORE_READS_AT:]], axis=1)
    matrix = np.empty_like(seen)
    for level in range(LEVELS):
        cells = np.nonzero(levels == level)[0]
        above = matrix[parents[cells]] if level else PRIOR_MATRIX
        matrix[cells] = (seen[cells] + kappa * above) / divisors[cells]
    return matrix


def solve_all(matrix: Floats, costs: Sequence[TierCosts]) -> list[Schedule]:
    """The plans for rows of rates and their costs."""
    keep = np.array([cost.keep for cost in costs]).T
    read = np.array([cost.read for cost in costs]).T
    write = np.array([cost.write for cost in costs]).T
    fetch = np.array([cost.fetch for cost in costs]).T
    tiers, pairs = keep.shape
    again = matrix[:, -1] * read
    later = np.zeros((tiers, pairs))
    path = np.empty((pairs, BINS, tiers), dtype=np.uint8)
    first = later
    landed: list[tuple[Floats, Indices]] = []
    for _ in range(SWEEPS):
        first = _induction(matrix, (keep, read, write, fetch), later, path)
        landed = [
            _least([again[k] + first[k] + (0.0 if k == j else write[k]) for k in range(tiers)], j)
            for j in range(tiers)
        ]
        values = np.array([value for value, _ in landed])
        later = values - values.min(axis=0)
    _, placement = _least([write[k] + first[k] for k in range(tiers)])
    landings = np.array([target for _, target in landed]).T.tolist()
    paths = path.tobytes()
    length = BINS * tiers
    return [
        Schedule(placed, landing, paths[start : start + length])
        for placed, landing, start in zip(
            placement.tolist(), landings, range(0, pairs * length, length), strict=True
        )
    ]


def _induction(
    matrix: Floats,
    costs: tuple[Floats, Floats, Floats, Floats],
    later: Floats,
    path: npt.NDArray[np.uint8],
) -> Floats:
    """Fills in `path`; returns W_0 by tier and pair."""
    keep, read, write, fetch = costs
    tiers, pairs = keep.shape
    after = np.zeros((tiers, pairs))
    for number in range(BINS - 1, -1, -1):
        reads, deleted = matrix[:, number], matrix[:, BINS + number]
        kept = BIN_LENGTHS_DAYS[number] * (1 - (reads + deleted) / 2)
        survives = 1 - reads - deleted
        inside = keep * kept + reads * (read + later) + survives * after
        following = np.empty_like(after)
        for i in range(tiers):
            options = [
                inside[j] if j == i else (write[j] + fetch[i]) + inside[j] for j in range(i, tiers)
            ]
            following[i], chosen = _least(options)
            path[:, number, i] = i + chosen
        after = following
    return after


def _least(values: list[Floats], favourite: int = 0) -> tuple[Floats, Indices]:
    """The least values and their positions; of equal ones the favourite, or else the first."""
    best = values[favourite]
    position = np.full(best.shape, favourite, dtype=np.intp)
    for index, value in enumerate(values):
        less = value < best
        best = np.where(less, value, best)
        position[less] = index
    return best, position
