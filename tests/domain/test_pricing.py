import copy
import math
import tomllib
from dataclasses import replace

import pytest

from stratum.domain.errors import InvalidConfig
from stratum.domain.names import Tier
from stratum.domain.pricing import DEFAULT_PRICES_TOML, parse_document, parse_prices

TABLE = tomllib.loads(DEFAULT_PRICES_TOML)
PRICES = parse_prices(TABLE)
HOT, WARM, COLD = Tier

KB, MB, GB = 1e-6, 1e-3, 1.0


def changed(section, **values):
    table = copy.deepcopy(TABLE)
    table[section].update(values)
    return table


@pytest.mark.parametrize(
    ("size_gb", "hot_to_warm_days", "warm_to_cold_days"),
    [(10 * KB, 113, 21 * 365.25), (1 * MB, 1.7, 133), (1 * GB, 0.6, 56)],
)
def test_break_even_at_default_prices(size_gb, hot_to_warm_days, warm_to_cold_days):
    assert PRICES.break_even_days(HOT, WARM, size_gb) == pytest.approx(hot_to_warm_days, rel=0.02)
    assert PRICES.break_even_days(WARM, COLD, size_gb) == pytest.approx(warm_to_cold_days, rel=0.02)


def test_costs_by_hand():
    # 1 GB from cold: request, retrieval, and 0.15 + 1 / 0.05 seconds of waiting.
    assert PRICES.read_cost(COLD, GB) == pytest.approx(4e-7 + 0.010 + 7e-5 * 20.15)
    assert PRICES.in_flight_cost(WARM, GB) == pytest.approx(1e-7 + 3e-5)
    assert PRICES.move_cost(COLD, WARM, GB) == pytest.approx(1e-7 + 3e-5 + 4e-7 + 0.010)
    assert PRICES.storage_per_day(HOT, 2 * GB) == pytest.approx(0.08 / 30.4375)
    assert PRICES.cycle_cost(HOT, WARM, GB) == pytest.approx(
        PRICES.read_cost(WARM, GB)
        - PRICES.read_cost(HOT, GB)
        + PRICES.in_flight_cost(HOT, GB)
        + PRICES.move_cost(HOT, WARM, GB)
    )


def test_there_is_no_break_even_where_nothing_is_saved():
    assert PRICES.break_even_days(HOT, WARM, 0) == math.inf
    assert PRICES.break_even_days(COLD, HOT, GB) == math.inf


def test_patience_makes_waiting_dearer_and_break_even_later():
    days = [
        parse_prices(TABLE, patience).break_even_days(WARM, COLD, MB)
        for patience in ("thrifty", "balanced", "fast")
    ]
    assert days == sorted(days)
    assert days[0] < days[2]


@pytest.mark.parametrize("size_gb", [10 * KB, MB, GB, 1000 * GB])
def test_all_default_tiers_are_usable(size_gb):
    assert PRICES.usable(Tier, size_gb) == (HOT, WARM, COLD)
    assert PRICES.usable((HOT, WARM), size_gb) == (HOT, WARM)


def test_a_dearer_and_slower_tier_drops_out():
    assert parse_prices(changed("warm", storage_per_gb_month=0.05)).usable(Tier, MB) == (HOT, COLD)
    assert parse_prices(changed("warm", storage_per_gb_month=0.004)).usable(Tier, MB) == (HOT, WARM)
    # Dearer than cold to keep, but faster: that is what warm is for.
    assert parse_prices(changed("warm", storage_per_gb_month=0.007)).usable(Tier, MB) == tuple(Tier)


def test_of_two_equal_tiers_the_first_stays():
    equal = replace(PRICES, warm=PRICES.hot)
    assert equal.usable(Tier, MB) == (HOT, COLD)


def test_usefulness_depends_on_size():
    # Warm has no retrieval price and a slow disk: it can't compete with cold for large objects.
    prices = parse_prices(changed("warm", throughput_gb_per_s=0.001, storage_per_gb_month=0.006))
    assert WARM in prices.usable(Tier, 10 * KB)
    assert WARM not in prices.usable(Tier, GB)


def test_document_round_trip_and_version():
    assert parse_document(PRICES.document()) == PRICES
    assert PRICES.version() == parse_prices(copy.deepcopy(TABLE)).version()
    assert PRICES.version() != parse_prices(changed("hot", get=2e-8)).version()
    assert PRICES.version() != parse_prices(TABLE, "fast").version()
    assert len(PRICES.version()) == 16


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (
            changed("warm", put="x"),
            "prices.toml: [warm] put must be a number, 0 or more, not 'x'",
        ),
        (changed("warm", put=-1), "prices.toml: [warm] put must be a number, 0 or more, not -1"),
        (
            changed("warm", put=True),
            "prices.toml: [warm] put must be a number, 0 or more, not True",
        ),
        (
            changed("cold", ttfb_s=math.inf),
            "prices.toml: [cold] ttfb_s must be a number, 0 or more, not inf",
        ),
        (
            changed("cold", throughput_gb_per_s=0),
            "prices.toml: [cold] throughput_gb_per_s must be above 0",
        ),
        (
            changed("waiting", slow=1),
            "prices.toml: unknown key 'slow' in [waiting]; there are thrifty, balanced, fast",
        ),
        (
            {key: value for key, value in TABLE.items() if key != "cold"},
            "prices.toml: section [cold] is missing",
        ),
        (
            {**TABLE, "glacier": {}},
            "prices.toml: unknown section [glacier]; there are hot, warm, cold and waiting",
        ),
        ({**TABLE, "hot": 3}, "prices.toml: hot must be a section [hot], not a value"),
        (
            {**TABLE, "hot": {k: v for k, v in TABLE["hot"].items() if k != "get"}},
            "prices.toml: [hot] get is missing",
        ),
    ],
)
def test_what_is_wrong_is_said_exactly(table, message):
    with pytest.raises(InvalidConfig) as caught:
        parse_prices(table)
    assert str(caught.value) == message


def test_unknown_patience_and_bad_documents_are_refused():
    with pytest.raises(InvalidConfig, match="not 'endless'"):
        parse_prices(TABLE, "endless")
    for document in ("", "[]", "{}", '{"patience":"fast","waiting_per_s":1}'):
        with pytest.raises(InvalidConfig):
            parse_document(document)
