from hypothesis import given
from hypothesis import strategies as st

from stratum.domain.access import Access, moved, observe, observe_before_move, session_ms, unread
from stratum.domain.names import VolumeId

VOLUME = VolumeId("0" * 32)
HOUR_MS = 3_600_000
SESSION_MS = session_ms(86400)


def after(*at_ms, row=None):
    row = row or unread(VOLUME, 0)
    for at in at_ms:
        row = observe(row, at, 1, SESSION_MS)
    return row


def test_a_session_is_an_hour_of_a_day_of_the_tiering_clock():
    assert session_ms(86400) == HOUR_MS
    assert session_ms(24) == 1000


def test_reads_within_an_hour_are_one_session():
    row = after(10 * HOUR_MS, 10 * HOUR_MS + 1, 11 * HOUR_MS)
    assert (row.reads, row.sessions, row.gap_ms) == (3, 1, 0)
    assert row.last_at_ms == 11 * HOUR_MS


def test_the_first_read_begins_a_session_even_right_after_the_write():
    assert after(5).sessions == 1


def test_later_reads_are_another_session_and_tell_the_gap():
    row = after(10 * HOUR_MS, 11 * HOUR_MS + 1)
    assert (row.sessions, row.gap_ms) == (2, HOUR_MS + 1)
    row = after(20 * HOUR_MS, row=row)
    assert (row.sessions, row.gap_ms) == (3, 9 * HOUR_MS - 1)


def test_steady_reading_is_not_one_endless_session():
    row = after(*range(HOUR_MS, 25 * HOUR_MS, HOUR_MS // 4))
    assert 15 <= row.sessions <= 24


def test_many_reads_at_once():
    row = observe(unread(VOLUME, 0), 1000, 500, SESSION_MS, until_ms=61_000)
    assert (row.reads, row.sessions, row.last_at_ms, row.session_at_ms) == (500, 1, 61_000, 1000)


def test_a_move_starts_sessions_anew_and_keeps_the_rest():
    row = after(10 * HOUR_MS, 12 * HOUR_MS)
    fresh = moved(row)
    assert (fresh.sessions, fresh.gap_ms, fresh.session_at_ms) == (0, 0, 0)
    assert (fresh.reads, fresh.last_at_ms) == (2, 12 * HOUR_MS)
    again = after(12 * HOUR_MS + 5, row=fresh)
    assert (again.sessions, again.gap_ms) == (1, 0)


def test_a_read_noted_after_the_move_that_followed_it_counts_as_no_session():
    row = observe_before_move(moved(after(HOUR_MS)), 2 * HOUR_MS, 3)
    assert (row.reads, row.sessions, row.last_at_ms) == (4, 0, 2 * HOUR_MS)


def test_rows_without_a_session_time_fall_back_to_the_last_read():
    row = Access(VOLUME, last_at_ms=HOUR_MS, reads=1, sessions=1, look_at_ms=0)
    assert after(HOUR_MS + 5, row=row).sessions == 1
    assert after(3 * HOUR_MS, row=row).gap_ms == 2 * HOUR_MS


@given(st.lists(st.integers(1, 50 * HOUR_MS), max_size=50).map(sorted))
def test_sessions_are_disjoint_hours(times):
    row = after(*times)
    assert row.reads == len(times)
    assert row.sessions <= len(times)
    starts: list[int] = []
    for at in times:
        if not starts or at - starts[-1] > SESSION_MS:
            starts.append(at)
    assert row.sessions == len(starts)
