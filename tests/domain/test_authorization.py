"""Who may do what: the order of evaluation as one table after the other."""

import json

import pytest

from stratum.domain.acl import Acl, AclPermission, Grant, Group, canned_acl
from stratum.domain.authorization import (
    AclTarget,
    BucketAccess,
    Need,
    ObjectAccess,
    authorize,
    identity_allows,
)
from stratum.domain.names import Caller
from stratum.domain.ownership import ObjectOwnership, PublicAccessBlock
from stratum.domain.policy_document import parse_bucket_policy
from stratum.domain.principal import ANONYMOUS, Principal, PrincipalKind, account_principal

ALICE, BOB, ROOT = Caller("a" * 64, "alice"), Caller("b" * 64, "bob"), Caller("0" * 64, "root")
ALICES, BOBS = "111111111111", "222222222222"
AS_ALICE, AS_BOB = account_principal(ALICE, ALICES), account_principal(BOB, BOBS)
AS_ROOT = account_principal(ROOT, "000000000000", operator=True)

BUCKET_ARN = "arn:aws:s3:::photos"
KEY_ARN = f"{BUCKET_ARN}/k"
READ, WRITE = AclPermission.READ, AclPermission.WRITE
BUCKET, OBJECT = AclTarget.BUCKET, AclTarget.OBJECT
LIST = Need("s3:ListBucket", BUCKET, READ, BUCKET)
GET = Need("s3:GetObject", OBJECT, READ, OBJECT)
GET_ACL = Need("s3:GetObjectAcl", OBJECT, AclPermission.READ_ACP, OBJECT)
PUT = Need("s3:PutObject", OBJECT, WRITE, BUCKET)
DELETE_BUCKET = Need("s3:DeleteBucket")
GET_TAGS = Need("s3:GetObjectTagging", OBJECT)
GET_POLICY = Need("s3:GetBucketPolicy")
MINE, YOURS = ObjectAccess(ALICE.id), ObjectAccess(BOB.id)


def user(*policies, account=ALICE, number=ALICES, **options):
    return Principal(
        PrincipalKind.USER,
        account,
        number,
        f"arn:aws:iam::{number}:user/carol",
        "AIDACAROL",
        "carol",
        policies=policies,
        **options,
    )


def identity(effect="Allow", action="s3:*", resource="*", **more):
    statement = {"Effect": effect, "Action": action, "Resource": resource, **more}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def bucket(*statements, **options):
    """Alice's bucket; each statement is (effect, principal, action, condition?)."""
    if statements:
        text = json.dumps(
            {
                "Version": "2012-10-17",
                "Statement": [
                    {
                        "Effect": effect,
                        "Principal": principal,
                        "Action": action,
                        "Resource": [BUCKET_ARN, f"{BUCKET_ARN}/*"],
                        "Condition": condition[0] if condition else {},
                    }
                    for effect, principal, action, *condition in statements
                ],
            }
        )
        options["policy"] = parse_bucket_policy(text, "photos")
    return BucketAccess(ALICE, **options)


def may(who, need, on, found=None, **context):
    resource = KEY_ARN if need.target is OBJECT else BUCKET_ARN
    keys = {name: (value,) for name, value in context.items()}
    return authorize(who, need, resource, on, found, lambda: keys).allowed


# -- no policies, no ACLs: deny by default ------------------------------------------------------
@pytest.mark.parametrize("need", [LIST, GET, PUT, GET_ACL, DELETE_BUCKET, GET_TAGS, GET_POLICY])
def test_by_default_the_owner_may_do_everything_and_others_nothing(need):
    found = MINE if need.target is OBJECT else None
    assert may(AS_ALICE, need, bucket(), found)
    assert may(AS_ROOT, need, bucket(), found)
    for other in (AS_BOB, ANONYMOUS, user(), user(identity(), account=BOB, number=BOBS)):
        assert not may(other, need, bucket(), found), other


def test_the_owner_costs_no_look_at_the_request():
    def context():
        raise AssertionError("nobody needs the condition keys")

    assert authorize(AS_ALICE, GET, KEY_ARN, bucket(), MINE, context).allowed


