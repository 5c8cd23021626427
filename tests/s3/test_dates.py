import pytest

from stratum.adapters.s3.dates import (
    format_basic_date,
    format_http_date,
    format_iso_date,
    parse_basic_date,
    parse_http_date,
    parse_iso_date,
)

# The instant of RFC 9110 §5.6.7's examples.
INSTANT_S = 784111777


@pytest.mark.parametrize(
    "text",
    [
        "Sun, 06 Nov 1994 08:49:37 GMT",
        "Sunday, 06-Nov-94 08:49:37 GMT",
        "Sun Nov  6 08:49:37 1994",
        "Sun, 06 Nov 1994 08:49:37 +0000",
        "Sun, 06-Nov-1994 08:49:37 GMT",
        " Sun, 6 nov 1994 08:49:37 UTC ",
    ],
)
def test_all_forms_of_an_http_date(text):
    assert parse_http_date(text) == INSTANT_S


@pytest.mark.parametrize(
    "text",
    [
        "",
        "yesterday",
        "1994-11-06T08:49:37Z",
        "Sun, 31 Feb 1994 08:49:37 GMT",
        "Sun, 06 Nov 1994 25:49:37 GMT",
        "Sun, 06 Foo 1994 08:49:37 GMT",
        "Sun, 06 Nov 1994 08:49:37 +0100",
        "Sun, 06 Nov 0000 08:49:37 GMT",
    ],
)
def test_anything_else_is_no_date(text):
    assert parse_http_date(text) is None


def test_dates_are_written_in_the_preferred_forms():
    assert format_http_date(INSTANT_S) == "Sun, 06 Nov 1994 08:49:37 GMT"
    assert format_basic_date(INSTANT_S) == "19941106T084937Z"
    assert format_iso_date(INSTANT_S * 1000 + 7) == "1994-11-06T08:49:37.007Z"


def test_the_date_of_a_signature():
    assert parse_basic_date("19941106T084937Z") == INSTANT_S
    for text in ("19941106T084937", "19941306T084937Z", "1994-11-06T08:49:37Z", ""):
        assert parse_basic_date(text) is None


def test_two_digit_years_and_leap_seconds():
    assert parse_http_date("Friday, 01-Jan-27 00:00:00 GMT") == 1798761600
    assert parse_http_date("Sat, 31 Dec 2016 23:59:60 GMT") == 1483228799


@pytest.mark.parametrize(
    ("text", "unix_ms"),
    [
        ("1970-01-01", 0),
        ("1970-01-01T00:00:01Z", 1000),
        ("1970-01-01T00:00:01", 1000),
        ("1970-01-01T00:00:00.5Z", 500),
        ("1970-01-01T00:00:00.123456789Z", 123),
        ("1970-01-01T01:00:00+01:00", 0),
        ("1969-12-31T23:00:00-0100", 0),
        ("2030-01-01T00:00:00.000Z", 1_893_456_000_000),
        ("19700101", None),
        ("1970-13-01", None),
        ("1970-01-01T25:00:00Z", None),
        ("", None),
    ],
)
def test_iso_dates(text, unix_ms):
    assert parse_iso_date(text) == unix_ms
