"""Simulated costs against sums by hand, and the optimum against brute force."""

import itertools
import random
import tomllib
from dataclasses import replace

import pytest

from stratum.domain.errors import InvalidArgument
from stratum.domain.hazard import DAY_S, HOUR_S
from stratum.domain.hazard_schedule import PlainSolver
from stratum.domain.names import Tier
from stratum.domain.optimum import optimum
from stratum.domain.policies import POLICIES, make_follower
from stratum.domain.pricing import DAYS_PER_MONTH, DEFAULT_PRICES_TOML, parse_prices
from stratum.domain.simulation import DELETE, GET, PUT, simulate

PRICES = parse_prices(tomllib.loads(DEFAULT_PRICES_TOML))
TIERS = tuple(Tier)
GB = 10**9
MONTH_S = round(DAYS_PER_MONTH * DAY_S)


def run(requests, policy, prices=PRICES, keys=None, tiers=TIERS):
    """The outcome, and all placements and moves."""
    moves = []
    names = keys or [f"k/{number}" for number in range(1 + max(r[1] for r in requests))]
    outcome = simulate(
        requests,
        names,
        make_follower(policy, prices, tiers, PlainSolver()),
        prices,
        tiers,
        lambda *move: moves.append(move),
    )
    return outcome, moves


def history(seed, objects=20, requests=400, days=300):
    """A random trace with reads in bursts, deletions and objects written again."""
    chance = random.Random(seed)
    times = sorted(chance.randrange(days * DAY_S) for _ in range(requests))
    trace = []
    for at_s in times:
        key = chance.randrange(objects)
        operation = chance.choices((PUT, GET, DELETE), (1, 8, 0.5))[0]
        trace.append((at_s, key, operation, int(10 ** chance.uniform(4, 9.5))))
    return trace


# -- costs --------------------------------------------------------------------------------------
def test_one_tier_costs_what_its_prices_say():
    trace = [(0, 0, PUT, 2 * GB), (100, 0, GET, 0), (100, 0, GET, 0), (MONTH_S, 0, DELETE, 0)]
    outcome, moves = run(trace, "always-cold")
    costs = outcome.costs
    assert costs.storage == pytest.approx(2 * 0.006)
    assert costs.requests == pytest.approx(5e-6 + 2 * 4e-7)
    assert costs.retrieval == pytest.approx(2 * 2 * 0.010)
    assert costs.ingest == pytest.approx(2 * 1e-4)
    assert costs.moves == 0
    assert costs.waiting == pytest.approx(2 * 7e-5 * (0.150 + 2 / 0.05))
    assert costs.total == pytest.approx(sum(
        (costs.storage, costs.requests, costs.retrieval, costs.ingest, costs.waiting)
    ))  # fmt: skip
    assert outcome.waiting_mean_s == pytest.approx(40.15)
    assert outcome.read_shares() == {Tier.HOT: 0, Tier.WARM: 0, Tier.COLD: 1}
    assert moves == [(0, 0, None, 2)]


def test_a_move_by_time_reads_the_object_and_one_in_flight_does_not():
    trace = [(0, 0, PUT, GB), (100 * DAY_S, 0, GET, 0), (100 * DAY_S, 0, GET, 0)]
    outcome, moves = run(trace, "idle-30-90")
    assert moves == [
        (0, 0, None, 0),
        (30 * DAY_S, 0, 0, 1),
        (90 * DAY_S, 0, 1, 2),
        (100 * DAY_S, 0, 2, 0),
    ]
    down = 1e-7 + 3e-5 + 1e-8 + 5e-6 + 1e-4 + 3e-8
    up = 1e-7 + 1e-4
    assert outcome.costs.moves == pytest.approx(down + up)
    assert outcome.costs.storage == pytest.approx(
        (30 * 0.040 + 60 * 0.012 + 10 * 0.006) / DAYS_PER_MONTH
    )
    # The first of the two reads came from cold, the second from where it went with it.
    assert outcome.read_shares() == {Tier.HOT: 0.5, Tier.WARM: 0, Tier.COLD: 0.5}


