"""The head of a request as it came off the wire, and the few readings of it all modules share.

Path and query stay raw bytes: decoding is lossy (`%2F`, `//`, `..`, bytes that are not UTF-8), and
both the key and the signature are made of what was really sent.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from urllib.parse import unquote_to_bytes

from stratum.adapters.s3.errors import S3Error

Headers = Mapping[str, str]
"""Names in lower case; values decoded as ISO 8859-1, so that every byte survives."""

_BAD_ESCAPE = re.compile(rb"%(?![0-9A-Fa-f]{2})").search


@dataclass(frozen=True, slots=True)
class RequestHead:
    """Method, raw path (beginning with `/`), raw query (without `?`) and headers."""

    method: str
    raw_path: bytes
    raw_query: bytes
    headers: Headers
    is_private: bool = True
    """Whether nobody else can read what is sent; see `web.private_channel`."""


def headers_from_raw(raw: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    """Headers by lower-case name; repeated ones are joined with a comma (RFC 9110 §5.3)."""
    headers: dict[str, str] = {}
    for raw_name, raw_value in raw:
        name = raw_name.decode("latin-1").lower()
        value = raw_value.decode("latin-1").strip(" \t")
        headers[name] = f"{headers[name]},{value}" if name in headers else value
    return headers


def split_query(raw_query: bytes) -> list[tuple[bytes, bytes]]:
    """Names and values of a query, percent-decoded once; `+` is a space. Raise InvalidURI."""
    if not raw_query:
        return []
    if _BAD_ESCAPE(raw_query):
        raise S3Error("InvalidURI")
    return [
        (unquote_to_bytes(name), unquote_to_bytes(value))
        for name, _, value in (
            pair.partition(b"=") for pair in raw_query.replace(b"+", b" ").split(b"&") if pair
        )
    ]


def parse_query(raw_query: bytes) -> dict[str, str]:
    """Query parameters as text; of repeated ones the first counts. Raise InvalidURI."""
    query: dict[str, str] = {}
    if not raw_query:
        return query
    for name, value in split_query(raw_query):
        query.setdefault(decode_utf8(name), decode_utf8(value))
    return query


def decode_path_segment(raw: bytes) -> str:
    """Percent-decode once and read as strict UTF-8; raise InvalidURI. `+` is a plus."""
    if b"%" in raw:
        if _BAD_ESCAPE(raw):
            raise S3Error("InvalidURI")
        raw = unquote_to_bytes(raw)
    return decode_utf8(raw)


def decode_utf8(raw: bytes) -> str:
    """Strict UTF-8; raise InvalidURI."""
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        raise S3Error("InvalidURI") from None
