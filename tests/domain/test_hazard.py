"""The hazard table: what it counts, what it concludes, and how the policy acts on it."""

import math
import random
import tomllib
from dataclasses import replace
from itertools import pairwise

import pytest

from stratum.adapters.hazard_solver import ArraySolver
from stratum.domain.hazard import (
    BIN_LENGTHS_DAYS,
    BIN_STARTS_S,
    BINS,
    COUNTS_PER_CELL,
    DAY_S,
    HALF_LIFE_DAYS,
    HORIZON_DAYS,
    HOUR_S,
    PRIOR,
    SHRINKAGE,
    TEMPLATE_OTHERS,
    TEMPLATES_MAX,
    HazardTable,
    Rates,
    bin_of,
    habit_of,
    template,
)
from stratum.domain.hazard_following import HazardFollower
from stratum.domain.hazard_schedule import (
    PlainKnown,
    PlainSolver,
    octave_of,
    octave_size_gb,
    schedule,
    tier_costs,
)
from stratum.domain.names import Tier
from stratum.domain.pricing import DEFAULT_PRICES_TOML, parse_prices
from stratum.domain.simulation import GET, PUT, simulate
from stratum.domain.watched import Watched

PRICES = parse_prices(tomllib.loads(DEFAULT_PRICES_TOML))
TIERS = tuple(Tier)
HOT, WARM, COLD = range(3)
MB = 10**6
NEVER = Rates([0.0] * BINS, [0.0] * BINS, 0.0)


def at_once(more_reads: float = 0.0) -> Rates:
    """Nearly every period ends with a read within the hour."""
    return Rates([0.99] + [0.5] * (BINS - 1), [0.0] * BINS, more_reads)


# -- bins and features --------------------------------------------------------------------------
def test_bins_follow_each_other_without_a_gap():
    assert len(BIN_LENGTHS_DAYS) == BINS == 22
    for (start, end), days in zip(pairwise(BIN_STARTS_S), BIN_LENGTHS_DAYS, strict=False):
        assert end - start == pytest.approx(days * DAY_S)
    assert BIN_STARTS_S[-1] / DAY_S + BIN_LENGTHS_DAYS[-1] == HORIZON_DAYS


@pytest.mark.parametrize(
    ("idle_s", "number"), [(0, 0), (HOUR_S - 1, 0), (HOUR_S, 1), (DAY_S, 5), (10**10, 21)]
)
def test_the_bin_of_an_idle_age(idle_s, number):
    assert bin_of(idle_s / DAY_S) == number


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("home/u047/work/f000002.pdf", "home/u#/work|pdf"),
        ("a/b/c/d/e.TXT", "a/b/c|txt"),
        ("uploads/ce/0001329.bin", "uploads/*|bin"),
        ("objects/3f9a77c01d22aa/x", "objects/*|"),
        ("plain", "|"),
        ("v1.2/file.not an extension", "v#.#|"),
        ("logs/face/log.7", "logs/face|#"),
    ],
)
def test_names_become_templates(key, text):
    assert template(key) == text


def test_templates_are_bounded():
    table = HazardTable()
    # Letters only: digits would all be one template.
    names = [f"{chr(103 + i % 18)}{chr(103 + i // 18 % 18)}{chr(103 + i // 324)}/f" for i in
             range(TEMPLATES_MAX + 50)]  # fmt: skip
    ids = [table.template_id(name) for name in names]
    assert len(set(ids)) == TEMPLATES_MAX + 1
    assert len(set(ids[TEMPLATES_MAX:])) == 1, f"later ones share {TEMPLATE_OTHERS}"
    assert table.template_id(names[0]) == ids[0]


def test_a_typical_gap_is_known_from_the_second_active_day_on():
    assert habit_of(0, 0.0) != habit_of(1, 0.0)
    assert habit_of(1, math.log(1)) == habit_of(1, math.log(50))
    assert habit_of(2, math.log(1)) != habit_of(2, math.log(50))
    assert habit_of(6, math.log(20)) == habit_of(600, math.log(30))


