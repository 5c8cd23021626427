"""boto3 signs, we verify: an independent implementation over requests people really send."""

import hashlib
import io
import zlib
from functools import cache

import botocore.auth
import botocore.awsrequest
import botocore.credentials
import pytest

from stratum.adapters.s3.checksum_headers import payload_checksum, trailing_checksum
from stratum.adapters.s3.chunked import decoder_for
from stratum.adapters.s3.dates import parse_basic_date
from stratum.adapters.s3.digests import digest
from stratum.adapters.s3.routing import resolve
from stratum.adapters.s3.signature import encode_path, encode_query
from stratum.adapters.s3.signing import presign, sign_headers
from stratum.adapters.s3.sigv4 import PayloadMode, authenticate
from stratum.domain.checksums import encode_crc
from tests.support.captured_boto3 import CapturingClient, head_of

KEY_ID, SECRET, REGION = "AKIAEXAMPLE", "secret/with+signs", "eu-central-1"
KEYS = [
    "plain",
    "a//b",
    "a/../b",
    "./a",
    "trailing/",
    "a%2Fb",
    "a+b",
    "a b",
    "~tilde",
    "é\U0001f600",
    "!*'()&$@=;:,?#[]{}|\\^`\"<>%",
    "%",
    "\n\t\0",
    "=",
]


@cache
def capture(scheme="http", **config):
    return CapturingClient(KEY_ID, SECRET, REGION, f"{scheme}://127.0.0.1:9000", **config)


def verify(head, timestamp=None):
    timestamp = timestamp or head.headers["x-amz-date"]
    now_s = parse_basic_date(timestamp)
    return authenticate(head, now_s, {KEY_ID: SECRET}.get, REGION)


@pytest.mark.parametrize("key", KEYS)
def test_odd_keys_in_headers(key):
    boto = capture()
    boto.client.get_object(Bucket="bucket", Key=key)
    assert verify(boto.head).access_key_id == KEY_ID
    assert resolve(boto.head).key == key
    assert encode_path(f"/bucket/{key}") == boto.head.raw_path


@pytest.mark.parametrize("key", KEYS)
def test_odd_keys_in_presigned_urls(key):
    url = capture(signature_version="s3v4").client.generate_presigned_url(
        "get_object",
        Params={"Bucket": "bucket", "Key": key, "ResponseContentType": "a b+c/é"},
        ExpiresIn=60,
    )
    head = head_of("GET", url)
    target = resolve(head)
    assert (target.key, target.query["response-content-type"]) == (key, "a b+c/é")
    result = verify(head, target.query["X-Amz-Date"])
    assert (result.presigned, result.payload_mode) == (True, PayloadMode.UNSIGNED)


@pytest.mark.parametrize("text", KEYS)
def test_odd_queries(text):
    boto = capture()
    boto.client.list_objects_v2(Bucket="bucket", Prefix=text, Delimiter="/", StartAfter=text)
    assert verify(boto.head)
    query = resolve(boto.head).query
    assert (query["prefix"], query["start-after"]) == (text, text)


@pytest.mark.parametrize("key", KEYS)
def test_odd_copy_sources_and_metadata(key):
    boto = capture()
    boto.client.copy_object(
        Bucket="bucket",
        Key="copy",
        CopySource={"Bucket": "bucket", "Key": key},
        Metadata={"a": "  two  spaces  ", "b": ""},
        MetadataDirective="REPLACE",
    )
    assert verify(boto.head)


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("body", [b"", b"payload", b"x" * 3_000_000], ids=len)
@pytest.mark.parametrize("seekable", [True, False], ids=["bytes", "file"])
def test_uploads(scheme, body, seekable):
    boto = capture(scheme)
    boto.client.put_object(Bucket="bucket", Key="key", Body=body if seekable else io.BytesIO(body))
    result = verify(boto.head)
    promised = payload_checksum(boto.head.headers)
    decoder = decoder_for(result.payload_mode, result.chunk_signer, boto.head.headers)
    received = boto.body
    if decoder is not None:
        received = b"".join(decoder.receive_data(boto.body))
        decoder.finish()
        stated = trailing_checksum(decoder.trailers, promised.algorithm)
    else:
        stated = promised.stated
    if result.payload_mode is PayloadMode.SIGNED:
        assert result.payload_sha256 == hashlib.sha256(boto.body).hexdigest()
    assert received == body
    assert stated.value == encode_crc(promised.algorithm, zlib.crc32(body))
    assert stated.digest == digest(promised.algorithm, body)


