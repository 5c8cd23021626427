"""Listings of objects and buckets, both versions."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.support.refusals import refused

TREE = [
    "a",
    "a/1",
    "a/2",
    "a/deep/1",
    "b+c/1",
    "b/1",
    "photos/2025/x",
    "photos/2026/y",
    "photos/index",
    "z",
    "é/1",
]


@pytest.fixture(scope="module")
def tree(s3):
    """A bucket with TREE in it; nobody writes to it."""
    name = "tree-of-keys"
    s3.create_bucket(Bucket=name)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda key: s3.put_object(Bucket=name, Key=key, Body=b"12"), TREE))
    return name


def keys(answer):
    return [entry["Key"] for entry in answer.get("Contents", [])]


def prefixes(answer):
    return [entry["Prefix"] for entry in answer.get("CommonPrefixes", [])]


def test_a_listing_describes_each_object(s3, tree):
    answer = s3.list_objects_v2(Bucket=tree, Prefix="a/deep", FetchOwner=True)
    (entry,) = answer["Contents"]
    head = s3.head_object(Bucket=tree, Key="a/deep/1")
    assert entry["ETag"] == head["ETag"]
    assert entry["Size"] == 2
    assert entry["StorageClass"] == "STANDARD"
    assert abs((entry["LastModified"] - head["LastModified"]).total_seconds()) < 1
    assert entry["Owner"]["ID"]
    assert "Owner" not in s3.list_objects_v2(Bucket=tree)["Contents"][0]


def test_everything_in_the_order_of_bytes(s3, tree):
    answer = s3.list_objects_v2(Bucket=tree)
    assert keys(answer) == sorted(TREE, key=str.encode)
    assert (answer["KeyCount"], answer["IsTruncated"]) == (len(TREE), False)
    assert keys(s3.list_objects(Bucket=tree)) == keys(answer)


@pytest.mark.parametrize(
    ("asked", "expected_keys", "expected_prefixes"),
    [
        ({"Delimiter": "/"}, ["a", "z"], ["a/", "b+c/", "b/", "photos/", "é/"]),
        ({"Delimiter": "/", "Prefix": "a/"}, ["a/1", "a/2"], ["a/deep/"]),
        ({"Delimiter": "/", "Prefix": "photos/20"}, [], ["photos/2025/", "photos/2026/"]),
        ({"Delimiter": "/2", "Prefix": "photos"}, ["photos/index"], ["photos/2"]),
        ({"Prefix": "photos/"}, ["photos/2025/x", "photos/2026/y", "photos/index"], []),
        ({"Prefix": "nothing"}, [], []),
        ({"Delimiter": "no"}, TREE, []),
    ],
)
def test_prefix_and_delimiter(s3, tree, asked, expected_keys, expected_prefixes):
    for listing in (s3.list_objects_v2, s3.list_objects):
        answer = listing(Bucket=tree, **asked)
        assert (keys(answer), prefixes(answer)) == (expected_keys, expected_prefixes)


@pytest.mark.parametrize("page", [1, 2, 3, 7, 1000])
@pytest.mark.parametrize("delimiter", ["", "/"])
def test_pages_add_up_to_the_whole(s3, tree, page, delimiter):
    whole = s3.list_objects_v2(Bucket=tree, Delimiter=delimiter)
    for name in ("list_objects_v2", "list_objects"):
        found_keys, found_prefixes = [], []
        for answer in s3.get_paginator(name).paginate(
            Bucket=tree, Delimiter=delimiter, PaginationConfig={"PageSize": page}
        ):
            assert len(keys(answer)) + len(prefixes(answer)) <= page
            found_keys += keys(answer)
            found_prefixes += prefixes(answer)
        assert (found_keys, found_prefixes) == (keys(whole), prefixes(whole))


def test_start_after_and_marker(s3, tree):
    assert keys(s3.list_objects_v2(Bucket=tree, StartAfter="photos/2025/x")) == TREE[7:]
    assert keys(s3.list_objects_v2(Bucket=tree, StartAfter="photos/2025/")) == TREE[6:]
    assert keys(s3.list_objects(Bucket=tree, Marker="photos/2025/x")) == TREE[7:]
    rolled = s3.list_objects_v2(Bucket=tree, StartAfter="a/1", Delimiter="/")
    assert prefixes(rolled) == ["b+c/", "b/", "photos/", "é/"]
    assert keys(s3.list_objects_v2(Bucket=tree, StartAfter="zz")) == ["é/1"]


def test_a_token_beats_start_after(s3, tree):
    first = s3.list_objects_v2(Bucket=tree, MaxKeys=4)
    answer = s3.list_objects_v2(
        Bucket=tree, StartAfter="z", ContinuationToken=first["NextContinuationToken"]
    )
    assert keys(answer) == TREE[4:]
    with refused("InvalidArgument", 400):
        s3.list_objects_v2(Bucket=tree, ContinuationToken="made up")


def test_no_keys_asked_for(s3, tree):
    for listing in (s3.list_objects_v2, s3.list_objects):
        answer = listing(Bucket=tree, MaxKeys=0)
        assert (keys(answer), answer["IsTruncated"], answer["MaxKeys"]) == ([], False, 0)


def test_more_keys_asked_for_than_a_page_holds(s3, tree):
    assert s3.list_objects_v2(Bucket=tree, MaxKeys=5000)["MaxKeys"] == 1000


@pytest.mark.parametrize("query", ["max-keys=-1", "max-keys=ten", "encoding-type=base64"])
def test_listings_that_make_no_sense(server, tree, query):
    headers = server.signed("GET", f"/{tree}", query=query)
    status, _, body = server.request("GET", f"/{tree}?{query}", headers=headers)
    assert (status, b"<Code>InvalidArgument</Code>" in body) == (400, True)


def test_encoding_is_only_done_when_asked_for(server, tree):
    for query, key in (("encoding-type=url&prefix=b%2Bc", b"b%2Bc/1"), ("prefix=b%2Bc", b"b+c/1")):
        headers = server.signed("GET", f"/{tree}", query=query)
        status, _, body = server.request("GET", f"/{tree}?{query}", headers=headers)
        assert status == 200
        assert b"<Key>" + key + b"</Key>" in body


def test_a_listing_sees_every_write_before_it(s3, bucket):
    for number in range(20):
        key = f"{number:02}"
        s3.put_object(Bucket=bucket, Key=key, Body=b"x")
        assert keys(s3.list_objects_v2(Bucket=bucket))[-1] == key
    s3.delete_object(Bucket=bucket, Key="19")
    assert keys(s3.list_objects_v2(Bucket=bucket))[-1] == "18"


def test_more_objects_than_one_page(s3, crowd):
    bucket, names = crowd
    first = s3.list_objects_v2(Bucket=bucket)
    assert (first["KeyCount"], first["IsTruncated"]) == (1000, True)
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket)
    assert [key for page in pages for key in keys(page)] == names


# -- buckets ------------------------------------------------------------------------------------
def test_buckets_are_listed_located_and_found(s3, bucket):
    listed = s3.list_buckets()
    assert bucket in [entry["Name"] for entry in listed["Buckets"]]
    assert listed["Owner"]["ID"]
    assert s3.get_bucket_location(Bucket=bucket)["LocationConstraint"] is None
    head = s3.head_bucket(Bucket=bucket)
    assert head["BucketRegion"] == "us-east-1"


def test_buckets_in_pages(s3):
    names = [f"page-of-buckets-{number}" for number in range(5)]
    for name in names:
        s3.create_bucket(Bucket=name)
    pages = s3.get_paginator("list_buckets").paginate(
        Prefix="page-of-buckets-", PaginationConfig={"PageSize": 2}
    )
    found = [[entry["Name"] for entry in page["Buckets"]] for page in pages]
    assert found == [names[0:2], names[2:4], names[4:5]]


def test_a_bucket_can_go_and_come_back(s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"old")
    with refused("BucketNotEmpty", 409):
        s3.delete_bucket(Bucket=bucket)
    s3.delete_object(Bucket=bucket, Key="k")
    s3.delete_bucket(Bucket=bucket)
    with refused("404", 404):
        s3.head_bucket(Bucket=bucket)
    s3.create_bucket(Bucket=bucket)
    assert keys(s3.list_objects_v2(Bucket=bucket)) == []
