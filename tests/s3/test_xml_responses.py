"""Documents are read by botocore's parser, which is what clients read them with."""

from datetime import UTC, datetime
from functools import cache
from urllib.parse import unquote

import botocore.parsers
import botocore.session
import pytest

from stratum.adapters.s3.queries import PartsQuery, objects_query, uploads_query, versions_query
from stratum.adapters.s3.xml_listings import (
    render_objects,
    render_parts,
    render_uploads,
    render_versions,
)
from stratum.adapters.s3.xml_responses import (
    DeletedEntry,
    FailedEntry,
    render_buckets,
    render_deleted,
    render_location,
    render_object_copied,
    render_part_copied,
    render_upload_completed,
    render_upload_started,
    render_versioning,
)
from stratum.adapters.s3.xml_text import escape, url_encode
from stratum.domain.catalog import Bucket, ListedObject, ListedVersion, version_order
from stratum.domain.checksums import Checksum, ChecksumAlgorithm, ChecksumType
from stratum.domain.errors import AccessDenied, InvalidArgument, KeyTooLong
from stratum.domain.listing import Page, Position, decode_token
from stratum.domain.names import Caller, ObjectKey, Tier
from stratum.domain.settings import Versioning
from stratum.domain.volume import DeleteMarker, Extent, Location, Part, Upload

NOW_MS = 784111777123
NOW = datetime(1994, 11, 6, 8, 49, 37, 123000, tzinfo=UTC)
OWNER = Caller("id-of-owner", "Owner & Sons")
CRC32 = Checksum(ChecksumAlgorithm.CRC32, "AAAAAA==")
SHA256 = Checksum(ChecksumAlgorithm.SHA256, "x-2", ChecksumType.COMPOSITE)
ODD_KEYS = ["a b+c", "é/ü", "<&>\"'", "\U0001f600", "tab\tnew\nline\rend", "100%", "a//b/../c"]
CONTROL_KEY = "bell\x07\x00\ufffe"


@cache
def shape(operation):
    return botocore.session.get_session().get_service_model("s3").operation_model(operation)


def read(operation, body):
    response = {"body": body, "headers": {}, "status_code": 200, "context": {"operation_name": ""}}
    parser = botocore.parsers.create_parser("rest-xml")
    parsed = parser.parse(response, shape(operation).output_shape)
    assert parsed.pop("ResponseMetadata")["HTTPStatusCode"] == 200
    return parsed


def entry(key, **kwargs):
    return ListedObject(key, 5, "e" * 32, NOW_MS, kwargs.pop("tier", Tier.HOT), **kwargs)


def test_buckets():
    buckets = [Bucket(name, OWNER, "eu-west-1", NOW_MS) for name in ("one", "two")]
    owner = {"ID": OWNER.id, "DisplayName": OWNER.name}
    found = read("ListBuckets", render_buckets(OWNER, buckets))
    assert found["Owner"] == owner
    assert found["Buckets"][0] == {"Name": "one", "CreationDate": NOW, "BucketRegion": "eu-west-1"}
    assert "ContinuationToken" not in found
    found = read("ListBuckets", render_buckets(OWNER, buckets, prefix="", truncated=True))
    assert decode_token(found["ContinuationToken"]) == Position("two")
    assert found["Prefix"] == ""
    assert read("ListBuckets", render_buckets(OWNER, []))["Buckets"] == []


def test_location():
    assert b"<LocationConstraint" in render_location("us-east-1")
    assert b"us-east-1" not in render_location("us-east-1")
    assert b">eu-west-1</LocationConstraint>" in render_location("eu-west-1")


def test_objects_version_1():
    query = objects_query({"prefix": "p", "marker": "m", "max-keys": "2", "delimiter": "/"})
    checksum = {"checksum_algorithm": ChecksumAlgorithm.CRC32, "checksum_type": CRC32.type}
    page = Page(
        (entry("k1", **checksum), entry("k2", tier=Tier.COLD)),
        ("d/",),
        Position("d/", is_prefix=True),
    )
    found = read("ListObjects", render_objects("bucket", query, page, OWNER))
    first = found["Contents"][0]
    assert first == {
        "Key": "k1",
        "LastModified": NOW,
        "ETag": '"' + "e" * 32 + '"',
        "ChecksumAlgorithm": ["CRC32"],
        "ChecksumType": "FULL_OBJECT",
        "Size": 5,
        "StorageClass": "STANDARD",
        "Owner": {"ID": OWNER.id, "DisplayName": OWNER.name},
    }
    assert found["Contents"][1]["StorageClass"] == "GLACIER_IR"
    assert found["CommonPrefixes"] == [{"Prefix": "d/"}]
    del found["Contents"], found["CommonPrefixes"]
    assert found == {
        "Name": "bucket",
        "Prefix": "p",
        "Marker": "m",
        "NextMarker": "d/",
        "MaxKeys": 2,
        "Delimiter": "/",
        "IsTruncated": True,
    }


