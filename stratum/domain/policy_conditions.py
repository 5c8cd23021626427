"""Conditions of the policy language.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html
All operators of a block, and all keys of an operator, must hold. The values of a key are
alternatives; for a negated operator none of them may fit. A key the request doesn't have fails a
plain operator and passes a negated one.
"""

from __future__ import annotations

import re
from calendar import timegm
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import ip_address, ip_network

from stratum.domain.wildcards import Context, fill, matches

Test = Callable[[str, str, Context], bool]
"""(what the policy says, what the request has, the request's other keys)."""


@dataclass(frozen=True)
class Condition:
    """One key of one operator: `key` in lower case, `operator` without prefix and suffix."""

    operator: str
    key: str
    values: tuple[str, ...]
    quantifier: str = ""
    """Empty, `ForAllValues` or `ForAnyValue`."""
    if_exists: bool = False

    def holds(self, context: Context) -> bool:
        present = context.get(self.key)
        if self.operator == "Null":
            return (not present) == (self.values[0].lower() == "true")
        test, negated = OPERATORS[self.operator]
        if not present:
            return negated or self.if_exists or self.quantifier == "ForAllValues"

        def fits(actual: str) -> bool:
            return any(test(wanted, actual, context) for wanted in self.values) != negated

        if self.quantifier == "ForAnyValue":
            return any(fits(actual) for actual in present)
        if self.quantifier == "ForAllValues" or negated:
            return all(fits(actual) for actual in present)
        return any(fits(actual) for actual in present)


# -- tests --------------------------------------------------------------------------------------
def _string_equals(wanted: str, actual: str, context: Context) -> bool:
    return fill(wanted, context) == actual


def _string_equals_ignore_case(wanted: str, actual: str, context: Context) -> bool:
    filled = fill(wanted, context)
    return filled is not None and filled.casefold() == actual.casefold()


def _string_like(wanted: str, actual: str, context: Context) -> bool:
    return matches(wanted, actual, context)


def _arn_like(wanted: str, actual: str, context: Context) -> bool:
    """Part by part: a `*` never reaches over a colon, but in the last part."""
    patterns, parts = wanted.split(":", 5), actual.split(":", 5)
    return len(patterns) == len(parts) and all(
        matches(pattern, part, context) for pattern, part in zip(patterns, parts, strict=True)
    )


def _bool(wanted: str, actual: str, _context: Context) -> bool:
    return wanted.lower() == actual.lower()


def _ip(wanted: str, actual: str, _context: Context) -> bool:
    try:
        network, address = _network(wanted), ip_address(actual)
    except ValueError:
        return False
    return address.version == network.version and address in network


_network = lru_cache(lambda text: ip_network(text, strict=False))


def _compared(
    parse: Callable[[str], float | None], compare: Callable[[float, float], bool]
) -> Test:
    def test(wanted: str, actual: str, _context: Context) -> bool:
        limit, value = parse(wanted), parse(actual)
        return limit is not None and value is not None and compare(value, limit)

    return test


def number(text: str) -> float | None:
    """A number as conditions take it; None if it is none."""
    return float(text) if re.fullmatch(r"[+-]?\d{1,20}(\.\d{1,20})?", text) else None


_DATE = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)(?:T(\d\d):(\d\d)(?::(\d\d)(?:\.\d+)?)?(Z|[+-]\d\d:?\d\d)?)?"
).fullmatch


def moment(text: str) -> float | None:
    """Unix seconds of an ISO 8601 time (UTC unless it says otherwise) or of Unix seconds."""
    if re.fullmatch(r"\d{1,12}(\.\d+)?", text) and not re.fullmatch(r"\d{4}", text):
        return float(text)
    found = _DATE(text)
    if not found:
        return None
    year, month, day, hour, minute, second = (int(part or 0) for part in found.groups()[:6])
    if not (1 <= month <= 12 and 1 <= day <= 31 and hour < 24 and minute < 60 and second < 61):
        return None
    zone = (found[7] or "Z").replace(":", "")
    ahead_s = 0 if zone == "Z" else int(zone[0] + "1") * (int(zone[1:3]) * 60 + int(zone[3:])) * 60
    return timegm((year, month, day, hour, minute, second)) - ahead_s


_COMPARISONS: dict[str, Callable[[float, float], bool]] = {
    "Equals": lambda value, limit: value == limit,
    "LessThan": lambda value, limit: value < limit,
    "LessThanEquals": lambda value, limit: value <= limit,
    "GreaterThan": lambda value, limit: value > limit,
    "GreaterThanEquals": lambda value, limit: value >= limit,
}

OPERATORS: dict[str, tuple[Test, bool]] = {
    "StringEquals": (_string_equals, False),
    "StringNotEquals": (_string_equals, True),
    "StringEqualsIgnoreCase": (_string_equals_ignore_case, False),
    "StringNotEqualsIgnoreCase": (_string_equals_ignore_case, True),
    "StringLike": (_string_like, False),
    "StringNotLike": (_string_like, True),
    "BinaryEquals": (_string_equals, False),
    "ArnEquals": (_arn_like, False),
    "ArnLike": (_arn_like, False),
    "ArnNotEquals": (_arn_like, True),
    "ArnNotLike": (_arn_like, True),
    "Bool": (_bool, False),
    "IpAddress": (_ip, False),
    "NotIpAddress": (_ip, True),
    **{
        f"{kind}{name}": (_compared(parse, compare), False)
        for kind, parse in (("Numeric", number), ("Date", moment))
        for name, compare in _COMPARISONS.items()
    },
    "NumericNotEquals": (_compared(number, _COMPARISONS["Equals"]), True),
    "DateNotEquals": (_compared(moment, _COMPARISONS["Equals"]), True),
}
"""Every operator but Null: its test, and whether it is negated."""


def is_value(operator: str, text: str) -> bool:
    """Whether a value makes sense for an operator."""
    if operator.startswith("Numeric"):
        return number(text) is not None
    if operator.startswith("Date"):
        return moment(text) is not None
    if operator in ("Bool", "Null"):
        return text.lower() in ("true", "false")
    if operator in ("IpAddress", "NotIpAddress"):
        try:
            ip_network(text, strict=False)
        except ValueError:
            return False
    return True