def test_a_refusal_says_who_may_not_do_what():
    why = authorize(AS_BOB, GET, KEY_ARN, bucket(), MINE).why
    assert f"arn:aws:iam::{BOBS}:root is not authorized to perform: s3:GetObject" in why
    assert authorize(ANONYMOUS, GET, KEY_ARN, bucket(), MINE).why == "Access Denied"


# -- ACLs ---------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("canned", "need", "allowed"),
    [
        ("public-read", LIST, {AS_BOB, ANONYMOUS}),
        ("public-read", PUT, set()),
        ("public-read", GET, set()),
        ("public-read-write", PUT, {AS_BOB, ANONYMOUS}),
        ("authenticated-read", LIST, {AS_BOB}),
        ("public-read", DELETE_BUCKET, set()),
        ("public-read-write", GET_POLICY, set()),
    ],
)
def test_what_the_acl_of_a_bucket_grants(canned, need, allowed):
    on = bucket(acl=canned_acl(canned, ALICE))
    assert {who for who in (AS_BOB, ANONYMOUS) if may(who, need, on, MINE)} == allowed


@pytest.mark.parametrize(
    ("canned", "need", "allowed"),
    [
        ("public-read", GET, {AS_BOB, ANONYMOUS}),
        ("authenticated-read", GET, {AS_BOB}),
        ("public-read", GET_ACL, set()),
        ("public-read", GET_TAGS, set()),
        ("public-read-write", PUT, set()),
    ],
)
def test_what_the_acl_of_an_object_grants(canned, need, allowed):
    found = ObjectAccess(ALICE.id, canned_acl(canned, ALICE))
    assert {who for who in (AS_BOB, ANONYMOUS) if may(who, need, bucket(), found)} == allowed


def test_a_user_of_another_account_needs_its_own_policy_beside_the_grant():
    found = ObjectAccess(ALICE.id, Acl((Grant(READ, None, BOB.id),)))
    theirs = {"account": BOB, "number": BOBS}
    assert may(AS_BOB, GET, bucket(), found)
    assert not may(user(**theirs), GET, bucket(), found)
    assert may(user(identity(), **theirs), GET, bucket(), found)
    assert not may(user(identity("Deny"), **theirs), GET, bucket(), found)


def test_public_grants_can_be_ignored():
    on = bucket(
        acl=canned_acl("public-read", ALICE), block=PublicAccessBlock(ignore_public_acls=True)
    )
    found = ObjectAccess(ALICE.id, canned_acl("authenticated-read", ALICE))
    assert not may(AS_BOB, LIST, on)
    assert not may(AS_BOB, GET, on, found)
    named = ObjectAccess(ALICE.id, Acl((Grant(READ, None, BOB.id),)))
    assert may(AS_BOB, GET, on, named)


# -- objects of others in one's bucket ----------------------------------------------------------
def test_an_object_is_its_writers_business():
    policy = bucket(("Allow", "*", "s3:*"))
    for on in (bucket(), policy):
        assert may(AS_BOB, GET, on, YOURS)
        assert may(AS_BOB, GET_ACL, on, YOURS)
        assert not may(AS_ALICE, GET, on, YOURS)
        assert not may(AS_ALICE, GET_ACL, on, YOURS)
        assert may(AS_ROOT, GET, on, YOURS)
    assert not may(ANONYMOUS, GET, policy, YOURS)


def test_but_the_buckets_owner_may_delete_overwrite_and_deny():
    assert may(AS_ALICE, PUT, bucket(), YOURS)
    denied = bucket(("Deny", "*", "s3:GetObject"))
    assert not may(AS_BOB, GET, denied, YOURS)


def test_a_writer_can_share_with_the_buckets_owner():
    shared = ObjectAccess(BOB.id, canned_acl("bucket-owner-read", BOB, ALICE))
    assert may(AS_ALICE, GET, bucket(), shared)
    assert not may(AS_ALICE, GET_ACL, bucket(), shared)


def test_an_owner_without_a_grant_can_still_mend_the_acl():
    nothing = ObjectAccess(BOB.id, Acl())
    assert not may(AS_BOB, GET, bucket(), nothing)
    assert may(AS_BOB, GET_ACL, bucket(), nothing)


