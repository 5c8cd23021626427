"""The array solver gives the plans of the definition, bit for bit."""

import random
import tomllib
from dataclasses import replace

import pytest

from stratum.adapters.hazard_solver import FEW_PAIRS, ArraySolver
from stratum.domain.hazard import BINS, DAY_S, LEVELS, HazardTable, period_class, rates_of
from stratum.domain.hazard_schedule import PlainKnown, PlainSolver, octave_size_gb, tier_costs
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
            period_class(chance.randrange(300) * DAY_S, int(10 ** chance.uniform(3, 9))),
        )
        last = min(BINS - 1, int(chance.expovariate(0.2)))
        table.ended(cell, 0, last, by_read=chance.random() < 0.8)
        table.accessed(cell, int(chance.expovariate(0.5)))
    return table


@pytest.mark.parametrize("seed", range(3))
def test_rates_are_equal_bit_for_bit(seed):
    table = learnt(seed)
    plain, fast = PlainKnown(table), ArraySolver().learn(table)
    assert len(plain) == len(fast) == len(table.parents)
    for cell in range(len(plain)):
        assert fast.rates(cell) == plain.rates(cell) == rates_of(plain.vectors(cell))
        assert fast.vectors(cell) == plain.vectors(cell)
        for level in range(LEVELS):
            assert fast.passed(cell, level, 7) == plain.passed(cell, level, 7)


@pytest.mark.parametrize("tiers", [TIERS, TIERS[:2], TIERS[:1]], ids=len)
@pytest.mark.parametrize("waiting_per_s", [7e-6, 7e-5, 7e-4])
def test_plans_are_equal(tiers, waiting_per_s):
    table = learnt(7)
    chance = random.Random(8)
    prices = replace(PRICES, waiting_per_s=waiting_per_s)
    sizes = [tier_costs(prices, tiers, octave_size_gb(octave)) for octave in range(-1, 41)]
    pairs = [(chance.randrange(len(table.parents)), chance.choice(sizes)) for _ in range(200)]
    plain, fast = PlainSolver(), ArraySolver()
    expected = plain.solve(plain.learn(table), pairs)
    assert fast.solve(fast.learn(table), pairs) == expected
    assert len({plan.path for plan in expected}) > 2 or len(tiers) == 1
    few = FEW_PAIRS - 1
    assert fast.solve(fast.learn(table), pairs[:few]) == expected[:few]
