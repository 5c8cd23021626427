"""Presigned URLs, signed bodies and everything that must not pass for them."""

import re
import time
import urllib.error
import urllib.request
from urllib.parse import urlsplit

import pytest
from botocore.config import Config

from stratum.adapters.s3.signing import chunk_signer, presign
from tests.support.aws_chunked import encode
from tests.support.payloads import payload
from tests.support.refusals import refused
from tests.support.server import running_server

STREAMING_SIGNED = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
STREAMING_SIGNED_TRAILER = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"
STREAMING_UNSIGNED_TRAILER = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
KIB = 1 << 10


def fetch(url, method="GET", body=None, headers=None):
    """Status and body by the standard library's own client."""
    request = urllib.request.Request(url, body, headers or {}, method=method)
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()


def code(answer):
    match = re.search(rb"<Code>(\w+)</Code>", answer[1])
    return answer[0], match[1].decode() if match else None


# -- presigned ----------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def presigner(server):
    """A client that presigns with version 4: in us-east-1 the default is still version 2."""
    config = Config(signature_version="s3v4", s3={"addressing_style": "path"})
    with server.client(config=config) as client:
        yield client


def test_presigned_urls_read_and_write(s3, presigner, bucket):
    key = "a b/ü+%.txt"
    put = presigner.generate_presigned_url("put_object", {"Bucket": bucket, "Key": key})
    assert fetch(put, "PUT", b"by url", {"Content-Type": "text/plain"})[0] == 200
    get = presigner.generate_presigned_url(
        "get_object",
        {"Bucket": bucket, "Key": key, "ResponseContentDisposition": "attachment"},
    )
    assert fetch(get) == (200, b"by url")
    assert s3.head_object(Bucket=bucket, Key=key)["ContentType"] == "text/plain"