# -- counting -----------------------------------------------------------------------------------
def rates(table: HazardTable) -> list[Rates]:
    known = PlainKnown(table)
    return [known.rates(cell) for cell in range(len(known))]


def counts_of(table: HazardTable, cell: int) -> tuple[list[float], list[float], list[float]]:
    vector = list(table.counts[cell * COUNTS_PER_CELL : (cell + 1) * COUNTS_PER_CELL])
    return vector[:BINS], vector[BINS : 2 * BINS], vector[2 * BINS : 3 * BINS]


def test_a_read_counts_in_every_bin_up_to_its_own():
    table = HazardTable()
    cell = table.cell(0, 0, 0)
    table.ended(cell, 0, 3, by_read=True)
    passed, reads, deletes = counts_of(table, cell)
    assert passed == [1.0] * 4 + [0.0] * (BINS - 4)
    assert reads == [0.0] * 3 + [1.0] + [0.0] * (BINS - 4)
    assert deletes == [0.0] * BINS


def test_bins_that_were_counted_when_they_passed_are_not_counted_again():
    table = HazardTable()
    cell = table.cell(0, 0, 0)
    table.passed(cell, 0, 6)
    table.ended(cell, 6, 8, by_read=False)
    passed, _, deletes = counts_of(table, cell)
    assert passed == [1.0] * 9 + [0.0] * (BINS - 9)
    assert deletes[8] == sum(deletes) == 1.0
    assert table.counted == 1.0


def test_rates_of_a_new_table_are_the_shipped_prior():
    table = HazardTable()
    cell = table.cell(3, 1, 2)
    for known in (rates(table)[0], rates(table)[cell]):
        assert known.reads == pytest.approx(PRIOR.reads)
        assert known.deletes == list(PRIOR.deletes)
        assert known.more_reads == 0


def test_a_cell_leans_on_its_parent_with_the_weight_of_kappa():
    table = HazardTable()
    cell = table.cell(0, 0, 0)
    for _ in range(30):
        table.ended(cell, 0, 0, by_read=True)
    expected = PRIOR.reads[0]
    for _ in range(4):
        expected = (30 + SHRINKAGE * expected) / (30 + SHRINKAGE)
    assert rates(table)[cell].reads[0] == pytest.approx(expected)


def test_siblings_share_what_their_parent_knows():
    table = HazardTable()
    taught, sibling = table.cell(0, 0, 0), table.cell(0, 0, 3)
    stranger = table.cell(9, 1, 0)
    for _ in range(500):
        table.ended(taught, 0, 0, by_read=True)
    known = rates(table)
    assert known[taught].reads[0] > known[sibling].reads[0] > known[stranger].reads[0] > 0.9


def test_counts_decay_by_half_in_a_half_life():
    table = HazardTable()
    cell = table.cell(0, 0, 0)
    began_s = 1_700_000_000
    table.pass_time(began_s)
    for _ in range(64):
        table.ended(cell, 0, 0, by_read=True)
    table.pass_time(began_s + HALF_LIFE_DAYS * DAY_S)
    expected = PRIOR.reads[0]
    for _ in range(4):
        expected = (32 + SHRINKAGE * expected) / (32 + SHRINKAGE)
    assert rates(table)[cell].reads[0] == pytest.approx(expected)


# -- schedules ----------------------------------------------------------------------------------
def test_what_is_never_read_goes_straight_to_where_it_is_cheapest():
    plan = schedule(NEVER, tier_costs(PRICES, TIERS, 1.0))
    assert plan.target(0, HOT) == COLD


def test_what_is_read_all_the_time_stays_hot():
    plan = schedule(at_once(), tier_costs(PRICES, TIERS, 0.001))
    assert plan.target(0, HOT) == HOT
    assert list(plan.landing) == [HOT, HOT, HOT]


def test_small_objects_stay_by_arithmetic():
    plan = schedule(PRIOR, tier_costs(PRICES, TIERS, 1e-8))
    assert plan.target(0, HOT) == HOT
    assert plan.leave_days(HOT, 0) > 30


