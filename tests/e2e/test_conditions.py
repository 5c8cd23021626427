"""Conditional requests through boto3."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from threading import Barrier

import pytest

from tests.support.refusals import outcome, refused

OTHER_ETAG = '"0123456789abcdef0123456789abcdef"'
WRITERS = 8


@pytest.fixture
def stored(s3, bucket):
    """An object `k`: its HEAD."""
    s3.put_object(Bucket=bucket, Key="k", Body=b"body")
    return s3.head_object(Bucket=bucket, Key="k")


def test_reads_with_conditions_that_hold(s3, bucket, stored):
    modified = stored["LastModified"]
    for conditions in (
        {"IfMatch": stored["ETag"]},
        {"IfMatch": "*"},
        {"IfMatch": f"{OTHER_ETAG}, {stored['ETag']}"},
        {"IfNoneMatch": OTHER_ETAG},
        {"IfUnmodifiedSince": modified},
        {"IfModifiedSince": modified - timedelta(seconds=1)},
        {"IfMatch": stored["ETag"], "IfUnmodifiedSince": modified - timedelta(days=1)},
        {"IfNoneMatch": OTHER_ETAG, "IfModifiedSince": modified},
    ):
        got = s3.get_object(Bucket=bucket, Key="k", **conditions)
        assert got["Body"].read() == b"body", conditions
        s3.head_object(Bucket=bucket, Key="k", **conditions)


def test_reads_with_conditions_that_fail(s3, bucket, stored):
    modified = stored["LastModified"]
    for conditions in (
        {"IfMatch": OTHER_ETAG},
        {"IfUnmodifiedSince": modified - timedelta(seconds=1)},
    ):
        with refused("PreconditionFailed", 412):
            s3.get_object(Bucket=bucket, Key="k", **conditions)
        with refused("412", 412):
            s3.head_object(Bucket=bucket, Key="k", **conditions)


def test_not_modified(s3, bucket, stored):
    for conditions in (
        {"IfNoneMatch": stored["ETag"]},
        {"IfNoneMatch": "*"},
        {"IfNoneMatch": f"W/{stored['ETag']}"},
        {"IfModifiedSince": stored["LastModified"]},
    ):
        for read in (s3.get_object, s3.head_object):
            with refused("304", 304) as refusal:
                read(Bucket=bucket, Key="k", **conditions)
            headers = refusal.response["ResponseMetadata"]["HTTPHeaders"]
            assert headers["etag"] == stored["ETag"]


def test_a_range_depends_on_if_range(server, bucket, stored):
    path = f"/{bucket}/k"
    for tag, status, body in ((stored["ETag"], 206, b"bo"), (OTHER_ETAG, 200, b"body")):
        headers = {"range": "bytes=0-1", "if-range": tag}
        answer = server.request("GET", path, headers=server.signed("GET", path, b"", headers))
        assert (answer[0], answer[2]) == (status, body)


def test_writing_only_what_is_not_there(s3, bucket):
    s3.put_object(Bucket=bucket, Key="new", Body=b"first", IfNoneMatch="*")
    with refused("PreconditionFailed", 412):
        s3.put_object(Bucket=bucket, Key="new", Body=b"second", IfNoneMatch="*")
    assert s3.get_object(Bucket=bucket, Key="new")["Body"].read() == b"first"
    s3.delete_object(Bucket=bucket, Key="new")
    s3.put_object(Bucket=bucket, Key="new", Body=b"third", IfNoneMatch="*")


def test_writing_only_over_what_was_read(s3, bucket, stored):
    with refused("PreconditionFailed", 412):
        s3.put_object(Bucket=bucket, Key="k", Body=b"lost", IfMatch=OTHER_ETAG)
    s3.put_object(Bucket=bucket, Key="k", Body=b"update", IfMatch=stored["ETag"])
    with refused("PreconditionFailed", 412):
        s3.put_object(Bucket=bucket, Key="k", Body=b"late", IfMatch=stored["ETag"])
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"update"
    with refused("NoSuchKey", 404):
        s3.put_object(Bucket=bucket, Key="missing", Body=b"x", IfMatch=stored["ETag"])


def test_deleting_only_what_was_read(s3, bucket, stored):
    with refused("PreconditionFailed", 412):
        s3.delete_object(Bucket=bucket, Key="k", IfMatch=OTHER_ETAG)
    s3.delete_object(Bucket=bucket, Key="k", IfMatch=stored["ETag"])
    with refused("404", 404):
        s3.head_object(Bucket=bucket, Key="k")


@pytest.mark.parametrize("size", [64, 1_500_000])
def test_one_of_many_racing_writers_wins(s3, bucket, size):
    """Each sends a body of its own with If-None-Match: *; the winner's bytes are what is read."""
    start = Barrier(WRITERS)

    def write(number):
        start.wait()
        body = bytes([number]) * size
        return outcome(s3.put_object, Bucket=bucket, Key="prize", Body=body, IfNoneMatch="*")

    with ThreadPoolExecutor(WRITERS) as pool:
        outcomes = list(pool.map(write, range(WRITERS)))
    assert sorted(outcomes) == ["", *["PreconditionFailed"] * (WRITERS - 1)]
    winner = outcomes.index("")
    assert s3.get_object(Bucket=bucket, Key="prize")["Body"].read() == bytes([winner]) * size


