"""Who sent this request? Verification of Signature Version 4, in headers or in the query.

Rules that cost others a vulnerability, each with a test:
- Every request that names a credential is verified in the same way, whatever its body's encoding;
  `STREAMING-UNSIGNED-PAYLOAD-TRAILER` is unsigned in its payload only (CVE-2026-40344).
- `host` and every `x-amz-*` header present must be among the signed ones, also in a presigned URL:
  an unsigned `x-amz-copy-source` would turn the right to PUT into the right to read
  (GHSA-g8w9-qw9q-fghr).
- Signatures are compared in constant time.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from stratum.adapters.s3.dates import (
    format_basic_date,
    format_iso_date,
    parse_basic_date,
    parse_http_date,
)
from stratum.adapters.s3.errors import S3Error
from stratum.adapters.s3.request import Headers, RequestHead, split_query
from stratum.adapters.s3.signature import (
    ALGORITHM,
    SERVICE,
    TERMINATOR,
    UNSIGNED_PAYLOAD,
    ChunkSigner,
    canonical_path,
    canonical_raw_query,
    canonical_request,
    credential_scope,
    sign,
    signatures_equal,
    signing_key,
    string_to_sign,
)

CLOCK_SKEW_MAX_S = 15 * 60
PRESIGNED_EXPIRES_MAX_S = 7 * 24 * 3600

SecretFor = Callable[[str], str | None]
"""The secret of an access key id, None if there is no such key."""
SessionSecret = Callable[[str, str], str]
"""The secret of an access key id with its session token; raises if the token is not good."""
RegionAndService = tuple[str, str]

_SHA256 = re.compile("[0-9a-fA-F]{64}").fullmatch
_EXPIRES = re.compile("[0-9]{1,9}").fullmatch


class PayloadMode(Enum):
    """What the value of x-amz-content-sha256 promises about the body."""

    SIGNED = "the hexadecimal SHA-256 of the body"
    UNSIGNED = UNSIGNED_PAYLOAD
    STREAMING_SIGNED = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
    STREAMING_SIGNED_TRAILER = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"
    STREAMING_UNSIGNED_TRAILER = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"


_MODES = {mode.value: mode for mode in PayloadMode if mode is not PayloadMode.SIGNED}
_SIGNED_STREAMS = (PayloadMode.STREAMING_SIGNED, PayloadMode.STREAMING_SIGNED_TRAILER)


@dataclass(frozen=True, slots=True)
class Authentication:
    """The outcome of a good signature.

    `payload_sha256` is set (lower case) in mode SIGNED, `chunk_signer` in the modes
    STREAMING_SIGNED*: the body still has to be checked against it.
    """

    access_key_id: str
    payload_mode: PayloadMode
    payload_sha256: str | None
    chunk_signer: ChunkSigner | None
    presigned: bool
    session_token: str = ""


@dataclass(frozen=True, slots=True)
class _Claim:
    """What a request says about its signature, before it is believed."""

    access_key_id: str
    date: str
    timestamp_s: int
    signed_headers: str
    signature: str
    content_sha256: str
    presigned: bool


def authenticate(
    head: RequestHead,
    now_s: int,
    secret_for: SecretFor,
    region: str,
    *,
    session_secret: SessionSecret | None = None,
    service: str = SERVICE,
    body_sha256: str | None = None,
) -> Authentication | None:
    """Verify the signature of a request; None for one that carries no credentials at all.

    Without `session_secret` session tokens are refused. `body_sha256` is that of the body as it was
    received, for services other than S3, whose clients don't state it in a header.

    Raises S3Error with Amazon's codes: AccessDenied, InvalidAccessKeyId, SignatureDoesNotMatch,
    RequestTimeTooSkewed, AuthorizationHeaderMalformed (naming our region when it is the wrong
    one, so that SDKs follow), AuthorizationQueryParametersError, InvalidArgument, InvalidRequest,
    InvalidToken.
    """
    authorization = head.headers.get("authorization")
    query: dict[str, str] = {}
    if b"X-Amz-" in head.raw_query or b"AWSAccessKeyId" in head.raw_query:
        for name, value in split_query(head.raw_query):
            query.setdefault(name.decode("latin-1"), value.decode("latin-1"))
    if "AWSAccessKeyId" in query:
        raise _signature_v2()
    in_query = "X-Amz-Algorithm" in query or "X-Amz-Signature" in query
    if authorization is None and not in_query:
        return None
    if authorization is not None and in_query:
        raise S3Error(
            "InvalidArgument",
            "Only one auth mechanism allowed; only the X-Amz-Algorithm query parameter,"
            " Signature query string parameter or the Authorization header should be specified",
        )
    expected = (region, service)
    if authorization is None:
        token = query.get("X-Amz-Security-Token", "")
        claim = _claim_of_query(query, head.headers, now_s, expected)
    else:
        token = head.headers.get("x-amz-security-token", "")
        claim = _claim_of_header(authorization, head.headers, now_s, expected, body_sha256)
    _require_signed(head.headers, claim.signed_headers)
    # A chain of chunk signatures begins with that of an Authorization header, never of a URL.
    mode = _payload_mode(claim.content_sha256, signable=not claim.presigned)
    if token and session_secret is None:
        raise S3Error("InvalidToken")
    if token and session_secret is not None:
        secret: str | None = session_secret(claim.access_key_id, token)
    else:
        secret = secret_for(claim.access_key_id)
    if secret is None:
        raise S3Error("InvalidAccessKeyId", fields={"AWSAccessKeyId": claim.access_key_id})
    signer = _verify(head, claim, secret, expected)
    return Authentication(
        access_key_id=claim.access_key_id,
        payload_mode=mode,
        payload_sha256=claim.content_sha256.lower() if mode is PayloadMode.SIGNED else None,
        chunk_signer=signer if mode in _SIGNED_STREAMS else None,
        presigned=claim.presigned,
        session_token=token,
    )


def anonymous(head: RequestHead) -> Authentication:
    """What a request without credentials promises about its body; nothing in it is signed.

    Raises S3Error InvalidArgument for a promise of signatures.
    """
    content_sha256 = head.headers.get("x-amz-content-sha256") or UNSIGNED_PAYLOAD
    mode = _payload_mode(content_sha256, signable=False)
    is_signed = mode is PayloadMode.SIGNED
    return Authentication("", mode, content_sha256.lower() if is_signed else None, None, False)


def _verify(
    head: RequestHead, claim: _Claim, secret: str, expected: RegionAndService
) -> ChunkSigner:
    request = canonical_request(
        head.method,
        canonical_path(head.raw_path),
        canonical_raw_query(head.raw_query, without=b"X-Amz-Signature" if claim.presigned else b""),
        head.headers,
        claim.signed_headers,
        claim.content_sha256,
    )
    scope = credential_scope(claim.date, *expected)
    timestamp = format_basic_date(claim.timestamp_s)
    text = string_to_sign(timestamp, scope, request)
    key = signing_key(secret, claim.date, *expected)
    signature = sign(key, text)
    if not signatures_equal(signature, claim.signature):
        raise S3Error(
            "SignatureDoesNotMatch",
            fields={
                "AWSAccessKeyId": claim.access_key_id,
                "StringToSign": text,
                "SignatureProvided": claim.signature,
                "StringToSignBytes": text.encode("latin-1", "replace").hex(" "),
                "CanonicalRequest": request.decode("utf-8", "replace"),
                "CanonicalRequestBytes": request.hex(" "),
            },
        )
    return ChunkSigner(key, timestamp, scope, signature)


def _claim_of_header(
    authorization: str,
    headers: Headers,
    now_s: int,
    expected: RegionAndService,
    body_sha256: str | None,
) -> _Claim:
    scheme, _, parameters = authorization.partition(" ")
    if not authorization:
        raise S3Error("AccessDenied")
    if scheme == "AWS":
        raise _signature_v2()
    if scheme != ALGORITHM:
        raise S3Error(
            "InvalidArgument",
            "Unsupported Authorization Type",
            fields={"ArgumentName": "Authorization", "ArgumentValue": authorization[:100]},
        )
    fields: dict[str, str] = {}
    for item in parameters.split(","):
        name, _, value = item.strip().partition("=")
        if name in fields:
            raise _malformed(False, f"{name} is given more than once")
        fields[name] = value
    if fields.keys() != {"Credential", "SignedHeaders", "Signature"}:
        raise _malformed(False, "expecting Credential, SignedHeaders and Signature")
    timestamp_s = _request_time(headers)
    if abs(now_s - timestamp_s) > CLOCK_SKEW_MAX_S:
        raise S3Error(
            "RequestTimeTooSkewed",
            fields={
                "RequestTime": format_basic_date(timestamp_s),
                "ServerTime": format_iso_date(now_s * 1000),
                "MaxAllowedSkewMilliseconds": str(CLOCK_SKEW_MAX_S * 1000),
            },
        )
    access_key_id, date = parse_credential(
        fields["Credential"], timestamp_s, *expected, presigned=False
    )
    content_sha256 = headers.get("x-amz-content-sha256", body_sha256)
    if content_sha256 is None:
        raise S3Error(
            "InvalidRequest", "Missing required header for this request: x-amz-content-sha256"
        )
    return _Claim(
        access_key_id,
        date,
        timestamp_s,
        fields["SignedHeaders"],
        fields["Signature"],
        content_sha256,
        presigned=False,
    )


def _claim_of_query(
    query: dict[str, str], headers: Headers, now_s: int, expected: RegionAndService
) -> _Claim:
    for name in ("Algorithm", "Credential", "Date", "Expires", "SignedHeaders", "Signature"):
        if not query.get(f"X-Amz-{name}"):
            raise S3Error(
                "AuthorizationQueryParametersError",
                "Query-string authentication version 4 requires the X-Amz-Algorithm,"
                " X-Amz-Credential, X-Amz-Signature, X-Amz-Date, X-Amz-SignedHeaders, and"
                " X-Amz-Expires parameters.",
            )
    if query["X-Amz-Algorithm"] != ALGORITHM:
        raise _malformed(True, f'X-Amz-Algorithm only supports "{ALGORITHM}"')
    timestamp_s = parse_basic_date(query["X-Amz-Date"])
    if timestamp_s is None:
        raise _malformed(True, "X-Amz-Date must be in the ISO8601 Long Format yyyyMMddTHHmmssZ")
    expires = query["X-Amz-Expires"]
    if not _EXPIRES(expires) or not 1 <= int(expires) <= PRESIGNED_EXPIRES_MAX_S:
        # 403, where Amazon answers 400: the URL is refused as one that has expired is.
        raise S3Error(
            "AuthorizationQueryParametersError",
            f"X-Amz-Expires must be between 1 and {PRESIGNED_EXPIRES_MAX_S} seconds",
            status=403,
        )
    if timestamp_s > now_s + CLOCK_SKEW_MAX_S:
        raise S3Error("AccessDenied", "Request is not yet valid")
    if now_s > timestamp_s + int(expires):
        raise S3Error(
            "AccessDenied",
            "Request has expired",
            fields={
                "X-Amz-Expires": expires,
                "Expires": format_iso_date((timestamp_s + int(expires)) * 1000),
                "ServerTime": format_iso_date(now_s * 1000),
            },
        )
    access_key_id, date = parse_credential(
        query["X-Amz-Credential"], timestamp_s, *expected, presigned=True
    )
    return _Claim(
        access_key_id,
        date,
        timestamp_s,
        query["X-Amz-SignedHeaders"],
        query["X-Amz-Signature"],
        headers.get("x-amz-content-sha256")
        or query.get("X-Amz-Content-Sha256")
        or UNSIGNED_PAYLOAD,
        presigned=True,
    )


def _request_time(headers: Headers) -> int:
    """When the request was signed: x-amz-date goes before Date, either may have any HTTP form."""
    text = headers.get("x-amz-date") or headers.get("date") or ""
    timestamp_s = parse_basic_date(text)
    if timestamp_s is None:
        timestamp_s = parse_http_date(text)
    if timestamp_s is None:
        raise S3Error(
            "AccessDenied", "AWS authentication requires a valid Date or x-amz-date header"
        )
    return timestamp_s


def parse_credential(
    text: str, timestamp_s: int, region: str, own_service: str = SERVICE, *, presigned: bool
) -> tuple[str, str]:
    """Access key id and date of `ID/DATE/REGION/s3/aws4_request`, checked against what we are."""
    access_key_id, *scope = text.rsplit("/", 4)
    if len(scope) != 4 or not access_key_id:
        raise _malformed(
            presigned,
            "the Credential is mal-formed; expecting"
            f' "<YOUR-AKID>/YYYYMMDD/REGION/{own_service}/{TERMINATOR}"',
        )
    date, asked_region, service, terminator = scope
    if date != format_basic_date(timestamp_s)[:8]:
        raise _malformed(
            presigned, f'invalid credential date "{date}"; it is not the date of the request'
        )
    if asked_region != region:
        raise _malformed(
            presigned, f"the region '{asked_region}' is wrong; expecting '{region}'", region
        )
    if service != own_service:
        raise _malformed(presigned, f'incorrect service "{service}"; expecting "{own_service}"')
    if terminator != TERMINATOR:
        raise _malformed(presigned, f'incorrect terminal "{terminator}"; expecting "{TERMINATOR}"')
    return access_key_id, date


def _require_signed(headers: Headers, signed_headers: str) -> None:
    signed = signed_headers.split(";")
    unsigned = [name for name in headers if name.startswith("x-amz-") and name not in signed]
    if "host" not in signed:
        unsigned.insert(0, "host")
    if unsigned:
        raise S3Error(
            "AccessDenied",
            "There were headers present in the request which were not signed",
            fields={"HeadersNotSigned": ", ".join(unsigned)},
        )


def _payload_mode(content_sha256: str, *, signable: bool) -> PayloadMode:
    if _SHA256(content_sha256):
        return PayloadMode.SIGNED
    mode = _MODES.get(content_sha256)
    if mode is None or (mode in _SIGNED_STREAMS and not signable):
        allowed = ", ".join(_MODES)
        raise S3Error(
            "InvalidArgument",
            f"x-amz-content-sha256 must be {allowed} or a valid sha256 value.",
            fields={
                "ArgumentName": "x-amz-content-sha256",
                "ArgumentValue": content_sha256[:100],
            },
        )
    return mode


def _malformed(presigned: bool, why: str, region: str = "") -> S3Error:
    fields = {"Region": region} if region else {}
    headers = {"x-amz-bucket-region": region} if region else {}
    if presigned:
        message = f"Error parsing the X-Amz-Credential parameter; {why}"
        return S3Error("AuthorizationQueryParametersError", message, fields=fields, headers=headers)
    message = f"The authorization header is malformed; {why}"
    return S3Error("AuthorizationHeaderMalformed", message, fields=fields, headers=headers)


def _signature_v2() -> S3Error:
    return S3Error(
        "InvalidRequest",
        f"The authorization mechanism you have provided is not supported. Please use {ALGORITHM}.",
    )