def test_uploads_over_https_do_use_the_trailer():
    boto = capture("https")
    boto.client.put_object(Bucket="bucket", Key="key", Body=io.BytesIO(b"x"))
    assert verify(boto.head).payload_mode is PayloadMode.STREAMING_UNSIGNED_TRAILER


def test_other_operations():
    boto = capture()
    client = boto.client
    calls = [
        ("ListBuckets", lambda: client.list_buckets()),
        ("CreateBucket", lambda: client.create_bucket(Bucket="bucket")),
        ("HeadBucket", lambda: client.head_bucket(Bucket="bucket")),
        ("GetBucketVersioning", lambda: client.get_bucket_versioning(Bucket="bucket")),
        ("HeadObject", lambda: client.head_object(Bucket="bucket", Key="k")),
        ("DeleteObject", lambda: client.delete_object(Bucket="bucket", Key="k")),
        (
            "DeleteObjects",
            lambda: client.delete_objects(Bucket="bucket", Delete={"Objects": [{"Key": "k"}]}),
        ),
        (
            "UploadPart",
            lambda: client.upload_part(
                Bucket="bucket", Key="k", UploadId="u+/=", PartNumber=1, Body=b"x"
            ),
        ),
        (
            "AbortMultipartUpload",
            lambda: client.abort_multipart_upload(Bucket="bucket", Key="k", UploadId="u+/="),
        ),
    ]
    for name, call in calls:
        call()
        assert verify(boto.head), name
        assert resolve(boto.head).operation == name


def test_a_presigned_upload_keeps_its_signed_headers():
    url = capture(signature_version="s3v4").client.generate_presigned_url(
        "put_object",
        Params={"Bucket": "bucket", "Key": "k", "ACL": "private", "ContentType": "text/plain"},
    )
    timestamp = resolve(head_of("PUT", url)).query["X-Amz-Date"]
    headers = [("x-amz-acl", "private"), ("Content-Type", "text/plain")]
    assert verify(head_of("PUT", url, headers), timestamp)


@pytest.mark.parametrize("key", KEYS)
def test_our_signatures_are_botocores(key):
    raw_path, raw_query = encode_path(f"/bucket/{key}"), encode_query({"x": key, "acl": ""})
    url = f"http://h:9000{raw_path.decode()}?{raw_query.decode()}"
    credentials = botocore.credentials.Credentials(KEY_ID, SECRET)
    request = botocore.awsrequest.AWSRequest("PUT", url, {"X-Amz-Meta-A": "b"}, data=b"x")
    botocore.auth.S3SigV4Auth(credentials, "s3", REGION).add_auth(request)
    now_s = parse_basic_date(request.headers["X-Amz-Date"])
    ours = sign_headers(
        "PUT",
        "h:9000",
        raw_path,
        raw_query,
        {"x-amz-meta-a": "b"},
        request.headers["X-Amz-Content-SHA256"],
        now_s,
        KEY_ID,
        SECRET,
        REGION,
    )
    assert ours["authorization"] == request.headers["Authorization"]


@pytest.mark.parametrize("key", KEYS)
def test_our_presigned_urls_are_botocores(key):
    raw_path = encode_path(f"/bucket/{key}")
    credentials = botocore.credentials.Credentials(KEY_ID, SECRET)
    request = botocore.awsrequest.AWSRequest("GET", f"http://h:9000{raw_path.decode()}")
    botocore.auth.S3SigV4QueryAuth(credentials, "s3", REGION, expires=77).add_auth(request)
    theirs = request.url.partition("?")[2]
    query = dict(pair.split("=", 1) for pair in theirs.split("&"))
    now_s = parse_basic_date(query["X-Amz-Date"])
    ours = presign("GET", "h:9000", raw_path, b"", {}, now_s, 77, KEY_ID, SECRET, REGION)
    assert dict(pair.split("=", 1) for pair in ours.decode().split("&")) == query
