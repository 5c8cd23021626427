"""The array solver gives the plans of the definition, bit for bit."""

import random
import tomllib
from dataclasses import replace

import numpy as np
import pytest

from stratum.adapters.hazard_solver import FEW_PAIRS, ArraySolver, rate_matrix
from stratum.domain.hazard import BINS, DAY_S, HazardTable, rates
from stratum.domain.hazard_schedule import PlainSolver, octave_size_gb, tier_costs
from stratum.domain.names import Tier
from stratum.domain.pricing import DEFAULT_PRICES_TOML, parse_prices

PRICES = parse_prices(tomllib.loads(DEFAULT_PRICES_TOML))
TIERS = tuple(Tier)


def learnt(seed: int) -> HazardTable:
    """A table that has seen a few thousand periods of some dozens of kinds."""
    chance = random.Random(seed)
    table = HazardTable()
    for step in range(3000):
        table.pass_time(step * DAY_S / 10)
        cell = table.cell(
            chance.randrange(6),
            chance.randrange(4),
            chance.randrange(300) * DAY_S,
            chance.randrange(4),
        )
        last = min(BINS - 1, int(chance.expovariate(0.2)))
        table.ended(cell, 0, last, by_read=chance.random() < 0.8)
        table.accessed(cell, int(chance.expovariate(0.5)))
    return table


@pytest.mark.parametrize("seed", range(3))
def test_rates_are_equal_bit_for_bit(seed):
    table = learnt(seed)
    expected = [[*known.reads, *known.deletes, known.more_reads] for known in rates(table)]
    assert np.array_equal(rate_matrix(table), np.array(expected))


@pytest.mark.parametrize("tiers", [TIERS, TIERS[:2], TIERS[:1]], ids=len)
@pytest.mark.parametrize("waiting_per_s", [7e-6, 7e-5, 7e-4])
def test_plans_are_equal(tiers, waiting_per_s):
    table = learnt(7)
    chance = random.Random(8)
    prices = replace(PRICES, waiting_per_s=waiting_per_s)
    sizes = [tier_costs(prices, tiers, octave_size_gb(octave)) for octave in range(-1, 41)]
    pairs = [(chance.randrange(len(table.parents)), chance.choice(sizes)) for _ in range(200)]
    plain, fast = PlainSolver(), ArraySolver()
    assert fast.solve(table, pairs) == plain.solve(table, pairs), "by the prior"
    plain.refresh(table)
    fast.refresh(table)
    expected = plain.solve(table, pairs)
    assert fast.solve(table, pairs) == expected
    assert len({plan.path for plan in expected}) > 2 or len(tiers) == 1
    few = FEW_PAIRS - 1
    assert fast.solve(table, pairs[:few]) == expected[:few]


def test_a_cell_that_is_newer_than_the_rates_has_its_parents():
    table = learnt(9)
    plain, fast = PlainSolver(), ArraySolver()
    plain.refresh(table)
    fast.refresh(table)
    costs = tier_costs(PRICES, TIERS, 0.05)
    pairs = [(table.cell(5, 99, 0, 0), costs)] * FEW_PAIRS
    assert fast.solve(table, pairs) == plain.solve(table, pairs)
