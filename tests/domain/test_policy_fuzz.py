"""Whatever comes: a policy, or a refusal; and an answer to every question about it."""

import contextlib
import json

from hypothesis import given
from hypothesis import strategies as st

from stratum.domain.errors import MalformedPolicy
from stratum.domain.policy import Effect, resource_effect
from stratum.domain.policy_conditions import OPERATORS, Condition, is_value
from stratum.domain.policy_document import parse_bucket_policy, parse_identity_policy
from stratum.domain.policy_names import ACTIONS
from stratum.domain.principal import ANONYMOUS, account_principal
from stratum.domain.wildcards import matches
from tests.domain.test_acl import ALICE

AS_ALICE = account_principal(ALICE, "111111111111")
NAMES = ("Version", "Id", "Statement", "Effect", "Principal", "NotPrincipal", "Action", "Resource")
TEXTS = st.one_of(
    st.text(max_size=20),
    st.sampled_from(
        ["2012-10-17", "Allow", "Deny", "*", "s3:*", "s3:GetObject", "arn:aws:s3:::b/*", "AWS"]
    ),
)
VALUES = st.recursive(
    st.one_of(TEXTS, st.none(), st.booleans(), st.integers(), st.floats()),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(st.one_of(st.sampled_from(NAMES), TEXTS), inner, max_size=6),
    ),
    max_leaves=25,
)
PATTERNS = st.text(alphabet="ab*?$/{}", max_size=12)
STATEMENTS = st.fixed_dictionaries(
    {
        "Effect": st.sampled_from(["Allow", "Deny"]),
        "Principal": st.sampled_from(["*", {"AWS": "111111111111"}, {"AWS": "*"}]),
        "Action": st.sampled_from(["*", "s3:*", "s3:Get*", *sorted(ACTIONS)]),
        "Resource": PATTERNS.map(lambda pattern: f"arn:aws:s3:::b/{pattern}"),
    },
    optional={
        "Condition": st.dictionaries(
            st.sampled_from([*OPERATORS, "Null", "StringLikeIfExists", "ForAllValues:StringLike"]),
            st.dictionaries(st.sampled_from(["s3:prefix", "aws:SourceIp"]), TEXTS, max_size=2),
            max_size=2,
        )
    },
)


@given(VALUES)
def test_any_json_is_a_policy_or_refused(value):
    text = json.dumps(value)
    for parse in (lambda: parse_bucket_policy(text, "b"), lambda: parse_identity_policy(text)):
        with contextlib.suppress(MalformedPolicy):
            assert parse().statements


@given(st.text(max_size=200))
def test_any_text_is_a_policy_or_refused(text):
    with contextlib.suppress(MalformedPolicy):
        parse_bucket_policy(text, "b")


@given(
    st.lists(STATEMENTS, min_size=1, max_size=4),
    st.text(alphabet="ab/", max_size=8),
    st.dictionaries(st.sampled_from(["s3:prefix", "aws:sourceip"]), TEXTS.map(lambda t: (t,))),
)
def test_a_deny_outweighs_whatever_allows(statements, key, context):
    text = json.dumps({"Version": "2012-10-17", "Statement": statements})
    try:
        policy = parse_bucket_policy(text, "b")
    except MalformedPolicy:
        return
    resource = f"arn:aws:s3:::b/{key}"
    for who in (AS_ALICE, ANONYMOUS):
        said = resource_effect(policy, who, "s3:GetObject", resource, context)
        single = {
            resource_effect(type(policy)((each,)), who, "s3:GetObject", resource, context).effect
            for each in policy.statements
        }
        if Effect.DENY in single:
            assert said.effect is Effect.DENY
        else:
            assert said.effect is (Effect.ALLOW if Effect.ALLOW in single else None)


@given(st.sampled_from(sorted(OPERATORS)), TEXTS, TEXTS)
def test_every_condition_has_an_answer(operator, wanted, actual):
    if not is_value(operator, wanted):
        return
    condition = Condition(operator, "k", (wanted,))
    negated = OPERATORS[operator][1]
    assert condition.holds({}) is negated
    assert condition.holds({"k": (actual,)}) in (True, False)


@given(PATTERNS, st.text(alphabet="ab/$", max_size=12))
def test_patterns_match_as_the_plain_definition_says(pattern, text):
    def plain(pattern, text):
        if not pattern:
            return not text
        if pattern[0] == "*":
            return any(plain(pattern[1:], text[at:]) for at in range(len(text) + 1))
        return bool(text) and pattern[0] in ("?", text[0]) and plain(pattern[1:], text[1:])

    assert matches(pattern, text) is plain(pattern, text)
