"""Multipart uploads step by step through boto3."""

import hashlib
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.support.payloads import payload
from tests.support.refusals import refused

MIB = 1 << 20
PART_MIN_BYTES = 5 * MIB
PARTS = [payload(PART_MIN_BYTES, 1), payload(PART_MIN_BYTES + 77, 2), payload(1234, 3)]
WHOLE = b"".join(PARTS)


def multipart_etag(parts):
    joined = b"".join(hashlib.md5(part).digest() for part in parts)
    return f'"{hashlib.md5(joined).hexdigest()}-{len(parts)}"'


@pytest.fixture
def upload(s3, bucket):
    """What names a new upload of the key `k`."""
    upload_id = s3.create_multipart_upload(
        Bucket=bucket, Key="k", ContentType="text/plain", Metadata={"a": "1"}
    )["UploadId"]
    return {"Bucket": bucket, "Key": "k", "UploadId": upload_id}


def send(s3, upload, parts):
    """Upload parts (number → bytes); what a completion lists of them."""
    with ThreadPoolExecutor(3) as pool:
        answers = pool.map(
            lambda item: s3.upload_part(**upload, PartNumber=item[0], Body=item[1]), parts.items()
        )
        return [
            {"PartNumber": number, "ETag": answer["ETag"]}
            for number, answer in zip(parts, answers, strict=True)
        ]


def complete(s3, upload, parts, **settings):
    return s3.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts}, **settings)


def test_parts_become_one_object(s3, bucket, upload):
    listed = send(s3, upload, {1: PARTS[0], 5: PARTS[1], 10_000: PARTS[2]})
    with refused("NoSuchKey", 404):
        s3.get_object(Bucket=bucket, Key="k")
    answer = complete(s3, upload, listed)
    assert answer["ETag"] == multipart_etag(PARTS)
    assert (answer["Bucket"], answer["Key"]) == (bucket, "k")
    got = s3.get_object(Bucket=bucket, Key="k")
    assert got["Body"].read() == WHOLE
    assert got["ETag"] == answer["ETag"]
    assert (got["ContentType"], got["Metadata"]) == ("text/plain", {"a": "1"})
    with refused("NoSuchUpload", 404):
        s3.list_parts(**upload)


def test_ranges_and_parts_of_a_multipart_object(s3, bucket, upload):
    complete(s3, upload, send(s3, upload, dict(enumerate(PARTS, 1))))
    seam = PART_MIN_BYTES
    for start, stop in ((0, 10), (seam - 3, seam + 3), (3, len(WHOLE) - 3)):
        got = s3.get_object(Bucket=bucket, Key="k", Range=f"bytes={start}-{stop - 1}")
        assert got["Body"].read() == WHOLE[start:stop]
    for number, part in enumerate(PARTS, 1):
        got = s3.get_object(Bucket=bucket, Key="k", PartNumber=number)
        assert got["Body"].read() == part
        assert got["PartsCount"] == len(PARTS)
        head = s3.head_object(Bucket=bucket, Key="k", PartNumber=number)
        assert head["ContentLength"] == len(part)
    with refused("InvalidPart", 400):
        s3.get_object(Bucket=bucket, Key="k", PartNumber=4)


def test_parts_are_listed_in_pages(s3, upload):
    bodies = {number: bytes([number]) * number for number in (1, 2, 3, 7)}
    send(s3, upload, bodies)
    listed = [
        part
        for page in s3.get_paginator("list_parts").paginate(
            **upload, PaginationConfig={"PageSize": 2}
        )
        for part in page["Parts"]
    ]
    assert [(part["PartNumber"], part["Size"]) for part in listed] == [
        (number, len(body)) for number, body in bodies.items()
    ]
    assert [part["ETag"] for part in listed] == [
        f'"{hashlib.md5(body).hexdigest()}"' for body in bodies.values()
    ]


def test_uploads_are_listed_in_pages(s3, bucket):
    started = []
    for key in ("a/1", "a/1", "a/2", "b", "c/1"):
        upload_id = s3.create_multipart_upload(Bucket=bucket, Key=key)["UploadId"]
        started.append((key, upload_id))
    pages = s3.get_paginator("list_multipart_uploads").paginate(
        Bucket=bucket, PaginationConfig={"PageSize": 2}
    )
    found = [(entry["Key"], entry["UploadId"]) for page in pages for entry in page["Uploads"]]
    assert found == started
    rolled = s3.list_multipart_uploads(Bucket=bucket, Delimiter="/")
    assert [entry["Prefix"] for entry in rolled["CommonPrefixes"]] == ["a/", "c/"]
    assert [entry["Key"] for entry in rolled["Uploads"]] == ["b"]
    assert "Uploads" not in s3.list_multipart_uploads(Bucket=bucket, Prefix="nothing")


def test_an_aborted_upload_is_gone(s3, bucket, upload):
    listed = send(s3, upload, {1: b"x"})
    s3.abort_multipart_upload(**upload)
    for call in (
        lambda: complete(s3, upload, listed),
        lambda: s3.upload_part(**upload, PartNumber=2, Body=b"y"),
        lambda: s3.list_parts(**upload),
        lambda: s3.abort_multipart_upload(**upload),
    ):
        with refused("NoSuchUpload", 404):
            call()
    assert "Uploads" not in s3.list_multipart_uploads(Bucket=bucket)
    s3.delete_bucket(Bucket=bucket)


