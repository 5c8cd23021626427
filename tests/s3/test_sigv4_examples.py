"""Amazon's published examples, verified and reproduced.

https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html and
sigv4-query-string-auth.html, with the account of these pages.
"""

import hashlib

import pytest

from stratum.adapters.s3.dates import parse_basic_date
from stratum.adapters.s3.request import RequestHead
from stratum.adapters.s3.signature import EMPTY_SHA256
from stratum.adapters.s3.signing import presign, sign_headers
from stratum.adapters.s3.sigv4 import PayloadMode, authenticate

ACCESS_KEY_ID = "AKIAIOSFODNN7EXAMPLE"
SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
HOST = "examplebucket.s3.amazonaws.com"
REGION = "us-east-1"
TIMESTAMP = "20130524T000000Z"
NOW_S = parse_basic_date(TIMESTAMP)
CREDENTIAL = f"{ACCESS_KEY_ID}/20130524/{REGION}/s3/aws4_request"

EXAMPLES = {
    "get object": (
        ("GET", b"/test.txt", b"", {"range": "bytes=0-9"}, b""),
        "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41",
    ),
    "put object": (
        (
            "PUT",
            b"/test%24file.text",
            b"",
            {
                "date": "Fri, 24 May 2013 00:00:00 GMT",
                "x-amz-storage-class": "REDUCED_REDUNDANCY",
            },
            b"Welcome to Amazon S3.",
        ),
        "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd",
    ),
    "get bucket lifecycle": (
        ("GET", b"/", b"lifecycle", {}, b""),
        "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543",
    ),
    "list objects": (
        ("GET", b"/", b"max-keys=2&prefix=J", {}, b""),
        "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7",
    ),
}


def secret_for(access_key_id):
    return SECRET if access_key_id == ACCESS_KEY_ID else None


@pytest.mark.parametrize("name", EXAMPLES)
def test_requests_signed_in_the_header(name):
    (method, path, query, extra, body), signature = EXAMPLES[name]
    payload_hash = hashlib.sha256(body).hexdigest()
    headers = {
        "host": HOST,
        "x-amz-content-sha256": payload_hash,
        "x-amz-date": TIMESTAMP,
        **extra,
    }
    signed = ";".join(sorted(headers))
    headers["authorization"] = (
        f"AWS4-HMAC-SHA256 Credential={CREDENTIAL},SignedHeaders={signed},Signature={signature}"
    )
    head = RequestHead(method, path, query, headers)
    result = authenticate(head, NOW_S, secret_for, REGION)
    assert result.access_key_id == ACCESS_KEY_ID
    assert result.payload_mode is PayloadMode.SIGNED
    assert result.payload_sha256 == payload_hash
    assert result.chunk_signer is None
    assert not result.presigned


@pytest.mark.parametrize("name", EXAMPLES)
def test_signing_them_gives_the_same(name):
    (method, path, query, extra, body), signature = EXAMPLES[name]
    headers = sign_headers(
        method,
        HOST,
        path,
        query,
        extra,
        hashlib.sha256(body).hexdigest(),
        NOW_S,
        ACCESS_KEY_ID,
        SECRET,
        REGION,
    )
    assert headers["authorization"].endswith(f"Signature={signature}")


PRESIGNED = "aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404"


def test_a_presigned_url():
    query = (
        "X-Amz-Algorithm=AWS4-HMAC-SHA256"
        f"&X-Amz-Credential={CREDENTIAL.replace('/', '%2F')}"
        f"&X-Amz-Date={TIMESTAMP}&X-Amz-Expires=86400&X-Amz-SignedHeaders=host"
        f"&X-Amz-Signature={PRESIGNED}"
    )
    head = RequestHead("GET", b"/test.txt", query.encode(), {"host": HOST})
    result = authenticate(head, NOW_S + 86400, secret_for, REGION)
    assert result.presigned
    assert (result.access_key_id, result.payload_mode) == (ACCESS_KEY_ID, PayloadMode.UNSIGNED)


def test_presigning_gives_the_same():
    query = presign("GET", HOST, b"/test.txt", b"", {}, NOW_S, 86400, ACCESS_KEY_ID, SECRET, REGION)
    assert query.endswith(f"X-Amz-Signature={PRESIGNED}".encode())


def test_the_empty_hash():
    assert EMPTY_SHA256 == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
