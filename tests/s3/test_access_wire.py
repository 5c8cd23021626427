"""ACLs, ownership and condition keys on the wire."""

import xml.etree.ElementTree as ET

import pytest

from stratum.adapters.s3.acl_headers import asked_acl
from stratum.adapters.s3.condition_keys import Circumstances, condition_keys
from stratum.adapters.s3.errors import S3Error
from stratum.adapters.s3.request import RequestHead
from stratum.adapters.s3.xml_access import (
    parse_acl,
    parse_ownership,
    parse_public_access_block,
    render_acl,
    render_ownership,
    render_public_access_block,
)
from stratum.domain.acl import AclPermission, canned_acl
from stratum.domain.granting import AskedAcl, AskedGrant
from stratum.domain.names import Caller
from stratum.domain.ownership import ObjectOwnership, PublicAccessBlock
from stratum.domain.principal import ANONYMOUS, Principal, PrincipalKind

READ = AclPermission.READ
OWNER = Caller("a" * 64, "Alice & Sons")
URI = "http://acs.amazonaws.com/groups/global/AllUsers"


# -- headers ------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, AskedAcl()),
        ({"x-amz-acl": "public-read"}, AskedAcl("public-read")),
        ({"x-amz-grant-read": "id=1"}, AskedAcl(grants=(AskedGrant(READ, id="1"),))),
        (
            {"x-amz-grant-read": f'id="1", emailAddress=a@b.c , uri="{URI}"'},
            AskedAcl(
                grants=(
                    AskedGrant(READ, id="1"),
                    AskedGrant(READ, email="a@b.c"),
                    AskedGrant(READ, uri=URI),
                )
            ),
        ),
        (
            {"x-amz-grant-full-control": "id=1", "x-amz-grant-read": "ID=2"},
            AskedAcl(
                grants=(
                    AskedGrant(READ, id="2"),
                    AskedGrant(AclPermission.FULL_CONTROL, id="1"),
                )
            ),
        ),
    ],
)
def test_what_headers_ask_for(headers, expected):
    assert asked_acl(headers) == expected


@pytest.mark.parametrize("value", ["", "1", "name=1", 'id="1', "id=1,", "id=a b"])
def test_grants_that_are_none(value):
    with pytest.raises(S3Error) as refusal:
        asked_acl({"x-amz-grant-read": value})
    assert refusal.value.code == "InvalidArgument"


# -- documents ----------------------------------------------------------------------------------
def acl_document(*grants, owner="<Owner><ID>1</ID></Owner>"):
    return (
        f"<AccessControlPolicy>{owner}<AccessControlList>{''.join(grants)}</AccessControlList>"
        "</AccessControlPolicy>"
    ).encode()


def grant(grantee="<ID>1</ID>", permission="READ"):
    return f"<Grant><Grantee>{grantee}</Grantee><Permission>{permission}</Permission></Grant>"


def test_an_acl_is_read_as_it_is_written():
    acl = canned_acl("public-read", OWNER)
    written = render_acl(OWNER, acl)
    asked, owner = parse_acl(written)
    assert owner == OWNER.id
    assert asked.grants == (
        AskedGrant(READ, uri=URI),
        AskedGrant(AclPermission.FULL_CONTROL, id=OWNER.id),
    )
    attribute = "{http://www.w3.org/2001/XMLSchema-instance}type"
    kinds = [element.get(attribute) for element in ET.fromstring(written).iter()]
    assert [kind for kind in kinds if kind] == ["Group", "CanonicalUser"]


def test_an_acl_may_grant_nothing_to_nobody():
    assert parse_acl(acl_document()) == (AskedAcl(grants=()), "1")
    assert bool(parse_acl(acl_document(owner=""))[0])


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"<AccessControlPolicy/>",
        b"<Other><AccessControlList/></Other>",
        acl_document(grant(permission="ALL")),
        acl_document(grant("")),
        acl_document(grant("<ID>1</ID><URI>2</URI>")),
        acl_document("<Grant/>"),
        acl_document("<Other/>"),
        acl_document(owner="<Owner/><Owner/>"),
    ],
)
def test_acls_that_are_none(document):
    with pytest.raises(S3Error) as refusal:
        parse_acl(document)
    assert refusal.value.code == "MalformedACLError"


def test_ownership_and_block_are_read_as_they_are_written():
    for ownership in ObjectOwnership:
        assert parse_ownership(render_ownership(ownership)) is ownership
    block = PublicAccessBlock(block_public_acls=True, restrict_public_buckets=True)
    assert parse_public_access_block(render_public_access_block(block)) == block
    for wrong in (b"<OwnershipControls/>", b"<OwnershipControls><Rule/></OwnershipControls>"):
        with pytest.raises(S3Error):
            parse_ownership(wrong)
    name = b"PublicAccessBlockConfiguration"
    for wrong in (b"<BlockPublicAcls>yes</BlockPublicAcls>", b"<BlockPublic>true</BlockPublic>"):
        with pytest.raises(S3Error):
            parse_public_access_block(b"<%b>%b</%b>" % (name, wrong, name))


# -- condition keys -----------------------------------------------------------------------------
AROUND = Circumstances(1_700_000_000_000, "10.0.0.1", secure=False, region="us-east-1")


def keys(headers=None, query=None, who=ANONYMOUS, tags=None):
    head = RequestHead("GET", b"/b/k", b"", headers or {})
    return condition_keys(head, query or {}, who, AROUND, tags)


def test_a_request_has_keys_for_what_it_says():
    found = keys(
        {
            "referer": "http://x/",
            "x-amz-acl": "private",
            "x-amz-copy-source": "/b/a%20b?versionId=7",
            "x-amz-tagging": "Colour=red&size=",
        },
        {"prefix": "a/", "max-keys": "5"},
        tags={"Team": "blue"},
    )
    assert found["aws:referer"] == ("http://x/",)
    assert found["aws:sourceip"] == ("10.0.0.1",)
    assert found["aws:securetransport"] == ("false",)
    assert found["aws:currenttime"] == ("2023-11-14T22:13:20.000Z",)
    assert found["s3:x-amz-acl"] == ("private",)
    assert found["s3:x-amz-copy-source"] == ("b/a b",)
    assert found["s3:requestobjecttag/colour"] == ("red",)
    assert found["s3:requestobjecttagkeys"] == ("Colour", "size")
    assert found["s3:existingobjecttag/team"] == ("blue",)
    assert (found["s3:prefix"], found["s3:max-keys"]) == (("a/",), ("5",))
    assert "s3:delimiter" not in found
    assert "aws:userid" not in found


def test_a_user_has_a_name_and_an_account():
    user = Principal(PrincipalKind.USER, OWNER, "1" * 12, "arn:u", "AIDA", "alice")
    found = keys(who=user)
    assert found["aws:username"] == ("alice",)
    assert found["aws:principalarn"] == ("arn:u",)
    assert found["aws:principaltype"] == ("User",)
