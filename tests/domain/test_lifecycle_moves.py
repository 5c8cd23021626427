"""Moves that lifecycle rules decide: the sentence, and the same again from the record."""

import tomllib
from dataclasses import replace

import pytest

from stratum.domain.lifecycle import DAY_MS, Step
from stratum.domain.names import Tier
from stratum.domain.pricing import DEFAULT_PRICES_TOML, parse_prices
from stratum.domain.tiering import LIFECYCLE, by_rule, derive_again

HOT, WARM, COLD = Tier
PRICES = parse_prices(tomllib.loads(DEFAULT_PRICES_TOML))
FACTS = {
    "size_gb": 0.0012,
    "counted_days": 30.5,
    "now_ms": float(20_000 * DAY_MS),
    "day_s": 86400.0,
}
AFTER_DAYS = Step("archive", "GLACIER", days=30)
FROM_DATE = Step("archive", "GLACIER", date_ms=19_999 * DAY_MS)
NONCURRENT = Step("old", "STANDARD_IA", days=30, noncurrent=True)


@pytest.mark.parametrize(
    ("step", "sentence"),
    [
        (
            AFTER_DAYS,
            "1.20 MB in hot, written 30 days ago: hot → cold, because lifecycle rule archive moves"
            " objects to GLACIER after 30 days",
        ),
        (
            FROM_DATE,
            "1.20 MB in hot, written 30 days ago: hot → cold, because lifecycle rule archive moves"
            " objects to GLACIER from 2024-10-03 on",
        ),
        (
            NONCURRENT,
            "1.20 MB in hot, noncurrent for 30 days: hot → cold, because lifecycle rule old moves"
            " noncurrent versions to STANDARD_IA after 30 days",
        ),
    ],
)
def test_the_sentence_names_the_rule(step, sentence):
    decision = by_rule(HOT, COLD, step, FACTS, PRICES)
    assert decision.sentence == sentence
    assert (decision.policy, decision.step) == (LIFECYCLE, step)


@pytest.mark.parametrize("step", [AFTER_DAYS, FROM_DATE, NONCURRENT])
def test_a_decision_is_derived_again_from_its_record(step):
    decision = by_rule(HOT, COLD, step, FACTS, PRICES)
    assert derive_again(decision, {}, PRICES) == decision
    other = replace(decision, sentence="because I say so")
    assert derive_again(other, {}, PRICES) != other


@pytest.mark.parametrize(
    ("step", "facts"),
    [
        (AFTER_DAYS, {"counted_days": 29.9}),
        (NONCURRENT, {"counted_days": 29.9}),
        (FROM_DATE, {"now_ms": 19_999.0 * DAY_MS - 1}),
    ],
)
def test_before_its_time_there_is_no_decision(step, facts):
    assert by_rule(HOT, COLD, step, {**FACTS, **facts}, PRICES) is None
    decision = by_rule(HOT, COLD, step, FACTS, PRICES)
    early = replace(decision, facts={**FACTS, **facts})
    assert derive_again(early, {}, PRICES) is None


def test_a_record_without_its_step_cannot_be_derived():
    decision = by_rule(HOT, COLD, AFTER_DAYS, FACTS, PRICES)
    with pytest.raises(KeyError):
        derive_again(replace(decision, step=None), {}, PRICES)
    with pytest.raises(KeyError):
        derive_again(replace(decision, facts={}), {}, PRICES)
