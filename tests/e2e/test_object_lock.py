"""Object lock over the wire: what is locked stays, whoever asks."""

import itertools
from datetime import UTC, datetime, timedelta

import pytest

from tests.support.refusals import outcome, refused

GOVERNANCE, COMPLIANCE = "GOVERNANCE", "COMPLIANCE"
UNTIL = datetime(2140, 1, 1, tzinfo=UTC)
_numbers = itertools.count(1)


@pytest.fixture
def locked(s3):
    """The name of a new bucket with object lock."""
    name = f"locked-{next(_numbers)}"
    s3.create_bucket(Bucket=name, ObjectLockEnabledForBucket=True)
    return name


def put(s3, bucket, key="k", **settings):
    return s3.put_object(Bucket=bucket, Key=key, Body=b"1", **settings)["VersionId"]


def retain(s3, bucket, version, mode=GOVERNANCE, until=UNTIL, **settings):
    s3.put_object_retention(
        Bucket=bucket,
        Key="k",
        VersionId=version,
        Retention={"Mode": mode, "RetainUntilDate": until},
        **settings,
    )


def configuration(**period):
    return {
        "ObjectLockEnabled": "Enabled",
        "Rule": {"DefaultRetention": {"Mode": GOVERNANCE, **period}},
    }


# -- the bucket ---------------------------------------------------------------------------------
def test_a_bucket_made_with_locks_has_versioning_for_good(s3, locked):
    assert s3.get_bucket_versioning(Bucket=locked)["Status"] == "Enabled"
    shown = s3.get_object_lock_configuration(Bucket=locked)["ObjectLockConfiguration"]
    assert shown == {"ObjectLockEnabled": "Enabled"}
    with refused("InvalidBucketState", 409):
        s3.put_bucket_versioning(Bucket=locked, VersioningConfiguration={"Status": "Suspended"})
    for wanted in (configuration(Days=1), configuration(Years=3)):
        s3.put_object_lock_configuration(Bucket=locked, ObjectLockConfiguration=wanted)
        shown = s3.get_object_lock_configuration(Bucket=locked)["ObjectLockConfiguration"]
        assert shown == wanted


def test_locks_need_versioning(s3, bucket):
    with refused("ObjectLockConfigurationNotFoundError", 404):
        s3.get_object_lock_configuration(Bucket=bucket)
    for status in (None, "Suspended"):
        if status:
            versioning = {"Status": status}
            s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration=versioning)
        with refused("InvalidBucketState", 409):
            s3.put_object_lock_configuration(
                Bucket=bucket, ObjectLockConfiguration=configuration(Days=1)
            )
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    s3.put_object_lock_configuration(Bucket=bucket, ObjectLockConfiguration=configuration(Days=1))
    assert s3.get_object_retention(Bucket=bucket, Key="k", VersionId=put(s3, bucket))


@pytest.mark.parametrize(
    ("period", "code"),
    [
        ({"Days": 0}, "InvalidRetentionPeriod"),
        ({"Years": -1}, "InvalidRetentionPeriod"),
        ({"Days": 1, "Years": 1}, "MalformedXML"),
        ({"Days": 1, "Mode": "governance"}, "MalformedXML"),
    ],
)
def test_configurations_that_are_none(s3, locked, period, code):
    with refused(code, 400):
        s3.put_object_lock_configuration(
            Bucket=locked, ObjectLockConfiguration=configuration(**period)
        )


def test_the_default_is_for_new_versions_and_yields_to_what_is_asked_for(s3, locked):
    before = put(s3, locked)
    s3.put_object_lock_configuration(Bucket=locked, ObjectLockConfiguration=configuration(Days=2))
    by_default = put(s3, locked)
    asked = put(s3, locked, ObjectLockMode=GOVERNANCE, ObjectLockRetainUntilDate=UNTIL)
    with refused("NoSuchObjectLockConfiguration", 404):
        s3.get_object_retention(Bucket=locked, Key="k", VersionId=before)
    found = s3.get_object_retention(Bucket=locked, Key="k", VersionId=by_default)["Retention"]
    left = found["RetainUntilDate"] - datetime.now(UTC)
    assert timedelta(days=1.9) < left <= timedelta(days=2)
    found = s3.get_object_retention(Bucket=locked, Key="k", VersionId=asked)["Retention"]
    assert found == {"Mode": GOVERNANCE, "RetainUntilDate": UNTIL}