def test_the_next_marker_is_only_sent_with_a_delimiter():
    page = Page((entry("k"),), (), Position("k"))
    found = read("ListObjects", render_objects("bucket", objects_query({}), page, OWNER))
    assert found["IsTruncated"]
    assert "NextMarker" not in found
    assert "Delimiter" not in found
    assert found["Marker"] == ""


def test_objects_version_2():
    query = objects_query({"list-type": "2", "start-after": "a", "max-keys": "3"})
    page = Page((entry("k"),), ("d/",), Position("k"))
    found = read("ListObjectsV2", render_objects("bucket", query, page, OWNER))
    assert "Owner" not in found["Contents"][0]
    assert decode_token(found["NextContinuationToken"]) == Position("k")
    assert (found["KeyCount"], found["StartAfter"], found["IsTruncated"]) == (2, "a", True)
    assert "ContinuationToken" not in found
    query = objects_query({"list-type": "2", "continuation-token": "", "fetch-owner": "true"})
    found = read(
        "ListObjectsV2", render_objects("bucket", query, Page((entry("k"),), (), None), OWNER)
    )
    assert found["ContinuationToken"] == ""
    assert found["Contents"][0]["Owner"]["ID"] == OWNER.id
    assert "NextContinuationToken" not in found
    assert not found["IsTruncated"]


@pytest.mark.parametrize("key", [*ODD_KEYS, CONTROL_KEY])
def test_url_encoding_keeps_every_key(key):
    query = objects_query(
        {"encoding-type": "url", "prefix": key, "delimiter": key, "marker": key, "list-type": "1"}
    )
    page = Page((entry(key),), (key,), Position(key))
    found = read("ListObjects", render_objects("bucket", query, page, OWNER))
    assert found["EncodingType"] == "url"
    texts = [found[name] for name in ("Delimiter", "Marker", "NextMarker")]
    texts += [found["Contents"][0]["Key"], found["CommonPrefixes"][0]["Prefix"]]
    assert [unquote(text, errors="strict") for text in texts] == [key] * 5


@pytest.mark.parametrize(("version", "expected"), [("1", "a\nb"), ("2", "a%0Ab")])
def test_the_prefix_is_encoded_in_version_2_only(version, expected):
    query = objects_query({"encoding-type": "url", "prefix": "a\nb", "list-type": version})
    found = read("ListObjects", render_objects("bucket", query, Page((), (), None), OWNER))
    assert found["Prefix"] == expected


def test_versions_of_an_unversioned_bucket_are_all_null_and_latest():
    query = versions_query({"max-keys": "1", "encoding-type": "url"})
    listed = ListedVersion(ObjectKey("k +"), "null", True, version_order(7), entry("k +"))
    page = Page((listed,), (), Position("k +", within=listed.order))
    found = read("ListObjectVersions", render_versions("bucket", query, page, OWNER))
    (version,) = found["Versions"]
    assert (version["Key"], version["VersionId"], version["IsLatest"]) == ("k%20%2B", "null", True)
    assert (found["NextKeyMarker"], found["NextVersionIdMarker"]) == ("k%20%2B", version_order(7))
    with pytest.raises(InvalidArgument):
        versions_query({"version-id-marker": "null"})


def test_versioning_was_never_switched_on():
    assert "Status" not in read("GetBucketVersioning", render_versioning(None))


def test_versioning_says_what_it_is():
    for status in Versioning:
        assert read("GetBucketVersioning", render_versioning(status))["Status"] == status


def test_versions_and_delete_markers_with_their_owners():
    marker = DeleteMarker("bucket", "a", "v2", "v2", NOW_MS, "alice", "Alice")
    page = Page(
        (
            ListedVersion(ObjectKey("a"), "v2", True, version_order(2), marker),
            ListedVersion(ObjectKey("a"), "v1", False, version_order(1), entry("a")),
        ),
        (),
        None,
    )
    found = read("ListObjectVersions", render_versions("bucket", versions_query({}), page, OWNER))
    (deleted,), (version,) = found["DeleteMarkers"], found["Versions"]
    assert (deleted["VersionId"], deleted["IsLatest"], deleted["LastModified"]) == ("v2", True, NOW)
    assert deleted["Owner"] == {"ID": "alice", "DisplayName": "Alice"}
    assert (version["VersionId"], version["IsLatest"]) == ("v1", False)
    assert version["Owner"]["ID"] == OWNER.id
    assert "NextKeyMarker" not in found


def test_url_encoding_as_amazon_writes_it():
    assert url_encode("foo+1/a b%é") == "foo%2B1/a%20b%25%C3%A9"


@pytest.mark.parametrize("key", ODD_KEYS)
def test_plain_listings_keep_every_key_xml_can_express(key):
    query = objects_query({"prefix": key})
    page = Page((entry(key),), (key,), None)
    found = read("ListObjects", render_objects("bucket", query, page, OWNER))
    assert found["Contents"][0]["Key"] == found["CommonPrefixes"][0]["Prefix"] == key


