"""Objects as boto3 sees them: bytes, metadata, ranges, keys."""

import hashlib
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest
from boto3.s3.transfer import TransferConfig
from botocore.config import Config

from tests.support.payloads import payload, write_payload_file
from tests.support.refusals import refused

MIB = 1 << 20
STRIPE_BYTES = MIB
SIZES = [0, 1, 100, 65536, STRIPE_BYTES - 1, STRIPE_BYTES, STRIPE_BYTES + 1, 5 * MIB + 321]


@pytest.mark.parametrize("size", SIZES)
def test_bytes_come_back_as_they_went_in(s3, bucket, size):
    body = payload(size)
    etag = f'"{hashlib.md5(body).hexdigest()}"'
    assert s3.put_object(Bucket=bucket, Key="k", Body=body)["ETag"] == etag
    got = s3.get_object(Bucket=bucket, Key="k")
    assert got["Body"].read() == body
    assert (got["ETag"], got["ContentLength"]) == (etag, size)
    head = s3.head_object(Bucket=bucket, Key="k")
    assert (head["ETag"], head["ContentLength"]) == (etag, size)


def test_boto3_with_its_own_defaults_in_many_threads(server, bucket):
    bodies = {f"thread/{number}": payload(number * 40_000, number) for number in range(24)}
    with server.client(config=Config()) as client, ThreadPoolExecutor(8) as pool:
        list(
            pool.map(
                lambda item: client.put_object(Bucket=bucket, Key=item[0], Body=item[1]),
                bodies.items(),
            )
        )
        got = pool.map(lambda key: client.get_object(Bucket=bucket, Key=key)["Body"].read(), bodies)
        assert list(got) == list(bodies.values())


def test_the_transfer_manager_up_and_down(server, bucket, folder):
    source, target = folder / "source", folder / "target"
    write_payload_file(source, 40 * MIB + 17)
    transfer = TransferConfig(multipart_threshold=8 * MIB, multipart_chunksize=8 * MIB)
    with server.client(config=Config()) as client:
        client.upload_file(str(source), bucket, "big", Config=transfer)
        assert client.head_object(Bucket=bucket, Key="big")["ETag"].endswith('-6"')
        client.download_file(bucket, "big", str(target), Config=transfer)
    assert target.read_bytes() == source.read_bytes()


def test_an_object_is_replaced_whole(s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=payload(3 * MIB), Metadata={"old": "1"})
    s3.put_object(Bucket=bucket, Key="k", Body=b"short")
    got = s3.get_object(Bucket=bucket, Key="k")
    assert (got["Body"].read(), got["Metadata"]) == (b"short", {})


def test_deleting_is_final_and_can_be_repeated(s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    for _ in range(2):
        answer = s3.delete_object(Bucket=bucket, Key="k")
        assert answer["ResponseMetadata"]["HTTPStatusCode"] == 204
    with refused("NoSuchKey", 404):
        s3.get_object(Bucket=bucket, Key="k")
    with refused("404", 404):
        s3.head_object(Bucket=bucket, Key="k")


def test_deleting_a_thousand_keys_at_once(s3, bucket):
    keys = [f"deep/{number:04}" for number in range(1000)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda key: s3.put_object(Bucket=bucket, Key=key, Body=b"x"), keys[::10]))
    objects = [{"Key": key} for key in keys]
    answer = s3.delete_objects(Bucket=bucket, Delete={"Objects": objects})
    assert sorted(entry["Key"] for entry in answer["Deleted"]) == keys
    assert "Errors" not in answer
    assert s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 0


def test_quiet_deletion_only_names_what_failed(s3, bucket):
    etag = s3.put_object(Bucket=bucket, Key="guarded", Body=b"x")["ETag"]
    s3.put_object(Bucket=bucket, Key="free", Body=b"x")
    objects = [
        {"Key": "free"},
        {"Key": "guarded", "ETag": '"0123456789abcdef0123456789abcdef"'},
        {"Key": "never-was"},
        {"Key": "x" * 1025},
    ]
    answer = s3.delete_objects(Bucket=bucket, Delete={"Objects": objects, "Quiet": True})
    assert "Deleted" not in answer
    failed = {(error["Key"][:8], error["Code"]) for error in answer["Errors"]}
    assert failed == {
        ("guarded", "PreconditionFailed"),
        ("xxxxxxxx", "KeyTooLongError"),
    }
    assert s3.head_object(Bucket=bucket, Key="guarded")["ETag"] == etag
    with refused("404", 404):
        s3.head_object(Bucket=bucket, Key="free")