# -- versions -----------------------------------------------------------------------------------
def test_a_locked_version_is_not_deleted_but_may_be_hidden(s3, locked):
    version = put(s3, locked)
    retain(s3, locked, version)
    marker = s3.delete_object(Bucket=locked, Key="k")["VersionId"]
    with refused("AccessDenied", 403):
        s3.delete_object(Bucket=locked, Key="k", VersionId=version)
    s3.delete_object(Bucket=locked, Key="k", VersionId=marker)
    put(s3, locked)
    got = s3.get_object(Bucket=locked, Key="k", VersionId=version)
    assert got["Body"].read() == b"1"
    s3.delete_object(Bucket=locked, Key="k", VersionId=version, BypassGovernanceRetention=True)
    with refused("NoSuchVersion", 404):
        s3.get_object(Bucket=locked, Key="k", VersionId=version)


def test_nobody_bypasses_compliance_or_a_hold(s3, locked):
    soon = datetime.now(UTC) + timedelta(days=1)
    complied = put(s3, locked, ObjectLockMode=COMPLIANCE, ObjectLockRetainUntilDate=soon)
    held = put(s3, locked, "held", ObjectLockLegalHoldStatus="ON")
    for key, version in (("k", complied), ("held", held)):
        ids = {"Bucket": locked, "Key": key, "VersionId": version}
        assert outcome(s3.delete_object, **ids) == "AccessDenied"
        bypassed = outcome(s3.delete_object, **ids, BypassGovernanceRetention=True)
        assert bypassed == "AccessDenied"
    with refused("AccessDenied", 403):
        retain(s3, locked, complied, GOVERNANCE, BypassGovernanceRetention=True)
    s3.put_object_legal_hold(Bucket=locked, Key="held", LegalHold={"Status": "OFF"})
    s3.delete_object(Bucket=locked, Key="held", VersionId=held)


def test_retention_is_extended_by_anybody_and_shortened_with_the_bypass(s3, locked):
    version = put(s3, locked)
    retain(s3, locked, version, until=UNTIL - timedelta(days=2))
    retain(s3, locked, version)
    shorter = UNTIL - timedelta(days=1)
    with refused("AccessDenied", 403):
        retain(s3, locked, version, until=shorter)
    with refused("AccessDenied", 403):
        retain(s3, locked, version, COMPLIANCE)
    retain(s3, locked, version, until=shorter, BypassGovernanceRetention=True)
    found = s3.get_object_retention(Bucket=locked, Key="k")["Retention"]
    assert found == {"Mode": GOVERNANCE, "RetainUntilDate": shorter}


def test_the_headers_say_what_is_locked(s3, locked):
    put(
        s3,
        locked,
        ObjectLockMode=GOVERNANCE,
        ObjectLockRetainUntilDate=UNTIL,
        ObjectLockLegalHoldStatus="OFF",
    )
    for shown in (s3.head_object(Bucket=locked, Key="k"), s3.get_object(Bucket=locked, Key="k")):
        assert shown["ObjectLockMode"] == GOVERNANCE
        assert shown["ObjectLockRetainUntilDate"] == UNTIL
        assert shown["ObjectLockLegalHoldStatus"] == "OFF"
    assert s3.get_object_legal_hold(Bucket=locked, Key="k")["LegalHold"] == {"Status": "OFF"}


