"""Who signed a form? The signature of a POST policy, which is all that is signed.

https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-authentication-HTTPPOST.html. Version 2 is
taken here, unlike in headers and URLs: it is what boto3 makes by default, and an HMAC of the policy
with the secret, as version 4's is. Nothing that version 4 covers is left out of it.
"""

from __future__ import annotations

import base64
import hmac
from collections.abc import Mapping
from dataclasses import dataclass

from stratum.adapters.s3.dates import parse_basic_date
from stratum.adapters.s3.errors import S3Error
from stratum.adapters.s3.signature import ALGORITHM, sign, signatures_equal, signing_key
from stratum.adapters.s3.sigv4 import SecretFor, SessionSecret, parse_credential

V4_FIELDS = ("x-amz-algorithm", "x-amz-credential", "x-amz-date", "x-amz-signature")
SESSION_FIELD = "x-amz-security-token"
V2_FIELDS = ("awsaccesskeyid", "signature")


@dataclass(frozen=True)
class FormSecrets:
    """Where secrets are looked up: of access keys, and of sessions with their tokens."""

    of_key: SecretFor
    of_session: SessionSecret


def authenticate_form(fields: Mapping[str, str], secrets: FormSecrets, region: str) -> str | None:
    """The access key id that signed the form's policy; None for a form without any signature.

    `fields` by lower-case name. Raises S3Error: InvalidArgument for a signature that is not whole,
    InvalidAccessKeyId, SignatureDoesNotMatch, AuthorizationQueryParametersError; what
    `secrets.of_session` raises.
    """
    is_v4 = any(name in fields for name in V4_FIELDS)
    is_v2 = any(name in fields for name in V2_FIELDS)
    if not is_v4 and not is_v2 and "policy" not in fields:
        return None
    for name in ("policy", *(V4_FIELDS if is_v4 else V2_FIELDS)):
        if not fields.get(name):
            raise S3Error(
                "InvalidArgument",
                f"Bucket POST must contain a field named '{name}'.  If it is specified, please"
                " check the order of the fields.",
                fields={"ArgumentName": name},
            )
    if is_v4:
        return _verify_v4(fields, secrets, region)
    return _verify_v2(fields, secrets)


def policy_document(fields: Mapping[str, str]) -> bytes:
    """The policy of a form, decoded; raise S3Error InvalidPolicyDocument."""
    try:
        return base64.b64decode(fields["policy"].encode("ascii"), validate=True)
    except ValueError:
        raise S3Error("InvalidPolicyDocument", "Invalid Policy: Invalid Base64.") from None


def _verify_v4(fields: Mapping[str, str], secrets: FormSecrets, region: str) -> str:
    timestamp_s = parse_basic_date(fields["x-amz-date"])
    if fields["x-amz-algorithm"] != ALGORITHM or timestamp_s is None:
        raise S3Error("InvalidArgument", "x-amz-algorithm or x-amz-date is not valid")
    access_key_id, date = parse_credential(
        fields["x-amz-credential"], timestamp_s, region, presigned=True
    )
    expected = sign(
        signing_key(_secret(access_key_id, fields, secrets), date, region), _policy_text(fields)
    )
    _require_equal(expected, fields["x-amz-signature"], access_key_id)
    return access_key_id


def _verify_v2(fields: Mapping[str, str], secrets: FormSecrets) -> str:
    access_key_id = fields["awsaccesskeyid"]
    secret = _secret(access_key_id, fields, secrets)
    digest = hmac.digest(secret.encode(), _policy_text(fields).encode("latin-1"), "sha1")
    _require_equal(base64.b64encode(digest).decode("ascii"), fields["signature"], access_key_id)
    return access_key_id


def _policy_text(fields: Mapping[str, str]) -> str:
    """What is signed: the policy in base64, as it was sent."""
    text = fields["policy"]
    if not text.isascii():
        raise S3Error("InvalidPolicyDocument", "Invalid Policy: Invalid Base64.")
    return text


def _secret(access_key_id: str, fields: Mapping[str, str], secrets: FormSecrets) -> str:
    token = fields.get(SESSION_FIELD)
    if token:
        return secrets.of_session(access_key_id, token)
    secret = secrets.of_key(access_key_id)
    if secret is None:
        raise S3Error("InvalidAccessKeyId", fields={"AWSAccessKeyId": access_key_id[:128]})
    return secret


def _require_equal(expected: str, provided: str, access_key_id: str) -> None:
    if not signatures_equal(expected, provided):
        raise S3Error(
            "SignatureDoesNotMatch",
            fields={"AWSAccessKeyId": access_key_id, "SignatureProvided": provided[:128]},
        )
