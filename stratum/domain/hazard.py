"""What the store learns about reads: per kind of object and idle age, how often a read came.

An idle period begins with a write or read of an object and passes through bins of idle age until
the next read, its deletion, or the present. A table counts, for each kind of object (cell), how
many periods passed through a bin (N), were ended in it by a read (R) or by a deletion (D). Cells
are nested: all objects → habit (active days and their typical distance) → and name template → and
age and size. Each one's rates lean on its parent's as long as it has seen little itself.

Counts decay with a half-life, so that yesterday's habits are forgotten. They are kept inflated by
the weight of now instead of being multiplied down: decay then costs nothing.

Conclusions are drawn from *vectors*: a cell's counts in whole hundredths of a period of now. So a
decision can carry the vectors of its cell and all above it, and be derived again from these alone.
"""

from __future__ import annotations

import math
import re
from array import array
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

HOUR_S = 3600
DAY_S = 86400
BIN_STARTS_S: tuple[int, ...] = (
    *(0, HOUR_S, 3 * HOUR_S, 6 * HOUR_S, 12 * HOUR_S),
    *(
        days * DAY_S
        for days in (1, 2, 3, 5, 7, 10, 14, 21, 30, 45, 60, 90, 120, 180, 270, 365, 730)
    ),
)
BINS = len(BIN_STARTS_S)
HORIZON_DAYS = 1460.0
"""Where the last bin ends for the reckoning of costs: nothing is expected of the time after it."""
BIN_STARTS_DAYS: tuple[float, ...] = tuple(start / DAY_S for start in BIN_STARTS_S)
BIN_LENGTHS_DAYS: tuple[float, ...] = tuple(
    end - start
    for start, end in zip(BIN_STARTS_DAYS, (*BIN_STARTS_DAYS[1:], HORIZON_DAYS), strict=True)
)
PRIOR_EXPONENT = 0.3
PRIOR_READS: tuple[float, ...] = tuple(
    1 - ((1 + start) / (1 + start + length)) ** PRIOR_EXPONENT
    for start, length in zip(BIN_STARTS_DAYS, BIN_LENGTHS_DAYS, strict=True)
)
"""Rate of reads per bin before anything is known: reads get rarer with idle age as a power law."""
PRIOR_DELETES: tuple[float, ...] = (0.0,) * BINS
SHRINKAGE = 20.0
"""κ: the parent's rate counts like this many periods of the cell's own."""
HALF_LIFE_DAYS = 180.0
READS_AT = BINS
DELETES_AT = 2 * BINS
ACCESSES_AT = 3 * BINS
MORE_READS_AT = ACCESSES_AT + 1
COUNTS_PER_CELL = MORE_READS_AT + 1
"""N, R and D of each bin, one vector after the other; then accesses, and the reads that followed
the first read of an access."""
UNIT = 100
"""Vectors are in this fraction of a period: what is less than half of it is nothing."""
Vector = tuple[int, ...]
"""COUNTS_PER_CELL counts of a cell and all below it, in UNITs."""

ACTIVE_DAYS_FROM = (1, 2, 3, 6)
GAPS_FROM_DAYS = (1.5, 5.0, 14.0, 40.0, 100.0)
AGES_FROM_S = (2 * DAY_S, 14 * DAY_S, 60 * DAY_S, 240 * DAY_S)
SIZES_FROM_BYTES = (128 * 1024, 4 * 1024**2, 64 * 1024**2)
LOG_GAPS_FROM = tuple(math.log(days) for days in GAPS_FROM_DAYS)
GAP_CLASSES = 2 + len(GAPS_FROM_DAYS)
AGE_CLASSES = 1 + len(AGES_FROM_S)
SIZE_CLASSES = 1 + len(SIZES_FROM_BYTES)
GAP_WEIGHT = 0.4
"""Weight of the newest gap in the moving average of their logarithms."""

TEMPLATE_DIRECTORIES = 3
TEMPLATES_MAX = 1000
"""Names that don't fit any of the first so many templates share one, …"""
CELLS_MAX = 20_000
"""… and what would need further cells counts in their parents: a table is bounded, at 11 MB."""
TEMPLATE_OTHERS = "*"
TEMPLATES_KEPT = 16_384
"""Keys whose template is remembered, since what is read is often read again: 3 MB."""
EXTENSION_LENGTH_MAX = 8
LEVELS = 4

_DIGITS = re.compile(r"\d+")
_HEX = re.compile(r"(?=[0-9a-f]*\d)[0-9a-f]{8,}|(?<![0-9a-z])[0-9a-f]{2}(?![0-9a-z])")
_EXTENSION = re.compile(r"[a-z0-9]+").fullmatch


