"""Garbage in: parsed or refused with an error of ours, nothing else, however it is cut.

Each test mutates good input with a fixed seed for a bounded time. To go on for longer, on other
ways: `STRATUM_FUZZ_S=60 STRATUM_FUZZ_SEED=1 .venv/bin/pytest tests/s3/test_fuzz.py`.
"""

import os
import random
import time
from functools import partial

import pytest

from stratum.adapters.s3.chunked import ChunkedDecoder
from stratum.adapters.s3.errors import S3Error, render_error
from stratum.adapters.s3.form_data import FormReader
from stratum.adapters.s3.post_policy import PostPolicy, check_policy, parse_policy
from stratum.adapters.s3.request import RequestHead, headers_from_raw
from stratum.adapters.s3.routing import resolve
from stratum.adapters.s3.signature import EMPTY_SHA256, ChunkSigner
from stratum.adapters.s3.signing import presign, sign_headers
from stratum.adapters.s3.sigv4 import authenticate
from stratum.adapters.s3.xml_cors import parse_cors
from stratum.adapters.s3.xml_lifecycle import parse_lifecycle, render_lifecycle
from stratum.adapters.s3.xml_logging import parse_logging
from stratum.adapters.s3.xml_notification import parse_notification
from stratum.adapters.s3.xml_object_lock import parse_lock_configuration, parse_retention
from stratum.adapters.s3.xml_requests import (
    parse_complete_upload,
    parse_create_bucket,
    parse_delete,
)
from stratum.adapters.s3.xml_tagging import parse_tagging
from stratum.adapters.s3.xml_website import parse_website
from stratum.domain.errors import StratumError
from stratum.domain.lifecycle import Lifecycle
from tests.support.aws_chunked import encode
from tests.support.feeding import bytewise, in_pieces
from tests.support.forms import BOUNDARY, encode_form

LONGER_S = float(os.environ.get("STRATUM_FUZZ_S", "0"))
BUDGET_S = LONGER_S or 0.8
ROUNDS_MAX = 10**9 if LONGER_S else 3000
SEED = int(os.environ.get("STRATUM_FUZZ_SEED", "0")) * 1000
NOW_S = 1_772_366_400
TOKENS = [
    *(bytes([byte]) for byte in b"\0\r\n %&=;:/,?<>\"'0fA\xff\x80"),
    *(b"%00", b"%FF", b"%2F", b"\r\n", b"<!DOCTYPE d [", b"]>", b"<![CDATA[", b"&#0;", b"&lt;"),
    *(b"uploadId=", b"acl", b"X-Amz-Signature=", b"versionId=null", b"99999999999999999999"),
]


def mutations(seed, *originals):
    """Variants of the originals until the budget is spent, the originals themselves first."""
    rng = random.Random(SEED + seed)
    yield from originals
    stop_s = time.perf_counter() + BUDGET_S
    for _ in range(ROUNDS_MAX):
        if time.perf_counter() > stop_s:
            return
        data = bytearray(rng.choice(originals))
        for _ in range(rng.randint(1, 4)):
            at = rng.randint(0, len(data))
            match rng.randrange(5):
                case 0:
                    data[at : at + 1] = bytes([rng.randrange(256)])
                case 1:
                    del data[at : at + rng.randint(1, 10)]
                case 2:
                    data[at:at] = rng.choice(TOKENS)
                case 3:
                    data[at:at] = data[at : at + rng.randint(1, 30)]
                case _:
                    del data[at:]
        yield bytes(data)


def outcome(function, *args):
    """What came out: a value or an error of ours, which can be rendered."""
    try:
        return function(*args)
    except (S3Error, StratumError) as error:
        rendered = render_error(error, resource="/", request_id="1", key="k", bucket="b")
        assert rendered.status in (304, *range(400, 600))
        return type(error), rendered.code


@pytest.mark.parametrize("method", ["GET", "PUT", "POST"])
def test_routing(method):
    originals = [
        b"/bucket/key?versionId=null",
        b"/bucket/a%2Fb//..?partNumber=1&uploadId=u",
        b"/bucket?list-type=2&prefix=%C3%A9+&delimiter=/",
    ]
    for data in mutations(1, *originals):
        path, _, query = data.partition(b"?")
        head = RequestHead(method, path, query, {"host": "b.example.com"})
        for domains in ((), ("example.com",)):
            outcome(resolve, head, domains)


