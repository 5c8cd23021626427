"""Grants, canned ACLs, and what is public."""

import json

import pytest

from stratum.domain.acl import (
    GRANTS_MAX,
    Acl,
    AclPermission,
    Grant,
    Group,
    acl_of,
    canned_acl,
    private,
)
from stratum.domain.errors import InvalidArgument
from stratum.domain.names import Caller
from stratum.domain.policy_document import parse_bucket_policy
from stratum.domain.principal import ANONYMOUS, account_principal
from stratum.domain.public import is_public_policy

ALICE, BOB = Caller("a" * 64, "alice"), Caller("b" * 64, "bob")
AS_ALICE = account_principal(ALICE, "111111111111")
AS_BOB = account_principal(BOB, "222222222222")
READ, WRITE = AclPermission.READ, AclPermission.WRITE
FULL = AclPermission.FULL_CONTROL


@pytest.mark.parametrize(
    ("grant", "allowed"),
    [
        (Grant(READ, None, BOB.id), {AS_BOB}),
        (Grant(FULL, None, BOB.id), {AS_BOB}),
        (Grant(WRITE, None, BOB.id), set()),
        (Grant(READ, Group.ALL_USERS), {AS_ALICE, AS_BOB, ANONYMOUS}),
        (Grant(READ, Group.AUTHENTICATED_USERS), {AS_ALICE, AS_BOB}),
        (Grant(READ, Group.LOG_DELIVERY), set()),
        (Grant(READ, None, ANONYMOUS.account.id), set()),
    ],
    ids=str,
)
def test_whom_a_grant_lets_read(grant, allowed):
    acl = Acl((grant,))
    assert {who for who in (AS_ALICE, AS_BOB, ANONYMOUS) if acl.allows(who, READ)} == allowed
    if grant.group:
        assert not any(acl.allows(who, READ, ignore_public=True) for who in (AS_BOB, ANONYMOUS))


@pytest.mark.parametrize(
    ("name", "grants", "public"),
    [
        ("private", 1, False),
        ("public-read", 2, True),
        ("public-read-write", 3, True),
        ("authenticated-read", 2, True),
        ("log-delivery-write", 3, False),
        ("bucket-owner-read", 2, False),
        ("bucket-owner-full-control", 2, False),
    ],
)
def test_canned_acls(name, grants, public):
    acl = canned_acl(name, BOB, ALICE)
    assert len(acl.grants) == grants
    assert acl.is_public is public
    assert acl.allows(AS_BOB, FULL)
    assert acl.grants[0].group is not None or len(acl.grants) == 1 or "owner" in name


def test_canned_acls_that_name_the_buckets_owner_mean_private_where_that_is_the_owner():
    assert canned_acl("bucket-owner-read", ALICE, ALICE) == private(ALICE)
    assert canned_acl("bucket-owner-full-control", ALICE) == private(ALICE)
    with pytest.raises(InvalidArgument):
        canned_acl("public", ALICE)


def test_grants_are_ordered_counted_and_not_repeated():
    mine, everybody = Grant(FULL, None, ALICE.id, "alice"), Grant(READ, Group.ALL_USERS)
    assert acl_of([mine, everybody, mine]).grants == (everybody, mine)
    with pytest.raises(InvalidArgument):
        acl_of([Grant(READ, None, f"{number:064}") for number in range(GRANTS_MAX + 1)])


@pytest.mark.parametrize(
    ("changes", "public"),
    [
        ({}, True),
        ({"Effect": "Deny"}, False),
        ({"Principal": {"AWS": "111111111111"}}, False),
        ({"Principal": {"AWS": ["111111111111", "*"]}}, True),
        ({"Condition": {"IpAddress": {"aws:SourceIp": "10.0.0.0/32"}}}, False),
        ({"Condition": {"IpAddress": {"aws:SourceIp": "0.0.0.0/1"}}}, True),
        ({"Condition": {"IpAddress": {"aws:SourceIp": ["10.0.0.0/8", "::/0"]}}}, True),
        ({"Condition": {"IpAddressIfExists": {"aws:SourceIp": "10.0.0.0/32"}}}, True),
        ({"Condition": {"NotIpAddress": {"aws:SourceIp": "10.0.0.0/32"}}}, True),
        ({"Condition": {"StringLike": {"aws:Referer": "http://x/*"}}}, True),
        ({"Condition": {"StringEquals": {"aws:SourceVpc": "vpc-1"}}}, False),
        ({"Condition": {"StringLike": {"aws:SourceVpc": "vpc-*"}}}, True),
        ({"Condition": {"StringNotEquals": {"aws:SourceVpc": "vpc-1"}}}, True),
        ({"Condition": {"ForAllValues:StringEquals": {"aws:SourceVpc": "vpc-1"}}}, True),
    ],
    ids=str,
)
def test_public_policies(changes, public):
    plain = {"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject"}
    statement = {**plain, "Resource": "arn:aws:s3:::photos/*", **changes}
    text = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    assert is_public_policy(parse_bucket_policy(text, "photos")) is public