def test_more_than_a_thousand_keys_are_refused(s3, bucket):
    objects = [{"Key": str(number)} for number in range(1001)]
    with refused("MalformedXML", 400):
        s3.delete_objects(Bucket=bucket, Delete={"Objects": objects})


# -- ranges -------------------------------------------------------------------------------------
RANGE_BODY = payload(3 * STRIPE_BYTES + 1000, 7)


@pytest.mark.parametrize(
    ("asked", "start", "stop"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=10-19", 10, 20),
        (f"bytes={STRIPE_BYTES - 5}-{STRIPE_BYTES + 4}", STRIPE_BYTES - 5, STRIPE_BYTES + 5),
        (f"bytes={2 * STRIPE_BYTES}-", 2 * STRIPE_BYTES, len(RANGE_BODY)),
        ("bytes=-700", len(RANGE_BODY) - 700, len(RANGE_BODY)),
        ("bytes=-99999999999", 0, len(RANGE_BODY)),
        ("bytes=5-99999999999", 5, len(RANGE_BODY)),
    ],
)
def test_a_range(s3, bucket, asked, start, stop):
    s3.put_object(Bucket=bucket, Key="k", Body=RANGE_BODY)
    got = s3.get_object(Bucket=bucket, Key="k", Range=asked)
    assert got["ResponseMetadata"]["HTTPStatusCode"] == 206
    assert got["ContentRange"] == f"bytes {start}-{stop - 1}/{len(RANGE_BODY)}"
    assert got["ContentLength"] == stop - start
    assert got["Body"].read() == RANGE_BODY[start:stop]
    head = s3.head_object(Bucket=bucket, Key="k", Range=asked)
    assert (head["ContentLength"], head["ContentRange"]) == (stop - start, got["ContentRange"])


@pytest.mark.parametrize("asked", ["bytes=0-1,5-6", "bytes=9-3", "lines=1-2", "bytes=x-"])
def test_a_range_that_does_not_count_gets_the_whole(s3, bucket, asked):
    s3.put_object(Bucket=bucket, Key="k", Body=b"0123456789")
    got = s3.get_object(Bucket=bucket, Key="k", Range=asked)
    assert got["ResponseMetadata"]["HTTPStatusCode"] == 200
    assert got["Body"].read() == b"0123456789"


@pytest.mark.parametrize("asked", ["bytes=10-", "bytes=11-12", "bytes=-0"])
def test_a_range_outside_is_416(s3, bucket, asked):
    s3.put_object(Bucket=bucket, Key="k", Body=b"0123456789")
    with refused("InvalidRange", 416) as refusal:
        s3.get_object(Bucket=bucket, Key="k", Range=asked)
    headers = refusal.response["ResponseMetadata"]["HTTPHeaders"]
    assert headers["content-range"] == "bytes */10"
    assert refusal.response["Error"]["ActualObjectSize"] == "10"


# -- metadata -----------------------------------------------------------------------------------
def test_system_and_user_metadata_are_kept(s3, bucket):
    expires = datetime(2031, 5, 1, 10, 20, 30, tzinfo=UTC)
    s3.put_object(
        Bucket=bucket,
        Key="k",
        Body=b"x",
        ContentType="text/plain; charset=utf-8",
        ContentEncoding="gzip",
        ContentLanguage="de",
        ContentDisposition='attachment; filename="a b.txt"',
        CacheControl="max-age=60",
        Expires=expires,
        Metadata={"Colour": "blue", "empty": "", "spaced": "a  b"},
    )
    for answer in (s3.get_object(Bucket=bucket, Key="k"), s3.head_object(Bucket=bucket, Key="k")):
        assert answer["ContentType"] == "text/plain; charset=utf-8"
        assert answer["ContentEncoding"] == "gzip"
        assert answer["ContentLanguage"] == "de"
        assert answer["ContentDisposition"] == 'attachment; filename="a b.txt"'
        assert answer["CacheControl"] == "max-age=60"
        assert answer["ExpiresString"] == "Thu, 01 May 2031 10:20:30 GMT"
        assert answer["Metadata"] == {"colour": "blue", "empty": "", "spaced": "a  b"}