def test_a_key_xml_cannot_express_leaves_the_document_well_formed():
    page = Page((entry(CONTROL_KEY),), (), None)
    found = read("ListObjects", render_objects("bucket", objects_query({}), page, OWNER))
    assert found["Contents"][0]["Key"] == "bell\ufffd\ufffd\ufffd"


def test_escaping():
    assert escape('a<b>&"\r\ud800') == "a&lt;b&gt;&amp;&quot;&#13;\ufffd"
    assert escape("]]>") == "]]&gt;"


def upload(**kwargs):
    return Upload("u1", "bucket", "k y", NOW_MS, OWNER.id, OWNER.name, **kwargs)


def test_uploads():
    query = uploads_query(
        {"key-marker": "a b", "upload-id-marker": "u0", "prefix": "p", "encoding-type": "url"}
    )
    with_checksum = upload(
        checksum_algorithm=ChecksumAlgorithm.SHA1, checksum_type=ChecksumType.COMPOSITE
    )
    page = Page((with_checksum,), ("d d/",), Position("k y", within="u1"))
    found = read("ListMultipartUploads", render_uploads("bucket", query, page, OWNER))
    person = {"ID": OWNER.id, "DisplayName": OWNER.name}
    assert found["Uploads"] == [
        {
            "UploadId": "u1",
            "Key": "k%20y",
            "Initiated": NOW,
            "StorageClass": "STANDARD",
            "Owner": person,
            "Initiator": person,
            "ChecksumAlgorithm": "SHA1",
            "ChecksumType": "COMPOSITE",
        }
    ]
    assert found["CommonPrefixes"] == [{"Prefix": "d%20d/"}]
    assert (found["KeyMarker"], found["UploadIdMarker"]) == ("a%20b", "u0")
    assert (found["NextKeyMarker"], found["NextUploadIdMarker"]) == ("k%20y", "u1")
    assert found["IsTruncated"]
    last = read("ListMultipartUploads", render_uploads("bucket", query, Page((), (), None), OWNER))
    assert not last["IsTruncated"]
    assert "Uploads" not in last


def test_parts():
    location = Location(Tier.HOT, (Extent("x", 5, 4096),))
    parts = [
        Part("u1", number, 5, "e" * 32, location, "0" * 16, NOW_MS, (CRC32,)) for number in (3, 7)
    ]
    found = read(
        "ListParts", render_parts(upload(), PartsQuery(2, 2), parts, OWNER, truncated=True)
    )
    assert found["Parts"][0] == {
        "PartNumber": 3,
        "LastModified": NOW,
        "ETag": '"' + "e" * 32 + '"',
        "Size": 5,
        "ChecksumCRC32": "AAAAAA==",
    }
    assert (found["PartNumberMarker"], found["NextPartNumberMarker"]) == (2, 7)
    assert (found["MaxParts"], found["IsTruncated"]) == (2, True)
    assert (found["Bucket"], found["Key"], found["UploadId"]) == ("bucket", "k y", "u1")
    empty = read("ListParts", render_parts(upload(), PartsQuery(9, 2), [], OWNER, truncated=False))
    assert empty["NextPartNumberMarker"] == 9
    assert "Parts" not in empty


def test_results_of_uploads_and_copies():
    found = read("CreateMultipartUpload", render_upload_started("bucket", "k&y", "u1"))
    assert found == {"Bucket": "bucket", "Key": "k&y", "UploadId": "u1"}
    body = render_upload_completed("http://h/bucket/k", "bucket", "k", "e-2", [SHA256])
    assert read("CompleteMultipartUpload", body) == {
        "Location": "http://h/bucket/k",
        "Bucket": "bucket",
        "Key": "k",
        "ETag": '"e-2"',
        "ChecksumSHA256": "x-2",
        "ChecksumType": "COMPOSITE",
    }
    assert read("CopyObject", render_object_copied("e", NOW_MS, [CRC32]))["CopyObjectResult"] == {
        "ETag": '"e"',
        "LastModified": NOW,
        "ChecksumCRC32": "AAAAAA==",
        "ChecksumType": "FULL_OBJECT",
    }
    assert read("UploadPartCopy", render_part_copied("e", NOW_MS, []))["CopyPartResult"] == {
        "ETag": '"e"',
        "LastModified": NOW,
    }


def test_results_of_deletes():
    deleted = [DeletedEntry("a&b"), DeletedEntry("c", "null")]
    failed = [FailedEntry("x", AccessDenied("no")), FailedEntry("y", KeyTooLong("long"), "null")]
    found = read("DeleteObjects", render_deleted(deleted, failed, quiet=False))
    assert found["Deleted"] == [{"Key": "a&b"}, {"Key": "c", "VersionId": "null"}]
    assert found["Errors"] == [
        {"Key": "x", "Code": "AccessDenied", "Message": "no"},
        {"Key": "y", "VersionId": "null", "Code": "KeyTooLongError", "Message": "long"},
    ]
    quiet = read("DeleteObjects", render_deleted(deleted, failed, quiet=True))
    assert "Deleted" not in quiet
    assert len(quiet["Errors"]) == 2
