from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stratum.domain import wording


@pytest.mark.parametrize(
    ("size_bytes", "text"),
    [
        (0, "0 bytes"),
        (1, "1 byte"),
        (999, "999 bytes"),
        (10_000, "10.0 KB"),
        (1_210_000, "1.21 MB"),
        (999_000_000, "999 MB"),
        (5_497_558_138_880, "5.50 TB"),
    ],
)
def test_sizes(size_bytes, text):
    assert wording.size(size_bytes / 1e9) == text


@pytest.mark.parametrize(
    ("days", "text"),
    [
        (0, "0 minutes"),
        (1 / 1440, "1 minute"),
        (0.125, "3 hours"),
        (1, "1 day"),
        (1.723, "1.7 days"),
        (133.03, "133 days"),
        (7746.7, "21 years"),
    ],
)
def test_durations_of_real_days(days, text):
    assert wording.duration(days, 86400.0) == text


@pytest.mark.parametrize(
    ("days", "text"),
    [(0.004, "0.004 tiering days"), (1, "1 tiering day"), (7746.7, "7,747 tiering days")],
)
def test_durations_of_compressed_days(days, text):
    assert wording.duration(days, 2.0) == text


@pytest.mark.parametrize(
    ("dollars", "text"),
    [
        (0, "$0"),
        (0.000028, "$0.0000280"),
        (1.5849e-6, "$0.00000158"),
        (0.04, "$0.0400"),
        (1234.5, "$1,234.50"),
        (-0.5, "-$0.500"),
    ],
)
def test_money(dollars, text):
    assert wording.money(dollars) == text


def test_counts():
    assert [wording.count(n, "read") for n in (0, 1, 1000)] == ["0 reads", "1 read", "1,000 reads"]


@given(st.integers(0, int(datetime(9999, 12, 31, tzinfo=UTC).timestamp()) * 1000))
def test_moments_are_those_of_the_calendar(at_ms):
    at = datetime.fromtimestamp(at_ms // 1000, UTC)
    assert wording.moment(at_ms) == at.strftime("%Y-%m-%d %H:%M:%S UTC")
