"""The fields of a form as the headers of the PUT they stand for, and what the browser hears."""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import quote, urlencode, urlsplit

from stratum.adapters.s3.errors import S3Error
from stratum.adapters.s3.metadata import SYSTEM_HEADERS
from stratum.adapters.s3.post_signature import V4_FIELDS
from stratum.adapters.s3.xml_responses import DECLARATION, element, quoted
from stratum.adapters.s3.xml_tagging import parse_tagging
from stratum.domain.errors import InvalidArgument
from stratum.domain.tags import OBJECT_TAGS_MAX

FILENAME_VARIABLE = "${filename}"
_LITERAL = frozenset(("policy", "signature", *V4_FIELDS))
_NOT_HEADERS = frozenset((*V4_FIELDS, "x-amz-security-token"))
_NOT_IN_HEADER = re.compile("[\0-\x08\n-\x1f\x7f]").search


def expanded(fields: Mapping[str, str], filename: str) -> dict[str, str]:
    """The fields with `${filename}` replaced by the name of the file."""
    return {
        name: value if name in _LITERAL else value.replace(FILENAME_VARIABLE, filename)
        for name, value in fields.items()
    }


def headers_of_fields(fields: Mapping[str, str]) -> dict[str, str]:
    """The headers of the PUT that a form stands for, as they come off the wire.

    Raises InvalidArgument for what no header can carry; S3Error MalformedXML for wrong tags.
    """
    headers: dict[str, str] = {}
    for name, value in fields.items():
        if name == "acl":
            headers["x-amz-acl"] = value
        elif name == "tagging":
            headers["x-amz-tagging"] = urlencode(parse_tagging(value.encode(), OBJECT_TAGS_MAX))
        elif (
            name in SYSTEM_HEADERS
            or name == "content-md5"
            or (name.startswith("x-amz-") and name not in _NOT_HEADERS)
        ):
            headers[name] = value
    for name, value in headers.items():
        if _NOT_IN_HEADER(value) or not name.isascii():
            raise InvalidArgument("Header value cannot be represented", name[:100])
        headers[name] = value.encode("utf-8", "replace").decode("latin-1")
    return headers


def success_status(fields: Mapping[str, str]) -> int:
    """200, 201 or, without a (valid) wish, 204."""
    return {"200": 200, "201": 201}.get(fields.get("success_action_status", ""), 204)


def success_redirect(fields: Mapping[str, str], bucket: str, key: str, etag: str) -> str | None:
    """Where the browser is sent, with what was stored in the query; None for staying.

    A URL that is none counts as no wish, as with Amazon.
    """
    url = fields.get("success_action_redirect") or fields.get("redirect") or ""
    if not (url.isascii() and url.isprintable()) or " " in url:
        return None
    try:
        parts = urlsplit(url)
    except ValueError:
        return None
    if parts.scheme not in ("http", "https") or not parts.netloc:
        return None
    query = urlencode({"bucket": bucket, "key": key, "etag": quoted(etag)})
    return parts._replace(query=f"{parts.query}&{query}" if parts.query else query).geturl()


def object_url(base: str, key: str) -> str:
    """The URL of a key below that of its bucket."""
    return f"{base}/{quote(key, safe='/~')}"


def render_post_response(location: str, bucket: str, key: str, etag: str) -> bytes:
    """PostResponse, which unlike other documents is in no namespace."""
    content = (
        element("Location", location)
        + element("Bucket", bucket)
        + element("Key", key)
        + element("ETag", quoted(etag))
    )
    return f"{DECLARATION}<PostResponse>{content}</PostResponse>".encode()


def missing_key() -> S3Error:
    """A form that does not say what the object shall be called."""
    return S3Error(
        "InvalidArgument",
        "Bucket POST must contain a field named 'key'.  If it is specified, please check the order"
        " of the fields.",
        fields={"ArgumentName": "key"},
    )
