"""Every operator, and what a missing key and several values mean."""

import pytest

from stratum.domain.policy_conditions import Condition, is_value, moment, number


def holds(operator, values, actual, **options):
    context = {} if actual is None else {"k": (actual,) if isinstance(actual, str) else actual}
    values = (values,) if isinstance(values, str) else values
    return Condition(operator, "k", values, **options).holds(context)


@pytest.mark.parametrize(
    ("operator", "values", "actual", "expected"),
    [
        ("StringEquals", "a", "a", True),
        ("StringEquals", "a", "A", False),
        ("StringEquals", "a*", "ab", False),
        ("StringEquals", ("a", "b"), "b", True),
        ("StringEqualsIgnoreCase", "Ab", "aB", True),
        ("StringNotEquals", ("a", "b"), "b", False),
        ("StringNotEquals", ("a", "b"), "c", True),
        ("StringNotEqualsIgnoreCase", "a", "A", False),
        ("StringLike", "a*", "ab", True),
        ("StringLike", ("x", "?b"), "ab", True),
        ("StringNotLike", "a*", "ab", False),
        ("NumericEquals", "10", "10", True),
        ("NumericEquals", "10", "10.0", True),
        ("NumericNotEquals", "10", "11", True),
        ("NumericLessThan", "10", "10", False),
        ("NumericLessThanEquals", "10", "10", True),
        ("NumericGreaterThan", "10", "11", True),
        ("NumericGreaterThanEquals", "10", "9", False),
        ("NumericEquals", "10", "ten", False),
        ("DateGreaterThan", "2026-01-01T00:00:00Z", "2026-01-01T00:00:01Z", True),
        ("DateLessThan", "2026-01-01", "2026-01-01T00:00:00Z", False),
        ("DateEquals", "2026-01-01T01:00:00+01:00", "2026-01-01T00:00:00Z", True),
        ("DateEquals", "1767225600", "2026-01-01T00:00:00Z", True),
        ("DateNotEquals", "2026-01-01", "2026-01-02", True),
        ("DateLessThanEquals", "2026-01-01", "2026-01-01", True),
        ("DateGreaterThanEquals", "2026-01-01", "2025-12-31", False),
        ("Bool", "true", "True", True),
        ("Bool", "false", "true", False),
        ("BinaryEquals", "YQ==", "YQ==", True),
        ("IpAddress", "10.0.0.0/8", "10.1.2.3", True),
        ("IpAddress", "10.0.0.0/8", "11.1.2.3", False),
        ("IpAddress", ("10.0.0.1", "::1/128"), "::1", True),
        ("IpAddress", "10.0.0.0/8", "not an address", False),
        ("NotIpAddress", "10.0.0.0/8", "10.1.2.3", False),
        ("NotIpAddress", "10.0.0.0/8", "::1", True),
        ("ArnLike", "arn:aws:iam::*:user/*", "arn:aws:iam::1:user/a/b", True),
        ("ArnEquals", "arn:aws:*:user/b", "arn:aws:iam::1:user/b", False),
        ("ArnLike", "arn:aws:iam::1:user/?", "arn:aws:iam::1:user/ab", False),
        ("ArnNotEquals", "arn:aws:iam::1:user/a", "arn:aws:iam::1:user/a", False),
        ("ArnNotLike", "arn:aws:iam::1:*", "arn:aws:iam::2:user/a", True),
    ],
)
def test_operators(operator, values, actual, expected):
    assert holds(operator, values, actual) is expected


@pytest.mark.parametrize(
    ("operator", "expected"),
    [("StringEquals", False), ("StringNotEquals", True), ("IpAddress", False), ("Bool", False)],
)
def test_a_missing_key_fails_plain_operators_and_passes_negated_ones(operator, expected):
    value = "10.0.0.0/8" if operator == "IpAddress" else "true"
    assert holds(operator, value, None) is expected
    assert holds(operator, value, None, if_exists=True) is True


def test_null_asks_whether_the_key_is_there():
    assert holds("Null", "true", None)
    assert not holds("Null", "true", "a")
    assert holds("Null", "false", "a")
    assert not holds("Null", "false", None)


@pytest.mark.parametrize(
    ("quantifier", "operator", "actual", "expected"),
    [
        ("ForAllValues", "StringEquals", ("a", "b"), True),
        ("ForAllValues", "StringEquals", ("a", "c"), False),
        ("ForAllValues", "StringEquals", None, True),
        ("ForAnyValue", "StringEquals", ("c", "b"), True),
        ("ForAnyValue", "StringEquals", ("c", "d"), False),
        ("ForAnyValue", "StringEquals", None, False),
        ("ForAnyValue", "StringNotEquals", ("a", "c"), True),
        ("ForAllValues", "StringNotEquals", ("a", "c"), False),
    ],
)
def test_keys_with_several_values(quantifier, operator, actual, expected):
    assert holds(operator, ("a", "b"), actual, quantifier=quantifier) is expected


def test_a_variable_in_a_value_is_filled_in():
    condition = Condition("StringLike", "s3:prefix", ("home/${aws:username}/*",))
    assert condition.holds({"s3:prefix": ("home/bob/x",), "aws:username": ("bob",)})
    assert not condition.holds({"s3:prefix": ("home/bob/x",), "aws:username": ("eve",)})
    assert not condition.holds({"s3:prefix": ("home/bob/x",)})


def test_numbers_and_dates():
    assert number("-1.5") == -1.5
    assert number("1e9") is None
    assert moment("2026-11-25T10:00:00.5Z") == 1795600800
    assert moment("2026-13-01") is None
    assert moment("yesterday") is None


@pytest.mark.parametrize(
    ("operator", "text", "expected"),
    [
        ("NumericEquals", "ten", False),
        ("DateLessThan", "soon", False),
        ("Bool", "yes", False),
        ("Null", "true", True),
        ("IpAddress", "10.0.0.0/33", False),
        ("IpAddress", "10.0.0.1", True),
        ("StringEquals", "", True),
    ],
)
def test_values_that_mean_nothing(operator, text, expected):
    assert is_value(operator, text) is expected