def test_metadata_beyond_ascii(server, bucket):
    path = f"/{bucket}/k"
    name = {"x-amz-meta-name": "Grüße, 世界".encode().decode("latin-1")}
    headers = server.signed("PUT", path, b"x", name)
    assert server.request("PUT", path, b"x", headers)[0] == 200
    _, answered, _ = server.request("HEAD", path, headers=server.signed("HEAD", path))
    assert answered["x-amz-meta-name"] == "=?UTF-8?B?R3LDvMOfZSwg5LiW55WM?="


def test_too_much_metadata(s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"x", Metadata={"n": "v" * 2047})
    with refused("MetadataTooLarge", 400):
        s3.put_object(Bucket=bucket, Key="k", Body=b"x", Metadata={"n": "v" * 2048})


def test_a_reader_may_override_headers(s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"x", ContentType="text/plain")
    got = s3.get_object(
        Bucket=bucket,
        Key="k",
        ResponseContentType="application/json",
        ResponseContentDisposition='inline; filename="ü.json"',
        ResponseCacheControl="no-store",
    )
    assert got["ContentType"] == "application/json"
    assert got["CacheControl"] == "no-store"
    assert got["ContentDisposition"].encode("latin-1").decode() == 'inline; filename="ü.json"'


def test_where_an_object_is(s3, bucket):
    stored = s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    volume_id = stored["ResponseMetadata"]["HTTPHeaders"]["x-stratum-volume-id"]
    for answer in (s3.get_object(Bucket=bucket, Key="k"), s3.head_object(Bucket=bucket, Key="k")):
        headers = answer["ResponseMetadata"]["HTTPHeaders"]
        assert headers["x-stratum-tier"] == "hot"
        assert headers["x-stratum-volume-id"] == volume_id
        assert "x-amz-storage-class" not in headers  # STANDARD, as Amazon does it


# -- keys ---------------------------------------------------------------------------------------
KEYS = [
    "plain.txt",
    "a",
    "a/b",
    "a/",
    "a//b",
    "//",
    "a/./b",
    "a/../b",
    "..",
    ".",
    "with space",
    " leading and trailing ",
    "plus+sign",
    "percent%2Fslash",
    "percent%",
    "100%25",
    "question?mark=1&x",
    "hash#tag",
    "semi;colon:at@dollar$comma,",
    "quote'and\"and`",
    "back\\slash",
    "<xml>&amp;",
    "ünïcödé/日本語/🪣",
    "e\u0301 is not \u00e9",
    "\u00e9 is not e\u0301",
    "~tilde*star(paren)!",
    "new\nline\ttab",
    "x" * 1024,
    "é" * 512,
]


def test_every_key_is_itself(s3, bucket):
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda key: s3.put_object(Bucket=bucket, Key=key, Body=key.encode()), KEYS))
    for key in KEYS:
        assert s3.get_object(Bucket=bucket, Key=key)["Body"].read() == key.encode()
    listed = [entry["Key"] for entry in s3.list_objects_v2(Bucket=bucket)["Contents"]]
    assert listed == sorted(KEYS, key=lambda key: key.encode())
    objects = [{"Key": key} for key in KEYS if "\n" not in key]
    answer = s3.delete_objects(Bucket=bucket, Delete={"Objects": objects})
    assert "Errors" not in answer
    rest = s3.list_objects_v2(Bucket=bucket)["Contents"]
    assert [entry["Key"] for entry in rest] == ["new\nline\ttab"]


@pytest.mark.parametrize("key", ["x" * 1025, "é" * 512 + "x"])
def test_a_key_that_is_too_long(s3, bucket, key):
    with refused("KeyTooLongError", 400):
        s3.put_object(Bucket=bucket, Key=key, Body=b"x")