def test_an_upload_belongs_to_its_key(s3, upload):
    stranger = {**upload, "Key": "other"}
    with refused("NoSuchUpload", 404):
        s3.upload_part(**stranger, PartNumber=1, Body=b"x")
    with refused("NoSuchUpload", 404):
        s3.abort_multipart_upload(**stranger)


def test_a_part_sent_again_replaces_the_first(s3, bucket, upload):
    old = send(s3, upload, {1: b"old", 2: b"tail"})
    new = send(s3, upload, {1: PARTS[0]})
    with refused("InvalidPart", 400):
        complete(s3, upload, old)
    complete(s3, upload, [*new, old[1]])
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == PARTS[0] + b"tail"


def test_parts_left_out_are_not_in_the_object(s3, bucket, upload):
    listed = send(s3, upload, {1: PARTS[0], 2: b"left out", 3: PARTS[2]})
    complete(s3, upload, [listed[0], listed[2]])
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == PARTS[0] + PARTS[2]


def test_a_completion_may_be_repeated(s3, bucket, upload):
    listed = send(s3, upload, {1: PARTS[0], 2: PARTS[2]})
    first, again = (complete(s3, upload, listed) for _ in range(2))
    assert first["ETag"] == again["ETag"]
    with refused("NoSuchUpload", 404):
        complete(s3, upload, listed[:1])
    s3.put_object(Bucket=bucket, Key="k", Body=b"newer")
    with refused("NoSuchUpload", 404):
        complete(s3, upload, listed)
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"newer"


def test_completions_that_are_refused(s3, bucket, upload):
    listed = send(s3, upload, {1: b"too small", 2: PARTS[0], 3: b"tail"})
    with refused("InvalidPartOrder", 400):
        complete(s3, upload, listed[::-1])
    with refused("EntityTooSmall", 400):
        complete(s3, upload, listed)
    with refused("InvalidPart", 400):
        complete(s3, upload, [*listed[1:], {"PartNumber": 4, "ETag": listed[0]["ETag"]}])
    with refused("InvalidPart", 400):
        complete(s3, upload, [{"PartNumber": 2, "ETag": listed[0]["ETag"]}])
    with refused("MalformedXML", 400):
        complete(s3, upload, [])
    with refused("404", 404):
        s3.head_object(Bucket=bucket, Key="k")
    # A client that sent a part again may list both: the last entry is the one that counts.
    complete(s3, upload, [{"PartNumber": 2, "ETag": listed[0]["ETag"]}, *listed[1:]])


@pytest.mark.parametrize("number", [0, 10_001])
def test_part_numbers_have_limits(s3, upload, number):
    with refused("InvalidArgument", 400):
        s3.upload_part(**upload, PartNumber=number, Body=b"x")


def test_completions_with_conditions(s3, bucket, upload):
    listed = send(s3, upload, {1: b"new"})
    etag = s3.put_object(Bucket=bucket, Key="k", Body=b"there")["ETag"]
    with refused("PreconditionFailed", 412):
        complete(s3, upload, listed, IfNoneMatch="*")
    complete(s3, upload, listed, IfMatch=etag)
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"new"


def test_a_completion_may_state_the_size(s3, upload):
    listed = send(s3, upload, {1: b"four"})
    with refused("InvalidRequest", 400):
        complete(s3, upload, listed, MpuObjectSize=5)
    complete(s3, upload, listed, MpuObjectSize=4)


def test_parts_copied_from_objects(s3, bucket, upload):
    s3.put_object(Bucket=bucket, Key="source ü", Body=WHOLE)
    source = {"Bucket": bucket, "Key": "source ü"}
    ranges = {1: (17, 17 + PART_MIN_BYTES), 2: (0, 100)}
    listed = [
        {
            "PartNumber": number,
            "ETag": s3.upload_part_copy(
                **upload,
                PartNumber=number,
                CopySource=source,
                CopySourceRange=f"bytes={start}-{stop - 1}",
            )["CopyPartResult"]["ETag"],
        }
        for number, (start, stop) in ranges.items()
    ]
    etag = s3.upload_part_copy(**upload, PartNumber=3, CopySource=source)["CopyPartResult"]["ETag"]
    complete(s3, upload, [listed[0], {"PartNumber": 3, "ETag": etag}])
    assert (
        s3.get_object(Bucket=bucket, Key="k")["Body"].read() == WHOLE[17:][:PART_MIN_BYTES] + WHOLE
    )


def test_copied_parts_that_are_refused(s3, bucket, upload):
    etag = s3.put_object(Bucket=bucket, Key="source", Body=b"0123456789")["ETag"]
    part = {**upload, "PartNumber": 1, "CopySource": {"Bucket": bucket, "Key": "source"}}
    with refused("InvalidRange", 416):
        s3.upload_part_copy(**part, CopySourceRange="bytes=5-10")
    with refused("InvalidArgument", 400):
        s3.upload_part_copy(**part, CopySourceRange="bytes=5-")
    with refused("PreconditionFailed", 412):
        s3.upload_part_copy(**part, CopySourceIfNoneMatch=etag)
    with refused("NoSuchKey", 404):
        s3.upload_part_copy(**{**part, "CopySource": {"Bucket": bucket, "Key": "none"}})


def test_uploads_to_a_bucket_that_is_not_there(s3):
    with refused("NoSuchBucket", 404):
        s3.create_multipart_upload(Bucket="missing", Key="k")
    with refused("NoSuchBucket", 404):
        s3.list_multipart_uploads(Bucket="missing")