def raw_request(headers, query=b""):
    lines = b"".join(f"{name}: {value}\r\n".encode("latin-1") for name, value in headers.items())
    return b"/bucket/key?" + query + b"\r\n" + lines


def parsed_request(data):
    target, *lines = data.split(b"\r\n")
    path, _, query = target.partition(b"?")
    pairs = [line.partition(b":") for line in lines if line]
    return RequestHead("PUT", path, query, headers_from_raw((n, v) for n, _, v in pairs))


def test_signatures():
    secret = "s"
    head_signed = sign_headers(
        "PUT", "h", b"/bucket/key", b"", {"x-amz-meta-a": "b"}, EMPTY_SHA256, NOW_S, "ID", secret,
        "us-east-1",
    )  # fmt: skip
    query = presign("PUT", "h", b"/bucket/key", b"", {}, NOW_S, 60, "ID", secret, "us-east-1")
    good = [raw_request(head_signed), raw_request({"host": "h"}, query)]
    for data in good:
        assert outcome(
            authenticate, parsed_request(data), NOW_S, {"ID": secret}.get, "us-east-1"
        ).access_key_id
    for data in mutations(2, *good):
        head = parsed_request(data)
        outcome(authenticate, head, NOW_S, {"ID": secret}.get, "us-east-1")


def decoded(pieces, signed, trailers):
    signer = ChunkSigner(b"k", "t", "s", "p") if signed else None
    decoder = ChunkedDecoder(60, signer=signer, trailer_names=trailers)
    payload = b""
    for piece in pieces:
        payload += b"".join(decoder.receive_data(piece))
    decoder.finish()
    return payload, decoder.trailers


@pytest.mark.parametrize("signed", [False, True])
def test_chunked_bodies(signed):
    trailers = {"x-amz-checksum-crc32c": "sOO8/Q=="}
    signer = ChunkSigner(b"k", "t", "s", "p") if signed else None
    body = encode([b"x" * 50, b"y" * 10], signer, trailers)
    for data in mutations(3, body):
        results = [
            outcome(decoded, pieces, signed, trailers)
            for pieces in ([data], bytewise(data), in_pieces(data, seed=len(data)))
        ]
        assert results[0] == results[1] == results[2]
        if signed and isinstance(results[0][0], bytes):
            assert results[0][0] == b"x" * 50 + b"y" * 10


def form(pieces):
    reader = FormReader(BOUNDARY.encode())
    file = b"".join(b"".join(reader.receive_data(piece)) for piece in pieces)
    reader.finish()
    return reader.fields, reader.filename, file


def test_forms():
    body = encode_form([("key", "a"), ("x-amz-meta-b", "c")], b"\r\n--x" * 5, after=[("d", "e")])
    for data in mutations(5, body):
        results = [
            outcome(form, pieces)
            for pieces in ([data], bytewise(data), in_pieces(data, seed=len(data)))
        ]
        assert results[0] == results[1] == results[2]


def test_post_policies():
    document = (
        b'{"expiration": "2030-01-01T00:00:00Z", "conditions": [{"bucket": "b"},'
        b' ["starts-with", "$key", "a"], ["content-length-range", 1, 2]]}'
    )
    for data in mutations(6, document):
        policy = outcome(parse_policy, data)
        if isinstance(policy, PostPolicy):
            outcome(check_policy, policy, {"key": "a"}, "b", NOW_S * 1000)


def lifecycle(body):
    """The rules, which are rendered and parsed again as they are."""
    parsed = Lifecycle(parse_lifecycle(body))
    assert parse_lifecycle(render_lifecycle(parsed)) == parsed.rules
    return parsed


