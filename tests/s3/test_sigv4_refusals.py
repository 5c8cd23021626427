import pytest

from stratum.adapters.s3.dates import parse_basic_date
from stratum.adapters.s3.errors import S3Error
from stratum.adapters.s3.request import RequestHead
from stratum.adapters.s3.signature import (
    EMPTY_SHA256,
    UNSIGNED_PAYLOAD,
    canonical_request,
    credential_scope,
    encode_query,
    sign,
    signing_key,
    string_to_sign,
)
from stratum.adapters.s3.signing import presign, sign_headers
from stratum.adapters.s3.sigv4 import PayloadMode, authenticate

NOW_S = parse_basic_date("20260301T120000Z")
KEY_ID, SECRET, REGION, HOST = "AK/IA", "s3cret", "eu-west-1", "127.0.0.1:9000"
WEEK_S = 7 * 24 * 3600


def verify(head, now_s=NOW_S, region=REGION):
    return authenticate(head, now_s, {KEY_ID: SECRET}.get, region)


def refused(head, **kwargs):
    with pytest.raises(S3Error) as error:
        verify(head, **kwargs)
    return error.value


def signed(
    method="PUT",
    path=b"/bucket/key",
    query=b"",
    headers=None,
    payload=EMPTY_SHA256,
    *,
    key_id=KEY_ID,
    secret=SECRET,
    now_s=NOW_S,
    region=REGION,
    also=None,
    without=(),
):
    """A request signed in its header, then given further headers or robbed of some."""
    all_headers = sign_headers(
        method, HOST, path, query, headers or {}, payload, now_s, key_id, secret, region
    )
    all_headers |= also or {}
    return RequestHead(
        method, path, query, {n: v for n, v in all_headers.items() if n not in without}
    )


def presigned(
    method="GET",
    path=b"/bucket/key",
    query=b"",
    headers=None,
    *,
    now_s=NOW_S,
    expires_s=60,
    region=REGION,
    also=None,
    key_id=KEY_ID,
):
    raw = presign(
        method, HOST, path, query, headers or {}, now_s, expires_s, key_id, SECRET, region
    )
    return RequestHead(method, path, raw, {"host": HOST, **(headers or {}), **(also or {})})


def with_query(head, **changes):
    """The same request with query parameters replaced, or taken out where None."""
    pairs = dict(pair.split("=", 1) for pair in head.raw_query.decode().split("&"))
    for name, value in changes.items():
        pairs[name.replace("_", "-")] = value
    text = "&".join(f"{name}={value}" for name, value in pairs.items() if value is not None)
    return RequestHead(head.method, head.raw_path, text.encode(), head.headers)


def with_authorization(head, old, new):
    authorization = head.headers["authorization"]
    assert old in authorization
    changed = {**head.headers, "authorization": authorization.replace(old, new)}
    return RequestHead(head.method, head.raw_path, head.raw_query, changed)


def test_what_is_signed_is_accepted():
    assert verify(signed()).access_key_id == KEY_ID
    assert verify(presigned()).access_key_id == KEY_ID


def test_nobody_signed():
    assert verify(RequestHead("GET", b"/bucket/key", b"list-type=2", {"host": HOST})) is None


# -- every byte of a request is covered ----------------------------------------------------------
@pytest.mark.parametrize("make", [signed, presigned])
@pytest.mark.parametrize(
    "tamper",
    [
        lambda h: RequestHead("DELETE", h.raw_path, h.raw_query, h.headers),
        lambda h: RequestHead(h.method, b"/bucket/keys", h.raw_query, h.headers),
        lambda h: RequestHead(h.method, b"/bucket//key", h.raw_query, h.headers),
        lambda h: RequestHead(h.method, b"/bucket/x/../key", h.raw_query, h.headers),
        lambda h: RequestHead(h.method, h.raw_path, h.raw_query + b"&acl", h.headers),
        lambda h: RequestHead(h.method, h.raw_path, h.raw_query, {**h.headers, "host": "x"}),
        lambda h: RequestHead(
            h.method, h.raw_path, h.raw_query, {**h.headers, "x-amz-meta-a": "other"}
        ),
    ],
    ids=["method", "path", "slash", "dots", "query", "host", "header"],
)
def test_a_changed_request_is_refused(make, tamper):
    error = refused(tamper(make(headers={"x-amz-meta-a": "b"})))
    assert (error.code, error.status) == ("SignatureDoesNotMatch", 403)
    for name in ("AWSAccessKeyId", "StringToSign", "SignatureProvided", "CanonicalRequest"):
        assert error.fields[name]
    as_bytes = bytes.fromhex(error.fields["CanonicalRequestBytes"])
    assert as_bytes.decode() == error.fields["CanonicalRequest"]


