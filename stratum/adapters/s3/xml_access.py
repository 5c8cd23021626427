"""XML about access: ACLs, object ownership, the public access block and the policy's status."""

from __future__ import annotations

from stratum.adapters.s3.errors import S3Error
from stratum.adapters.s3.xml_requests import Element, parse_document
from stratum.adapters.s3.xml_text import escape
from stratum.domain.acl import Acl, AclPermission, Grant
from stratum.domain.granting import AskedAcl, AskedGrant
from stratum.domain.names import Caller
from stratum.domain.ownership import ObjectOwnership, PublicAccessBlock

NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/"
XSI = "http://www.w3.org/2001/XMLSchema-instance"
DECLARATION = '<?xml version="1.0" encoding="UTF-8"?>\n'


# -- ACLs ---------------------------------------------------------------------------------------
def parse_acl(body: bytes) -> tuple[AskedAcl, str]:
    """The grants of an AccessControlPolicy, and the id of the owner it names ("" for none).

    Raises S3Error MalformedACLError.
    """
    try:
        root = parse_document(body, "AccessControlPolicy").expect("Owner", "AccessControlList")
        owner, granted = root.only("Owner"), root.only("AccessControlList")
    except S3Error as error:
        raise S3Error("MalformedACLError") from error
    if granted is None:
        raise S3Error("MalformedACLError")
    grants = tuple(_parse_grant(each) for each in granted.children)
    return AskedAcl(grants=grants), (owner.one("ID") or "").strip() if owner else ""


def _parse_grant(element: Element) -> AskedGrant:
    grantee = element.only("Grantee")
    try:
        permission = AclPermission((element.one("Permission") or "").strip())
    except ValueError:
        raise S3Error("MalformedACLError") from None
    if element.name != "Grant" or grantee is None:
        raise S3Error("MalformedACLError")
    # Which kind of grantee it is also stands in xsi:type; the element that names it says enough.
    named = {
        kind: text.strip()
        for kind, name in (("id", "ID"), ("email", "EmailAddress"), ("uri", "URI"))
        if (text := grantee.one(name))
    }
    if len(named) != 1:
        raise S3Error("MalformedACLError")
    return AskedGrant(permission, **named)


def render_acl(owner: Caller, acl: Acl) -> bytes:
    """GetBucketAcl and GetObjectAcl."""
    grants = "".join(
        f"<Grant>{_grantee(grant)}<Permission>{grant.permission}</Permission></Grant>"
        for grant in acl.grants
    )
    return (
        f'{DECLARATION}<AccessControlPolicy xmlns="{NAMESPACE}"><Owner><ID>{escape(owner.id)}</ID>'
        f"<DisplayName>{escape(owner.name)}</DisplayName></Owner>"
        f"<AccessControlList>{grants}</AccessControlList></AccessControlPolicy>"
    ).encode()


def _grantee(grant: Grant) -> str:
    if grant.group is not None:
        kind, content = "Group", f"<URI>{grant.group.uri}</URI>"
    else:
        kind = "CanonicalUser"
        content = f"<ID>{escape(grant.id)}</ID><DisplayName>{escape(grant.name)}</DisplayName>"
    return f'<Grantee xmlns:xsi="{XSI}" xsi:type="{kind}">{content}</Grantee>'


# -- ownership ----------------------------------------------------------------------------------
def parse_ownership(body: bytes) -> ObjectOwnership:
    """Raises S3Error MalformedXML."""
    rules = list(parse_document(body, "OwnershipControls").expect("Rule").all("Rule"))
    if len(rules) != 1:
        raise S3Error("MalformedXML")
    return object_ownership(rules[0].expect("ObjectOwnership").one("ObjectOwnership") or "")


def object_ownership(text: str) -> ObjectOwnership:
    """Raises S3Error MalformedXML."""
    try:
        return ObjectOwnership(text.strip())
    except ValueError:
        raise S3Error("MalformedXML") from None


def render_ownership(ownership: ObjectOwnership) -> bytes:
    return (
        f'{DECLARATION}<OwnershipControls xmlns="{NAMESPACE}"><Rule><ObjectOwnership>{ownership}'
        "</ObjectOwnership></Rule></OwnershipControls>"
    ).encode()


# -- public access ------------------------------------------------------------------------------
_SWITCHES = {
    "BlockPublicAcls": "block_public_acls",
    "IgnorePublicAcls": "ignore_public_acls",
    "BlockPublicPolicy": "block_public_policy",
    "RestrictPublicBuckets": "restrict_public_buckets",
}


def parse_public_access_block(body: bytes) -> PublicAccessBlock:
    """Raises S3Error MalformedXML."""
    root = parse_document(body, "PublicAccessBlockConfiguration").expect(*_SWITCHES)
    switches = {}
    for name, field in _SWITCHES.items():
        text = (root.one(name) or "false").strip().lower()
        if text not in ("true", "false"):
            raise S3Error("MalformedXML")
        switches[field] = text == "true"
    return PublicAccessBlock(**switches)


def render_public_access_block(block: PublicAccessBlock) -> bytes:
    switches = "".join(
        f"<{name}>{str(getattr(block, field)).lower()}</{name}>"
        for name, field in _SWITCHES.items()
    )
    return (
        f'{DECLARATION}<PublicAccessBlockConfiguration xmlns="{NAMESPACE}">{switches}'
        "</PublicAccessBlockConfiguration>"
    ).encode()


def render_policy_status(*, is_public: bool) -> bytes:
    return (
        f'{DECLARATION}<PolicyStatus xmlns="{NAMESPACE}"><IsPublic>{str(is_public).lower()}'
        "</IsPublic></PolicyStatus>"
    ).encode()
