import pytest

from stratum.adapters.s3.errors import S3Error, translate
from stratum.adapters.s3.headers import (
    COPY_SOURCE_PREFIX,
    CopySource,
    byte_range,
    conditions,
    content_length,
    content_md5,
    copy_range,
    copy_source,
    delete_conditions,
    enables_lock,
    refuse_unsupported,
    replaces_metadata,
)
from stratum.adapters.s3.request import headers_from_raw
from stratum.domain.conditions import NO_CONDITIONS, Conditions, EntityTags
from stratum.domain.errors import (
    InvalidArgument,
    InvalidBucketName,
    KeyTooLong,
)
from stratum.domain.ranges import ByteRange

DATE = "Sun, 06 Nov 1994 08:49:37 GMT"
DATE_MS = 784111777000


def code(function, *args):
    with pytest.raises(Exception) as error:
        function(*args)
    return translate(error.value).code


def test_headers_off_the_wire():
    raw = [
        (b"Host", b"x"),
        (b"X-Amz-Meta-A", b" one "),
        (b"x-amz-meta-a", b"two"),
        (b"x-amz-meta-b", "é".encode()),
    ]
    headers = headers_from_raw(raw)
    assert headers == {"host": "x", "x-amz-meta-a": "one,two", "x-amz-meta-b": "Ã©"}
    assert headers["x-amz-meta-b"].encode("latin-1") == "é".encode()


def test_conditions():
    headers = {
        "if-match": '"a", "b"',
        "if-none-match": "*",
        "if-modified-since": DATE,
        "if-unmodified-since": "Sunday, 06-Nov-94 08:49:37 GMT",
        "if-range": '"a"',
    }
    assert conditions(headers) == Conditions(
        if_match=EntityTags(strong=frozenset({"a", "b"})),
        if_none_match=EntityTags(any=True),
        if_modified_since_ms=DATE_MS,
        if_unmodified_since_ms=DATE_MS,
        if_range=EntityTags(strong=frozenset({"a"})),
    )
    assert conditions({"if-range": DATE}).if_range == DATE_MS


def test_conditions_that_do_not_count():
    assert conditions({}) == NO_CONDITIONS
    assert conditions({"if-modified-since": "yesterday", "if-match": ""}) == NO_CONDITIONS
    assert conditions({"if-match": "a"}, COPY_SOURCE_PREFIX) == NO_CONDITIONS


def test_conditions_on_a_copys_source():
    headers = {
        "x-amz-copy-source-if-match": "a",
        "x-amz-copy-source-if-none-match": "b",
        "x-amz-copy-source-if-modified-since": DATE,
        "x-amz-copy-source-if-unmodified-since": DATE,
    }
    found = conditions(headers, COPY_SOURCE_PREFIX)
    assert found.if_match == EntityTags(strong=frozenset({"a"}))
    assert found.if_unmodified_since_ms == found.if_modified_since_ms == DATE_MS


def test_ranges():
    assert byte_range({}) is None
    assert byte_range({"range": "bytes=1-2,3-4"}) is None
    assert byte_range({"range": "bytes=-5"}) == ByteRange(None, 5)
    assert copy_range({}) is None
    assert copy_range({"x-amz-copy-source-range": "bytes=1-2"}) == ByteRange(1, 2)
    assert code(copy_range, {"x-amz-copy-source-range": "bytes=1-"}) == "InvalidArgument"


@pytest.mark.parametrize(
    ("text", "source"),
    [
        ("bucket/key", CopySource("bucket", "key")),
        ("/bucket/key", CopySource("bucket", "key")),
        ("/bucket//key", CopySource("bucket", "/key")),
        ("bucket/a/b/", CopySource("bucket", "a/b/")),
        ("bucket%2Fa%20b+c%2B", CopySource("bucket", "a b+c+")),
        ("bucket/%C3%A9", CopySource("bucket", "é")),
        ("bucket/Ã©", CopySource("bucket", "é")),
        ("bucket/a%3FversionId=x", CopySource("bucket", "a?versionId=x")),
        ("bucket/key?versionId=null", CopySource("bucket", "key", "null")),
        ("bucket/../key", CopySource("bucket", "../key")),
    ],
)
def test_copy_sources(text, source):
    assert copy_source({"x-amz-copy-source": text}) == source


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("", InvalidArgument),
        ("bucket", InvalidArgument),
        ("bucket/", InvalidArgument),
        ("/", InvalidArgument),
        ("//key", InvalidArgument),
        ("BUCKET/key", InvalidBucketName),
        ("bucket/" + "k" * 1025, KeyTooLong),
        ("bucket/%FF", S3Error),
    ],
)
def test_copy_sources_that_name_nothing(text, error):
    with pytest.raises(error):
        copy_source({"x-amz-copy-source": text})