def test_where_ownership_is_enforced_there_are_no_acls_and_no_other_owners():
    on = bucket(
        ownership=ObjectOwnership.BUCKET_OWNER_ENFORCED,
        acl=canned_acl("public-read-write", ALICE),
    )
    assert may(AS_ALICE, GET, on, YOURS)
    assert not may(AS_BOB, GET, on, YOURS)
    assert not may(AS_BOB, LIST, on)
    assert not may(AS_BOB, PUT, on)
    public = ObjectAccess(ALICE.id, canned_acl("public-read", ALICE))
    assert not may(ANONYMOUS, GET, on, public)


# -- bucket policies ----------------------------------------------------------------------------
EVERYBODY = {AS_ALICE, AS_BOB, ANONYMOUS}
DENY_ALICE_LISTING = ("Deny", {"AWS": ALICES}, "s3:ListBucket")


@pytest.mark.parametrize(
    ("statements", "need", "allowed"),
    [
        ([("Allow", "*", "s3:GetObject")], GET, EVERYBODY),
        ([("Allow", "*", "s3:Get*")], GET, EVERYBODY),
        ([("Allow", "*", "s3:GETOBJECT")], GET, EVERYBODY),
        ([("Allow", "*", "s3:GetObject")], LIST, {AS_ALICE}),
        ([("Allow", {"AWS": BOBS}, "s3:GetObject")], GET, {AS_ALICE, AS_BOB}),
        ([("Allow", {"CanonicalUser": BOB.id}, "s3:GetObject")], GET, {AS_ALICE, AS_BOB}),
        ([("Allow", {"AWS": "333333333333"}, "s3:GetObject")], GET, {AS_ALICE}),
        ([("Deny", "*", "s3:GetObject")], GET, set()),
        ([("Deny", {"AWS": BOBS}, "*"), ("Allow", "*", "*")], GET, {AS_ALICE, ANONYMOUS}),
        ([("Allow", "*", "*"), DENY_ALICE_LISTING], LIST, {AS_BOB, ANONYMOUS}),
    ],
)
def test_policies(statements, need, allowed):
    on = bucket(*statements)
    found = MINE if need.target is OBJECT else None
    assert {who for who in EVERYBODY if may(who, need, on, found)} == allowed


def test_a_deny_outweighs_every_allow():
    acl = canned_acl("public-read", ALICE)
    on = bucket(("Deny", "*", "s3:ListBucket"), ("Allow", "*", "s3:ListBucket"), acl=acl)
    for who in (AS_ALICE, AS_BOB, ANONYMOUS, AS_ROOT, user(identity())):
        assert not may(who, LIST, on)


