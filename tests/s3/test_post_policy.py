import base64
import json

import pytest

from stratum.adapters.s3.errors import S3Error
from stratum.adapters.s3.post_policy import SIZE_MAX_BYTES, check_policy, parse_policy
from stratum.adapters.s3.post_signature import (
    FormSecrets,
    authenticate_form,
    policy_document,
)
from stratum.domain.errors import AccessDenied
from tests.support.forms import signed_v2, signed_v4

NOW_S = 1_772_366_400
ID, SECRET = "AKIDFORM", "secret"
LENT = "ASIALENT"
EXPIRES = "2030-01-01T00:00:00Z"


def parsed(conditions, expiration=EXPIRES, **more):
    document = {"expiration": expiration, "conditions": conditions, **more}
    return parse_policy(json.dumps(document).encode())


def verdict(conditions, fields, bucket="photos", now_ms=NOW_S * 1000):
    try:
        check_policy(parsed(conditions), fields, bucket, now_ms)
    except S3Error as error:
        return str(error)
    return None


BUCKET = {"bucket": "photos"}
KEY = ["starts-with", "$key", "user/"]


@pytest.mark.parametrize(
    ("conditions", "fields", "why"),
    [
        ([BUCKET, KEY], {"key": "user/a"}, None),
        ([{"bUcKeT": "photos"}, ["StArTs-WiTh", "$KeY", "user/"]], {"key": "user/a"}, None),
        ([BUCKET, ["eq", "$key", "user/a"]], {"key": "user/a"}, None),
        ([BUCKET, KEY], {"key": "user/a", "policy": "", "x-ignore-me": "", "file": ""}, None),
        ([BUCKET, KEY], {"key": "user/a", "x-amz-checksum-crc32": "AAAAAA=="}, None),
        ([BUCKET, KEY], {"key": "other/a"}, 'failed: ["starts-with", "$key", "user/"]'),
        ([BUCKET, ["eq", "$key", "user/a"]], {"key": "user/ab"}, "failed"),
        ([KEY], {"key": "user/a"}, "Extra input fields: bucket"),
        ([{"bucket": "other"}, KEY], {"key": "user/a"}, "failed"),
        ([BUCKET, KEY], {"key": "user/a", "acl": "public-read"}, "Extra input fields: acl"),
        ([BUCKET, KEY, ["starts-with", "$acl", ""]], {"key": "user/a"}, None),
        ([BUCKET, KEY, ["starts-with", "$acl", "p"]], {"key": "user/a"}, "failed"),
        ([BUCKET, KEY, {"acl": ""}], {"key": "user/a", "acl": "private"}, "failed"),
        (
            [BUCKET, KEY, ["starts-with", "$Content-Type", "image/"]],
            {"key": "user/a", "content-type": "image/png, image/gif"},
            None,
        ),
        (
            [BUCKET, KEY, ["starts-with", "$Content-Type", "image/"]],
            {"key": "user/a", "content-type": "image/png, text/html"},
            "failed",
        ),
    ],
)
def test_conditions(conditions, fields, why):
    found = verdict(conditions, fields)
    if why is None:
        assert found is None
    else:
        assert found.startswith("AccessDenied")
        assert why in found


def test_the_bucket_is_that_of_the_request_whatever_the_form_says():
    assert verdict([BUCKET, KEY], {"key": "user/a", "bucket": "photos"}, bucket="other")


def test_a_policy_ends():
    expires_ms = parsed([]).expires_at_ms
    assert verdict([BUCKET], {}, now_ms=expires_ms - 1) is None
    assert "expired" in verdict([BUCKET], {}, now_ms=expires_ms)


def test_the_narrowest_of_several_ranges_counts():
    policy = parsed([["content-length-range", 1, 10], ["Content-Length-Range", 5, 20]])
    assert (policy.size_min_bytes, policy.size_max_bytes) == (5, 10)
    assert parsed([]).size_max_bytes == SIZE_MAX_BYTES


