"""GetObjectAttributes over the wire."""

from tests.support.refusals import refused

ALL = ["ETag", "Checksum", "ObjectParts", "StorageClass", "ObjectSize"]
MIB = 1024**2


def attributes(s3, bucket, names=ALL, **settings):
    return s3.get_object_attributes(Bucket=bucket, Key="k", ObjectAttributes=names, **settings)


def test_a_simple_object(s3, bucket):
    stored = s3.put_object(Bucket=bucket, Key="k", Body=b"foo", ChecksumAlgorithm="SHA256")
    found = attributes(s3, bucket)
    assert found["ETag"] == stored["ETag"].strip('"')
    assert found["ObjectSize"] == 3
    assert found["StorageClass"] == "STANDARD"
    assert found["Checksum"]["ChecksumSHA256"] == stored["ChecksumSHA256"]
    head = s3.head_object(Bucket=bucket, Key="k")
    assert found["LastModified"] == head["LastModified"]
    assert {"ObjectParts", "VersionId", "DeleteMarker"}.isdisjoint(found)
    only = attributes(s3, bucket, ["ObjectSize"])
    assert "ETag" not in only


def test_the_parts_of_an_object_page_by_page(s3, bucket):
    upload = s3.create_multipart_upload(Bucket=bucket, Key="k", ChecksumAlgorithm="SHA256")
    ids = {"Bucket": bucket, "Key": "k", "UploadId": upload["UploadId"]}
    sizes = [5 * MIB, 5 * MIB, 1]
    parts = []
    for number, size in enumerate(sizes, 1):
        part = s3.upload_part(
            **ids, PartNumber=number, Body=bytes(size), ChecksumAlgorithm="SHA256"
        )
        checksum = part["ChecksumSHA256"]
        parts.append({"PartNumber": number, "ETag": part["ETag"], "ChecksumSHA256": checksum})
    s3.complete_multipart_upload(**ids, MultipartUpload={"Parts": parts})
    whole = attributes(s3, bucket)["ObjectParts"]
    assert whole["TotalPartsCount"] == 3
    assert not whole["IsTruncated"]
    shown = [(p["PartNumber"], p["Size"], p["ChecksumSHA256"]) for p in whole["Parts"]]
    assert shown == [
        (part["PartNumber"], size, part["ChecksumSHA256"])
        for part, size in zip(parts, sizes, strict=True)
    ]
    page = attributes(s3, bucket, MaxParts=1, PartNumberMarker=1)["ObjectParts"]
    assert [part["PartNumber"] for part in page["Parts"]] == [2]
    assert (page["IsTruncated"], page["NextPartNumberMarker"]) == (True, 2)


def test_versions(s3, bucket):
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    old = s3.put_object(Bucket=bucket, Key="k", Body=b"1")["VersionId"]
    new = s3.put_object(Bucket=bucket, Key="k", Body=b"22")["VersionId"]
    assert (attributes(s3, bucket)["VersionId"], attributes(s3, bucket)["ObjectSize"]) == (new, 2)
    assert attributes(s3, bucket, VersionId=old)["ObjectSize"] == 1
    marker = s3.delete_object(Bucket=bucket, Key="k")["VersionId"]
    with refused("NoSuchKey", 404):
        attributes(s3, bucket)
    with refused("MethodNotAllowed", 405):
        attributes(s3, bucket, VersionId=marker)


def test_refusals(s3, bucket):
    with refused("NoSuchKey", 404):
        attributes(s3, bucket)
    s3.put_object(Bucket=bucket, Key="k", Body=b"1")
    with refused("InvalidArgument", 400):
        attributes(s3, bucket, ["Owner"])
