"""Which policies are taken, and which are refused as malformed."""

import json

import pytest

from stratum.domain.errors import MalformedPolicy
from stratum.domain.policy import Effect
from stratum.domain.policy_document import (
    BUCKET_POLICY_MAX_BYTES,
    parse_bucket_policy,
    parse_identity_policy,
    parse_trust_policy,
)

ARN = "arn:aws:s3:::photos"


def statement(**changes):
    plain = {
        "Effect": "Allow",
        "Principal": "*",
        "Action": "s3:GetObject",
        "Resource": f"{ARN}/*",
    }
    return {name: value for name, value in {**plain, **changes}.items() if value is not None}


def document(*statements, **top):
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements), **top})


def parse(*statements, **top):
    return parse_bucket_policy(document(*statements, **top), "photos")


def test_everything_a_statement_can_say():
    policy = parse(
        statement(
            Sid="one",
            Principal={"AWS": ["123456789012", "arn:aws:iam::123456789012:user/a/b"]},
            Action=["s3:Get*", "S3:listbucket"],
            Resource=[ARN, f"{ARN}/*"],
            Condition={"ForAnyValue:StringLikeIfExists": {"aws:Referer": ["http://x/*"]}},
        ),
        Id="policy",
    )
    (parsed,) = policy.statements
    assert parsed.principals.arns == {
        "arn:aws:iam::123456789012:root",
        "arn:aws:iam::123456789012:user/a/b",
    }
    assert parsed.actions == ("s3:get*", "s3:listbucket")
    (condition,) = parsed.conditions
    assert (condition.operator, condition.quantifier) == ("StringLike", "ForAnyValue")
    assert (condition.if_exists, condition.key) == (True, "aws:referer")


@pytest.mark.parametrize(
    "changed",
    [
        {"Principal": {"AWS": "*"}},
        {"Principal": {"CanonicalUser": "a" * 64}},
        {"Principal": {"AWS": "a" * 64}},
        {"Principal": {"Service": "logging.s3.amazonaws.com"}},
        {"Principal": {"AWS": "arn:aws:iam::somebody:root"}},
        {"Principal": {"AWS": "arn:aws:sts::123456789012:assumed-role/r/s"}},
        {"Effect": "Deny", "Principal": None, "NotPrincipal": {"AWS": "123456789012"}},
        {"Action": "*"},
        {"Action": "s3:*"},
        {"Action": None, "NotAction": ["s3:DeleteObject"]},
        {"Resource": "*"},
        {"Resource": "arn:aws:s3:::*"},
        {"Resource": "arn:aws:s3:::pho*/public/*"},
        {"Resource": None, "NotResource": f"{ARN}/private/*"},
        {"Condition": {}},
        {"Condition": {"NumericLessThan": {"s3:max-keys": 10}}},
        {"Condition": {"Bool": {"aws:SecureTransport": False}}},
        {"Condition": {"StringEquals": {"s3:ExistingObjectTag/a key": "v"}}},
    ],
    ids=str,
)
def test_what_is_taken(changed):
    assert parse(statement(**changed)).statements


@pytest.mark.parametrize(
    "changed",
    [
        {"Effect": "allow"},
        {"Effect": None},
        {"Sid": 7},
        {"Other": 1},
        {"Principal": None},
        {"Principal": "somebody"},
        {"Principal": {}},
        {"Principal": {"AWS": []}},
        {"Principal": {"AWS": "arn:aws:iam::123456789012:user/*"}},
        {"Principal": {"AWS": "1234"}},
        {"Principal": {"Google": "x"}},
        {"NotPrincipal": "*"},
        {"Principal": None, "NotPrincipal": {"AWS": "123456789012"}},
        {"Action": None},
        {"Action": []},
        {"Action": "GetObject"},
        {"Action": "s3:GetObjekt"},
        {"Action": "ec2:RunInstances"},
        {"Action": ["s3:GetObject", 1]},
        {"NotAction": "s3:GetObject"},
        {"Resource": None},
        {"Resource": "photos/*"},
        {"Resource": "arn:aws:s3:::other/*"},
        {"Resource": "arn:aws:sqs:::photos"},
        {"Condition": []},
        {"Condition": {"StringEqual": {"s3:prefix": "a"}}},
        {"Condition": {"AnyValue:StringEquals": {"s3:prefix": "a"}}},
        {"Condition": {"NullIfExists": {"s3:prefix": "true"}}},
        {"Condition": {"StringEquals": "a"}},
        {"Condition": {"StringEquals": {"s3:prefix": []}}},
        {"Condition": {"StringEquals": {"s3:prefix": {}}}},
        {"Condition": {"StringEquals": {"s3:prefixes": "a"}}},
        {"Condition": {"StringEquals": {"prefix": "a"}}},
        {"Condition": {"StringEquals": {"s3:ExistingObjectTag/": "a"}}},
        {"Condition": {"IpAddress": {"aws:SourceIp": "10.0.0.0/99"}}},
        {"Condition": {"Bool": {"aws:SecureTransport": "maybe"}}},
        {"Condition": {"DateLessThan": {"aws:CurrentTime": "soon"}}},
    ],
    ids=str,
)
def test_what_is_refused(changed):
    with pytest.raises(MalformedPolicy):
        parse(statement(**changed))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "not json",
        "{}",
        '{"Statement": []}',
        '{"Statement": ["x"]}',
        '{"Version": "2013-01-01", "Statement": [{}]}',
        '{"Version": "2012-10-17", "Version": "2012-10-17"}',
        "[" * 100_000,
        document(statement(), Extra=1),
        document(statement(), Id=1),
        document(statement(Sid="a"), statement(Sid="a")),
        document(*[statement()] * 501),
        document(statement(), Id="x" * BUCKET_POLICY_MAX_BYTES),
    ],
    ids=lambda text: text[:30],
)
def test_documents_that_are_refused(text):
    with pytest.raises(MalformedPolicy):
        parse_bucket_policy(text, "photos")


def test_one_statement_needs_no_list():
    text = json.dumps({"Statement": statement(Effect="Deny")})
    (parsed,) = parse_bucket_policy(text, "photos").statements
    assert parsed.effect is Effect.DENY


def test_before_2012_variables_are_text():
    text = document(statement(Resource=f"{ARN}/${{aws:username}}"), Version="2008-10-17")
    (parsed,) = parse_bucket_policy(text, "photos").statements
    context = {"aws:username": ("bob",)}
    assert not parsed.covers("s3:getobject", f"{ARN}/bob", context)
    assert parsed.covers("s3:getobject", f"{ARN}/${{aws:username}}", context)


def test_identity_policies_name_no_principal_and_any_service():
    allowed = {"Effect": "Allow", "Action": ["iam:*", "s3:GetObject"], "Resource": "*"}
    assert parse_identity_policy(document(allowed)).statements
    for wrong in (
        {**allowed, "Principal": "*"},
        {**allowed, "Resource": "photos"},
        {"Effect": "Allow", "Action": "s3:GetObject"},
    ):
        with pytest.raises(MalformedPolicy):
            parse_identity_policy(document(wrong))


def test_trust_policies_name_principals_and_no_resource():
    trust = {"Effect": "Allow", "Principal": {"AWS": "123456789012"}, "Action": "sts:AssumeRole"}
    assert parse_trust_policy(document(trust)).statements
    for wrong in ({**trust, "Resource": "*"}, {**trust, "Principal": None}):
        with pytest.raises(MalformedPolicy):
            parse_trust_policy(document({k: v for k, v in wrong.items() if v}))
