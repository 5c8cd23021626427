"""From rows of the access log to what a policy sees, and back; timers; decisions."""

import math
import tomllib
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from stratum.adapters.hazard_solver import ArraySolver
from stratum.domain.access import Access
from stratum.domain.names import BucketName, ExtentId, ObjectKey, Tier, VolumeId
from stratum.domain.policies import make_follower
from stratum.domain.pricing import DEFAULT_PRICES_TOML, parse_prices
from stratum.domain.rules import Rules
from stratum.domain.tiering import Move, Stay
from stratum.domain.volume import Extent, Location, Volume

PRICES = parse_prices(tomllib.loads(DEFAULT_PRICES_TOML))
HOT, WARM, COLD = Tier
MB = 1e-3
DAY_MS = 86_400_000


def rules(tiers=tuple(Tier), day_s=86400.0, policy="break-even"):
    return Rules(make_follower(policy, PRICES, tiers, ArraySolver(), day_s), PRICES, tiers, day_s)


def volume(**values):
    extent = Extent(ExtentId("1" * 32), 10**6, 2**20)
    defaults = {
        "id": VolumeId("0" * 32),
        "bucket": BucketName("b"),
        "key": ObjectKey("k"),
        "size_bytes": 10**6,
        "checksum": "0" * 16,
        "location": Location(HOT, (extent,)),
        "created_at_ms": 1000,
        "placed_at_ms": 2000,
        "stream_version": 1,
    }
    return Volume(**(defaults | values))


def test_facts_of_a_volume_in_tiering_days():
    row = Access(VolumeId("0" * 32), 12_000, 7, 2, 0, session_at_ms=11_000, gap_ms=5_000)
    found = rules((HOT, WARM), 10.0).facts(volume(), row, 22_000)
    assert math.isclose(found.idle_days, 1.0)
    assert math.isclose(found.age_days, 2.1)
    assert math.isclose(found.residence_days, 2.0)
    assert math.isclose(found.gap_days, 0.5)
    assert (found.reads, found.sessions, found.size_gb) == (7.0, 2.0, MB)
    assert found.tiers == (HOT, WARM)


def test_a_clock_set_back_does_not_make_times_negative():
    found = rules().facts(volume(), Access(VolumeId("0" * 32), 5000, 0, 0, 0), 10)
    assert (found.idle_days, found.age_days, found.residence_days) == (0.0, 0.0, 0.0)


def test_sessions_of_the_place_before_do_not_count():
    """The catalog knows of a move a moment before the row of reads does."""
    moved = volume(
        location=Location(WARM, (Extent(ExtentId("0" * 32), 10**6, 1 << 20),)),
        created_at_ms=0,
        placed_at_ms=30 * DAY_MS,
    )
    read = Access(moved.id, 30 * DAY_MS - 1, 99, 28, 0, 30 * DAY_MS - 2, DAY_MS // 10)
    assert isinstance(rules().verdict(moved, read, 30 * DAY_MS + 1), Stay)
    again = replace(read, session_at_ms=30 * DAY_MS + 1, sessions=2)
    verdict = rules().verdict(moved, again, 30 * DAY_MS + 2)
    assert isinstance(verdict, Move)
    assert verdict.decision.target is HOT


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.integers(1, 10**9), min_size=1, max_size=20).map(sorted),
    st.sampled_from([86400.0, 864.0, 10.0]),
)
def test_a_row_survives_being_seen_by_a_policy(offsets_ms, day_s):
    ours = rules(day_s=day_s, policy="hazard")
    created_ms = 1_700_000_000_000
    it = volume(created_at_ms=created_ms, placed_at_ms=created_ms)
    row = ours.written(it)
    for offset_ms in offsets_ms:
        at_ms = created_ms + offset_ms
        row = ours.read(it, row, [(at_ms, at_ms, 1)], at_ms)
    assert row.last_at_ms == created_ms + offsets_ms[-1]
    again = ours._row(it.id, ours.watched(it, row), row.look_at_ms)
    assert again == row


def test_a_read_leaves_an_earlier_timer_alone_but_remembers_when_it_is_due():
    ours = rules()
    row = ours.written(volume())
    read = ours.read(volume(), row, [(DAY_MS, DAY_MS, 1)], DAY_MS)
    assert read.look_at_ms == row.look_at_ms
    looked, decision = ours.look(volume(), read, row.look_at_ms, None)
    assert decision is None
    assert looked.look_at_ms > row.look_at_ms


def test_a_row_takes_little_room():
    """Beside its id: 6 bytes for a time, 1 to 3 for a number, 8 for a float, as SQLite packs."""
    row = Access(
        VolumeId("0" * 32),
        *[2**41, 300, 3, 2**41, 2**41, 2**35, 2**41, 2**41],
        *([200, 0.5, 100, 19, 20]),
    )
    sizes = [8 if isinstance(value, float) else (value.bit_length() + 8) // 8 for value in
             list(vars(row).values())[1:]]  # fmt: skip
    assert 24 <= sum(sizes) <= 64