@pytest.mark.parametrize(
    ("parse", "document"),
    [
        (
            lifecycle,
            b"<LifecycleConfiguration><Rule><ID>a</ID><Status>Enabled</Status><Filter><And><Prefix>"
            b"p</Prefix><Tag><Key>k</Key><Value>v</Value></Tag><ObjectSizeLessThan>9"
            b"</ObjectSizeLessThan></And></Filter><Expiration><Days>9</Days></Expiration>"
            b"<Transition><Days>1</Days><StorageClass>GLACIER</StorageClass></Transition>"
            b"<NoncurrentVersionExpiration><NoncurrentDays>1</NoncurrentDays>"
            b"<NewerNoncurrentVersions>2</NewerNoncurrentVersions></NoncurrentVersionExpiration>"
            b"</Rule><Rule><Prefix>q</Prefix><Status>Disabled</Status><Expiration>"
            b"<Date>2030-01-01T00:00:00Z</Date></Expiration></Rule></LifecycleConfiguration>",
        ),
        (
            partial(parse_tagging, count_max=10),
            b"<Tagging><TagSet><Tag><Key>a</Key><Value>b</Value></Tag></TagSet></Tagging>",
        ),
        (
            parse_lock_configuration,
            b"<ObjectLockConfiguration><ObjectLockEnabled>Enabled</ObjectLockEnabled><Rule>"
            b"<DefaultRetention><Mode>GOVERNANCE</Mode><Days>3</Days></DefaultRetention></Rule>"
            b"</ObjectLockConfiguration>",
        ),
        (
            parse_retention,
            b"<Retention><Mode>COMPLIANCE</Mode><RetainUntilDate>2030-01-01T00:00:00.000Z"
            b"</RetainUntilDate></Retention>",
        ),
        (
            parse_website,
            b"<WebsiteConfiguration><IndexDocument><Suffix>i</Suffix></IndexDocument><RoutingRules>"
            b"<RoutingRule><Condition><KeyPrefixEquals>a</KeyPrefixEquals></Condition><Redirect>"
            b"<HostName>h</HostName><HttpRedirectCode>302</HttpRedirectCode></Redirect>"
            b"</RoutingRule></RoutingRules></WebsiteConfiguration>",
        ),
        (
            partial(parse_notification, new_id=str),
            b"<NotificationConfiguration><QueueConfiguration><Id>a</Id><Queue>arn</Queue>"
            b"<Event>s3:ObjectCreated:*</Event><Filter><S3Key><FilterRule><Name>prefix</Name>"
            b"<Value>p</Value></FilterRule></S3Key></Filter></QueueConfiguration>"
            b"</NotificationConfiguration>",
        ),
        (
            parse_logging,
            b"<BucketLoggingStatus><LoggingEnabled><TargetBucket>logs</TargetBucket><TargetPrefix>"
            b"p</TargetPrefix><TargetObjectKeyFormat><SimplePrefix/></TargetObjectKeyFormat>"
            b"</LoggingEnabled></BucketLoggingStatus>",
        ),
        (
            parse_cors,
            b"<CORSConfiguration><CORSRule><ID>a</ID><AllowedMethod>GET</AllowedMethod>"
            b"<AllowedOrigin>https://*.a</AllowedOrigin><MaxAgeSeconds>5</MaxAgeSeconds></CORSRule>"
            b"</CORSConfiguration>",
        ),
        (
            parse_delete,
            b"<Delete><Quiet>true</Quiet><Object><Key>a&amp;b</Key><VersionId>null</VersionId>"
            b'<ETag>"e"</ETag></Object></Delete>',
        ),
        (
            parse_complete_upload,
            b'<CompleteMultipartUpload xmlns="x"><Part><PartNumber>1</PartNumber><ETag>"e"</ETag>'
            b"<ChecksumCRC32>AAAAAA==</ChecksumCRC32></Part></CompleteMultipartUpload>",
        ),
        (
            parse_create_bucket,
            b'<?xml version="1.0" encoding="UTF-8"?><CreateBucketConfiguration>'
            b"<LocationConstraint>eu-west-1</LocationConstraint></CreateBucketConfiguration>",
        ),
    ],
)
def test_documents(parse, document):
    assert not isinstance(outcome(parse, document), tuple) or parse is parse_complete_upload
    for data in mutations(4, document):
        outcome(parse, data)
