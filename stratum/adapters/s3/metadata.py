"""Object metadata between headers and domain: what a client says about an object, and hears back.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/UsingMetadata.html
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping

from stratum.adapters.s3.errors import S3Error
from stratum.adapters.s3.request import Headers
from stratum.domain.errors import InvalidArgument, MetadataTooLarge
from stratum.domain.volume import Metadata

USER_METADATA_MAX_BYTES = 2048
"""Names without their prefix, and values, in UTF-8."""
USER_PREFIX = "x-amz-meta-"
SYSTEM_HEADERS = (
    "cache-control",
    "content-disposition",
    "content-encoding",
    "content-language",
    "content-type",
    "expires",
)
WEBSITE_REDIRECT = "x-amz-website-redirect-location"
"""Where a web site sends who reads the object; belongs to it and not to its copies."""
WEBSITE_REDIRECT_LENGTH_MAX = 2048
CONTENT_TYPE_DEFAULT = "binary/octet-stream"

_OVERRIDES = {f"response-{name}": name for name in SYSTEM_HEADERS}
_NOT_IN_HEADER = re.compile("[\0-\x08\n-\x1f\x7f]").search


def object_metadata(headers: Headers) -> Metadata:
    """The metadata in the headers of a PUT, a copy or a new upload.

    Raises MetadataTooLarge; S3Error InvalidRedirectLocation.
    """
    system = {name: wire_text(headers[name]) for name in SYSTEM_HEADERS if headers.get(name)}
    system |= _website_redirect(headers)
    if "content-encoding" in system:
        # aws-chunked describes how this request was sent, not the object.
        codings = [coding.strip() for coding in system.pop("content-encoding").split(",")]
        kept = [coding for coding in codings if coding and coding.lower() != "aws-chunked"]
        if kept:
            system["content-encoding"] = ", ".join(kept)
    user: dict[str, str] = {}
    size = 0
    for name, value in headers.items():
        if name.startswith(USER_PREFIX):
            short, text = name[len(USER_PREFIX) :], wire_text(value)
            user[short] = text
            size += len(short.encode()) + len(text.encode())
    if size > USER_METADATA_MAX_BYTES:
        raise MetadataTooLarge("Your metadata headers exceed the maximum allowed metadata size")
    return Metadata(system, user)


def copied_metadata(source: Metadata, headers: Headers) -> Metadata | None:
    """The metadata of a copy that keeps its source's; None for no difference to it.

    Raises S3Error InvalidRedirectLocation.
    """
    own = _website_redirect(headers)
    if not own and WEBSITE_REDIRECT not in source.system:
        return None
    kept = {name: value for name, value in source.system.items() if name != WEBSITE_REDIRECT}
    return Metadata({**kept, **own}, source.user)


def metadata_headers(metadata: Metadata) -> dict[str, str]:
    """The response headers for stored metadata, always with a Content-Type.

    User metadata beyond ASCII is sent as RFC 2047 encoded words, as Amazon does.
    """
    headers = {name: _wire_value(value) for name, value in metadata.system.items()}
    headers.setdefault("content-type", CONTENT_TYPE_DEFAULT)
    for name, value in metadata.user.items():
        headers[_wire_value(USER_PREFIX + name)] = value if value.isascii() else _encoded(value)
    return headers


def response_overrides(query: Mapping[str, str], *, anonymous: bool) -> dict[str, str]:
    """Headers a reader asks for with `response-*` parameters; only for signed requests.

    Raises S3Error InvalidRequest for anonymous requests, InvalidArgument for control characters.
    """
    headers: dict[str, str] = {}
    if not query:
        return headers
    for parameter, name in _OVERRIDES.items():
        value = query.get(parameter)
        if value is None:
            continue
        if anonymous:
            raise S3Error(
                "InvalidRequest",
                "Request specific response headers cannot be used for anonymous GET requests.",
            )
        if _NOT_IN_HEADER(value):
            raise InvalidArgument("Header value cannot be represented", parameter)
        headers[name] = _wire_value(value)
    return headers


def _website_redirect(headers: Headers) -> dict[str, str]:
    location = headers.get(WEBSITE_REDIRECT)
    if location is None:
        return {}
    if not location.startswith(("/", "http://", "https://")) or not location.isascii():
        raise S3Error("InvalidRedirectLocation")
    if len(location) > WEBSITE_REDIRECT_LENGTH_MAX:
        raise S3Error(
            "InvalidRedirectLocation",
            "The length of website redirect location cannot"
            f" exceed {WEBSITE_REDIRECT_LENGTH_MAX} characters.",
        )
    return {WEBSITE_REDIRECT: location}


def wire_text(value: str) -> str:
    """The text of a header value that holds one character per byte: UTF-8, else ISO 8859-1."""
    if value.isascii():
        return value
    try:
        return value.encode("latin-1").decode("utf-8")
    except UnicodeError:
        return value


def _wire_value(text: str) -> str:
    """Text as a header value with one character per byte, UTF-8."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode("latin-1")


def _encoded(text: str) -> str:
    encoded = base64.b64encode(text.encode("utf-8", "replace")).decode("ascii")
    return f"=?UTF-8?B?{encoded}?="
