"""The condition keys of a request: what policies can ask about it.

https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazons3.html#amazons3-policy-keys
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import parse_qsl, unquote

from stratum.adapters.s3.dates import format_iso_date
from stratum.adapters.s3.request import RequestHead
from stratum.adapters.s3.signature import ALGORITHM
from stratum.domain.policy import EXISTING_TAG, REQUEST_TAG
from stratum.domain.principal import Principal

_OF_QUERY = {
    "prefix": "s3:prefix",
    "delimiter": "s3:delimiter",
    "max-keys": "s3:max-keys",
    "versionId": "s3:versionid",
}
_OF_HEADERS = {
    **{
        name: f"s3:{name}"
        for name in (
            "x-amz-acl",
            "x-amz-grant-full-control",
            "x-amz-grant-read",
            "x-amz-grant-read-acp",
            "x-amz-grant-write",
            "x-amz-grant-write-acp",
            "x-amz-metadata-directive",
            "x-amz-server-side-encryption",
            "x-amz-server-side-encryption-aws-kms-key-id",
            "x-amz-server-side-encryption-customer-algorithm",
            "x-amz-storage-class",
            "x-amz-website-redirect-location",
            "x-amz-content-sha256",
            "x-amz-object-ownership",
            "if-match",
            "if-none-match",
        )
    },
    "x-amz-object-lock-mode": "s3:object-lock-mode",
    "x-amz-object-lock-retain-until-date": "s3:object-lock-retain-until-date",
    "x-amz-object-lock-legal-hold": "s3:object-lock-legal-hold",
    "referer": "aws:referer",
    "user-agent": "aws:useragent",
}


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What of a request does not stand in its head."""

    now_ms: int
    source_ip: str
    secure: bool
    region: str
    presigned: bool = False


def condition_keys(
    head: RequestHead,
    query: Mapping[str, str],
    who: Principal,
    around: Circumstances,
    existing_tags: Mapping[str, str] | None = None,
    request_tags: Mapping[str, str] | None = None,
) -> dict[str, tuple[str, ...]]:
    """All keys that apply, in lower case. `existing_tags`: those of the object, if there is one;
    `request_tags`: those in the body, where they stand there and not in a header."""
    keys: dict[str, tuple[str, ...]] = {
        "aws:currenttime": (format_iso_date(around.now_ms),),
        "aws:epochtime": (str(around.now_ms // 1000),),
        "aws:securetransport": ("true" if around.secure else "false",),
        "aws:requestedregion": (around.region,),
        "aws:principaltype": (who.kind.value,),
        "aws:principalisawsservice": ("false",),
        "aws:viaawsservice": ("false",),
    }
    if around.source_ip:
        keys["aws:sourceip"] = (around.source_ip,)
    keys |= _of_principal(who)
    if not who.is_anonymous:
        keys["s3:authtype"] = ("REST-QUERY-STRING" if around.presigned else "REST-HEADER",)
        keys["s3:signatureversion"] = (ALGORITHM,)
    for name, key in _OF_QUERY.items():
        if name in query:
            keys[key] = (query[name],)
    for name, key in _OF_HEADERS.items():
        if name in head.headers:
            keys[key] = (head.headers[name],)
    if "x-amz-copy-source" in head.headers:
        source = head.headers["x-amz-copy-source"].partition("?versionId=")[0]
        keys["s3:x-amz-copy-source"] = (unquote(source).removeprefix("/"),)
    for name, value in (existing_tags or {}).items():
        keys[f"{EXISTING_TAG}{name}".lower()] = (value,)
    if request_tags is not None:
        return keys | _of_request_tags(list(request_tags.items()))
    tagging = head.headers.get("x-amz-tagging")
    if tagging is None:
        return keys
    return keys | _of_request_tags(parse_qsl(tagging, keep_blank_values=True))


def _of_principal(who: Principal) -> dict[str, tuple[str, ...]]:
    if who.is_anonymous:
        return {}
    keys: dict[str, tuple[str, ...]] = {
        "aws:principalarn": (who.role_arn or who.arn,),
        "aws:principalaccount": (who.account_number,),
        "aws:userid": (who.user_id,),
    }
    if who.user_name:
        keys["aws:username"] = (who.user_name,)
    return keys


def _of_request_tags(tags: list[tuple[str, str]]) -> dict[str, tuple[str, ...]]:
    keys = {f"{REQUEST_TAG}keys": tuple(name for name, _ in tags)}
    keys |= {f"{REQUEST_TAG}/{name}".lower(): (value,) for name, value in tags}
    return keys