@pytest.mark.parametrize("make", [signed, presigned])
@pytest.mark.parametrize(
    "path", [b"/bucket/a%2Fb", b"/bucket/a//b", b"/bucket/../b", b"/bucket/%C3%A9+ ~%7E%21"]
)
def test_odd_paths_are_signed_as_they_are(make, path):
    assert verify(make(path=path))


def test_the_same_path_in_other_escapes_has_the_same_signature():
    head = signed(path=b"/bucket/%7Ea%2db%2A", query=b"prefix=%7e&delimiter=%2f")
    for path in (b"/bucket/~a-b*", b"/bucket/%7ea%2Db%2a"):
        for query in (b"delimiter=/&prefix=~", b"prefix=%7E&delimiter=%2F"):
            assert verify(RequestHead(head.method, path, query, head.headers))


def test_white_space_in_signed_headers_does_not_matter():
    head = signed(headers={"x-amz-meta-a": "b c"})
    assert verify(
        RequestHead(head.method, head.raw_path, b"", {**head.headers, "x-amz-meta-a": " b  \t c "})
    )


def test_bytes_beyond_ascii_in_headers():
    # As UTF-8 on the wire; its second byte is white space in Unicode, not in HTTP.
    assert verify(signed(headers={"x-amz-meta-a": "à".encode().decode("latin-1")}))
    # As botocore does it: signed as UTF-8, sent as ISO 8859-1.
    head = signed(headers={"x-amz-meta-a": "é".encode().decode("latin-1")})
    assert verify(RequestHead("PUT", head.raw_path, b"", {**head.headers, "x-amz-meta-a": "é"}))


# -- x-amz-* headers that are not signed (GHSA-g8w9-qw9q-fghr) -----------------------------------
@pytest.mark.parametrize("make", [signed, presigned])
@pytest.mark.parametrize(
    "header",
    [
        {"x-amz-copy-source": "private/secret"},
        {"x-amz-acl": "public-read"},
        {"x-amz-meta-b": ""},
        {"x-amz-decoded-content-length": "5"},
    ],
)
def test_unsigned_amazon_headers_are_refused(make, header):
    error = refused(make(also=header))
    assert (error.code, error.status) == ("AccessDenied", 403)
    assert error.fields["HeadersNotSigned"] == next(iter(header))


def test_a_presigned_url_cannot_be_given_another_payload_mode():
    for mode in PayloadMode:
        also = {"x-amz-content-sha256": mode.value}
        assert refused(presigned("PUT", also=also)).code == "AccessDenied"


@pytest.mark.parametrize("make", [signed, presigned])
def test_other_headers_need_no_signature(make):
    also = {"content-type": "text/plain", "content-md5": "x", "user-agent": "curl", "range": "x"}
    assert verify(make(also=also))


def test_the_host_must_be_signed():
    head = signed()
    assert refused(with_authorization(head, "=host;", "=")).fields["HeadersNotSigned"] == "host"
    url = with_query(presigned(), X_Amz_SignedHeaders="x-amz-date")
    assert refused(url).fields["HeadersNotSigned"] == "host"


def test_a_signed_header_that_is_missing():
    head = signed(headers={"x-amz-meta-a": "b", "content-md5": "c"}, without=("content-md5",))
    assert refused(head).code == "SignatureDoesNotMatch"


# -- credentials --------------------------------------------------------------------------------
def test_an_unknown_key_and_a_wrong_secret():
    error = refused(signed(key_id="NOBODY"))
    assert (error.code, error.status) == ("InvalidAccessKeyId", 403)
    assert refused(presigned(key_id="NOBODY")).code == "InvalidAccessKeyId"
    assert refused(signed(secret="wrong")).code == "SignatureDoesNotMatch"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("AWS4-HMAC-SHA256 Credential=", "AWS4-HMAC-SHA256 credential="),
        ("/aws4_request", "/aws4_requests"),
        ("/s3/", "/sts/"),
        ("/20260301/", "/20260302/"),
        ("/20260301/", "/2026/"),
        ("/eu-west-1/s3/aws4_request", ""),
        (f"{KEY_ID}/2", "2"),
        (", Signature=", ", Sig="),
        (", SignedHeaders=", ", Signature=a, SignedHeaders="),
        (", SignedHeaders=", ", Extra=a, SignedHeaders="),
        (", SignedHeaders=", ",, SignedHeaders="),
    ],
)
def test_malformed_authorization_headers(old, new):
    error = refused(with_authorization(signed(), old, new))
    assert (error.code, error.status) == ("AuthorizationHeaderMalformed", 400)


