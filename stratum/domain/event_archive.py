"""What a copy of the journal looks like outside its database: segments of rows that only grow.

A segment is a header and frames; a frame is a batch of rows, written at once:

    header     64 bytes: the number of its first event, the chain's digest before it
    frame      12 bytes: length of the rows, how many, CRC-32; then the rows
    row        stream, version, topic, state, digest; texts and bytes with their lengths before

Whatever follows the last whole frame was torn by a crash and is written again. Rows are those of
the journal byte for byte, digests included, so the hash chain can be followed from one segment to
the next and a journal be made of them. All integers are little-endian.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

SEGMENT_SIZE_BYTES = 8 * 1024 * 1024
"""A segment that has grown to this is followed by a new one."""
FRAME_SIZE_MAX_BYTES = 64 * 1024 * 1024
"""More than one event can have: a longer frame is garbage."""

HEADER_BYTES = 64
FORMAT_VERSION = 1
SEGMENT_PREFIX = "events-"

_MAGIC = b"STRATUMJ"
# magic, version, number of the first event, digest before it, reserved; then CRC-32
_HEADER = struct.Struct("<8sH6xQ32s4x")
_FRAME = struct.Struct("<III")
_CRC = struct.Struct("<I")
_LENGTH = struct.Struct("<I")
_VERSION = struct.Struct("<Q")
_DIGEST_BYTES = 32


@dataclass(frozen=True)
class ArchivedRow:
    """One event as the journal stores it. `digest` is the hash chain's link at this event."""

    seq: int
    stream: str
    version: int
    topic: str
    state: bytes
    digest: bytes


@dataclass(frozen=True)
class Segment:
    """What could be read of a segment. `length` is where its last whole frame ends, in bytes."""

    first_seq: int
    previous: bytes
    rows: tuple[ArchivedRow, ...]
    length: int

    @property
    def last_seq(self) -> int:
        """Number of its last event; one less than the first if it has none."""
        return self.first_seq + len(self.rows) - 1

    @property
    def digest(self) -> bytes:
        """The chain's digest at its end."""
        return self.rows[-1].digest if self.rows else self.previous


def segment_name(first_seq: int) -> str:
    """Names sort by the events they hold."""
    return f"{SEGMENT_PREFIX}{first_seq:020}"


def is_segment(name: str) -> bool:
    """Whether a file is a segment, by its name."""
    number = name.removeprefix(SEGMENT_PREFIX)
    return name != number and len(number) == 20 and number.isdigit()


def pack_header(first_seq: int, previous: bytes) -> bytes:
    """What a segment begins with."""
    head = _HEADER.pack(_MAGIC, FORMAT_VERSION, first_seq, previous)
    return head + _CRC.pack(zlib.crc32(head))


def pack_frame(rows: Sequence[ArchivedRow]) -> bytes:
    """Rows that follow one another, as one frame."""
    packed = b"".join(_pack_row(row) for row in rows)
    return _FRAME.pack(len(packed), len(rows), zlib.crc32(packed)) + packed


def parse_segment(data: bytes) -> Segment | None:
    """All whole frames from the beginning; None if not even the header is one.

    Digests are not followed here: who uses the rows does that.
    """
    head, stored = data[: _HEADER.size], data[_HEADER.size : HEADER_BYTES]
    if stored != _CRC.pack(zlib.crc32(head)):
        return None
    magic, version, first_seq, previous = _HEADER.unpack(head)
    if magic != _MAGIC or version != FORMAT_VERSION:
        return None
    rows: list[ArchivedRow] = []
    offset = HEADER_BYTES
    while (frame := _parse_frame(data, offset, first_seq + len(rows))) is not None:
        added, offset = frame
        rows += added
    return Segment(first_seq, previous, tuple(rows), offset)


def _pack_row(row: ArchivedRow) -> bytes:
    stream, topic = row.stream.encode(), row.topic.encode()
    return b"".join(
        (
            _LENGTH.pack(len(stream)),
            stream,
            _VERSION.pack(row.version),
            _LENGTH.pack(len(topic)),
            topic,
            _LENGTH.pack(len(row.state)),
            row.state,
            row.digest,
        )
    )


def _parse_frame(data: bytes, offset: int, seq: int) -> tuple[list[ArchivedRow], int] | None:
    """The rows of the frame at an offset, and where it ends; None if there is no whole one."""
    begin = offset + _FRAME.size
    if begin > len(data):
        return None
    length, count, crc = _FRAME.unpack_from(data, offset)
    packed = data[begin : begin + length]
    if not count or length > FRAME_SIZE_MAX_BYTES or len(packed) < length:
        return None
    if zlib.crc32(packed) != crc:
        return None
    try:
        rows = list(_parse_rows(packed, seq))
    except (struct.error, UnicodeDecodeError):
        return None
    return (rows, begin + length) if len(rows) == count else None


def _parse_rows(packed: bytes, seq: int) -> Iterator[ArchivedRow]:
    offset = 0
    while offset < len(packed):
        stream, offset = _take(packed, offset)
        (version,) = _VERSION.unpack_from(packed, offset)
        topic, offset = _take(packed, offset + _VERSION.size)
        state, offset = _take(packed, offset)
        digest = packed[offset : offset + _DIGEST_BYTES]
        offset += _DIGEST_BYTES
        if offset > len(packed):
            raise struct.error("a row ends beyond its frame")
        yield ArchivedRow(seq, stream.decode(), version, topic.decode(), state, digest)
        seq += 1


def _take(packed: bytes, offset: int) -> tuple[bytes, int]:
    (length,) = _LENGTH.unpack_from(packed, offset)
    begin = offset + _LENGTH.size
    return packed[begin : begin + length], begin + length
