"""Patterns of the policy language."""

import time

import pytest

from stratum.domain.wildcards import fill, matches

CONTEXT = {"aws:username": ("bob",), "s3:prefix": ("a*",), "aws:tagkeys": ("x", "y")}


@pytest.mark.parametrize(
    ("pattern", "text", "expected"),
    [
        ("", "", True),
        ("", "a", False),
        ("*", "", True),
        ("*", "any/thing\n", True),
        ("a*", "a", True),
        ("a*c", "abbbc", True),
        ("a*c", "abbbcd", False),
        ("a?c", "abc", True),
        ("a?c", "ac", False),
        ("*.jpg", "a/b.jpg", True),
        ("*a*a*", "banana", True),
        ("*a*b*", "banana", False),
        ("[ab]", "a", False),
        ("a.c", "abc", False),
        ("arn:aws:s3:::b/*", "arn:aws:s3:::b/", True),
        ("arn:aws:s3:::b/*", "arn:aws:s3:::b", False),
        ("arn:aws:s3:::b*", "arn:aws:s3:::b2/k", True),
        ("u*", "über", False),
        ("ü*", "über", True),
    ],
)
def test_stars_and_question_marks(pattern, text, expected):
    assert matches(pattern, text) is expected


@pytest.mark.parametrize(
    ("pattern", "text", "expected"),
    [
        ("home/${aws:username}/*", "home/bob/x", True),
        ("home/${aws:UserName}/*", "home/bob/x", True),
        ("home/${aws:username}/*", "home/eve/x", False),
        ("${s3:prefix}", "a*", True),
        ("${s3:prefix}", "abc", False),  # the value is no pattern
        ("${*}", "*", True),
        ("${*}", "a", False),
        ("${?}${$}", "?$", True),
        ("${aws:missing}", "", False),
        ("${aws:missing, 'all'}", "all", True),
        ("${aws:username, 'all'}", "bob", True),
        ("${aws:tagkeys}", "x", False),  # several values
        ("$bob", "$bob", True),
    ],
)
def test_variables(pattern, text, expected):
    assert matches(pattern, text, CONTEXT) is expected


def test_text_is_filled_without_wildcards():
    assert fill("a*${aws:username}", CONTEXT) == "a*bob"
    assert fill("${aws:missing}", CONTEXT) is None


def test_many_stars_take_no_exponential_time():
    began = time.perf_counter()
    assert not matches("a*" * 60 + "b", "a" * 1024)
    assert time.perf_counter() - began < 5