def test_age_rules_do_not_look_at_reads():
    reads = [(day * DAY_S, 0, GET, 0) for day in range(1, 120)]
    _, moves = run([(0, 0, PUT, GB), *reads], "age-30-90")
    assert moves == [(0, 0, None, 0), (30 * DAY_S, 0, 0, 1), (90 * DAY_S, 0, 1, 2)]


def test_idle_rules_leave_small_objects_alone():
    trace = [(0, 0, PUT, 100_000), (0, 1, PUT, 200_000), (200 * DAY_S, 0, GET, 0)]
    _, moves = run(trace, "idle-30-90")
    assert [move for move in moves if move[1] == 0] == [(0, 0, None, 0)]
    assert len([move for move in moves if move[1] == 1]) == 3


def test_ski_rental_waits_for_break_even():
    _, moves = run([(0, 0, PUT, GB), (200 * DAY_S, 0, GET, 0)], "ski-rental")
    days = PRICES.break_even_days(Tier.HOT, Tier.WARM, 1.0)
    assert moves[1] == (pytest.approx(days * DAY_S, abs=1), 0, 0, 1)


def test_an_overwrite_ends_the_older_object():
    trace = [(0, 0, PUT, GB), (MONTH_S, 0, PUT, 3 * GB), (2 * MONTH_S, 0, DELETE, 0)]
    outcome, moves = run(trace, "always-hot")
    assert outcome.costs.storage == pytest.approx(0.040 * (1 + 3))
    assert moves == [(0, 0, None, 0), (MONTH_S, 0, None, 0)]


def test_requests_for_what_is_not_there_are_left_out():
    trace = [(0, 0, GET, GB), (1, 0, DELETE, 0), (2, 0, PUT, GB), (3, 0, DELETE, 0), (4, 0, GET, 0)]
    outcome, _ = run(trace, "always-hot")
    assert (outcome.left_out, outcome.reads) == (3, 0)


def test_a_trace_out_of_order_is_refused():
    with pytest.raises(InvalidArgument, match="second 5"):
        run([(6, 0, PUT, 1), (5, 0, GET, 1)], "always-hot")


def test_the_99th_percentile_of_waiting_counts_reads():
    trace = [(0, 0, PUT, GB), (0, 1, PUT, 1000)]
    trace += [(second, 1, GET, 0) for second in range(1, 99)] + [(100, 0, GET, 0)] * 2
    outcome, _ = run(trace, "always-warm")
    assert outcome.waiting_p99_s == pytest.approx(0.012 + 1 / 0.15)
    outcome, _ = run(trace[:-1], "always-warm")
    assert outcome.waiting_p99_s == pytest.approx(0.012 + 1 / 0.15), "98 of 99 are less than 99 %"


def test_break_even_asks_the_policy_of_the_server():
    _, moves = run([(0, 0, PUT, GB), (200 * DAY_S, 0, GET, 0)], "break-even")
    assert [(source, target) for _, _, source, target in moves] == [(None, 0), (0, 1), (1, 2)]
    days = PRICES.break_even_days(Tier.HOT, Tier.WARM, 1.0)
    assert moves[1][0] == pytest.approx(days * DAY_S, abs=2)


def test_break_even_comes_up_after_two_sessions():
    size_bytes = GB // 10
    reads = [(100 * DAY_S + number * 2 * HOUR_S, 0, GET, 0) for number in range(5)]
    _, moves = run([(0, 0, PUT, size_bytes), *reads], "break-even")
    up = [at_s for at_s, _, source, target in moves if source is not None and target < source]
    assert up
    assert up[0] > reads[0][0]


@pytest.mark.parametrize("policy", POLICIES)
def test_every_policy_accounts_for_all_reads_and_moves(policy):
    trace = history(3)
    outcome, moves = run(trace, policy)
    gets = sum(operation == GET for _, _, operation, _ in trace)
    assert outcome.reads == sum(used.reads for used in outcome.usage) <= gets
    placed = [move for move in moves if move[2] is None]
    assert len(placed) == sum(operation == PUT for _, _, operation, _ in trace)
    assert outcome.moves == len(moves) - len(placed)
    where = {}
    for _, key, source, target in sorted(moves, key=lambda move: move[0]):
        assert source is None or where[key] == source != target
        where[key] = target


