"""From bytes to a request head, sans-IO: where it ends, and what it means for the body.

llhttp (through httptools) parses one complete head; everything that decides where the body ends
is checked again here, since two parsers that disagree about it are how requests are smuggled.
"""

from __future__ import annotations

import re
from typing import NamedTuple

import httptools

from stratum.adapters.web.http_errors import HeadTooLarge, RequestRefused

Headers = list[tuple[bytes, bytes]]

_HEAD_END = b"\r\n\r\n"
_CONTENT_LENGTH = re.compile(rb"[0-9]{1,18}")
# RFC 3986 section 3.2: registered name, IPv4 or [IPv6], then a port; no user information.
_HOST = re.compile(rb"[A-Za-z0-9._~!$&'()*+,;=%:\[\]-]*")
_ABSOLUTE_FORM = re.compile(rb"https?://([^/?#]+)([^?]*)(?:\?(.*))?", re.IGNORECASE)
_DECIDING_FIELDS = frozenset(
    (b"connection", b"content-length", b"expect", b"host", b"transfer-encoding")
)


class RequestHead(NamedTuple):
    """One request without its body.

    `path` and `query` are the bytes of the target as sent (no decoding, no `?`); `headers` are
    in order with lower-case names; `body_length` is None for a chunked body, 0 for none.
    """

    method: str
    http_version: str
    path: bytes
    query: bytes
    headers: Headers
    body_length: int | None
    keep_alive: bool
    expects_continue: bool


class HeadReader:
    """Collects the bytes of one head, however they are cut."""

    __slots__ = ("_limit_bytes", "_partial", "_seen_blank_line")

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self._partial = bytearray()
        self._seen_blank_line = False

    def feed(self, data: bytes) -> tuple[bytes, bytes] | None:
        """(head with its empty line, what follows it), or None while the head is incomplete.

        Raises `RequestRefused` as soon as it is certain that no good head can follow, so that a
        client that speaks something else need not wait for the time-out, and `HeadTooLarge`.
        """
        searched = len(self._partial)
        buffer: bytes | bytearray = data
        if searched or data[:1] == b"\r":
            self._partial += data
            searched = self._skip_blank_line(searched)
            buffer = self._partial
        if not buffer or buffer == b"\r":
            return None
        if not 0x41 <= buffer[0] <= 0x5A:  # methods start with A-Z; a TLS hello does not
            raise RequestRefused("This is not an HTTP/1.1 request")
        end = buffer.find(_HEAD_END, max(0, searched - 3), self._limit_bytes)
        if end >= 0:
            return bytes(buffer[: end + 4]), bytes(buffer[end + 4 :])
        # Nothing may end the head of a client that ends lines in its own way: say so at once.
        if _has_bare_lf(buffer, searched, min(len(buffer), self._limit_bytes)):
            raise RequestRefused("The request head is malformed")
        if len(buffer) >= self._limit_bytes:
            raise HeadTooLarge("Your request header section exceeds the maximum allowed size")
        if not searched and buffer is data:
            self._partial += data
        return None

    def _skip_blank_line(self, searched: int) -> int:
        """Drop one empty line before the request line (RFC 9112 section 2.2)."""
        if not self._seen_blank_line and self._partial.startswith(b"\r\n"):
            self._seen_blank_line = True
            del self._partial[:2]
            return 0
        return searched