def test_counting_with_if_match_loses_no_increment(s3, bucket):
    """Optimistic locking: read, add one, write back If-Match, again when somebody was faster."""
    s3.put_object(Bucket=bucket, Key="counter", Body=b"0")

    def add_one():
        got = s3.get_object(Bucket=bucket, Key="counter")
        body = str(int(got["Body"].read()) + 1).encode()
        return outcome(s3.put_object, Bucket=bucket, Key="counter", Body=body, IfMatch=got["ETag"])

    def add_five(_):
        for _ in range(5):
            while ended := add_one():
                assert ended == "PreconditionFailed"

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(add_five, range(4)))
    assert s3.get_object(Bucket=bucket, Key="counter")["Body"].read() == b"20"


# -- deletions ----------------------------------------------------------------------------------
LONG_AGO = datetime(2015, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        (lambda stored: {"IfMatch": stored["ETag"]}, {"IfMatch": OTHER_ETAG}),
        (lambda stored: {"IfMatchSize": stored["ContentLength"]}, {"IfMatchSize": 9999}),
        (
            lambda stored: {"IfMatchLastModifiedTime": stored["LastModified"]},
            {"IfMatchLastModifiedTime": LONG_AGO},
        ),
    ],
    ids=["etag", "size", "time"],
)
@pytest.mark.parametrize("versioning", [False, True])
def test_a_deletion_happens_if_its_condition_holds(s3, bucket, right, wrong, versioning):
    if versioning:
        s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    ids = {"Bucket": bucket, "Key": "k"}
    s3.delete_object(**ids, **wrong)  # what isn't there is deleted whatever the condition
    assert "DeleteMarkers" not in s3.list_object_versions(Bucket=bucket)
    s3.put_object(**ids, Body=b"1")
    stored = s3.head_object(**ids)
    with refused("PreconditionFailed", 412):
        s3.delete_object(**ids, **wrong)
    assert s3.head_object(**ids)["ETag"] == stored["ETag"]
    s3.delete_object(**ids, **right(stored))
    with refused("404", 404):
        s3.head_object(**ids)
    if versioning:  # a delete marker is there
        with refused("PreconditionFailed", 412):
            s3.delete_object(**ids, **wrong)


def test_conditions_on_a_version_and_on_each_of_many(s3, bucket):
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    old = s3.put_object(Bucket=bucket, Key="k", Body=b"1")
    s3.put_object(Bucket=bucket, Key="k", Body=b"22")
    this = {"Key": "k", "VersionId": old["VersionId"]}
    with refused("PreconditionFailed", 412):
        s3.delete_object(Bucket=bucket, **this, IfMatchSize=2)
    asked = [{**this, "ETag": OTHER_ETAG}, {**this, "Size": 2}, {**this, "Size": 1}]
    answers = [s3.delete_objects(Bucket=bucket, Delete={"Objects": [each]}) for each in asked]
    codes = [[error["Code"] for error in answer.get("Errors", [])] for answer in answers]
    assert codes == [["PreconditionFailed"], ["PreconditionFailed"], []]
    assert answers[2]["Deleted"] == [this]
    assert [each["Size"] for each in s3.list_object_versions(Bucket=bucket)["Versions"]] == [2]


def test_of_many_conditional_deletions_of_one_object_one_writer_wins(s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"1")
    etag = s3.head_object(Bucket=bucket, Key="k")["ETag"]

    def replace_it(number):
        return outcome(s3.put_object, Bucket=bucket, Key="k", Body=bytes([number]), IfMatch=etag)

    with ThreadPoolExecutor(8) as pool:
        deleted = pool.submit(outcome, s3.delete_object, Bucket=bucket, Key="k", IfMatch=etag)
        replaced = list(pool.map(replace_it, range(8)))
    assert [*replaced, deleted.result()].count("") == 1