def test_a_presigned_url_is_for_one_method_and_key(s3, presigner, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    s3.put_object(Bucket=bucket, Key="other", Body=b"x")
    url = presigner.generate_presigned_url("get_object", {"Bucket": bucket, "Key": "k"})
    assert fetch(url)[0] == 200
    for answer in (
        fetch(url, "DELETE"),
        fetch(url, "PUT", b"y"),
        fetch(url.replace("/k?", "/other?")),
        fetch(url + "&response-content-type=text/html"),
        fetch(url.replace("X-Amz-Expires=3600", "X-Amz-Expires=7200")),
        fetch(re.sub("(X-Amz-Signature=).", r"\g<1>x", url)),
    ):
        assert code(answer) == (403, "SignatureDoesNotMatch")
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"x"


def test_a_presigned_url_ends(server, s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    path = f"/{bucket}/k"

    def url(signed_s_ago, expires_s):
        query = presign(
            "GET",
            server.host,
            path.encode(),
            b"",
            {},
            int(time.time()) - signed_s_ago,
            expires_s,
            server.access_key_id,
            server.secret_access_key,
            server.region,
        )
        return f"{server.url}{path}?{query.decode()}"

    assert fetch(url(100, 200)) == (200, b"x")
    assert code(fetch(url(100, 50))) == (403, "AccessDenied")
    assert code(fetch(url(-3600, 200))) == (403, "AccessDenied")
    assert code(fetch(url(0, 7 * 86400 + 1))) == (403, "AuthorizationQueryParametersError")


def test_a_presigned_url_covers_all_amazon_headers(s3, presigner, bucket):
    """Or whoever has the URL could copy another object, or choose metadata, with it."""
    s3.put_object(Bucket=bucket, Key="secret", Body=b"secret")
    url = presigner.generate_presigned_url("put_object", {"Bucket": bucket, "Key": "k"})
    for name, value in (
        ("x-amz-copy-source", f"{bucket}/secret"),
        ("x-amz-meta-owner", "me"),
        ("x-amz-acl", "private"),
    ):
        assert code(fetch(url, "PUT", b"", {name: value})) == (403, "AccessDenied")
    with refused("404", 404):
        s3.head_object(Bucket=bucket, Key="k")
    signed = presigner.generate_presigned_url(
        "put_object", {"Bucket": bucket, "Key": "k", "Metadata": {"owner": "me"}}
    )
    assert fetch(signed, "PUT", b"x", {"x-amz-meta-owner": "me"})[0] == 200
    assert s3.head_object(Bucket=bucket, Key="k")["Metadata"] == {"owner": "me"}


def test_signatures_of_version_2_are_told_what_to_use(s3, bucket):
    url = s3.generate_presigned_url("get_object", {"Bucket": bucket, "Key": "k"})
    assert "AWSAccessKeyId=" in url
    answer = fetch(url)
    assert code(answer) == (400, "InvalidRequest")
    assert b"AWS4-HMAC-SHA256" in answer[1]


# -- bodies in signed pieces --------------------------------------------------------------------
PIECES = [payload(64 * KIB, number) for number in range(40)] + [b"the last one"]


def put_streaming(server, path, body, mode, headers=None, *, signed_with=None):
    """PUT `body` (callable: signer → encoded bytes) with a streaming signature."""
    now_s = int(time.time())
    given = {
        "content-encoding": "aws-chunked",
        "x-amz-decoded-content-length": str(sum(map(len, PIECES))),
        **(headers or {}),
    }
    signed = server.signed("PUT", path, headers=given, at_s=now_s, payload_hash=mode)
    signer = chunk_signer(signed, now_s, signed_with or server.secret_access_key, server.region)
    return server.request("PUT", path, body(signer), signed)


def test_a_body_in_signed_chunks(server, s3, bucket):
    path = f"/{bucket}/k"
    answer = put_streaming(server, path, lambda signer: encode(PIECES, signer), STREAMING_SIGNED)
    assert answer[0] == 200, answer
    got = s3.get_object(Bucket=bucket, Key="k")
    assert got["Body"].read() == b"".join(PIECES)
    assert "ContentEncoding" not in got


def spoiled(signer):
    """One byte of a chunk in the middle is another than was signed."""
    body = bytearray(encode(PIECES, signer))
    at = body.index(PIECES[20]) + 1000
    body[at] ^= 1
    return bytes(body)


def exchanged(signer):
    """Two chunks, each rightly signed, in the wrong order."""
    body = encode(PIECES, signer)
    lines = [body.index(piece) for piece in PIECES[10:13]]
    starts = [body.rindex(b"\r\n", 0, line - 2) + 2 for line in lines]
    first, second, end = starts
    return body[:first] + body[second:end] + body[first:second] + body[end:]


def cut(signer):
    """The chunks after the middle are missing, the final one is there."""
    body = encode(PIECES, signer)
    end = body.index(PIECES[20]) + len(PIECES[20]) + 2
    return body[:end] + body[body.rindex(b"0;chunk-signature") :]


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (spoiled, "SignatureDoesNotMatch"),
        (exchanged, "SignatureDoesNotMatch"),
        (cut, "SignatureDoesNotMatch"),
        (lambda signer: encode(PIECES), "SignatureDoesNotMatch"),
        (lambda signer: encode(PIECES, signer)[: 30 * 64 * KIB], "IncompleteBody"),
        (lambda signer: encode([*PIECES, b"more"], signer), "InvalidChunkSizeError"),
        (lambda signer: encode(PIECES[:-1], signer), "IncompleteBody"),
    ],
)
def test_a_body_with_a_broken_chunk_stores_nothing(server, s3, bucket, body, error):
    path = f"/{bucket}/k"
    s3.put_object(Bucket=bucket, Key="k", Body=b"before")
    status, _, answer = put_streaming(server, path, body, STREAMING_SIGNED)
    assert code((status, answer))[1] == error
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"before"


def test_chunks_signed_by_somebody_else(server, s3, bucket):
    path = f"/{bucket}/k"
    status, _, answer = put_streaming(
        server,
        path,
        lambda signer: encode(PIECES, signer),
        STREAMING_SIGNED,
        signed_with="another secret",
    )
    assert code((status, answer)) == (403, "SignatureDoesNotMatch")
    with refused("404", 404):
        s3.head_object(Bucket=bucket, Key="k")


@pytest.mark.parametrize("signed", [True, False])
def test_a_checksum_in_the_trailer(server, s3, bucket, signed):
    mode = STREAMING_SIGNED_TRAILER if signed else STREAMING_UNSIGNED_TRAILER
    s3.put_object(Bucket=bucket, Key="like", Body=b"".join(PIECES), ChecksumAlgorithm="CRC32C")
    like = s3.head_object(Bucket=bucket, Key="like", ChecksumMode="ENABLED")
    headers = {"x-amz-trailer": "x-amz-checksum-crc32c"}
    for checksum, expected in ((like["ChecksumCRC32C"], 200), ("AAAAAA==", 400)):
        trailers = {"x-amz-checksum-crc32c": checksum}
        status, _, answer = put_streaming(
            server,
            f"/{bucket}/k",
            lambda signer, trailers=trailers: encode(PIECES, signer if signed else None, trailers),
            mode,
            headers,
        )
        assert status == expected, answer
    assert code((status, answer))[1] == "BadDigest"
    head = s3.head_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED")
    assert head["ChecksumCRC32C"] == like["ChecksumCRC32C"]


