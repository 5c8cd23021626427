"""Which lifecycle rules are valid, and which objects they mean."""

from dataclasses import replace

import pytest

from stratum.domain.errors import InvalidArgument, InvalidRequest
from stratum.domain.lifecycle import (
    DAY_MS,
    NEWER_NONCURRENT_MAX,
    PREFIX_LENGTH_MAX_BYTES,
    RULE_ID_LENGTH_MAX,
    RULES_MAX,
    Expiration,
    Filter,
    NoncurrentExpiration,
    NoncurrentTransition,
    Rule,
    Transition,
    check_lifecycle,
)

AFTER_A_DAY = Expiration(days=1)
RULE = Rule("r", enabled=True, expiration=AFTER_A_DAY)


def rule(**changes):
    return replace(RULE, expiration=None, **changes)


@pytest.mark.parametrize(
    "valid",
    [
        RULE,
        replace(RULE, id="i" * RULE_ID_LENGTH_MAX),
        rule(transitions=(Transition("GLACIER", days=0),)),
        rule(transitions=(Transition("GLACIER", days=9), Transition("STANDARD_IA", days=3))),
        replace(RULE, expiration=Expiration(days=10), transitions=(Transition("GLACIER", 9),)),
        replace(RULE, expiration=Expiration(date_ms=DAY_MS)),
        replace(RULE, expiration=Expiration(lone_marker=True)),
        replace(
            RULE,
            expiration=Expiration(lone_marker=True),
            transitions=(Transition("GLACIER", date_ms=DAY_MS),),
        ),
        rule(noncurrent_expiration=NoncurrentExpiration(1, NEWER_NONCURRENT_MAX)),
        rule(
            noncurrent_transitions=(
                NoncurrentTransition("STANDARD_IA", 2),
                NoncurrentTransition("GLACIER", 4),
            ),
            noncurrent_expiration=NoncurrentExpiration(6),
        ),
        rule(abort_upload_days=1),
        replace(RULE, filter=Filter("p" * PREFIX_LENGTH_MAX_BYTES, {"a": "b"}, 0, 1)),
    ],
)
def test_valid_rules(valid):
    check_lifecycle([valid])


@pytest.mark.parametrize(
    ("invalid", "error"),
    [
        (replace(RULE, id="i" * (RULE_ID_LENGTH_MAX + 1)), InvalidArgument),
        (rule(), InvalidRequest),
        (replace(RULE, expiration=Expiration(days=0)), InvalidArgument),
        (replace(RULE, expiration=Expiration(days=-1)), InvalidArgument),
        (replace(RULE, expiration=Expiration(days=2**31)), InvalidArgument),
        (replace(RULE, expiration=Expiration(date_ms=DAY_MS + 1)), InvalidArgument),
        (rule(transitions=(Transition("GLACIER", days=-1),)), InvalidArgument),
        (rule(transitions=(Transition("GLACIER", date_ms=1),)), InvalidArgument),
        (
            rule(transitions=(Transition("GLACIER", days=3), Transition("STANDARD_IA", days=3))),
            InvalidArgument,
        ),
        (
            rule(transitions=(Transition("GLACIER", days=3), Transition("GLACIER", days=4))),
            InvalidRequest,
        ),
        (
            rule(transitions=(Transition("GLACIER", days=3), Transition("GLACIER_IR", None, 0))),
            InvalidRequest,
        ),
        (replace(RULE, transitions=(Transition("GLACIER", days=1),)), InvalidArgument),
        (replace(RULE, transitions=(Transition("GLACIER", None, DAY_MS),)), InvalidRequest),
        (rule(noncurrent_expiration=NoncurrentExpiration(0)), InvalidArgument),
        (
            rule(noncurrent_expiration=NoncurrentExpiration(1, NEWER_NONCURRENT_MAX + 1)),
            InvalidArgument,
        ),
        (
            rule(
                noncurrent_expiration=NoncurrentExpiration(4),
                noncurrent_transitions=(NoncurrentTransition("GLACIER", 4),),
            ),
            InvalidArgument,
        ),
        (rule(abort_upload_days=0), InvalidArgument),
        (rule(abort_upload_days=1, filter=Filter(tags={"a": "b"})), InvalidRequest),
        (rule(abort_upload_days=1, filter=Filter(larger_than_bytes=1)), InvalidRequest),
        (
            replace(RULE, expiration=Expiration(lone_marker=True), filter=Filter(tags={"a": "b"})),
            InvalidRequest,
        ),
        (replace(RULE, filter=Filter("p" * (PREFIX_LENGTH_MAX_BYTES + 1))), InvalidRequest),
        (replace(RULE, filter=Filter(larger_than_bytes=5, smaller_than_bytes=5)), InvalidRequest),
        (replace(RULE, filter=Filter(larger_than_bytes=-1)), InvalidRequest),
        (replace(RULE, filter=Filter(smaller_than_bytes=0)), InvalidRequest),
    ],
)
def test_invalid_rules(invalid, error):
    with pytest.raises(error):
        check_lifecycle([invalid])


def test_ids_are_unique_and_rules_not_too_many():
    with pytest.raises(InvalidArgument, match="unique"):
        check_lifecycle([RULE, RULE])
    many = [replace(RULE, id=str(number)) for number in range(RULES_MAX + 1)]
    check_lifecycle(many[:-1])
    with pytest.raises(InvalidRequest):
        check_lifecycle(many)


@pytest.mark.parametrize(
    ("chosen", "matches"),
    [
        (Filter(), True),
        (Filter("a/"), True),
        (Filter("b/"), False),
        (Filter(tags={"team": "x"}), True),
        (Filter(tags={"team": "y"}), False),
        (Filter(tags={"team": "x", "more": ""}), False),
        (Filter(larger_than_bytes=9), True),
        (Filter(larger_than_bytes=10), False),
        (Filter(smaller_than_bytes=11), True),
        (Filter(smaller_than_bytes=10), False),
        (Filter("a/", {"team": "x"}, 9, 11), True),
        (Filter("b/", {"team": "x"}, 9, 11), False),
    ],
)
def test_all_of_a_filter_must_hold(chosen, matches):
    assert chosen.matches("a/b", 10, {"team": "x", "other": "z"}) is matches


def test_what_has_no_tags_is_not_meant_by_a_filter_with_tags():
    assert Filter("a/", larger_than_bytes=1).matches_key("a/b")
    assert not Filter("a/", {"team": "x"}).matches_key("a/b")