def test_more_reads_per_access_speak_for_the_fast_tier():
    costs = tier_costs(PRICES, TIERS, 0.05)
    assert schedule(PRIOR, costs).landing[WARM] == WARM
    assert schedule(replace(PRIOR, more_reads=50.0), costs).landing[WARM] == HOT


@pytest.mark.parametrize("size_gb", [1e-6, 0.01, 1.0])
def test_a_tier_that_is_dearer_and_slower_is_never_used(size_gb):
    pointless = replace(PRICES.warm, storage_per_gb_month=0.05, throughput_gb_per_s=0.01)
    prices = replace(PRICES, warm=replace(pointless, ingest_per_gb=0.01))
    for known in (PRIOR, NEVER, at_once()):
        plan = schedule(known, tier_costs(prices, TIERS, size_gb))
        assert WARM not in plan.landing
        assert all(plan.target(number, HOT) != WARM for number in range(BINS))


def test_free_moves_between_equal_tiers_are_not_made():
    free = replace(PRICES.hot, put=0.0, get=0.0, ingest_per_gb=0.0, retrieval_per_gb=0.0)
    prices = replace(PRICES, hot=free, warm=free, cold=free)
    plan = schedule(PRIOR, tier_costs(prices, TIERS, 0.01))
    assert list(plan.landing) == [HOT, WARM, COLD]
    assert all(plan.target(b, tier) == tier for b in range(BINS) for tier in (HOT, WARM, COLD))


def test_the_cap_is_twice_the_break_even_time():
    costs = tier_costs(PRICES, TIERS, 0.001)
    days = PRICES.break_even_days(Tier.HOT, Tier.WARM, 0.001)
    assert costs.cap[HOT] == (2 * days, WARM)
    assert costs.break_even_days[HOT] == days
    assert costs.cap[COLD][0] == math.inf


@pytest.mark.parametrize("size_bytes", [1, 1023, 1024, 5 * MB, 3 * 10**12])
def test_an_octave_stands_for_sizes_near_it(size_bytes):
    ratio = octave_size_gb(octave_of(size_bytes)) * 1e9 / size_bytes
    assert 1 / math.sqrt(2) < ratio <= math.sqrt(2)


def test_nothing_has_an_octave_of_its_own():
    assert octave_size_gb(octave_of(0)) == 0.0


# -- the policy ---------------------------------------------------------------------------------
class Driven:
    """Objects under the policy, with time passing and timers kept."""

    def __init__(self, prices=PRICES):
        self.policy = HazardFollower(prices, TIERS, PlainSolver())
        self.now_s = 0
        self.tiers = {}
        self.watched = {}
        self.moves = []

    def put(self, key, size_bytes):
        self.watched[key] = Watched(key, size_bytes, self.now_s)
        self.tiers[key] = self.policy.put(self.watched[key], self.now_s)

    def read(self, key):
        self.to(key, self.policy.read(self.watched[key], self.tiers[key], self.now_s))

    def to(self, key, tier):
        if tier != self.tiers[key]:
            self.moves.append((self.now_s, key, self.tiers[key], tier))
            self.tiers[key] = tier
            self.policy.moved(self.watched[key], tier, self.now_s)

    def pass_time(self, seconds):
        until_s = self.now_s + seconds
        while True:
            key = min(self.watched, key=lambda key: self.watched[key].due_s)
            if self.watched[key].due_s > until_s:
                break
            before_s = self.now_s = self.watched[key].due_s
            self.to(key, self.policy.due(self.watched[key], self.tiers[key], self.now_s))
            assert self.watched[key].due_s > before_s, "a timer must be set later"
        self.now_s = until_s