@pytest.mark.parametrize("signature", ["", "0", "f" * 64, "F" * 64, "é" * 64, "\0"])
def test_signatures_that_are_none(signature):
    head = signed()
    right = head.headers["authorization"].rpartition("=")[2]
    assert refused(with_authorization(head, right, signature)).code == "SignatureDoesNotMatch"


def test_another_region_is_named_so_that_clients_can_follow():
    error = refused(signed(region="us-east-1"))
    assert (error.code, error.status) == ("AuthorizationHeaderMalformed", 400)
    assert error.fields["Region"] == error.headers["x-amz-bucket-region"] == REGION
    error = refused(presigned(region="us-east-1"))
    assert error.code == "AuthorizationQueryParametersError"
    assert error.fields["Region"] == REGION


@pytest.mark.parametrize(
    ("authorization", "code"),
    [
        ("", "AccessDenied"),
        ("AWS AKIAIGR7ZNNBHC5BKSUB:FWeDfwojDSdS2Ztmpfeubhd9isU=", "InvalidRequest"),
        ("AWS HAHAHA", "InvalidRequest"),
        ("Basic dXNlcjpwYXNz", "InvalidArgument"),
        ("AWS4-ECDSA-P256-SHA256 Credential=a/b, SignedHeaders=c, Signature=d", "InvalidArgument"),
        ("AWS4-HMAC-SHA256", "AuthorizationHeaderMalformed"),
        ("garbage", "InvalidArgument"),
    ],
)
def test_other_schemes(authorization, code):
    head = RequestHead("GET", b"/", b"", {"host": HOST, "authorization": authorization})
    assert refused(head).code == code


def test_signature_version_2_in_the_query():
    query = b"AWSAccessKeyId=AKIA&Signature=vjby&Expires=1175139620"
    error = refused(RequestHead("GET", b"/bucket/key", query, {"host": HOST}))
    assert error.code == "InvalidRequest"
    assert "AWS4-HMAC-SHA256" in error.message


def test_two_signatures_at_once():
    head = presigned()
    both = {**head.headers, "authorization": signed().headers["authorization"]}
    assert refused(RequestHead("GET", head.raw_path, head.raw_query, both)).code == (
        "InvalidArgument"
    )


def test_session_tokens_are_not_ours():
    assert refused(signed(headers={"x-amz-security-token": "t"})).code == "InvalidToken"
    assert refused(presigned(query=b"X-Amz-Security-Token=t")).code == "InvalidToken"


# -- time ---------------------------------------------------------------------------------------
@pytest.mark.parametrize("skew_s", [-900, 900])
def test_clocks_may_differ_by_a_quarter_of_an_hour(skew_s):
    assert verify(signed(now_s=NOW_S + skew_s))


@pytest.mark.parametrize("skew_s", [-901, 901, 10**8])
def test_clocks_that_differ_more(skew_s):
    error = refused(signed(now_s=NOW_S + skew_s))
    assert (error.code, error.status) == ("RequestTimeTooSkewed", 403)
    assert error.fields["MaxAllowedSkewMilliseconds"] == "900000"


def test_a_request_without_a_date():
    for also, without in (({}, ("x-amz-date",)), ({"x-amz-date": "soon"}, ())):
        error = refused(signed(also=also, without=without))
        assert (error.code, error.status) == ("AccessDenied", 403)


@pytest.mark.parametrize("name", ["date", "x-amz-date"])
@pytest.mark.parametrize("form", ["Sun, 01 Mar 2026 12:00:00 GMT", "20260301T120000Z"])
def test_the_date_may_have_other_forms_and_names(name, form):
    headers = {"host": HOST, "x-amz-content-sha256": EMPTY_SHA256, name: form}
    names = ";".join(sorted(headers))
    scope = credential_scope("20260301", REGION)
    request = canonical_request("GET", "/bucket/key", "", headers, names, EMPTY_SHA256)
    text = string_to_sign("20260301T120000Z", scope, request)
    signature = sign(signing_key(SECRET, "20260301", REGION), text)
    headers["authorization"] = (
        f"AWS4-HMAC-SHA256 Credential={KEY_ID}/{scope},SignedHeaders={names},Signature={signature}"
    )
    assert verify(RequestHead("GET", b"/bucket/key", b"", headers))


