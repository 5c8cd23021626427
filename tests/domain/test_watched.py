import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stratum.domain.hazard import DAY_S, HOUR_S
from stratum.domain.watched import Watched


def after(*at_s, watched=None):
    watched = watched or Watched("k", 1000, 0.0)
    for at in at_s:
        if watched.begins_access(at):
            watched.begin_access(at)
        else:
            watched.read_on(at)
    return watched


def test_reads_within_an_hour_are_one_access():
    it = after(10 * HOUR_S, 10 * HOUR_S + 1, 11 * HOUR_S)
    assert (it.reads, it.accesses, it.gap_s, it.more_reads) == (3, 1, 0, 2)
    assert it.last_s == 11 * HOUR_S


def test_the_first_read_begins_an_access_even_right_after_the_write():
    assert after(0.005).accesses == 1


def test_later_reads_are_another_access_and_tell_the_gap():
    it = after(10 * HOUR_S, 11 * HOUR_S + 1)
    assert (it.accesses, it.gap_s, it.more_reads) == (2, HOUR_S + 1, 0)
    it = after(20 * HOUR_S, watched=it)
    assert (it.accesses, it.gap_s) == (3, 9 * HOUR_S - 1)


def test_steady_reading_is_not_one_endless_access():
    assert 15 <= after(*range(HOUR_S, 25 * HOUR_S, HOUR_S // 4)).accesses <= 24


def test_active_days_are_a_day_or_more_apart_and_remember_how_far():
    it = after(0, 5 * HOUR_S, 23 * HOUR_S)
    assert (it.active_days, it.accesses) == (1, 3)
    it = after(3 * DAY_S, watched=it)
    assert (it.active_days, it.log_gap) == (2, pytest.approx(math.log(3)))
    it = after(13 * DAY_S, watched=it)
    expected = 0.4 * math.log(10) + 0.6 * math.log(3)
    assert (it.active_days, it.log_gap) == (3, pytest.approx(expected))


def test_a_move_starts_accesses_anew_and_keeps_the_rest():
    it = after(10 * HOUR_S, 12 * HOUR_S)
    it.moved(12 * HOUR_S + 60)
    assert (it.accesses, it.gap_s, it.reads, it.last_s) == (0, 0, 2, 12 * HOUR_S)
    it = after(12 * HOUR_S + 70, watched=it)
    assert it.accesses == 0, "the access that went on before"
    it = after(14 * HOUR_S, watched=it)
    assert (it.accesses, it.gap_s) == (1, 0)


def test_a_read_noted_after_the_move_that_followed_it_counts_as_no_access_here():
    it = after(HOUR_S)
    it.moved(6 * HOUR_S)
    it = after(4 * HOUR_S, watched=it)
    assert (it.reads, it.accesses, it.last_s) == (2, 0, 4 * HOUR_S)


@given(st.lists(st.integers(1, 50 * HOUR_S), max_size=50).map(sorted))
def test_accesses_are_disjoint_hours(times):
    it = after(*times)
    starts: list[int] = []
    for at in times:
        if not starts or at - starts[-1] > HOUR_S:
            starts.append(at)
    assert (it.reads, it.accesses) == (len(times), len(starts))