def bin_of(idle_days: float) -> int:
    """The bin an idle age of 0 days or more lies in, 0 to BINS - 1."""
    return bisect_right(BIN_STARTS_DAYS, idle_days) - 1


@lru_cache(maxsize=TEMPLATES_KEPT)
def template(key: str) -> str:
    """What an object's name says about its kind: the first three directories, digits as `#`, hex
    numbers as `*`, and the extension: `home/u#/work|pdf`."""
    *directories, name = key.lower().split("/")
    path = "/".join(directories[:TEMPLATE_DIRECTORIES])
    path = _DIGITS.sub("#", _HEX.sub("*", path))
    _, dot, extension = name.rpartition(".")
    fits = dot and len(extension) <= EXTENSION_LENGTH_MAX and _EXTENSION(extension)
    return f"{path}|{_DIGITS.sub('#', extension)}" if fits else f"{path}|"


def habit_of(active_days: int, log_gap: float) -> int:
    """The class of active days (none, 1, 2, 3 to 5, 6 or more) and of the typical distance between
    them, given as the logarithm of days; which is unknown (class 0) with fewer than two."""
    days_class = bisect_right(ACTIVE_DAYS_FROM, active_days)
    gap_class = 1 + bisect_right(LOG_GAPS_FROM, log_gap) if active_days > 1 else 0
    return days_class * GAP_CLASSES + gap_class


def size_class(size_bytes: int) -> int:
    return bisect_right(SIZES_FROM_BYTES, size_bytes)


def period_class(age_s: float, size_bytes: int) -> int:
    """The class of an idle period that begins at an age of the object."""
    return bisect_right(AGES_FROM_S, age_s) * SIZE_CLASSES + size_class(size_bytes)


class Counts(Protocol):
    """Of a table, what is needed to draw conclusions."""

    parents: list[int]
    levels: list[int]
    counts: array[float]
    weight: float


@dataclass
class Snapshot:
    """Counts as they were at a moment."""

    parents: list[int]
    levels: list[int]
    counts: array[float]
    weight: float


@dataclass(frozen=True)
class TableState:
    """Everything a table is made of, to be kept."""

    parents: list[int]
    numbers: list[int]
    """What each cell is of its parent: number of the habit, the template or the period class."""
    templates: list[str]
    """By number."""
    counts: array[float]
    began_s: float | None
    """The time that weights count from."""
    counted: float


