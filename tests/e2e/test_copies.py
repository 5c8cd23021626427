"""CopyObject and its conditions, metadata and checksums."""

from tests.support.payloads import payload
from tests.support.refusals import refused

BODY = payload(2_500_000, 3)


def test_a_copy_takes_bytes_and_metadata(s3, bucket):
    source = "süß + %2F/name?.bin"
    s3.put_object(
        Bucket=bucket, Key=source, Body=BODY, ContentType="image/png", Metadata={"a": "1"}
    )
    answer = s3.copy_object(Bucket=bucket, Key="copy", CopySource={"Bucket": bucket, "Key": source})
    original = s3.head_object(Bucket=bucket, Key=source)
    copy = s3.get_object(Bucket=bucket, Key="copy")
    assert copy["Body"].read() == BODY
    assert answer["CopyObjectResult"]["ETag"] == original["ETag"] == copy["ETag"]
    assert (copy["ContentType"], copy["Metadata"]) == ("image/png", {"a": "1"})
    s3.delete_object(Bucket=bucket, Key=source)
    assert s3.get_object(Bucket=bucket, Key="copy")["Body"].read() == BODY


def test_a_copy_may_replace_metadata(s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"x", ContentType="image/png", Metadata={"a": "1"})
    s3.copy_object(
        Bucket=bucket,
        Key="copy",
        CopySource={"Bucket": bucket, "Key": "k"},
        MetadataDirective="REPLACE",
        ContentType="text/plain",
        Metadata={"b": "2"},
    )
    copy = s3.head_object(Bucket=bucket, Key="copy")
    assert (copy["ContentType"], copy["Metadata"]) == ("text/plain", {"b": "2"})


def test_a_copy_onto_itself_must_change_something(s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=BODY, Metadata={"a": "1"})
    source = {"Bucket": bucket, "Key": "k"}
    with refused("InvalidRequest", 400):
        s3.copy_object(Bucket=bucket, Key="k", CopySource=source)
    s3.copy_object(
        Bucket=bucket,
        Key="k",
        CopySource=source,
        MetadataDirective="REPLACE",
        Metadata={"b": "2"},
    )
    got = s3.get_object(Bucket=bucket, Key="k")
    assert (got["Body"].read(), got["Metadata"]) == (BODY, {"b": "2"})


def test_a_copy_between_buckets_with_another_checksum(s3, bucket):
    other = f"{bucket}-other"
    s3.create_bucket(Bucket=other)
    s3.put_object(Bucket=bucket, Key="k", Body=BODY, ChecksumAlgorithm="CRC32")
    answer = s3.copy_object(
        Bucket=other,
        Key="k",
        CopySource=f"{bucket}/k",
        ChecksumAlgorithm="SHA256",
    )
    copy = s3.get_object(Bucket=other, Key="k", ChecksumMode="ENABLED")
    assert copy["ChecksumSHA256"] == answer["CopyObjectResult"]["ChecksumSHA256"]
    assert "ChecksumCRC32" not in copy
    assert copy["Body"].read() == BODY


def test_a_copy_depends_on_its_source(s3, bucket):
    etag = s3.put_object(Bucket=bucket, Key="k", Body=b"x")["ETag"]
    source = {"Bucket": bucket, "Key": "k"}
    other = '"0123456789abcdef0123456789abcdef"'
    for failing in ({"CopySourceIfMatch": other}, {"CopySourceIfNoneMatch": etag}):
        with refused("PreconditionFailed", 412):
            s3.copy_object(Bucket=bucket, Key="copy", CopySource=source, **failing)
    s3.copy_object(
        Bucket=bucket,
        Key="copy",
        CopySource=source,
        CopySourceIfMatch=etag,
        CopySourceIfNoneMatch=other,
    )


def test_a_copy_may_be_forbidden_to_overwrite(s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    s3.put_object(Bucket=bucket, Key="taken", Body=b"keep me")
    source = {"Bucket": bucket, "Key": "k"}
    with refused("PreconditionFailed", 412):
        s3.copy_object(Bucket=bucket, Key="taken", CopySource=source, IfNoneMatch="*")
    assert s3.get_object(Bucket=bucket, Key="taken")["Body"].read() == b"keep me"


def test_copies_of_what_is_not_there(s3, bucket):
    with refused("NoSuchKey", 404):
        s3.copy_object(Bucket=bucket, Key="copy", CopySource={"Bucket": bucket, "Key": "none"})
    with refused("NoSuchBucket", 404):
        s3.copy_object(Bucket=bucket, Key="copy", CopySource={"Bucket": "missing", "Key": "k"})
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    with refused("NoSuchBucket", 404):
        s3.copy_object(Bucket="missing", Key="copy", CopySource={"Bucket": bucket, "Key": "k"})
