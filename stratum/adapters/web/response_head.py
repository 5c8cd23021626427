"""Status line and headers of a response as bytes, and what they promise about its body."""

from __future__ import annotations

import time
from collections.abc import Iterable
from http import HTTPStatus
from typing import NamedTuple
from wsgiref.handlers import format_date_time
from xml.sax.saxutils import escape

from stratum.adapters.web.http_errors import RequestRefused

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"

_STATUS_LINES = {
    status.value: b"HTTP/1.1 %d %b\r\n" % (status.value, status.phrase.encode())
    for status in HTTPStatus
}


class ResponseHead(NamedTuple):
    """`lines` lacks Connection, the framing header and the empty line: those are settled with the
    first part of the body.

    `length_bytes` is the Content-Length the application promised, None when it gave none.
    """

    lines: bytes
    length_bytes: int | None
    has_body: bool
    asks_to_close: bool
    """Whether the application wants the connection closed after this response."""


def render_head(
    status: int, headers: Iterable[tuple[bytes, bytes]], *, method: str
) -> ResponseHead:
    """Renders an ASGI response start, adding Date when the application gives none.

    Connection and Transfer-Encoding belong to the server, so the application's are dropped, as
    is the Content-Length of a 204 (RFC 9110 section 8.6). HEAD and 304 keep theirs: it is the
    length GET would have.
    Raises ValueError for a status that is not final, a Content-Length that is no number or given
    twice, and for CR, LF or NUL in a header.
    """
    if not 200 <= status <= 999:
        raise ValueError(f"{status} is not a final status")
    lines = [_STATUS_LINES.get(status) or b"HTTP/1.1 %d \r\n" % status]
    length_bytes: int | None = None
    has_date = asks_to_close = False
    for original_name, value in headers:
        name = original_name.lower()
        if name == b"content-length":
            if not value.isdigit() or length_bytes is not None:
                raise ValueError("Content-Length must be one decimal number")
            length_bytes = int(value)
            if status == 204:
                continue
        elif name == b"connection":
            asks_to_close = asks_to_close or b"close" in value.lower()
            continue
        elif name == b"transfer-encoding":
            continue
        elif name == b"date":
            has_date = True
        lines.append(b"%b: %b\r\n" % (name, value))
    if not has_date:
        lines.append(b"date: %b\r\n" % _http_date())
    head = b"".join(lines)
    if not (head.count(b"\n") == head.count(b"\r") == len(lines)) or b"\0" in head:
        raise ValueError("A response header contains CR, LF or NUL")
    has_body = method != "HEAD" and status not in (204, 304)
    return ResponseHead(head, length_bytes, has_body, asks_to_close)


def render_refusal(refused: RequestRefused, *, with_body: bool = True) -> bytes:
    """A whole response in the shape of an S3 error that closes the connection."""
    body = (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f"<Error><Code>{refused.code}</Code><Message>{escape(refused.message)}</Message></Error>"
    ).encode()
    head = render_head(
        refused.status,
        [(b"content-type", b"application/xml"), (b"content-length", b"%d" % len(body))],
        method="GET",
    )
    return head.lines + b"connection: close\r\n\r\n" + (body if with_body else b"")


_rendered_date: tuple[int, bytes] = (0, b"")


def _http_date() -> bytes:
    """The current IMF-fixdate, rendered once a second (RFC 9110 section 5.6.7)."""
    global _rendered_date
    now_s = int(time.time())
    if _rendered_date[0] != now_s:
        _rendered_date = (now_s, format_date_time(now_s).encode("ascii"))
    return _rendered_date[1]
