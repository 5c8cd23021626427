from dataclasses import replace

import pytest

from stratum.domain.names import Tier
from stratum.domain.spending import RemoteUse, month_of, refusal
from stratum.domain.tiering import Facts
from stratum.domain.watermark import (
    DeviceUse,
    Fullness,
    derive_room,
    excess_bytes,
    make_room,
    read_chance,
)
from tests.support.tiering_world import PRICES

HOT, WARM, COLD = Tier
FULL = Fullness(0.95, 0.9, 0.8)
FACTS = Facts(HOT, tuple(Tier), 0.001, 3.0, 50.0, 50.0, 0.0, 0.0, 0.0, 86400.0)


def cost(facts, targets=(WARM, COLD)):
    return make_room(facts, PRICES, FULL, targets).numbers["cost_per_gb_freed"]


def test_long_idle_and_large_is_cheapest():
    assert cost(replace(FACTS, idle_days=40.0)) < cost(FACTS)
    assert cost(replace(FACTS, size_gb=1.0)) < cost(FACTS)
    in_rhythm = replace(FACTS, sessions=5.0, gap_days=3.0)
    assert cost(in_rhythm) > cost(FACTS)
    assert cost(replace(in_rhythm, idle_days=6.1)) < cost(in_rhythm)


def test_the_chance_of_a_read():
    assert read_chance(replace(FACTS, idle_days=0.0)) == pytest.approx(1 - (1 / 31.4375) ** 0.3)
    assert read_chance(replace(FACTS, idle_days=1000.0)) < 0.01
    assert read_chance(replace(FACTS, sessions=2.0, gap_days=3.0)) > 0.99


def test_it_is_derived_again_bit_for_bit():
    decision = make_room(replace(FACTS, idle_days=1 / 3), PRICES, FULL, [WARM])
    assert derive_room(decision, PRICES) == decision
    other = replace(decision, facts={**decision.facts, "idle_days": 0.4})
    assert derive_room(other, PRICES) != decision


def test_nothing_to_free_or_nowhere_to_go():
    assert make_room(replace(FACTS, size_gb=0.0), PRICES, FULL, [WARM]) is None
    assert make_room(FACTS, PRICES, FULL, []) is None


def test_how_much_has_to_go():
    six_disks = [DeviceUse(1000, 50, 1)] * 6
    assert excess_bytes(six_disks, 0.8, 4) == 600
    assert excess_bytes([DeviceUse(6000, 300, 6)], 0.8, 4) == 600
    assert excess_bytes([DeviceUse(1000, 500, 1)], 0.8, 4) < 0
    assert excess_bytes([], 0.8, 4) == 0


def test_months_are_those_of_the_calendar_when_days_are():
    assert month_of(1_700_000_000_000, 86400.0) == "2023-11"
    assert month_of(0, 10.0) == "month 0"
    assert month_of(304_375, 10.0) == "month 1"


def test_only_promotions_are_refused_and_only_beyond_the_cap():
    use = RemoteUse("2026-11", puts=10, gets=100, egress_bytes=50 * 10**9)
    spent = use.cost(PRICES)
    assert spent == pytest.approx(10 * 5e-6 + 100 * 4e-7 + 0.5)
    assert not refusal(use, 0.0, COLD, HOT, 1.0, PRICES)
    assert not refusal(use, spent + 0.011, COLD, HOT, 1.0, PRICES)
    assert refusal(use, spent + 0.009, COLD, HOT, 1.0, PRICES)
    assert not refusal(use, spent, HOT, COLD, 1.0, PRICES)
