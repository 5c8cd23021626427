import pytest

from stratum.domain.cors import (
    ID_LENGTH_MAX,
    RULES_MAX,
    CorsConfiguration,
    CorsRule,
    check_cors,
    find_grant,
)
from stratum.domain.errors import InvalidRequest


def rule(origins="https://a.example", methods="GET", headers="", **more):
    return CorsRule(tuple(methods.split()), tuple(origins.split()), tuple(headers.split()), **more)


def grant(rules, origin="https://a.example", method="GET", headers=()):
    return find_grant(CorsConfiguration(tuple(rules)), origin, method, headers)


@pytest.mark.parametrize(
    ("pattern", "origin", "fits"),
    [
        ("https://a.example", "https://a.example", True),
        ("https://a.example", "https://A.example", False),
        ("https://a.example", "https://a.example.evil", False),
        ("*suffix", "foo.suffix", True),
        ("*suffix", "foo.suffix.get", False),
        ("start*end", "startend", True),
        ("start*end", "start12end", True),
        ("start*end", "0start12end", False),
        ("aba*aba", "aba", False),
        ("aba*aba", "ababa", False),
        ("prefix*", "prefix", True),
        ("prefix*", "bla.prefix", False),
        ("*", "anything", True),
    ],
)
def test_origins(pattern, origin, fits):
    assert (grant([rule(pattern)], origin) is not None) == fits


def test_every_origin_is_told_without_its_name():
    everyone = grant([rule("*")], "https://b.example")
    assert (everyone.origin, everyone.allows_credentials) == ("*", False)
    somebody = grant([rule("https://*")], "https://b.example")
    assert (somebody.origin, somebody.allows_credentials) == ("https://b.example", True)


def test_the_first_rule_that_fits_decides():
    rules = [
        rule(methods="PUT", id="a"),
        rule("https://b.example", id="b"),
        rule(id="c"),
        rule(id="d"),
    ]
    assert grant(rules).rule.id == "c"
    assert grant(rules, method="DELETE") is None


@pytest.mark.parametrize(
    ("allowed", "asked", "fits"),
    [
        ("", [], True),
        ("", ["x-amz-date"], False),
        ("*", ["x-amz-date", "anything"], True),
        ("x-amz-*", ["X-Amz-Date"], True),
        ("X-AMZ-*", ["x-amz-date", "content-type"], False),
        ("x-amz-* Content-Type", ["x-amz-date", "content-type"], True),
    ],
)
def test_headers(allowed, asked, fits):
    assert (grant([rule(headers=allowed)], headers=asked) is not None) == fits


@pytest.mark.parametrize(
    "wrong",
    [
        [rule(methods="PATCH")],
        [rule(methods="get")],
        [rule("https://*.*.example")],
        [rule(headers="x-*-*")],
        [rule(expose_headers=("x-amz-*",))],
        [rule(expose_headers=("a\r\nset-cookie: b",))],
        [rule(id="x" * (ID_LENGTH_MAX + 1))],
        [rule()] * (RULES_MAX + 1),
    ],
)
def test_rules_that_are_refused(wrong):
    with pytest.raises(InvalidRequest):
        check_cors(CorsConfiguration(tuple(wrong)))


def test_rules_that_are_not():
    full = rule("https://*.example *", "GET PUT POST DELETE HEAD", "*", expose_headers=("etag",))
    check_cors(CorsConfiguration((full,) * RULES_MAX))
