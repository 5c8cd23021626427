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
    UNIT,
    Counts,
    Rates,
    Vector,
)
from stratum.domain.hazard_schedule import (
    SWEEPS,
    Known,
    PlainSolver,
    Schedule,
    TierCosts,
    lineage,
)

Floats = npt.NDArray[np.float64]
Indices = npt.NDArray[np.intp]
FEW_PAIRS = 8
"""So few are solved sooner one by one."""


class ArrayKnown:
    """What one table knows: a row of rates and of vectors for each cell."""

    def __init__(self, table: Counts) -> None:
        self._parents = table.parents
        self._vectors = vector_matrix(table)
        self.rate_matrix = rate_matrix(table, self._vectors)

    def __len__(self) -> int:
        return len(self.rate_matrix)

    def rates(self, cell: int) -> Rates:
        values = self.rate_matrix[cell].tolist()
        return Rates(values[:BINS], values[BINS:-1], values[-1])

    def vectors(self, cell: int) -> tuple[Vector, ...]:
        rows = self._vectors[lineage(self._parents, cell)].tolist()
        return tuple(tuple(map(int, row)) for row in rows)

    def passed(self, cell: int, level: int, number: int) -> int:
        line = lineage(self._parents, cell)
        return int(self._vectors[line[level], number]) if level < len(line) else 0


class ArraySolver(PlainSolver):
    """A `Solver`. With few pairs it uses the definition."""

    def learn(self, table: Counts) -> ArrayKnown:
        return ArrayKnown(table)

    def solve(self, known: Known, pairs: Sequence[tuple[int, TierCosts]]) -> list[Schedule]:
        if len(pairs) < FEW_PAIRS:
            return super().solve(known, pairs)
        assert isinstance(known, ArrayKnown)
        matrix = known.rate_matrix[[cell for cell, _ in pairs]]
        return solve_all(matrix, [costs for _, costs in pairs])


def vector_matrix(table: Counts) -> Floats:
    """`hazard.vectors` as an array of whole numbers."""
    counts = np.array(table.counts, dtype=np.float64).reshape(-1, COUNTS_PER_CELL)
    parents = np.array(table.parents, dtype=np.intp)
    levels = np.array(table.levels)
    for level in range(LEVELS - 1, 0, -1):
        cells = np.nonzero(levels == level)[0]
        # Unbuffered and in the order of cells, as the definition adds them.
        np.add.at(counts, parents[cells], counts[cells])
    return np.rint(counts / table.weight * UNIT)


def rate_matrix(table: Counts, counts: Floats) -> Floats:
    """The rates of all cells from their vectors, a row for each: reads, deletes, more reads."""
    parents = np.array(table.parents, dtype=np.intp)
    levels = np.array(table.levels)
    kappa = SHRINKAGE * UNIT
    passed = counts[:, :BINS] + kappa
    divisors = np.concatenate([passed, passed, counts[:, ACCESSES_AT, None] + kappa], axis=1)
    seen = np.concatenate([counts[:, READS_AT:ACCESSES_AT], counts[:, MORE_READS_AT:]], axis=1)
    matrix = np.empty_like(seen)
    prior = np.array([*PRIOR.reads, *PRIOR.deletes, PRIOR.more_reads])
    for level in range(LEVELS):
        cells = np.nonzero(levels == level)[0]
        above = matrix[parents[cells]] if level else prior
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
    landings = np.array([target for _, target in landed]).T.tolist()
    paths = path.tobytes()
    length = BINS * tiers
    return [
        Schedule(landing, paths[start : start + length])
        for landing, start in zip(landings, range(0, pairs * length, length), strict=True)
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
