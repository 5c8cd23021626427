"""Storage classes and restores, as boto3 sees them."""

import subprocess
import sys
import time

import pytest
from botocore.exceptions import ClientError

from tests.support.server import ACCESS_KEY_ID, SECRET_ACCESS_KEY, running_server

BODY = b"x" * 10_000


@pytest.fixture(scope="module")
def tiered(tmp_path_factory):
    folder = tmp_path_factory.mktemp("classes")
    with running_server(folder / "remote") as remote, remote.client() as archive:
        archive.create_bucket(Bucket="archive")
        settings = {
            "STRATUM_TIERS_COLD_ENDPOINT": remote.url,
            "STRATUM_TIERS_COLD_BUCKET": "archive",
            "STRATUM_TIERS_COLD_ACCESS_KEY_ID": ACCESS_KEY_ID,
            "STRATUM_TIERS_COLD_SECRET_ACCESS_KEY": SECRET_ACCESS_KEY,
            "STRATUM_TIERING_DAY_S": "20",
        }
        with running_server(folder / "data", settings) as server, server.client() as client:
            client.create_bucket(Bucket="classes")
            client.stratum = server, settings
            yield client


@pytest.fixture(scope="module")
def local(tmp_path_factory):
    folder = tmp_path_factory.mktemp("local")
    with running_server(folder / "data") as server, server.client() as client:
        client.create_bucket(Bucket="classes")
        yield client


def head(client, key):
    return client.head_object(Bucket="classes", Key=key)


def tier_of(client, key):
    return head(client, key)["ResponseMetadata"]["HTTPHeaders"]["x-stratum-tier"]


def wait_for(client, key, tier):
    deadline = time.monotonic() + 60
    while tier_of(client, key) != tier:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def refused(call, **arguments):
    with pytest.raises(ClientError) as error:
        call(Bucket="classes", **arguments)
    return error.value.response


def listed(client, key):
    page = client.list_objects_v2(Bucket="classes", Prefix=key)["Contents"]
    (entry,) = (each for each in page if each["Key"] == key)
    versions = client.list_object_versions(Bucket="classes", Prefix=key)["Versions"]
    (version,) = (each for each in versions if each["Key"] == key)
    assert entry["StorageClass"] == version["StorageClass"]
    return entry["StorageClass"]


@pytest.mark.parametrize(
    ("asked", "tier"),
    [
        ("STANDARD_IA", "warm"),
        ("ONEZONE_IA", "warm"),
        ("GLACIER_IR", "cold"),
        ("GLACIER", "cold"),
        ("DEEP_ARCHIVE", "cold"),
        ("INTELLIGENT_TIERING", "hot"),
        ("REDUCED_REDUNDANCY", "hot"),
    ],
)
def test_what_was_asked_for_is_read_back(tiered, asked, tier):
    tiered.put_object(Bucket="classes", Key=asked, Body=BODY, StorageClass=asked)
    assert head(tiered, asked)["StorageClass"] == asked
    assert listed(tiered, asked) == asked
    wait_for(tiered, asked, tier)
    found = tiered.get_object(Bucket="classes", Key=asked)
    assert found["Body"].read() == BODY
    assert found["StorageClass"] == asked


def test_the_default_is_not_named_by_head_and_is_by_listings(local):
    for asked in ({}, {"StorageClass": "STANDARD"}):
        local.put_object(Bucket="classes", Key="plain", Body=BODY, **asked)
        assert "StorageClass" not in head(local, "plain")
        assert listed(local, "plain") == "STANDARD"


def test_unknown_classes_and_missing_tiers(local):
    answer = refused(local.put_object, Key="k", Body=BODY, StorageClass="COLD")
    assert answer["Error"]["Code"] == "InvalidStorageClass"
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 400
    answer = refused(local.put_object, Key="k", Body=BODY, StorageClass="GLACIER")
    assert answer["Error"]["Code"] == "InvalidStorageClass"
    assert "cold tier, which this server does not have" in answer["Error"]["Message"]
    answer = refused(local.create_multipart_upload, Key="k", StorageClass="COLD")
    assert answer["Error"]["Code"] == "InvalidStorageClass"


