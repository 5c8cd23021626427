"""Decisions derived again from their records, on journals that were and weren't tampered with."""

import tomllib
from dataclasses import replace

import pytest

from stratum.adapters.memory_journal import MemoryJournal
from stratum.app.rederive import rederive
from stratum.domain.break_even import BreakEven
from stratum.domain.events import PricesAdopted, TierDecided
from stratum.domain.names import ExtentId, Tier, VolumeId
from stratum.domain.policies import RULES
from stratum.domain.pricing import DEFAULT_PRICES_TOML, parse_prices
from stratum.domain.tiering import Facts, Move, by_hand

PRICES = parse_prices(tomllib.loads(DEFAULT_PRICES_TOML))
VOLUME = VolumeId("0" * 32)


def facts(idle_days):
    return Facts(
        tier=Tier.HOT,
        tiers=tuple(Tier),
        size_gb=0.1234567890123,
        idle_days=idle_days,
        age_days=idle_days,
        residence_days=idle_days,
        reads=0.0,
        sessions=0.0,
        gap_days=0.0,
        day_s=86400.0,
    )


def decision(idle_days=12.345678901234567):
    verdict = BreakEven().decide(facts(idle_days), PRICES, 0)
    assert isinstance(verdict, Move)
    return verdict.decision


async def derived(*decisions, prices=PRICES):
    journal = MemoryJournal(lambda: 1)
    events = [PricesAdopted(prices.version(), prices.document())]
    events += [
        TierDecided(VOLUME, each, ExtentId(f"{number:032}"))
        for number, each in enumerate(decisions)
    ]
    for event in events:
        await journal.transact(lambda _, event=event: [event], by="test")
    return [each.difference async for each in rederive(journal, RULES)]


async def test_true_records_derive_bit_for_bit():
    manual = by_hand(facts(0.5), Tier.COLD, "root", "because", PRICES)
    assert await derived(decision(), manual, decision(1000.0)) == ["", "", ""]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"sentence": "Trust me."}, "sentence: recorded 'Trust me.'"),
        ({"target": Tier.COLD}, "target"),
        ({"policy": "nobody.1"}, "nobody.1"),
        ({"prices": "0" * 16}, "no such list"),
        ({"facts": {}}, "unknown"),
    ],
)
async def test_a_record_that_was_changed_is_found(change, said):
    (difference,) = await derived(replace(decision(), **change))
    assert said in difference


async def test_a_decision_that_should_not_have_been_made_is_found():
    true = decision()
    (difference,) = await derived(replace(true, facts={**true.facts, "idle_days": 0.0}))
    assert "stay in hot" in difference
