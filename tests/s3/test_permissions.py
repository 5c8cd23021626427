"""The table of what operations need is total, and says nothing policies can't name."""

import pytest

from stratum.adapters.s3.operations import Operation
from stratum.adapters.s3.permissions import (
    ACTIONS,
    FREE,
    GRANTED_BY_ACL,
    OF_VERSION,
    WITHOUT_BUCKET,
    also_needed,
    need_of,
    needed_to_create,
    not_denied,
)
from stratum.domain.acl import AclPermission
from stratum.domain.authorization import AclTarget
from stratum.domain.policy_names import is_known_action


def test_every_operation_is_in_the_table_or_free():
    assert set(Operation) == set(ACTIONS) | FREE
    assert not set(ACTIONS) & FREE


@pytest.mark.parametrize("operation", sorted(set(ACTIONS) - set(WITHOUT_BUCKET)))
def test_policies_can_name_what_it_needs(operation):
    assert is_known_action(ACTIONS[operation])


@pytest.mark.parametrize("action", sorted({*OF_VERSION, *OF_VERSION.values(), *GRANTED_BY_ACL}))
def test_actions_on_versions_and_in_acls_exist(action):
    assert is_known_action(action)


def test_reading_and_writing_are_told_apart():
    writes = [op for op in ACTIONS if op.value.startswith(("Put", "Delete", "Create", "Upload"))]
    for operation in writes:
        assert not ACTIONS[operation].startswith(("s3:Get", "s3:List")), operation
    for operation in ACTIONS:
        if operation.value.startswith(("Get", "Head", "List")):
            assert ACTIONS[operation].split(":")[1].startswith(("Get", "List")), operation


def test_no_acl_grants_control_of_the_bucket():
    for action in ("s3:PutBucketPolicy", "s3:DeleteBucket", "s3:DeleteObjectVersion"):
        assert need_of(action, on_object=False).granted_by is None
    assert need_of("s3:PutObject", on_object=True).granted_by is AclTarget.BUCKET
    assert need_of("s3:GetObject", on_object=True).permission is AclPermission.READ


@pytest.mark.parametrize(
    ("operation", "headers", "also", "undenied"),
    [
        (Operation.PUT_OBJECT, {}, [], []),
        (Operation.PUT_OBJECT, {"x-amz-acl": "private"}, [], ["s3:PutObjectAcl"]),
        (Operation.PUT_OBJECT, {"x-amz-grant-read": "id=1"}, [], ["s3:PutObjectAcl"]),
        (Operation.COPY_OBJECT, {"x-amz-tagging": "a=b"}, [], ["s3:PutObjectTagging"]),
        (
            Operation.CREATE_MULTIPART_UPLOAD,
            {"x-amz-object-lock-mode": "GOVERNANCE", "x-amz-object-lock-legal-hold": "ON"},
            ["s3:PutObjectRetention", "s3:PutObjectLegalHold"],
            [],
        ),
        (
            Operation.DELETE_OBJECT,
            {"x-amz-bypass-governance-retention": "true"},
            ["s3:BypassGovernanceRetention"],
            [],
        ),
        (Operation.DELETE_OBJECT, {"x-amz-bypass-governance-retention": "false"}, [], []),
        (Operation.GET_OBJECT_ATTRIBUTES, {}, ["s3:GetObject"], []),
        (Operation.GET_OBJECT, {"x-amz-acl": "private"}, [], []),
    ],
)
def test_what_headers_ask_for_besides(operation, headers, also, undenied):
    assert also_needed(operation, headers) == also
    assert not_denied(operation, headers) == undenied


def test_creating_a_bucket_with_more_needs_more():
    assert needed_to_create({}) == ["s3:CreateBucket"]
    headers = {
        "x-amz-acl": "public-read",
        "x-amz-bucket-object-lock-enabled": "true",
        "x-amz-object-ownership": "ObjectWriter",
    }
    assert len(needed_to_create(headers)) == 5
