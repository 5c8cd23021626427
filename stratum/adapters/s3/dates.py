"""Dates as HTTP, SigV4 and S3's XML write them. All are UTC; ours are Unix time."""

from __future__ import annotations

import calendar
import re
import time
from datetime import UTC, datetime
from functools import lru_cache

_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_MONTH_NUMBERS = {name: number for number, name in enumerate(MONTHS, 1)}

# The three forms of RFC 9110 §5.6.7; senders write the first, readers accept all.
_IMF = re.compile(r"[A-Za-z]{3}, (\d{1,2})[ -]([A-Za-z]{3})[ -](\d{4}) (\d\d):(\d\d):(\d\d) \S+")
_RFC_850 = re.compile(r"[A-Za-z]{6,9}, (\d\d)-([A-Za-z]{3})-(\d\d) (\d\d):(\d\d):(\d\d) GMT")
_ASCTIME = re.compile(r"[A-Za-z]{3} ([A-Za-z]{3}) ([ \d]\d) (\d\d):(\d\d):(\d\d) (\d{4})")
_ZERO_ZONES = ("GMT", "UTC", "UT", "+0000", "-0000", "Z")
_ISO = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)"
    r"(?:T(\d\d):(\d\d):(\d\d)(?:\.(\d{1,9}))?(?:Z|([+-])(\d\d):?(\d\d))?)?"
)
_BASIC = re.compile(r"(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z")


@lru_cache(maxsize=256)
def format_http_date(unix_s: int) -> str:
    """`Fri, 24 May 2013 00:00:00 GMT`, independent of the locale."""
    t = time.gmtime(unix_s)
    return (
        f"{_DAYS[t.tm_wday]}, {t.tm_mday:02} {MONTHS[t.tm_mon - 1]} {t.tm_year:04}"
        f" {t.tm_hour:02}:{t.tm_min:02}:{t.tm_sec:02} GMT"
    )


def parse_http_date(text: str) -> int | None:
    """Unix seconds of an HTTP date in any of the three forms; None if it is not one.

    A two-digit year is one of 1970 to 2069.
    """
    text = text.strip()
    if match := _IMF.fullmatch(text):
        if text.rpartition(" ")[2] not in _ZERO_ZONES:
            return None
        day, month, year, hour, minute, second = match.groups()
    elif match := _RFC_850.fullmatch(text):
        day, month, year, hour, minute, second = match.groups()
        year = f"19{year}" if int(year) >= 70 else f"20{year}"
    elif match := _ASCTIME.fullmatch(text):
        month, day, hour, minute, second, year = match.groups()
    else:
        return None
    number = _MONTH_NUMBERS.get(month.title())
    return number and _unix_s(year, str(number), day, hour, minute, second)


@lru_cache(maxsize=64)
def format_basic_date(unix_s: int) -> str:
    """`20130524T000000Z`, the form of X-Amz-Date."""
    return time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(unix_s))


@lru_cache(maxsize=64)
def parse_basic_date(text: str) -> int | None:
    """Unix seconds of `20130524T000000Z`; None if it is not such a date."""
    match = _BASIC.fullmatch(text)
    return _unix_s(*match.groups()) if match else None


def format_iso_date(unix_ms: int) -> str:
    """`2013-05-24T00:00:00.000Z`, the form of S3's XML."""
    seconds, millis = divmod(unix_ms, 1000)
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + f".{millis:03}Z"


def parse_iso_date(text: str) -> int | None:
    """Unix ms of `2013-05-24T00:00:00.000Z`, with or without fraction, zone and time; None if it is
    not such a date. Without a zone it is UTC, as in the documents of S3's SDKs."""
    match = _ISO.fullmatch(text.strip())
    if match is None:
        return None
    year, month, day, hour, minute, second, fraction, sign, hours, minutes = match.groups()
    unix_s = _unix_s(year, month, day, hour or "0", minute or "0", second or "0")
    if unix_s is None:
        return None
    ahead_s = int(hours) * 3600 + int(minutes) * 60 if sign else 0
    utc_s = unix_s + ahead_s if sign == "-" else unix_s - ahead_s
    return utc_s * 1000 + int((fraction or "0").ljust(3, "0")[:3])


def _unix_s(year: str, month: str, day: str, hour: str, minute: str, second: str) -> int | None:
    # int() strips the blank asctime pads the day with; datetime knows no leap second.
    whole_second = 59 if second == "60" else int(second)
    try:
        parsed = datetime(
            int(year), int(month), int(day), int(hour), int(minute), whole_second, tzinfo=UTC
        )
    except ValueError:
        return None
    return calendar.timegm(parsed.timetuple())
