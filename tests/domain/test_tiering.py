import tomllib
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stratum.domain import tiering
from stratum.domain.break_even import RESIDENCE_MIN_DAYS, BreakEven
from stratum.domain.names import Tier
from stratum.domain.pricing import DEFAULT_PRICES_TOML, parse_document, parse_prices
from stratum.domain.tiering import Decision, Facts, Move, Stay, derive_again

PRICES = parse_prices(tomllib.loads(DEFAULT_PRICES_TOML))
POLICY = BreakEven()
HOT, WARM, COLD = Tier
DAY_MS = 86_400_000
MB = 1e-3


def facts(tier=HOT, **values):
    defaults = {
        "tiers": tuple(Tier),
        "size_gb": MB,
        "idle_days": 0.0,
        "age_days": 400.0,
        "residence_days": 400.0,
        "reads": 0.0,
        "sessions": 0.0,
        "gap_days": 0.0,
        "day_s": 86400.0,
    }
    return Facts(tier=tier, **(defaults | values))


def decide(tier=HOT, prices=PRICES, **values):
    return POLICY.decide(facts(tier, **values), prices, 0)


def target(verdict):
    return verdict.decision.target if isinstance(verdict, Move) else None


# -- down ---------------------------------------------------------------------------------------
def test_an_idle_object_goes_down_step_by_step_at_the_break_even_times():
    assert target(decide(HOT, idle_days=1.7)) is None
    assert target(decide(HOT, idle_days=1.73)) is WARM
    assert target(decide(WARM, idle_days=133.0)) is None
    assert target(decide(WARM, idle_days=133.1)) is COLD
    assert target(decide(COLD, idle_days=10_000.0)) is None


def test_small_objects_stay_put_by_arithmetic():
    assert target(decide(HOT, size_gb=1e-5, idle_days=112.0)) is None
    assert target(decide(HOT, size_gb=1e-5, idle_days=114.0)) is WARM
    assert target(decide(WARM, size_gb=1e-5, idle_days=20 * 365.25)) is None


def test_without_a_cold_tier_hot_and_warm_work_alone():
    assert target(decide(HOT, tiers=(HOT, WARM), idle_days=2.0)) is WARM
    stay = decide(WARM, tiers=(HOT, WARM), idle_days=500.0)
    assert isinstance(stay, Stay)
    assert (stay.look_again_at_ms, stay.would_do) == (0, None)


def test_a_dominated_tier_is_skipped():
    table = tomllib.loads(DEFAULT_PRICES_TOML)
    table["warm"]["storage_per_gb_month"] = 0.05
    prices = parse_prices(table)
    assert target(decide(HOT, prices, idle_days=24.0)) is None
    assert target(decide(HOT, prices, idle_days=25.0)) is COLD


def test_a_tier_that_is_never_worth_a_move_is_skipped():
    table = tomllib.loads(DEFAULT_PRICES_TOML)
    table["warm"]["put"] = 1.0
    assert target(decide(HOT, parse_prices(table), idle_days=25.0)) is COLD


def test_after_a_long_time_without_looking_hot_goes_straight_to_cold():
    assert target(decide(HOT, idle_days=300.0)) is COLD


def test_a_move_by_hand_is_given_a_chance():
    assert target(decide(HOT, size_gb=1e-5, idle_days=500.0, residence_days=1.0)) is None
    stay = decide(HOT, size_gb=1e-5, idle_days=500.0, residence_days=1.0)
    assert stay.look_again_at_ms == (RESIDENCE_MIN_DAYS - 1) * DAY_MS
    # … but no longer than it takes for staying to have cost as much as leaving again.
    assert target(decide(HOT, idle_days=500.0, residence_days=1.8)) is not None


def test_nothing_is_moved_for_zero_bytes():
    stay = decide(HOT, size_gb=0.0, idle_days=1e6)
    assert isinstance(stay, Stay)
    assert stay.look_again_at_ms == 0


def test_staying_says_when_to_look_again_and_what_would_be_done():
    stay = decide(HOT, idle_days=0.5)
    assert isinstance(stay, Stay)
    assert stay.would_do is WARM
    assert stay.look_again_at_ms == pytest.approx((1.7230 - 0.5) * DAY_MS, rel=1e-3)
    assert stay.numbers["break_even_days"] == pytest.approx(1.723, rel=1e-3)


def test_days_of_the_tiering_clock_may_be_short():
    stay = decide(HOT, idle_days=0.5, day_s=2.0)
    assert stay.look_again_at_ms == pytest.approx((1.7230 - 0.5) * 2000, abs=2)
    assert "1.7 tiering days" in stay.sentence


@given(st.floats(1e-7, 1e3), st.sampled_from([HOT, WARM]), st.floats(0.01, 86400))
def test_looking_at_the_time_said_moves_or_is_put_off_by_a_moment(size_gb, tier, day_s):
    stay = decide(tier, size_gb=size_gb, day_s=day_s, age_days=0.0, residence_days=0.0)
    if isinstance(stay, Stay):
        assert stay.look_again_at_ms > 0
        days = (stay.look_again_at_ms + 1) / (day_s * 1000)
        later = decide(tier, size_gb=size_gb, day_s=day_s, idle_days=days, residence_days=days)
        assert isinstance(later, Move)