def test_delete_objects_tells_what_is_locked(s3, locked):
    kept, gone = put(s3, locked, "kept"), put(s3, locked, "gone")
    s3.put_object_retention(
        Bucket=locked, Key="kept", Retention={"Mode": GOVERNANCE, "RetainUntilDate": UNTIL}
    )
    objects = [{"Key": "kept", "VersionId": kept}, {"Key": "gone", "VersionId": gone}]
    answer = s3.delete_objects(Bucket=locked, Delete={"Objects": objects})
    assert [entry["Key"] for entry in answer["Deleted"]] == ["gone"]
    assert [(e["Key"], e["VersionId"], e["Code"]) for e in answer["Errors"]] == [
        ("kept", kept, "AccessDenied")
    ]
    answer = s3.delete_objects(
        Bucket=locked, Delete={"Objects": objects[:1]}, BypassGovernanceRetention=True
    )
    assert [entry["Key"] for entry in answer["Deleted"]] == ["kept"]
    assert "Errors" not in answer


def test_an_upload_brings_its_lock(s3, locked):
    upload = s3.create_multipart_upload(
        Bucket=locked, Key="k", ObjectLockMode=GOVERNANCE, ObjectLockRetainUntilDate=UNTIL
    )
    ids = {"Bucket": locked, "Key": "k", "UploadId": upload["UploadId"]}
    part = s3.upload_part(**ids, PartNumber=1, Body=b"1")
    parts = [{"PartNumber": 1, "ETag": part["ETag"]}]
    version = s3.complete_multipart_upload(**ids, MultipartUpload={"Parts": parts})["VersionId"]
    with refused("AccessDenied", 403):
        s3.delete_object(Bucket=locked, Key="k", VersionId=version)


def test_a_copy_does_not_take_the_lock(s3, locked):
    put(s3, locked, ObjectLockLegalHoldStatus="ON")
    s3.copy_object(Bucket=locked, Key="copy", CopySource={"Bucket": locked, "Key": "k"})
    with refused("NoSuchObjectLockConfiguration", 404):
        s3.get_object_legal_hold(Bucket=locked, Key="copy")
    s3.copy_object(
        Bucket=locked,
        Key="copy",
        CopySource={"Bucket": locked, "Key": "k"},
        ObjectLockMode=GOVERNANCE,
        ObjectLockRetainUntilDate=UNTIL,
    )
    assert s3.head_object(Bucket=locked, Key="copy")["ObjectLockMode"] == GOVERNANCE


def test_refusals(s3, locked, bucket):
    put(s3, locked)
    s3.put_object(Bucket=bucket, Key="k", Body=b"1")
    retention = {"Mode": GOVERNANCE, "RetainUntilDate": UNTIL}
    with refused("InvalidRequest", 400):
        s3.put_object_retention(Bucket=bucket, Key="k", Retention=retention)
    with refused("InvalidRequest", 400):
        s3.get_object_retention(Bucket=bucket, Key="k")
    with refused("InvalidRequest", 400):
        s3.put_object_legal_hold(Bucket=bucket, Key="k", LegalHold={"Status": "ON"})
    with refused("InvalidRequest", 400):
        s3.get_object_legal_hold(Bucket=bucket, Key="k")
    with refused("InvalidRequest", 400):
        s3.put_object(Bucket=bucket, Key="k", Body=b"1", ObjectLockLegalHoldStatus="ON")
    past = datetime(2020, 1, 1, tzinfo=UTC)
    with refused("InvalidArgument", 400):
        put(s3, locked, ObjectLockMode=GOVERNANCE, ObjectLockRetainUntilDate=past)
    with refused("InvalidArgument", 400):
        put(s3, locked, ObjectLockMode=GOVERNANCE)
    with refused("InvalidArgument", 400):
        retain(s3, locked, put(s3, locked), until=past)
    with refused("MalformedXML", 400):
        s3.put_object_legal_hold(Bucket=locked, Key="k", LegalHold={"Status": "abc"})
    with refused("NoSuchKey", 404):
        s3.get_object_retention(Bucket=locked, Key="nothing")
