import xml.etree.ElementTree as ET

import pytest

from stratum.adapters.s3.object_attributes import (
    ATTRIBUTES,
    PARTS_MAX,
    AttributesQuery,
    attributes_query,
    render_attributes,
)
from stratum.domain.checksums import Checksum, ChecksumAlgorithm
from stratum.domain.errors import InvalidArgument
from stratum.domain.names import BucketName, ExtentId, ObjectKey, Tier, VolumeId
from stratum.domain.volume import CompletedPart, Extent, Location, ObjectVersion

CHECKSUM = Checksum(ChecksumAlgorithm.CRC32, "AAAAAA==")
ALL = frozenset(ATTRIBUTES)


def version(parts=(), checksums=(CHECKSUM,)):
    return ObjectVersion(
        BucketName("films"),
        ObjectKey("k"),
        "v",
        VolumeId("0" * 32),
        30,
        "ab" * 16,
        0,
        Location(Tier.HOT, (Extent(ExtentId("0" * 32), 30, 64),)),
        "0" * 16,
        checksums=checksums,
        parts=tuple(parts),
    )


def rendered(found, query):
    root = ET.fromstring(render_attributes(found, query, "STANDARD"))
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]
    return root


PARTS = [CompletedPart(number, 10, CHECKSUM if number == 2 else None) for number in (1, 2, 5)]


def test_everything_of_a_simple_object():
    root = rendered(version(), AttributesQuery(ALL))
    assert [child.tag for child in root] == ["ETag", "Checksum", "StorageClass", "ObjectSize"]
    assert root.findtext("ETag") == "ab" * 16
    assert root.findtext("Checksum/ChecksumCRC32") == "AAAAAA=="
    assert root.findtext("Checksum/ChecksumType") == "FULL_OBJECT"
    assert root.findtext("StorageClass") == "STANDARD"
    assert root.findtext("ObjectSize") == "30"


def test_only_what_was_asked_for():
    root = rendered(version(PARTS), AttributesQuery(frozenset({"ObjectSize"})))
    assert [child.tag for child in root] == ["ObjectSize"]


def test_an_object_without_checksums_has_no_such_element():
    assert rendered(version(checksums=()), AttributesQuery(ALL)).find("Checksum") is None


@pytest.mark.parametrize(
    ("query", "numbers", "following", "truncated"),
    [
        (AttributesQuery(ALL), [1, 2, 5], 5, "false"),
        (AttributesQuery(ALL, max_parts=2), [1, 2], 2, "true"),
        (AttributesQuery(ALL, max_parts=2, after=2), [5], 5, "false"),
        (AttributesQuery(ALL, after=5), [], 5, "false"),
        (AttributesQuery(ALL, max_parts=0), [], 0, "true"),
    ],
)
def test_pages_of_parts(query, numbers, following, truncated):
    parts = rendered(version(PARTS), query).find("ObjectParts")
    assert [int(part.findtext("PartNumber")) for part in parts.findall("Part")] == numbers
    assert parts.findtext("NextPartNumberMarker") == str(following)
    assert parts.findtext("PartNumberMarker") == str(query.after)
    assert parts.findtext("MaxParts") == str(query.max_parts)
    assert parts.findtext("IsTruncated") == truncated
    assert parts.findtext("PartsCount") == "3"


def test_a_part_shows_its_checksum_if_it_has_one():
    parts = rendered(version(PARTS), AttributesQuery(ALL)).findall("ObjectParts/Part")
    assert [part.findtext("ChecksumCRC32") for part in parts] == [None, "AAAAAA==", None]
    assert {part.findtext("Size") for part in parts} == {"10"}


def test_what_the_headers_ask_for():
    headers = {"x-amz-object-attributes": "ETag, ObjectSize"}
    assert attributes_query(headers) == AttributesQuery(frozenset({"ETag", "ObjectSize"}))
    paged = {**headers, "x-amz-max-parts": "7", "x-amz-part-number-marker": "3"}
    assert attributes_query(paged).max_parts == 7
    assert attributes_query(paged).after == 3
    assert attributes_query({**headers, "x-amz-max-parts": "9999"}).max_parts == PARTS_MAX


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"x-amz-object-attributes": ""},
        {"x-amz-object-attributes": "ETag,Owner"},
        {"x-amz-object-attributes": "ETag", "x-amz-max-parts": "-1"},
        {"x-amz-object-attributes": "ETag", "x-amz-max-parts": "9" * 400},
        {"x-amz-object-attributes": "ETag", "x-amz-part-number-marker": "x"},
    ],
)
def test_refused_headers(headers):
    with pytest.raises(InvalidArgument):
        attributes_query(headers)
