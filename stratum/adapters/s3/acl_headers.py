"""ACLs in headers: `x-amz-acl` and `x-amz-grant-…`.

https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutObject.html#AmazonS3-PutObject-request-header-ACL
"""

from __future__ import annotations

import re

from stratum.adapters.s3.errors import S3Error
from stratum.adapters.s3.request import Headers
from stratum.domain.acl import AclPermission
from stratum.domain.granting import NOTHING_ASKED, AskedAcl, AskedGrant

GRANT_HEADERS = {
    "x-amz-grant-read": AclPermission.READ,
    "x-amz-grant-write": AclPermission.WRITE,
    "x-amz-grant-read-acp": AclPermission.READ_ACP,
    "x-amz-grant-write-acp": AclPermission.WRITE_ACP,
    "x-amz-grant-full-control": AclPermission.FULL_CONTROL,
}
_GRANTEE = re.compile(r"""\s*(\w+)\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s,"']+))\s*""").fullmatch
_KINDS = {"id": "id", "emailaddress": "email", "uri": "uri"}


def asked_acl(headers: Headers) -> AskedAcl:
    """What the headers ask for. Raises S3Error InvalidArgument."""
    canned = headers.get("x-amz-acl", "")
    grants: list[AskedGrant] | None = None
    for name, permission in GRANT_HEADERS.items():
        if name in headers:
            grants = (grants or []) + _grants(name, headers[name], permission)
    if not canned and grants is None:
        return NOTHING_ASKED
    return AskedAcl(canned, None if grants is None else tuple(grants))


def _grants(name: str, value: str, permission: AclPermission) -> list[AskedGrant]:
    found: list[AskedGrant] = []
    for item in value.split(","):
        match = _GRANTEE(item)
        kind = _KINDS.get(match[1].lower()) if match else None
        if match is None or kind is None:
            raise S3Error(
                "InvalidArgument",
                'Argument format not recognized; expected id="…", emailAddress="…" or uri="…"',
                fields={"ArgumentName": name, "ArgumentValue": value[:200]},
            )
        found.append(AskedGrant(permission, **{kind: match[2] or match[3] or match[4] or ""}))
    return found