def test_a_copy_onto_itself_changes_the_class(local):
    source = {"Bucket": "classes", "Key": "copied"}
    local.put_object(Bucket="classes", Key="copied", Body=BODY, Metadata={"a": "b"})
    local.copy_object(Bucket="classes", Key="copied", CopySource=source, StorageClass="STANDARD_IA")
    found = head(local, "copied")
    assert (found["StorageClass"], found["Metadata"]) == ("STANDARD_IA", {"a": "b"})
    answer = refused(local.copy_object, Key="copied", CopySource=source, StorageClass="STANDARD_IA")
    assert answer["Error"]["Code"] == "InvalidRequest"
    # Without a class, a copy is STANDARD, whatever its source is.
    local.copy_object(Bucket="classes", Key="other", CopySource=source)
    assert "StorageClass" not in head(local, "other")
    local.copy_object(Bucket="classes", Key="copied", CopySource=source, StorageClass="STANDARD")
    assert "StorageClass" not in head(local, "copied")


def test_multipart_uploads(local):
    started = local.create_multipart_upload(Bucket="classes", Key="mp", StorageClass="ONEZONE_IA")
    names = {"Bucket": "classes", "Key": "mp", "UploadId": started["UploadId"]}
    part = local.upload_part(**names, PartNumber=1, Body=BODY)
    assert local.list_parts(**names)["StorageClass"] == "ONEZONE_IA"
    (upload,) = local.list_multipart_uploads(Bucket="classes")["Uploads"]
    assert upload["StorageClass"] == "ONEZONE_IA"
    parts = [{"PartNumber": 1, "ETag": part["ETag"]}]
    local.complete_multipart_upload(**names, MultipartUpload={"Parts": parts})
    assert head(local, "mp")["StorageClass"] == "ONEZONE_IA"
    assert listed(local, "mp") == "ONEZONE_IA"


def test_a_restore(tiered):
    tiered.put_object(Bucket="classes", Key="deep", Body=BODY, StorageClass="DEEP_ARCHIVE")
    wait_for(tiered, "deep", "cold")
    wish = {"Days": 1, "GlacierJobParameters": {"Tier": "Bulk"}}
    answer = tiered.restore_object(Bucket="classes", Key="deep", RestoreRequest=wish)
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 202
    if head(tiered, "deep")["Restore"] == 'ongoing-request="true"':
        again = refused(tiered.restore_object, Key="deep", RestoreRequest=wish)
        if again["Error"]["Code"] != "RestoreAlreadyInProgress":
            assert tier_of(tiered, "deep") == "hot"
    wait_for(tiered, "deep", "hot")
    found = head(tiered, "deep")
    assert found["Restore"].startswith('ongoing-request="false", expiry-date="')
    assert found["StorageClass"] == "DEEP_ARCHIVE"
    answer = tiered.restore_object(Bucket="classes", Key="deep", RestoreRequest={"Days": 1})
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 200
    wait_for(tiered, "deep", "cold")
    assert "Restore" not in head(tiered, "deep")


def test_restores_that_are_refused(local):
    local.put_object(Bucket="classes", Key="k", Body=BODY)
    answer = refused(local.restore_object, Key="k", RestoreRequest={"Days": 1})
    assert answer["Error"]["Code"] == "InvalidObjectState"
    assert answer["Error"]["StorageClass"] == "STANDARD"
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 403
    answer = refused(local.restore_object, Key="none", RestoreRequest={"Days": 1})
    assert answer["Error"]["Code"] == "NoSuchKey"
    answer = refused(local.restore_object, Key="k", RestoreRequest={"Days": 0})
    assert answer["Error"]["Code"] == "InvalidArgument"
    answer = refused(local.restore_object, Key="k", RestoreRequest={"Days": 1, "Tier": "Fast"})
    assert answer["Error"]["Code"] == "MalformedXML"


def test_what_the_policy_moved_down_is_brought_back_by_a_copy_onto_itself(tiered):
    server, settings = tiered.stratum
    tiered.put_object(Bucket="classes", Key="sunk", Body=BODY)
    keys = {
        "STRATUM_ROOT_ACCESS_KEY_ID": server.access_key_id,
        "STRATUM_ROOT_SECRET_ACCESS_KEY": server.secret_access_key,
    }
    command = [sys.executable, "-m", "stratum", "tier", "move", "s3://classes/sunk"]
    subprocess.run(
        [*command, "--to", "cold", "--data", str(server.data)],
        env={**server.environment(), **settings, **keys},
        check=True,
        timeout=60,
    )
    wait_for(tiered, "sunk", "cold")
    assert head(tiered, "sunk")["StorageClass"] == "GLACIER_IR"
    source = {"Bucket": "classes", "Key": "sunk"}
    tiered.copy_object(Bucket="classes", Key="sunk", CopySource=source, StorageClass="STANDARD")
    assert "StorageClass" not in head(tiered, "sunk")
    assert tier_of(tiered, "sunk") == "hot"