def parse_head(head: bytes, header_count: int) -> RequestHead:
    """What one complete head (as `HeadReader` cut it) asks for.

    Raises `RequestRefused` on anything RFC 9112 calls invalid or leaves to the server in a way
    that another parser could read differently; `HeadTooLarge` beyond `header_count` lines.
    """
    line_count = head.count(b"\r\n") - 2
    if line_count > header_count:
        raise HeadTooLarge("Your request has too many headers")
    parsed = _LlhttpEvents()
    parser = httptools.HttpRequestParser(parsed)
    try:
        parser.feed_data(head)
    except httptools.HttpParserUpgrade:
        pass  # an offer to switch protocols may be ignored (RFC 9110 section 7.8)
    except httptools.HttpParserError as error:
        raise RequestRefused("The request head is malformed") from error
    method, version = parser.get_method(), parser.get_http_version()
    target, headers = parsed.target, parsed.headers
    if version not in ("1.1", "1.0"):
        raise RequestRefused(
            "Only HTTP/1.1 and HTTP/1.0 are spoken here", 505, "HTTPVersionNotSupported"
        )
    # llhttp tolerates more than one space and speaks RTSP too; and each line must be one header.
    request_line = b"%b %b HTTP/%b\r\n" % (method, target, version.encode())
    if not head.startswith(request_line) or len(headers) != line_count:
        raise RequestRefused("The request head is malformed")
    fields: dict[bytes, list[bytes]] = {}
    for name, value in headers:
        if name in _DECIDING_FIELDS:
            fields.setdefault(name, []).append(value)
    _check_host(fields.get(b"host", []), version)
    path, query = _split_target(method, target, headers)
    connection = _tokens(fields, b"connection")
    return RequestHead(
        method=method.decode("ascii"),
        http_version=version,
        path=path,
        query=query,
        headers=headers,
        body_length=_body_length(fields, version),
        keep_alive=(
            b"close" not in connection if version == "1.1" else b"keep-alive" in connection
        ),
        expects_continue=(
            version == "1.1"
            and b"expect" in fields
            and b"100-continue" in _tokens(fields, b"expect")
        ),
    )


class _LlhttpEvents:
    """Receives llhttp's callbacks for one head."""

    __slots__ = ("headers", "target")

    def __init__(self) -> None:
        self.target = b""
        self.headers: Headers = []

    def on_url(self, url: bytes) -> None:
        self.target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name.lower(), value.rstrip(b" \t")))


def _has_bare_lf(buffer: bytes | bytearray, start: int, stop: int) -> bool:
    line_feeds = buffer.count(b"\n", start, stop)
    return line_feeds != buffer.count(b"\r\n", max(0, start - 1), stop)


def _tokens(fields: dict[bytes, list[bytes]], name: bytes) -> list[bytes]:
    """The elements of a comma-separated list field, lower-case."""
    if name not in fields:
        return []
    return [token.strip(b" \t").lower() for token in b",".join(fields[name]).split(b",")]


def _check_host(hosts: list[bytes], version: str) -> None:
    """RFC 9112 section 3.2: exactly one valid Host in HTTP/1.1, else 400."""
    if not hosts and version == "1.0":
        return
    if len(hosts) != 1 or not _HOST.fullmatch(hosts[0]):
        raise RequestRefused("A request needs exactly one valid Host header")


def _body_length(fields: dict[bytes, list[bytes]], version: str) -> int | None:
    """RFC 9112 section 6: Content-Length or `chunked`, never both, never anything doubtful."""
    codings = fields.get(b"transfer-encoding")
    lengths = fields.get(b"content-length")
    if codings is not None:
        if lengths is not None or version == "1.0":
            raise RequestRefused("Transfer-Encoding is not allowed here")
        if len(codings) != 1 or codings[0].lower() != b"chunked":
            raise RequestRefused("The only supported Transfer-Encoding is chunked")
        return None
    if lengths is None:
        return 0
    if len(lengths) != 1 or not _CONTENT_LENGTH.fullmatch(lengths[0]):
        raise RequestRefused("Content-Length must be one decimal number")
    return int(lengths[0])


def _split_target(method: bytes, target: bytes, headers: Headers) -> tuple[bytes, bytes]:
    """(path, query) of the four forms of RFC 9112 section 3.2; CONNECT's is refused.

    The authority of the absolute form replaces Host in `headers`, as section 3.2.2 demands.
    """
    if target.startswith(b"/"):
        path, _, query = target.partition(b"?")
    elif target == b"*" and method == b"OPTIONS":
        path, query = target, b""
    else:
        absolute = _ABSOLUTE_FORM.fullmatch(target)
        if absolute is None or method == b"CONNECT" or not _HOST.fullmatch(absolute[1]):
            raise RequestRefused("The request target is malformed")
        headers[:] = [header for header in headers if header[0] != b"host"]
        headers.insert(0, (b"host", absolute[1]))
        path, query = absolute[2] or b"/", absolute[3] or b""
    if not target.isascii():
        raise RequestRefused("The request target is not percent-encoded")
    return path, query