def test_an_unknown_policy_is_refused():
    with pytest.raises(InvalidArgument, match="no policy 'oracle'"):
        make_follower("oracle", PRICES, TIERS, PlainSolver())


# -- the optimum --------------------------------------------------------------------------------
def brute_force(trace, prices, tiers):
    """The least cost of one object's history by trying every tier it could be in at the beginning,
    in the middle and at the end of every gap."""
    size_gb = trace[0][3] / GB
    gaps = [(late[0] - early[0]) / DAY_S for early, late in itertools.pairwise(trace)]
    best = float("inf")
    for path in itertools.product(tiers, repeat=3 * len(gaps)):
        cost = prices.in_flight_cost(path[0], size_gb)
        here = path[0]
        for number, days in enumerate(gaps):
            held, middle, end = path[3 * number : 3 * number + 3]
            if held is not here:
                cost += prices.in_flight_cost(held, size_gb)
            cost += prices.storage_per_day(held, size_gb) * days / 2
            if middle is not held:
                cost += prices.move_cost(held, middle, size_gb)
            cost += prices.storage_per_day(middle, size_gb) * days / 2
            if end is not middle:
                cost += prices.move_cost(middle, end, size_gb)
            here = end
            if trace[number + 1][2] == GET:
                cost += prices.read_cost(here, size_gb)
        best = min(best, cost)
    return best


@pytest.mark.parametrize("seed", range(24))
def test_the_optimum_is_that_of_brute_force(seed):
    chance = random.Random(seed)
    prices = replace(PRICES, waiting_per_s=10 ** chance.uniform(-6, -2))
    tiers, most = ((TIERS[:2], 4), (TIERS, 2))[seed % 2]
    at_s = 0
    trace = [(0, 0, PUT, int(10 ** chance.uniform(5, 10)))]
    for _ in range(chance.randint(1, most)):
        at_s += int(10 ** chance.uniform(0, 7.5))
        trace.append((at_s, 0, GET, 0))
    trace[-1] = (at_s, 0, chance.choice((GET, DELETE)), 0)
    assert optimum(trace, prices, tiers) == pytest.approx(brute_force(trace, prices, tiers))


@pytest.mark.parametrize("policy", POLICIES)
def test_no_policy_is_cheaper_than_the_optimum(policy):
    for seed in range(3):
        trace = history(seed)
        outcome, _ = run(trace, policy)
        assert outcome.costs.total >= optimum(trace, PRICES, TIERS) * (1 - 1e-12)


def test_the_optimum_knows_when_to_prefetch():
    """A read that somebody would pay much not to wait for: it is brought up just before."""
    impatient = replace(PRICES, waiting_per_s=1.0)
    trace = [(0, 0, PUT, GB), (300 * DAY_S, 0, GET, 0)]
    least = optimum(trace, impatient, TIERS)
    stored_cold = impatient.storage_per_day(Tier.COLD, 1.0) * 300
    assert least == pytest.approx(
        impatient.in_flight_cost(Tier.COLD, 1.0)
        + stored_cold
        + impatient.move_cost(Tier.COLD, Tier.HOT, 1.0)
        + impatient.read_cost(Tier.HOT, 1.0)
    )


# -- the hazard table in a simulation -----------------------------------------------------------
def test_the_hazard_table_is_cheaper_than_the_other_rules_where_there_is_something_to_learn():
    """Weekly reports that are read each Monday for ever, and dumps that are never read."""
    trace = []
    for number in range(60):
        born = number * DAY_S
        trace.append((born, number, PUT, GB // 20))
        if number % 2:
            weeks = range(born + 7 * DAY_S, 400 * DAY_S, 7 * DAY_S)
            trace += [(at_s, number, GET, 0) for at_s in weeks]
    trace.sort()
    keys = [f"reports/{n}.pdf" if n % 2 else f"dumps/{n}.gz" for n in range(60)]
    least = optimum(trace, PRICES, TIERS)
    ratio = {policy: run(trace, policy, keys=keys)[0].costs.total / least for policy in POLICIES}
    assert ratio["hazard"] == min(ratio.values())
    assert ratio["hazard"] < 1.13 < ratio["ski-rental"]