def test_amazons_date_goes_before_http_s():
    assert verify(signed(headers={"date": "Sun, 01 Mar 2020 12:00:00 GMT"}))


def test_a_presigned_url_expires():
    head = presigned(expires_s=60)
    assert verify(head, now_s=NOW_S + 60)
    error = refused(head, now_s=NOW_S + 61)
    assert (error.code, error.status) == ("AccessDenied", 403)
    assert error.message == "Request has expired"
    assert error.fields["X-Amz-Expires"] == "60"


def test_a_presigned_url_is_not_valid_before_its_date():
    head = presigned()
    assert verify(head, now_s=NOW_S - 900)
    assert refused(head, now_s=NOW_S - 901).message == "Request is not yet valid"


@pytest.mark.parametrize("expires_s", [1, WEEK_S])
def test_how_long_a_presigned_url_may_be_valid(expires_s):
    assert verify(presigned(expires_s=expires_s))


@pytest.mark.parametrize("expires_s", [0, -7, WEEK_S + 1, 10**12, "1e3", "٣"])
def test_how_long_a_presigned_url_may_not_be_valid(expires_s):
    error = refused(presigned(expires_s=expires_s))
    assert (error.code, error.status) == ("AuthorizationQueryParametersError", 403)


@pytest.mark.parametrize(
    "changes",
    [
        {"X_Amz_Algorithm": "AWS4-HMAC-SHA1"},
        {"X_Amz_Algorithm": None},
        {"X_Amz_Credential": None},
        {"X_Amz_Credential": "a"},
        {"X_Amz_Date": "20260301"},
        {"X_Amz_Date": None},
        {"X_Amz_Expires": None},
        {"X_Amz_SignedHeaders": ""},
        {"X_Amz_Signature": None},
    ],
)
def test_malformed_presigned_urls(changes):
    assert refused(with_query(presigned(), **changes)).code == "AuthorizationQueryParametersError"


# -- the payload --------------------------------------------------------------------------------
def test_modes_of_the_payload():
    for mode in PayloadMode:
        if mode is PayloadMode.SIGNED:
            continue
        result = verify(signed(payload=mode.value))
        assert (result.payload_mode, result.payload_sha256) == (mode, None)
        chained = mode in (PayloadMode.STREAMING_SIGNED, PayloadMode.STREAMING_SIGNED_TRAILER)
        assert (result.chunk_signer is not None) == chained
    assert verify(signed(payload="A" * 64)).payload_sha256 == "a" * 64


@pytest.mark.parametrize("mode", list(PayloadMode)[1:])
def test_no_mode_excuses_a_wrong_signature(mode):
    # CVE-2026-40344: a server skipped verification for one of them.
    head = signed(payload=mode.value, secret="wrong")
    assert refused(head).code == "SignatureDoesNotMatch"
    assert refused(signed(payload=mode.value, key_id="NOBODY")).code == "InvalidAccessKeyId"


def test_a_streaming_mode_without_a_signature_is_anonymous():
    headers = {"host": HOST, "x-amz-content-sha256": "STREAMING-UNSIGNED-PAYLOAD-TRAILER"}
    assert verify(RequestHead("PUT", b"/bucket/key", b"", headers)) is None


def test_a_header_signature_needs_the_payloads_hash():
    error = refused(signed(without=("x-amz-content-sha256",)))
    assert (error.code, error.status) == ("InvalidRequest", 400)


@pytest.mark.parametrize("value", ["", "abc", "g" * 64, "STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD"])
def test_payload_hashes_that_are_none(value):
    assert refused(signed(payload=value)).code == "InvalidArgument"


def test_a_presigned_url_may_fix_the_payload():
    head = presigned("PUT", headers={"x-amz-content-sha256": "ab" * 32})
    assert verify(head).payload_sha256 == "ab" * 32
    for value in ("STREAMING-AWS4-HMAC-SHA256-PAYLOAD", "x"):
        assert refused(presigned("PUT", headers={"x-amz-content-sha256": value})).code == (
            "InvalidArgument"
        )
    assert verify(presigned("PUT", headers={"x-amz-content-sha256": UNSIGNED_PAYLOAD}))


def test_an_encoded_query_signs():
    assert encode_query({"b": "x y+", "a": "/é"}) == b"a=%2F%C3%A9&b=x%20y%2B"
    assert verify(signed(query=encode_query({"prefix": "a b+/é"})))
    assert verify(presigned(query=encode_query({"prefix": "a b+/é"})))
