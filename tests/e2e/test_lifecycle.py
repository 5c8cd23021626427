"""Lifecycle rules on a real server whose days last two seconds."""

import time
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

import pytest

from tests.support.refusals import outcome, refused
from tests.support.server import running_server

DAY_S = 2.0
WAIT_S = 40.0
RULE = {"ID": "r", "Filter": {"Prefix": ""}, "Status": "Enabled"}


@pytest.fixture(scope="module")
def fast(module_folder):
    """A client of a server of its own."""
    settings = {"STRATUM_TIERING_DAY_S": str(DAY_S), "STRATUM_TIERING_ENABLED": "false"}
    with (
        running_server(module_folder / "data", settings) as server,
        server.client() as client,
    ):
        yield client
        assert "Traceback" not in server.log(), server.log()


@pytest.fixture
def place(fast, request):
    name = f"b{abs(hash(request.node.name)) % 10**9}"
    fast.create_bucket(Bucket=name)
    return name


def set_rules(client, bucket, *rules):
    configuration = {"Rules": [{**RULE, **rule} for rule in rules]}
    client.put_bucket_lifecycle_configuration(Bucket=bucket, LifecycleConfiguration=configuration)


def keys(client, bucket):
    return [each["Key"] for each in client.list_objects_v2(Bucket=bucket).get("Contents", [])]


def eventually(question, wanted):
    deadline_s = time.monotonic() + WAIT_S
    while (found := question()) != wanted and time.monotonic() < deadline_s:
        time.sleep(0.2)
    assert found == wanted


# -- the configuration --------------------------------------------------------------------------
def test_rules_come_back_as_they_were_put(s3, bucket):
    rules = [
        {
            "ID": "everything",
            "Status": "Enabled",
            "Filter": {
                "And": {
                    "Prefix": "a/",
                    "Tags": [{"Key": "k", "Value": "v"}],
                    "ObjectSizeGreaterThan": 10,
                }
            },
            "Expiration": {"Days": 30},
            "NoncurrentVersionExpiration": {"NoncurrentDays": 3, "NewerNoncurrentVersions": 2},
            "Transitions": [{"Days": 3, "StorageClass": "STANDARD_IA"}],
            "NoncurrentVersionTransitions": [{"NoncurrentDays": 1, "StorageClass": "ONEZONE_IA"}],
        },
        {
            "ID": "old",
            "Prefix": "b/",
            "Status": "Disabled",
            "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 7},
        },
        {
            "ID": "date",
            "Filter": {"Prefix": ""},
            "Status": "Enabled",
            "Expiration": {"Date": datetime(2040, 1, 1, tzinfo=UTC)},
        },
        {
            "ID": "marker",
            "Filter": {"Tag": {"Key": "a", "Value": ""}},
            "Status": "Disabled",
            "Expiration": {"Days": 1},
        },
    ]
    with refused("NoSuchLifecycleConfiguration", 404):
        s3.get_bucket_lifecycle_configuration(Bucket=bucket)
    s3.put_bucket_lifecycle_configuration(Bucket=bucket, LifecycleConfiguration={"Rules": rules})
    shown = s3.get_bucket_lifecycle_configuration(Bucket=bucket)
    assert shown["Rules"] == rules
    assert shown["TransitionDefaultMinimumObjectSize"] == "varies_by_storage_class"
    s3.delete_bucket_lifecycle(Bucket=bucket)
    s3.delete_bucket_lifecycle(Bucket=bucket)
    with refused("NoSuchLifecycleConfiguration", 404):
        s3.get_bucket_lifecycle_configuration(Bucket=bucket)