class HazardTable:
    """Counts per cell. Cells of all four levels are numbered together, parents before children.

    Only the finest cells are counted in, as long as there is room for them; what the others know
    is the sum of their children.
    """

    def __init__(self) -> None:
        self.parents: list[int] = [0]
        """The parent of each cell; the root (0) is its own."""
        self.levels: list[int] = [0]
        self.counts = array("d", bytes(8 * COUNTS_PER_CELL))
        """COUNTS_PER_CELL for each cell, in weights of the time of counting."""
        self.weight = 1.0
        """What one period counts now. κ counts SHRINKAGE times this."""
        self.counted = 0.0
        """Idle periods entered in all so far, in weights of their time."""
        self.changes = 0
        """Goes up with every count."""
        self._began_s: float | None = None
        self._cells: dict[tuple[int, int], int] = {}
        self._templates: dict[str, int] = {}

    @classmethod
    def restored(cls, state: TableState) -> HazardTable:
        """The table that was kept. Raises ValueError if it can't have been one."""
        cells = len(state.parents)
        if not 0 < cells == len(state.numbers) == len(state.counts) / COUNTS_PER_CELL:
            raise ValueError("a table with cells without counts")
        table = cls()
        for cell, (parent, number) in enumerate(zip(state.parents, state.numbers, strict=True)):
            if cell and not (0 <= parent < cell and table.levels[parent] < LEVELS - 1):
                raise ValueError("a table with a cell before its parent")
            if cell:
                table.parents.append(parent)
                table.levels.append(table.levels[parent] + 1)
                table._cells[parent, number] = cell
        table.counts = state.counts[:]
        table._templates = {text: number for number, text in enumerate(state.templates)}
        table._began_s = state.began_s
        table.counted = state.counted
        return table

    def state(self) -> TableState:
        """A copy of everything, to be kept."""
        numbers = [0] * len(self.parents)
        for (_, number), cell in self._cells.items():
            numbers[cell] = number
        return TableState(
            self.parents[:],
            numbers,
            list(self._templates),
            self.counts[:],
            self._began_s,
            self.counted,
        )

    def pass_time(self, now_s: float) -> None:
        """Let what was counted before decay. `now_s` counts from any fixed time."""
        if self._began_s is None:
            self._began_s = now_s
        self.weight = 2.0 ** ((now_s - self._began_s) / (HALF_LIFE_DAYS * DAY_S))

    def template_id(self, key: str) -> int:
        """The number of a name's template, new if there is room for it."""
        text = template(key)
        known = self._templates.get(text)
        if known is None:
            if len(self._templates) >= TEMPLATES_MAX:
                text = TEMPLATE_OTHERS
            known = self._templates.setdefault(text, len(self._templates))
        return known

    def cell(self, habit: int, template_id: int, period: int) -> int:
        """The number of the finest cell for such an object, new if there was none and is room."""
        habits = self._child(0, habit, 1)
        named = self._child(habits, template_id, 2)
        return self._child(named, period, 3)

    def snapshot(self) -> Snapshot:
        """A copy, to draw conclusions from while counting goes on."""
        return Snapshot(self.parents[:], self.levels[:], self.counts[:], self.weight)

    def passed(self, cell: int, first: int, end: int) -> None:
        """Count a period that stayed idle throughout the bins from `first` up to `end`, which it
        has reached and not yet passed."""
        counts, weight = self.counts, self.weight
        start = cell * COUNTS_PER_CELL
        for position in range(start + first, start + end):
            counts[position] += weight
        self.changes += 1
        if not first:
            self.counted += weight

    def ended(self, cell: int, first: int, last: int, by_read: bool) -> None:
        """Count a period that ended in bin `last`, after `first` was the next bin to count."""
        counts, weight = self.counts, self.weight
        start = cell * COUNTS_PER_CELL
        for position in range(start + first, start + last + 1):
            counts[position] += weight
        counts[start + last + (READS_AT if by_read else DELETES_AT)] += weight
        self.changes += 1
        if not first:
            self.counted += weight

    def accessed(self, cell: int, more_reads: int) -> None:
        """Count an access, over now, that had so many reads after its first."""
        start = cell * COUNTS_PER_CELL
        self.counts[start + ACCESSES_AT] += self.weight
        self.counts[start + MORE_READS_AT] += more_reads * self.weight

    def _child(self, parent: int, number: int, level: int) -> int:
        if self.levels[parent] != level - 1:
            return parent  # for which there was no room
        key = (parent, number)
        cell = self._cells.get(key)
        if cell is None:
            if len(self.parents) >= CELLS_MAX:
                return parent
            cell = self._cells[key] = len(self.parents)
            self.parents.append(parent)
            self.levels.append(level)
            self.counts.frombytes(bytes(8 * COUNTS_PER_CELL))
        return cell


@dataclass(frozen=True)
class Rates:
    """What is to be expected of an idle period."""

    reads: Sequence[float]
    """Per bin: the share of periods entering it that a read ends in it."""
    deletes: Sequence[float]
    """Per bin: the share that a deletion ends in it."""
    more_reads: float
    """How many reads follow the first read of an access, on average."""


PRIOR = Rates(PRIOR_READS, PRIOR_DELETES, 0.0)


def vectors(table: Counts) -> list[Vector]:
    """The vectors of all cells."""
    cells = len(table.parents)
    sums = [
        list(table.counts[cell * COUNTS_PER_CELL : (cell + 1) * COUNTS_PER_CELL])
        for cell in range(cells)
    ]
    for level in range(LEVELS - 1, 0, -1):
        for cell in range(cells):
            if table.levels[cell] == level:
                parent = sums[table.parents[cell]]
                for position, count in enumerate(sums[cell]):
                    parent[position] += count
    return [tuple(round(count / table.weight * UNIT) for count in each) for each in sums]


def rates_of(chain: Sequence[Vector]) -> Rates:
    """The rates of a cell from its vectors, the root's first: h_b = (R_b + κ·h_b(parent)) /
    (N_b + κ), and so for deletions and further reads."""
    known = PRIOR
    for vector in chain:
        known = shrunk(vector, known)
    return known


def shrunk(vector: Sequence[int], above: Rates) -> Rates:
    """The rates of a cell from its own vector and its parent's rates."""
    kappa = SHRINKAGE * UNIT

    def rate(count: int, before: float, of: int) -> float:
        return (count + kappa * before) / (of + kappa)

    return Rates(
        [rate(vector[READS_AT + b], above.reads[b], vector[b]) for b in range(BINS)],
        [rate(vector[DELETES_AT + b], above.deletes[b], vector[b]) for b in range(BINS)],
        rate(vector[MORE_READS_AT], above.more_reads, vector[ACCESSES_AT]),
    )
