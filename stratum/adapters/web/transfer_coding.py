"""The chunked transfer coding of request bodies, sans-IO (RFC 9112 section 7.1).

Not to be confused with aws-chunked, which is a content coding inside the body. Ours instead of
llhttp's because it must say exactly where the body ends: what follows is the next request.
"""

from __future__ import annotations

import re
from enum import Enum, auto

from stratum.adapters.web.http_errors import RequestRefused

LINE_LIMIT_BYTES = 4096
TRAILER_LIMIT_BYTES = 8192

# Fifteen digits stay below 2**60. White space is allowed only before an extension, and an
# extension must not hide a control character: proxies disagree about what those end.
_SIZE_LINE = re.compile(rb"([0-9A-Fa-f]{1,15})(?:[ \t]*;[^\x00-\x08\x0a-\x1f\x7f]*)?")
_TRAILER_LINE = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+:[^\x00-\x08\x0a-\x1f\x7f]*")


class _Expecting(Enum):
    SIZE = auto()
    DATA = auto()
    DATA_END = auto()
    TRAILER = auto()


class ChunkedDecoder:
    """Decodes one body until `finished`.

    Trailers are checked and dropped: ASGI has no place for them and S3 sends its own inside
    aws-chunked. The outcome does not depend on how the bytes were cut into `feed()` calls.
    """

    __slots__ = ("_expecting", "_left_bytes", "_partial", "_trailer_bytes", "finished")

    def __init__(self) -> None:
        self.finished = False
        self._expecting = _Expecting.SIZE
        self._left_bytes = 0
        self._partial = b""
        self._trailer_bytes = 0

    def feed(self, data: bytes) -> tuple[bytes, bytes | None]:
        """(the payload in `data`, what follows the body or None while it goes on).

        Raises `RequestRefused` on bad framing.
        """
        if self._partial:
            data, self._partial = self._partial + data, b""
        payload: list[bytes] = []
        position = 0
        while position < len(data) and not self.finished:
            if self._expecting is _Expecting.DATA:
                piece = data[position : position + self._left_bytes]
                payload.append(piece)
                position += len(piece)
                self._left_bytes -= len(piece)
                if not self._left_bytes:
                    self._expecting = _Expecting.DATA_END
                continue
            is_data_end = self._expecting is _Expecting.DATA_END
            if is_data_end and not b"\r\n".startswith(data[position : position + 2]):
                raise RequestRefused("A chunk is longer than its size says")
            line_end = data.find(b"\n", position, position + LINE_LIMIT_BYTES)
            if line_end < 0:
                if len(data) - position >= LINE_LIMIT_BYTES:
                    raise RequestRefused("A line of the chunked body is too long")
                self._partial = data[position:]
                break
            if line_end == position or data[line_end - 1] != 0x0D:
                raise RequestRefused("A line of the chunked body does not end with CR LF")
            self._on_line(data[position : line_end - 1])
            position = line_end + 1
        joined = payload[0] if len(payload) == 1 else b"".join(payload)
        return joined, data[position:] if self.finished else None

    def _on_line(self, line: bytes) -> None:
        if self._expecting is _Expecting.SIZE:
            match = _SIZE_LINE.fullmatch(line)
            if match is None:
                raise RequestRefused("A chunk size is malformed")
            self._left_bytes = int(match[1], 16)
            self._expecting = _Expecting.DATA if self._left_bytes else _Expecting.TRAILER
        elif self._expecting is _Expecting.DATA_END:
            assert not line
            self._expecting = _Expecting.SIZE
        elif line:
            self._trailer_bytes += len(line)
            if self._trailer_bytes > TRAILER_LIMIT_BYTES or not _TRAILER_LINE.fullmatch(line):
                raise RequestRefused("A trailer of the chunked body is malformed")
        else:
            self.finished = True