@pytest.mark.parametrize(
    ("rule", "code"),
    [
        ({"Expiration": {"Days": 0}}, "InvalidArgument"),
        ({"Expiration": {"Days": 1}, "Status": "enabled"}, "MalformedXML"),
        ({"Expiration": {"Days": 1}, "ID": "i" * 256}, "InvalidArgument"),
        ({}, "InvalidRequest"),
        ({"Transitions": [{"Days": 1, "StorageClass": "GLACIER"}]}, "InvalidStorageClass"),
    ],
)
def test_rules_that_are_refused(s3, bucket, rule, code):
    assert outcome(set_rules, s3, bucket, rule) == code
    assert outcome(s3.get_bucket_lifecycle_configuration, Bucket=bucket) == (
        "NoSuchLifecycleConfiguration"
    )


def test_what_clients_are_told_of_an_object(s3, bucket):
    set_rules(
        s3,
        bucket,
        {
            "ID": "a b",
            "Expiration": {"Days": 1},
            "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 2},
        },
    )
    now = datetime.now(UTC)
    put = s3.put_object(Bucket=bucket, Key="k", Body=b"1")
    for answer in (
        put,
        s3.head_object(Bucket=bucket, Key="k"),
        s3.get_object(Bucket=bucket, Key="k"),
    ):
        date, rule = answer["Expiration"].removeprefix('expiry-date="').split('", rule-id="')
        assert rule == 'a%20b"'
        expires = parsedate_to_datetime(date)
        assert (expires.hour, expires.minute, expires.second) == (0, 0, 0)
        assert timedelta(days=1) <= expires - now <= timedelta(days=2)
    upload = s3.create_multipart_upload(Bucket=bucket, Key="k")
    listed = s3.list_parts(Bucket=bucket, Key="k", UploadId=upload["UploadId"])
    for answer in (upload, listed):
        assert answer["AbortRuleId"] == "a%20b"
        assert timedelta(days=2) <= answer["AbortDate"] - now <= timedelta(days=3)
    s3.delete_bucket_lifecycle(Bucket=bucket)
    assert "Expiration" not in s3.head_object(Bucket=bucket, Key="k")


# -- at work ------------------------------------------------------------------------------------
def test_objects_uploads_and_versions_go_when_they_are_due(fast, place):
    versioning = {"Status": "Enabled"}
    for key in ("temp/a", "temp/b", "kept"):
        fast.put_object(Bucket=place, Key=key, Body=b"1")
    fast.create_multipart_upload(Bucket=place, Key="temp/u")
    fast.create_multipart_upload(Bucket=place, Key="kept/u")
    set_rules(
        fast,
        place,
        {
            "ID": "objects",
            "Filter": {"Prefix": "temp/"},
            "Expiration": {"Days": 1},
            "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 1},
        },
        {"ID": "versions", "NoncurrentVersionExpiration": {"NoncurrentDays": 1}},
    )
    fast.put_object(Bucket=place, Key="temp/c", Body=b"1")
    eventually(lambda: keys(fast, place), ["kept"])
    uploads = fast.list_multipart_uploads(Bucket=place)["Uploads"]
    assert [each["Key"] for each in uploads] == ["kept/u"]
    fast.put_bucket_versioning(Bucket=place, VersioningConfiguration=versioning)
    newest = fast.put_object(Bucket=place, Key="kept", Body=b"2")["VersionId"]

    def versions():
        listed = fast.list_object_versions(Bucket=place, Prefix="kept")["Versions"]
        return [each["VersionId"] for each in listed]

    eventually(versions, [newest])


def test_a_transition_moves_and_is_seen_everywhere(fast, place):
    fast.put_object(Bucket=place, Key="k", Body=b"1" * 1000)
    set_rules(fast, place, {"Transitions": [{"Days": 1, "StorageClass": "STANDARD_IA"}]})

    def tier():
        headers = fast.head_object(Bucket=place, Key="k")["ResponseMetadata"]["HTTPHeaders"]
        return headers["x-stratum-tier"], headers.get("x-amz-storage-class")

    eventually(tier, ("warm", "STANDARD_IA"))
    (listed,) = fast.list_objects_v2(Bucket=place)["Contents"]
    assert listed["StorageClass"] == "STANDARD_IA"
    assert fast.get_object(Bucket=place, Key="k")["Body"].read() == b"1" * 1000
