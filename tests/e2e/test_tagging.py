"""Tags of objects and buckets, as boto3 sets and shows them."""

import pytest

from tests.support.refusals import refused

TAGS = [{"Key": "team", "Value": "x y"}, {"Key": "year", "Value": ""}]


def tags_of(s3, bucket, key="k", **which):
    return s3.get_object_tagging(Bucket=bucket, Key=key, **which)["TagSet"]


def versioned(s3, bucket):
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})


def test_tags_come_with_a_put_and_are_counted(s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"1", Tagging="year=&team=x%20y")
    assert tags_of(s3, bucket) == TAGS
    assert s3.head_object(Bucket=bucket, Key="k")["ResponseMetadata"]["HTTPHeaders"][
        "x-amz-tagging-count"
    ] == str(len(TAGS))
    assert s3.get_object(Bucket=bucket, Key="k")["TagCount"] == len(TAGS)


def test_tags_are_replaced_and_deleted(s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"1")
    assert tags_of(s3, bucket) == []
    s3.put_object_tagging(Bucket=bucket, Key="k", Tagging={"TagSet": TAGS[::-1]})
    assert tags_of(s3, bucket) == TAGS
    s3.put_object_tagging(Bucket=bucket, Key="k", Tagging={"TagSet": TAGS[:1]})
    assert tags_of(s3, bucket) == TAGS[:1]
    s3.delete_object_tagging(Bucket=bucket, Key="k")
    assert tags_of(s3, bucket) == []
    assert "TagCount" not in s3.head_object(Bucket=bucket, Key="k")


def test_each_version_has_its_own(s3, bucket):
    versioned(s3, bucket)
    old = s3.put_object(Bucket=bucket, Key="k", Body=b"1", Tagging="team=x%20y")["VersionId"]
    new = s3.put_object(Bucket=bucket, Key="k", Body=b"2")["VersionId"]
    changed = s3.put_object_tagging(
        Bucket=bucket, Key="k", VersionId=old, Tagging={"TagSet": TAGS[1:]}
    )
    assert changed["VersionId"] == old
    assert tags_of(s3, bucket) == []
    assert tags_of(s3, bucket, VersionId=old) == TAGS[1:]
    assert s3.get_object_tagging(Bucket=bucket, Key="k")["VersionId"] == new


def test_a_copy_takes_the_tags_or_gets_others(s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"1", Tagging="team=x%20y&year=")
    source = {"Bucket": bucket, "Key": "k"}
    s3.copy_object(Bucket=bucket, Key="same", CopySource=source)
    assert tags_of(s3, bucket, "same") == TAGS
    s3.copy_object(
        Bucket=bucket, Key="other", CopySource=source, TaggingDirective="REPLACE", Tagging="year="
    )
    assert tags_of(s3, bucket, "other") == TAGS[1:]
    s3.copy_object(Bucket=bucket, Key="none", CopySource=source, TaggingDirective="REPLACE")
    assert tags_of(s3, bucket, "none") == []


def test_tags_of_a_multipart_upload(s3, bucket):
    upload = s3.create_multipart_upload(Bucket=bucket, Key="k", Tagging="year=&team=x%20y")
    ids = {"Bucket": bucket, "Key": "k", "UploadId": upload["UploadId"]}
    part = s3.upload_part(**ids, PartNumber=1, Body=b"1")
    parts = [{"PartNumber": 1, "ETag": part["ETag"]}]
    s3.complete_multipart_upload(**ids, MultipartUpload={"Parts": parts})
    assert tags_of(s3, bucket) == TAGS


@pytest.mark.parametrize(
    "tags",
    [
        [{"Key": str(number), "Value": ""} for number in range(11)],
        [{"Key": "k" * 129, "Value": ""}],
        [{"Key": "k", "Value": "v" * 257}],
        [{"Key": "a", "Value": ""}, {"Key": "a", "Value": ""}],
        [{"Key": "aws:a", "Value": ""}],
    ],
)
def test_what_is_no_set_of_tags_changes_nothing(s3, bucket, tags):
    s3.put_object(Bucket=bucket, Key="k", Body=b"1", Tagging="team=x%20y")
    with refused("InvalidTag", 400):
        s3.put_object_tagging(Bucket=bucket, Key="k", Tagging={"TagSet": tags})
    assert tags_of(s3, bucket) == TAGS[:1]


def test_a_put_with_bad_tags_stores_nothing(s3, bucket):
    with refused("InvalidArgument", 400):
        s3.put_object(Bucket=bucket, Key="k", Body=b"1", Tagging="a=1&a=2")
    assert s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 0


def test_tags_of_what_is_not_there(s3, bucket):
    with refused("NoSuchKey", 404):
        s3.get_object_tagging(Bucket=bucket, Key="k")
    with refused("NoSuchKey", 404):
        s3.put_object_tagging(Bucket=bucket, Key="k", Tagging={"TagSet": TAGS})
    versioned(s3, bucket)
    s3.put_object(Bucket=bucket, Key="k", Body=b"1")
    marker = s3.delete_object(Bucket=bucket, Key="k")["VersionId"]
    with refused("MethodNotAllowed", 405):
        s3.get_object_tagging(Bucket=bucket, Key="k", VersionId=marker)


def test_tags_of_a_bucket(s3, bucket):
    with refused("NoSuchTagSet", 404):
        s3.get_bucket_tagging(Bucket=bucket)
    many = [{"Key": f"k{number:02}", "Value": "v"} for number in range(50)]
    s3.put_bucket_tagging(Bucket=bucket, Tagging={"TagSet": many})
    assert s3.get_bucket_tagging(Bucket=bucket)["TagSet"] == many
    with refused("InvalidTag", 400):
        s3.put_bucket_tagging(Bucket=bucket, Tagging={"TagSet": [*many, *TAGS]})
    s3.delete_bucket_tagging(Bucket=bucket)
    with refused("NoSuchTagSet", 404):
        s3.get_bucket_tagging(Bucket=bucket)
    with refused("NoSuchBucket", 404):
        s3.get_bucket_tagging(Bucket="nowhere")