def test_unsigned_pieces_still_need_a_signed_head(server, s3, bucket):
    path = f"/{bucket}/k"
    body = encode([b"x"], trailers={"x-amz-checksum-crc32c": "AAAAAA=="})
    headers = {
        "content-encoding": "aws-chunked",
        "x-amz-content-sha256": STREAMING_UNSIGNED_TRAILER,
        "x-amz-decoded-content-length": "1",
        "x-amz-trailer": "x-amz-checksum-crc32c",
    }
    status, _, answer = server.request("PUT", path, body, headers)
    assert code((status, answer)) == (403, "AccessDenied")
    forged = server.signed("PUT", path, headers=headers, payload_hash=STREAMING_UNSIGNED_TRAILER)
    forged["authorization"] = forged["authorization"][:-4] + "0000"
    status, _, answer = server.request("PUT", path, body, forged)
    assert code((status, answer)) == (403, "SignatureDoesNotMatch")


# -- time, region, addresses --------------------------------------------------------------------
@pytest.mark.parametrize(("off_s", "status"), [(-600, 200), (600, 200), (-1000, 403), (1000, 403)])
def test_clocks_may_differ_by_a_quarter_of_an_hour(server, bucket, off_s, status):
    path = f"/{bucket}"
    headers = server.signed("GET", path, at_s=time.time() + off_s)
    answered, _, body = server.request("GET", path, headers=headers)
    assert answered == status
    assert (b"RequestTimeTooSkewed" in body) == (status == 403)


def test_a_wrong_region_is_named(server, bucket):
    path = f"/{bucket}"
    headers = server.signed("GET", path)
    headers["authorization"] = headers["authorization"].replace("us-east-1", "eu-west-1")
    status, _, body = server.request("GET", path, headers=headers)
    assert code((status, body)) == (400, "AuthorizationHeaderMalformed")
    assert b"<Region>us-east-1</Region>" in body


def test_a_client_of_another_region_finds_ours(server, bucket):
    with server.client(region_name="eu-west-1") as client:
        assert client.list_objects_v2(Bucket=bucket)["KeyCount"] == 0


def test_headers_changed_on_the_way(server, bucket):
    path = f"/{bucket}/k"
    headers = server.signed("PUT", path, b"x", {"x-amz-meta-a": "1"})
    status, _, body = server.request("PUT", path, b"x", {**headers, "x-amz-meta-a": "2"})
    assert code((status, body)) == (403, "SignatureDoesNotMatch")
    status, _, body = server.request("PUT", path, b"x", {**headers, "x-amz-meta-b": "2"})
    assert code((status, body)) == (403, "AccessDenied")


def test_buckets_as_host_names(folder):
    """Virtual-host style; `*.localhost` need not resolve, since we connect by address."""
    settings = {"STRATUM_SERVER_DOMAINS": "s3.example.test, localhost"}
    with running_server(folder / "data", settings) as server:
        with server.client() as client:
            client.create_bucket(Bucket="my.bucket")
            client.create_bucket(Bucket="second")
            client.put_object(Bucket="my.bucket", Key="a/k", Body=b"body")
        port = urlsplit(server.url).port
        server.url, address = f"http://my.bucket.s3.example.test:{port}", server.address
        headers = server.signed("GET", "/a/k")
        server.url = f"http://{address[0]}:{address[1]}"
        assert server.request("GET", "/a/k", headers=headers)[::2] == (200, b"body")
        config = Config(s3={"addressing_style": "virtual"}, retries={"total_max_attempts": 1})
        with server.client(config=config, endpoint_url=f"http://localhost:{port}") as client:
            hosts = []
            client.meta.events.register(
                "before-send.s3", lambda request, **_: hosts.append(urlsplit(request.url).netloc)
            )

            def to_address(request, **_):
                parts = urlsplit(request.url)
                request.headers["Host"] = parts.netloc
                request.url = parts._replace(netloc=f"{address[0]}:{address[1]}").geturl()

            client.meta.events.register("before-send.s3", to_address)
            client.put_object(Bucket="second", Key="k", Body=b"by host")
            assert client.get_object(Bucket="second", Key="k")["Body"].read() == b"by host"
            assert hosts[0] == f"second.localhost:{port}"