# -- up -----------------------------------------------------------------------------------------
@pytest.mark.parametrize("size_gb", [1e-5, MB, 1.0])
@pytest.mark.parametrize("tier", [WARM, COLD])
def test_one_session_never_pulls_up_and_two_close_ones_do(size_gb, tier):
    once = decide(tier, size_gb=size_gb, sessions=1.0, reads=1000.0)
    assert target(once) is None
    assert target(decide(tier, size_gb=size_gb, sessions=2.0, gap_days=0.1)) is HOT


def test_rare_reads_bring_it_where_they_are_cheapest():
    assert target(decide(COLD, sessions=2.0, gap_days=1.0)) is HOT
    assert target(decide(COLD, sessions=2.0, gap_days=10.0)) is WARM
    assert target(decide(COLD, sessions=2.0, gap_days=200.0)) is None
    assert "too rare" in decide(COLD, sessions=2.0, gap_days=200.0).sentence


def test_reads_long_ago_are_no_reason():
    assert target(decide(COLD, sessions=5.0, gap_days=0.1, idle_days=300.0)) is None


def test_promotion_waits_until_the_reads_have_paid_for_the_move():
    table = tomllib.loads(DEFAULT_PRICES_TOML)
    table["hot"]["put"] = 1e-5
    prices = parse_prices(table)
    extra = prices.read_cost(WARM, MB) - prices.read_cost(HOT, MB)
    needed = prices.move_cost(WARM, HOT, MB) / extra
    assert needed > 3
    assert target(decide(WARM, prices, sessions=float(int(needed)), gap_days=0.1)) is None
    assert target(decide(WARM, prices, sessions=float(int(needed) + 1), gap_days=0.1)) is HOT


def test_hot_is_the_top():
    assert target(decide(HOT, sessions=100.0, gap_days=0.05)) is None


# -- what is said -------------------------------------------------------------------------------
def test_sentences_have_the_numbers():
    assert decide(HOT, idle_days=1.8).decision.sentence == (
        "1.00 MB in hot, idle for 1.8 days: hot → warm, because warm saves $0.0000280 of storage a"
        " month and has thereby paid for a move there and back ($0.00000158) after the break-even"
        " time of 1.7 days"
    )
    assert decide(COLD, sessions=2.0, gap_days=0.125).decision.sentence == (
        "1.00 MB in cold, read again in 2 sessions since it came there, 3 hours apart: cold → hot,"
        " because at that rate hot costs $0.00000205 a day and cold $0.000179, and these reads cost"
        " $0.0000444 more than from hot, which pays for the move ($0.0000106)"
    )
    assert decide(HOT, idle_days=0.0).sentence == (
        "1.00 MB in hot, idle for 0 minutes: a move to warm pays after 1.7 days without a read"
    )


def test_a_decision_has_its_facts_numbers_and_prices():
    decision = decide(HOT, idle_days=1.8, reads=3.0).decision
    assert decision.policy == "break-even.1"
    assert decision.prices == PRICES.version()
    assert decision.facts["idle_days"] == 1.8
    assert decision.facts["reads"] == 3.0
    assert decision.facts["has_cold"] == 1.0
    assert decision.numbers["break_even_days"] == pytest.approx(1.723, rel=1e-3)
    assert decision.numbers["saving_per_month"] == pytest.approx(0.028 * MB)


# -- purity -------------------------------------------------------------------------------------
days = st.floats(0, 1e4)


@given(
    st.builds(
        Facts,
        tier=st.sampled_from(Tier),
        tiers=st.sampled_from([(HOT, WARM), tuple(Tier)]),
        size_gb=st.integers(0, 5 * 10**12).map(lambda size: size / 1e9),
        idle_days=days,
        age_days=days,
        residence_days=days,
        reads=st.integers(0, 1000).map(float),
        sessions=st.integers(0, 10).map(float),
        gap_days=days,
        day_s=st.floats(0.01, 86400),
    ),
    st.integers(0, 10**13),
)
def test_a_decision_is_a_function_of_its_record(facts, now_ms):
    verdict = POLICY.decide(facts, PRICES, now_ms)
    if isinstance(verdict, Move):
        decision = verdict.decision
        assert decision.source is facts.tier
        assert decision.target is not facts.tier
        assert decision.target in facts.tiers
        prices = parse_document(PRICES.document())
        assert derive_again(decision, {POLICY.name: POLICY}, prices) == decision
    else:
        assert verdict == POLICY.decide(facts, PRICES, now_ms)
        assert verdict.look_again_at_ms == 0 or verdict.look_again_at_ms > now_ms


def test_other_prices_are_found_out():
    decision = decide(HOT, idle_days=1.8).decision
    table = tomllib.loads(DEFAULT_PRICES_TOML)
    table["hot"]["storage_per_gb_month"] = 0.02
    assert derive_again(decision, {POLICY.name: POLICY}, parse_prices(table)) != decision
    forged = replace(decision, facts=decision.facts | {"idle_days": 1.0})
    assert derive_again(forged, {POLICY.name: POLICY}, PRICES) is None


def test_a_decision_by_hand_says_who_and_why():
    decision = tiering.by_hand(facts(HOT), COLD, "alice", "archive it", PRICES)
    assert decision.policy == "manual"
    assert decision.sentence == "1.00 MB: hot → cold because alice asked for it: archive it"
    assert derive_again(decision, {}, PRICES) == decision
    assert isinstance(decision, Decision)
