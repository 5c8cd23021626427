"""Versions and delete markers, as a client of S3 sees them."""

import pytest

from tests.support.refusals import refused


@pytest.fixture
def versioned(s3, bucket):
    """A bucket that keeps versions."""
    enable(s3, bucket)
    return bucket


def enable(s3, bucket, status="Enabled"):
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": status})


def put(s3, bucket, body, key="k"):
    return s3.put_object(Bucket=bucket, Key=key, Body=body).get("VersionId")


def read(s3, bucket, key="k", **version):
    return s3.get_object(Bucket=bucket, Key=key, **version)["Body"].read()


def listed(s3, bucket, **more):
    """(kind, version id, is latest) of all versions of a bucket, as they are listed."""
    answer = s3.list_object_versions(Bucket=bucket, **more)
    rows = [("version", each) for each in answer.get("Versions", [])]
    rows += [("marker", each) for each in answer.get("DeleteMarkers", [])]
    return {(kind, each["VersionId"], each["IsLatest"]) for kind, each in rows}


def test_versioning_is_off_until_it_is_switched_on(s3, bucket):
    assert "Status" not in s3.get_bucket_versioning(Bucket=bucket)
    assert put(s3, bucket, b"1") is None
    for status in ("Enabled", "Suspended"):
        enable(s3, bucket, status)
        assert s3.get_bucket_versioning(Bucket=bucket)["Status"] == status
    with refused("MalformedXML", 400):
        enable(s3, bucket, "On")


def test_every_version_can_be_read(s3, versioned):
    ids = [put(s3, versioned, body) for body in (b"1", b"2", b"3")]
    assert len(set(ids)) == 3
    assert read(s3, versioned) == b"3"
    assert [read(s3, versioned, VersionId=each) for each in ids] == [b"1", b"2", b"3"]
    head = s3.head_object(Bucket=versioned, Key="k", VersionId=ids[0])
    assert head["VersionId"] == ids[0]
    assert listed(s3, versioned) == {
        ("version", ids[0], False),
        ("version", ids[1], False),
        ("version", ids[2], True),
    }
    with refused("NoSuchVersion", 404):
        read(s3, versioned, VersionId="0" * 32)
    with refused("NoSuchKey", 404) as missing:
        read(s3, versioned, "another")
    assert missing.response["ResponseMetadata"]["HTTPHeaders"]["x-amz-delete-marker"] == "false"


def test_a_delete_marker_hides_and_its_removal_shows(s3, versioned):
    version = put(s3, versioned, b"1")
    deleted = s3.delete_object(Bucket=versioned, Key="k")
    assert deleted["DeleteMarker"]
    marker = deleted["VersionId"]
    with refused("NoSuchKey", 404) as hidden:
        read(s3, versioned)
    assert hidden.response["ResponseMetadata"]["HTTPHeaders"]["x-amz-delete-marker"] == "true"
    with refused("MethodNotAllowed", 405):
        read(s3, versioned, VersionId=marker)
    assert s3.list_objects_v2(Bucket=versioned)["KeyCount"] == 0
    assert listed(s3, versioned) == {("version", version, False), ("marker", marker, True)}
    again = s3.delete_object(Bucket=versioned, Key="k", VersionId=marker)
    assert (again["DeleteMarker"], again["VersionId"]) == (True, marker)
    assert read(s3, versioned) == b"1"


def test_deleting_the_latest_version_shows_the_one_before(s3, versioned):
    first, second = put(s3, versioned, b"1"), put(s3, versioned, b"2")
    s3.delete_object(Bucket=versioned, Key="k", VersionId=second)
    assert read(s3, versioned) == b"1"
    assert listed(s3, versioned) == {("version", first, True)}
    s3.delete_object(Bucket=versioned, Key="k", VersionId=first)
    s3.delete_bucket(Bucket=versioned)


def test_while_suspended_there_is_one_null_version(s3, bucket):
    put(s3, bucket, b"before")
    enable(s3, bucket)
    kept = put(s3, bucket, b"kept")
    assert read(s3, bucket, VersionId="null") == b"before"
    enable(s3, bucket, "Suspended")
    assert put(s3, bucket, b"while") is None
    assert s3.head_object(Bucket=bucket, Key="k")["VersionId"] == "null"
    assert read(s3, bucket, VersionId="null") == read(s3, bucket) == b"while"
    assert s3.delete_object(Bucket=bucket, Key="k")["VersionId"] == "null"
    assert listed(s3, bucket) == {("version", kept, False), ("marker", "null", True)}
    put(s3, bucket, b"again")
    assert listed(s3, bucket) == {("version", kept, False), ("version", "null", True)}


def test_a_bucket_of_hidden_versions_is_not_empty(s3, versioned):
    put(s3, versioned, b"1")
    s3.delete_object(Bucket=versioned, Key="k")
    with refused("BucketNotEmpty", 409):
        s3.delete_bucket(Bucket=versioned)


def test_copies_and_multipart_uploads_make_versions(s3, versioned):
    first, _ = put(s3, versioned, b"1"), put(s3, versioned, b"2")
    source = {"Bucket": versioned, "Key": "k", "VersionId": first}
    copied = s3.copy_object(Bucket=versioned, Key="k", CopySource=source)
    assert copied["CopySourceVersionId"] == first
    assert read(s3, versioned, VersionId=copied["VersionId"]) == read(s3, versioned) == b"1"
    upload = s3.create_multipart_upload(Bucket=versioned, Key="k")["UploadId"]
    part = s3.upload_part(Bucket=versioned, Key="k", UploadId=upload, PartNumber=1, Body=b"3")
    done = s3.complete_multipart_upload(
        Bucket=versioned,
        Key="k",
        UploadId=upload,
        MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]},
    )
    assert read(s3, versioned, VersionId=done["VersionId"]) == read(s3, versioned) == b"3"
    assert len(listed(s3, versioned)) == 4


def test_deleting_many_names_markers_and_versions(s3, versioned):
    first = put(s3, versioned, b"1")
    answer = s3.delete_objects(Bucket=versioned, Delete={"Objects": [{"Key": "k"}]})
    (entry,) = answer["Deleted"]
    marker = entry["DeleteMarkerVersionId"]
    assert entry["DeleteMarker"]
    objects = [{"Key": "k", "VersionId": each} for each in (first, marker)]
    answer = s3.delete_objects(Bucket=versioned, Delete={"Objects": objects})
    assert {entry.get("DeleteMarkerVersionId") for entry in answer["Deleted"]} == {None, marker}
    assert listed(s3, versioned) == set()


def test_pages_of_versions_go_on_when_what_they_named_is_gone(s3, versioned):
    ids = [put(s3, versioned, b"x", key) for key in ("a", "b", "b", "b", "c")]
    seen, markers = [], {}
    while True:
        page = s3.list_object_versions(Bucket=versioned, MaxKeys=2, **markers)
        for each in page["Versions"]:
            seen.append(each["VersionId"])
            s3.delete_object(Bucket=versioned, Key=each["Key"], VersionId=each["VersionId"])
        if not page["IsTruncated"]:
            break
        markers = {
            "KeyMarker": page["NextKeyMarker"],
            "VersionIdMarker": page["NextVersionIdMarker"],
        }
    assert seen == [ids[0], ids[3], ids[2], ids[1], ids[4]]