def test_conditions_decide():
    condition = {"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}
    on = bucket(("Allow", "*", "s3:GetObject", condition))
    assert may(ANONYMOUS, GET, on, MINE, **{"aws:sourceip": "10.1.1.1"})
    assert not may(ANONYMOUS, GET, on, MINE, **{"aws:sourceip": "11.1.1.1"})
    assert not may(ANONYMOUS, GET, on, MINE)


def test_the_owner_cannot_lock_itself_out_unless_it_says_so():
    deny = ("Deny", "*", ["s3:GetBucketPolicy", "s3:PutBucketPolicy", "s3:DeleteBucketPolicy"])
    on = bucket(deny)
    assert may(AS_ALICE, GET_POLICY, on)
    assert not may(AS_BOB, GET_POLICY, on)
    assert not may(user(identity()), GET_POLICY, on)
    locked = bucket(deny, policy_locks_owner_out=True)
    assert not may(AS_ALICE, GET_POLICY, locked)
    assert may(AS_ROOT, GET_POLICY, locked)


def test_a_public_policy_can_be_restricted_to_the_owners_account():
    block = PublicAccessBlock(restrict_public_buckets=True)
    allow_all = ("Allow", "*", "s3:GetObject")
    on = bucket(allow_all, block=block)
    assert may(AS_ALICE, GET, on, MINE)
    assert may(user(), GET, on, MINE)
    assert not may(AS_BOB, GET, on, MINE)
    assert not may(ANONYMOUS, GET, on, MINE)
    on = bucket(("Allow", {"AWS": BOBS}, "s3:GetObject"), block=block)
    assert may(AS_BOB, GET, on, MINE)  # it is not public


# -- users within an account --------------------------------------------------------------------
USER_ARN = f"arn:aws:iam::{ALICES}:user/carol"


@pytest.mark.parametrize(
    ("who", "statements", "allowed"),
    [
        (user(), [], False),
        (user(identity()), [], True),
        (user(identity(action="s3:ListBucket")), [], False),
        (user(identity(resource=f"{BUCKET_ARN}/*")), [], True),
        (user(identity(resource=f"{BUCKET_ARN}/${{aws:username}}/*")), [], False),
        (user(identity(), identity("Deny", "s3:GetObject")), [], False),
        (user(), [("Allow", {"AWS": USER_ARN}, "s3:GetObject")], True),
        (user(), [("Allow", "*", "s3:GetObject")], True),
        (user(), [("Allow", {"AWS": ALICES}, "s3:GetObject")], False),
        (user(identity()), [("Allow", {"AWS": ALICES}, "s3:GetObject")], True),
        (user(identity()), [("Deny", {"AWS": USER_ARN}, "s3:GetObject")], False),
        (user(identity("Deny")), [("Allow", {"AWS": USER_ARN}, "s3:GetObject")], False),
        (user(identity(), session_policies=(identity(action="s3:List*"),)), [], False),
        (user(identity(), session_policies=(identity(action="s3:Get*"),)), [], True),
        (user(session_policies=(identity(),)), [], False),
    ],
)
def test_users_need_an_allow_from_one_side(who, statements, allowed):
    assert may(who, GET, bucket(*statements), MINE) is allowed


def test_users_of_another_account_need_both_sides():
    theirs = {"account": BOB, "number": BOBS}
    on = bucket(("Allow", {"AWS": BOBS}, "s3:GetObject"))
    assert may(user(identity(), **theirs), GET, on, MINE)
    assert not may(user(**theirs), GET, on, MINE)
    assert not may(user(identity(), **theirs), LIST, on)


def test_a_role_is_known_by_its_own_arn_and_by_its_sessions():
    role = Principal(
        PrincipalKind.ROLE,
        ALICE,
        ALICES,
        f"arn:aws:sts::{ALICES}:assumed-role/reader/s1",
        role_arn=f"arn:aws:iam::{ALICES}:role/reader",
    )
    for arn in (role.arn, role.role_arn):
        assert may(role, GET, bucket(("Allow", {"AWS": arn}, "s3:GetObject")), MINE)
    other = f"arn:aws:sts::{ALICES}:assumed-role/reader/s2"
    assert not may(role, GET, bucket(("Allow", {"AWS": other}, "s3:GetObject")), MINE)


def test_not_principal_denies_everybody_else():
    text = json.dumps(
        {
            "Statement": {
                "Effect": "Deny",
                "NotPrincipal": {"AWS": [ALICES, USER_ARN]},
                "Action": "s3:*",
                "Resource": f"{BUCKET_ARN}/*",
            }
        }
    )
    on = BucketAccess(ALICE, Acl((Grant(READ, Group.ALL_USERS),)))
    found = ObjectAccess(ALICE.id, canned_acl("public-read", ALICE))
    assert may(AS_BOB, GET, on, found)
    on = BucketAccess(ALICE, on.acl, parse_bucket_policy(text, "photos"))
    assert may(AS_ALICE, GET, on, found)
    assert not may(AS_BOB, GET, on, found)
    assert not may(ANONYMOUS, GET, on, found)


def test_what_belongs_to_no_bucket_is_decided_by_ones_own_policies():
    action, resource = "s3:ListAllMyBuckets", "*"
    assert identity_allows(AS_ALICE, action, resource)
    assert not identity_allows(ANONYMOUS, action, resource)
    assert not identity_allows(user(), action, resource)
    assert identity_allows(user(identity()), action, resource)