def test_directives():
    assert not replaces_metadata({})
    assert not replaces_metadata({"x-amz-metadata-directive": "COPY"})
    assert replaces_metadata({"x-amz-metadata-directive": "REPLACE"})
    assert code(replaces_metadata, {"x-amz-metadata-directive": "MOVE"}) == "InvalidArgument"


def test_content_md5():
    assert content_md5({}) is None
    assert content_md5({"content-md5": "rL0Y20zC+Fzt72VPzMSk2A=="}).hex() == (
        "acbd18db4cc2f85cedef654fccc4a4d8"
    )
    for text in ("", "YWJyYWNhZGFicmE=", "AWS HAHAHA", "rL0Y20zC+Fzt72VPzMSk2A=", "é"):
        assert code(content_md5, {"content-md5": text}) == "InvalidDigest"


def test_content_length():
    assert content_length({}) is None
    assert content_length({"content-length": "17"}) == 17
    for text in ("", "-1", "1,1", "0x1", "٣", "9" * 30):
        assert code(content_length, {"content-length": text}) == "InvalidArgument"


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"x-amz-acl": "private"},
        {"x-amz-acl": "public-read"},
        {"x-amz-grant-read": "id=x"},
        {"x-amz-tagging-directive": "COPY"},
        {"x-amz-bucket-object-lock-enabled": "false"},
        {"x-amz-object-ownership": "BucketOwnerEnforced"},
        {"x-amz-bypass-governance-retention": "true"},
        {"x-amz-request-payer": "requester"},
        {"x-amz-meta-server-side-encryption": "AES256"},
        {"x-amz-expected-bucket-owner": "me"},
        {"x-amz-content-sha256": "UNSIGNED-PAYLOAD", "x-amz-date": "now"},
        {"server-side-encryption": "AES256"},
        {"x-amz-server-side-encryption": "AES256"},
    ],
)
def test_headers_that_ask_for_nothing_special(headers):
    refuse_unsupported(headers)


@pytest.mark.parametrize(
    "headers",
    [
        {"x-amz-write-offset-bytes": "5"},
    ],
)
def test_headers_that_ask_for_what_is_not_there(headers):
    with pytest.raises(S3Error) as error:
        refuse_unsupported(headers)
    assert (error.value.code, error.value.status) == ("NotImplemented", 501)
    assert error.value.fields["Header"] in headers


@pytest.mark.parametrize(
    ("headers", "asked"),
    [
        ({}, Conditions()),
        ({"if-match": '"a"'}, Conditions(if_match=EntityTags(strong=frozenset({"a"})))),
        ({"x-amz-if-match-size": "5"}, Conditions(if_match_size_bytes=5)),
        (
            {"x-amz-if-match-last-modified-time": "Thu, 01 Jan 1970 00:00:09 GMT"},
            Conditions(if_match_modified_ms=9000),
        ),
        (
            {"x-amz-if-match-last-modified-time": "1970-01-01T00:00:09Z"},
            Conditions(if_match_modified_ms=9000),
        ),
        ({"if-none-match": "*"}, Conditions()),
    ],
)
def test_conditions_of_a_deletion(headers, asked):
    assert delete_conditions(headers) == asked


@pytest.mark.parametrize("name", ["x-amz-if-match-size", "x-amz-if-match-last-modified-time"])
def test_conditions_of_a_deletion_that_are_none(name):
    assert code(delete_conditions, {name: "x"}) == "InvalidArgument"


def test_object_lock_of_a_new_bucket():
    name = "x-amz-bucket-object-lock-enabled"
    assert enables_lock({name: "true"})
    assert enables_lock({name: "True"})
    assert not enables_lock({name: "false"})
    assert not enables_lock({})
    assert code(enables_lock, {name: "yes"}) == "InvalidArgument"
