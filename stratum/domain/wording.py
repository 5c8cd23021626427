"""Numbers as people read them: sizes, durations of the tiering clock, times, money. Three
significant digits, no exponents."""

from __future__ import annotations

from decimal import Decimal

from stratum.domain.pricing import BYTES_PER_GB

SECONDS_PER_DAY = 86400.0
DAYS_PER_YEAR = 365.25
_SIZE_UNITS = (("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("KB", 1e3))


def size(size_gb: float) -> str:
    """`0 bytes`, `10.0 KB`, `1.21 MB`; decimal units, as prices are."""
    size_bytes = round(size_gb * BYTES_PER_GB)
    for unit, bytes_per_unit in _SIZE_UNITS:
        if size_bytes >= bytes_per_unit:
            return f"{_digits(size_bytes / bytes_per_unit)} {unit}"
    return "1 byte" if size_bytes == 1 else f"{size_bytes} bytes"


def duration(days: float, day_s: float) -> str:
    """`40 minutes`, `3.0 hours`, `1.7 days`, `21 years`. When a day of the tiering clock isn't a
    real one, always in `tiering days`."""
    if day_s != SECONDS_PER_DAY:
        return f"{_short(days)} tiering {'day' if _short(days) == '1' else 'days'}"
    if days < 1 / 24:
        amount, unit = days * 24 * 60, "minute"
    elif days < 1:
        amount, unit = days * 24, "hour"
    elif days < 2 * DAYS_PER_YEAR:
        amount, unit = days, "day"
    else:
        amount, unit = days / DAYS_PER_YEAR, "year"
    text = _short(amount)
    return f"{text} {unit}" if text == "1" else f"{text} {unit}s"


def moment(at_ms: int) -> str:
    """`2026-11-23 09:30:00 UTC`, from Unix time in ms."""
    days, second = divmod(at_ms // 1000, 86400)
    year, month, day = _date(days)
    hour, minute = divmod(second // 60, 60)
    return f"{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second % 60:02} UTC"


def money(dollars: float) -> str:
    """`$1.25`, `$0.0000280`: enough decimals for three digits that matter."""
    if dollars == 0:
        return "$0"
    text = f"{Decimal(f'{abs(dollars):.2e}'):f}" if abs(dollars) < 1 else f"{abs(dollars):,.2f}"
    return f"-${text}" if dollars < 0 else f"${text}"


def count(number: int, noun: str) -> str:
    """`1 read`, `2 reads`."""
    return f"{number} {noun}" if number == 1 else f"{number:,} {noun}s"


def _date(days: int) -> tuple[int, int, int]:
    """Year, month and day, `days` after 1970-01-01. Years are counted from March, so that the
    leap day is the last: https://howardhinnant.github.io/date_algorithms.html#civil_from_days
    """
    era, day_of_era = divmod(days + 719_468, 146_097)
    leaps = day_of_era // 1460 - day_of_era // 36_524 + day_of_era // 146_096
    year_of_era = (day_of_era - leaps) // 365
    day_of_year = day_of_era - (365 * year_of_era + year_of_era // 4 - year_of_era // 100)
    month_from_march = (5 * day_of_year + 2) // 153
    day = day_of_year - (153 * month_from_march + 2) // 5 + 1
    month = month_from_march + 3 if month_from_march < 10 else month_from_march - 9
    return era * 400 + year_of_era + (month <= 2), month, day


def _digits(value: float) -> str:
    return (
        f"{value:,.0f}" if value >= 99.95 else f"{value:.1f}" if value >= 9.995 else f"{value:.2f}"
    )


def _short(value: float) -> str:
    """Two digits that matter below 10, whole numbers from there on."""
    if value >= 9.95:
        return f"{value:,.0f}"
    if value >= 0.095:
        return f"{value:.1f}".removesuffix(".0")
    return f"{Decimal(f'{value:.0e}'):f}" if value > 0 else "0"