def test_what_is_idle_goes_down_step_by_step_and_not_later_than_the_cap():
    size_bytes = MB // 2
    store = Driven()
    store.put("data/a.bin", size_bytes)
    store.pass_time(HOUR_S)
    for _ in range(20):
        store.read("data/a.bin")
        store.pass_time(2 * HOUR_S)
    assert store.tiers["data/a.bin"] == HOT
    last_days = (store.now_s - 2 * HOUR_S) / DAY_S
    store.moves.clear()
    store.pass_time(800 * DAY_S)
    assert [(source, target) for _, _, source, target in store.moves] == [(HOT, WARM), (WARM, COLD)]
    caps = tier_costs(PRICES, TIERS, octave_size_gb(octave_of(size_bytes))).cap
    assert 0 < store.moves[0][0] / DAY_S - last_days <= caps[HOT][0] + 1 / DAY_S
    assert store.moves[1][0] / DAY_S - last_days <= caps[WARM][0] + 1 / DAY_S


def test_it_learns_that_old_things_of_a_kind_are_read_again():
    """Reports are read every 20 days, scratch files never: what is new is treated accordingly."""
    store = Driven()
    for number in range(40):
        store.put(f"reports/{number}.pdf", 50 * MB)
        store.put(f"scratch/{number}.tmp", 50 * MB)
    for _ in range(12):
        store.pass_time(20 * DAY_S)
        for number in range(40):
            store.read(f"reports/{number}.pdf")
    report, scratch = "reports/new.pdf", "scratch/new.tmp"
    store.put(report, 50 * MB)
    store.put(scratch, 50 * MB)
    store.pass_time(19 * DAY_S)
    assert store.tiers[report] == WARM
    assert store.tiers[scratch] == COLD


def test_reads_within_an_hour_are_one_access_and_within_a_day_one_active_day():
    store = Driven()
    store.put("a", MB)
    store.pass_time(HOUR_S)
    for _ in range(5):
        store.read("a")
        store.pass_time(600)
    watched = store.watched["a"]
    assert (watched.active_days, watched.more_reads) == (1, 4)
    store.pass_time(3 * HOUR_S)
    store.read("a")
    assert (watched.active_days, watched.more_reads) == (1, 0)
    store.pass_time(2 * DAY_S)
    store.read("a")
    assert watched.active_days == 2
    assert watched.log_gap == pytest.approx(math.log(2 + (50 * 60 + 3 * HOUR_S) / DAY_S))


def test_a_scan_over_a_cold_archive_brings_none_of_it_up():
    """Ten thousand objects that lie cold are read once, and again in a month; then one of them on
    ten days, a day apart."""
    count = 10_000
    trace = [(0, number, PUT, 100 * MB) for number in range(count)]
    for scan_s in (100 * DAY_S, 130 * DAY_S):
        trace += [(scan_s + number, number, GET, 0) for number in range(count)]
    trace += [((140 + day) * DAY_S, 7, GET, 0) for day in range(10)]
    follower = HazardFollower(PRICES, TIERS, ArraySolver())
    moves = []
    keys = [f"archive/{number}.tar" for number in range(count)]
    simulate(trace, keys, follower, PRICES, TIERS, lambda *move: moves.append(move))
    at_first = [to for at_s, _, _, to in moves if at_s < 100 * DAY_S]
    assert at_first.count(COLD) == count
    assert [key for at_s, key, _, _ in moves if 100 * DAY_S <= at_s < 140 * DAY_S] == []
    later = [(key, to) for at_s, key, _, to in moves if at_s >= 140 * DAY_S]
    assert {key for key, _ in later} == {7}
    assert later[0][1] < COLD


def test_what_a_new_store_is_given_stays_hot_for_a_day():
    store = Driven()
    for size in (MB, 50 * MB):
        store.put(f"{size}/x", size)
    store.pass_time(DAY_S / 2)
    assert store.moves == []
    store.pass_time(20 * DAY_S)
    assert HOT not in store.tiers.values()


def test_equal_histories_give_equal_decisions():
    def history(seed):
        chance = random.Random(seed)
        store = Driven()
        for number in range(30):
            store.put(f"u{number % 3}/f{number}.dat", chance.randrange(10**4, 10**9))
        for _ in range(200):
            store.pass_time(chance.randrange(10 * HOUR_S))
            store.read(f"u{(number := chance.randrange(30)) % 3}/f{number}.dat")
        return store.moves

    assert history(1) == history(1)
    assert history(1) != history(2)