def test_a_dollar_may_be_escaped():
    document = rb'{"expiration": "2030-01-01T00:00:00Z", "conditions": [{"key": "a\$b"}]}'
    assert parse_policy(document).conditions[0].value == "a$b"
    document = rb'{"expiration": "2030-01-01T00:00:00Z", "conditions": [{"key": "a\\$b"}]}'
    assert parse_policy(document).conditions[0].value == "a\\$b"


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"[]",
        b"{",
        b"\xff",
        b"[" * 100_000,
        b'{"conditions": []}',
        b'{"expiration": "2030-01-01T00:00:00Z"}',
        b'{"expiration": "2030-01-01 00:00:00", "conditions": []}',
        b'{"expiration": 1, "conditions": []}',
        b'{"EXPIRATION": "2030-01-01T00:00:00Z", "conditions": []}',
        *(
            b'{"expiration": "2030-01-01T00:00:00Z", "conditions": [%b]}' % condition
            for condition in (
                b"{}",
                b'{"a": "b", "c": "d"}',
                b'{"a": 1}',
                b'["eq", "key", "x"]',
                b'["ends-with", "$key", "x"]',
                b'["eq", "$key"]',
                b'"key"',
                b'["content-length-range", 0]',
                b'["content-length-range", -1, 0]',
                b'["content-length-range", 2, 1]',
                b'["content-length-range", true, 1]',
            )
        ),
    ],
)
def test_policies_that_are_refused(document):
    with pytest.raises(S3Error) as error:
        parse_policy(document)
    assert error.value.code == "InvalidPolicyDocument"


# -- signatures ---------------------------------------------------------------------------------
def lower(fields):
    return {name.lower(): value for name, value in fields.items()}


def session_secret(access_key_id, token):
    if (access_key_id, token) != (LENT, "token"):
        raise AccessDenied("no such session")
    return "lent secret"


SECRETS = FormSecrets({ID: SECRET}.get, session_secret)


def who(fields):
    try:
        return authenticate_form(lower(fields), SECRETS, "us-east-1")
    except S3Error as error:
        return error.code


@pytest.mark.parametrize("sign", [signed_v2, signed_v4])
def test_both_versions_name_who_signed(sign):
    fields = sign([BUCKET], ID, SECRET, NOW_S)
    assert who(fields) == ID
    assert parse_policy(policy_document(fields)).conditions[0].value == "photos"
    assert who(sign([BUCKET], ID, "guessed", NOW_S)) == "SignatureDoesNotMatch"
    assert who(sign([BUCKET], "AKIDNOBODY", SECRET, NOW_S)) == "InvalidAccessKeyId"
    other = sign([{"bucket": "other"}], ID, SECRET, NOW_S)["policy"]
    assert who({**fields, "policy": other}) == "SignatureDoesNotMatch"
    for name in fields:
        assert who({n: v for n, v in fields.items() if n != name}) == "InvalidArgument"


@pytest.mark.parametrize("sign", [signed_v2, signed_v4])
def test_sessions_sign_with_their_token(sign):
    fields = sign([BUCKET], LENT, "lent secret", NOW_S)
    assert who({**fields, "x-amz-security-token": "token"}) == LENT
    assert who(fields) == "InvalidAccessKeyId"
    with pytest.raises(AccessDenied):
        who({**fields, "x-amz-security-token": "another"})
    with pytest.raises(AccessDenied):
        who({**sign([BUCKET], ID, SECRET, NOW_S), "x-amz-security-token": "token"})


def test_a_form_without_a_signature_is_anonymous():
    assert who({"key": "a"}) is None
    assert who({"key": "a", "policy": "e30="}) == "InvalidArgument"


def test_version_4_is_bound_to_region_and_service():
    elsewhere = signed_v4([BUCKET], ID, SECRET, NOW_S, region="eu-west-1")
    assert who(elsewhere) == "AuthorizationQueryParametersError"
    fields = signed_v4([BUCKET], ID, SECRET, NOW_S)
    assert who({**fields, "x-amz-algorithm": "AWS4-HMAC-SHA1"}) == "InvalidArgument"
    assert who({**fields, "x-amz-date": "20300101T000000Z"}) != ID


def test_policies_are_base64():
    with pytest.raises(S3Error) as error:
        policy_document({"policy": "{}"})
    assert error.value.code == "InvalidPolicyDocument"
    assert policy_document({"policy": base64.b64encode(b"{}").decode()}) == b"{}"
