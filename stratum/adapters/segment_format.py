"""The bytes of a segment: a file of many small shards, one after the other, and marks about them.

    header     32 bytes: magic, version, number and salt of the segment, CRC-32
    record 0   48 bytes, name, payload; padded to a multiple of 8
    record 1   ...

A record is a shard, or a mark: what became of a shard that was written before. Its header is
bound to its place by segment number and offset, so that old bytes of a disk that happen to lie
there are not taken for records; the salt, random and secret, keeps clients from storing bytes that
would be. Integers are little-endian. `docs/storage-format.md` has the table.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterator, Sequence
from enum import IntEnum
from typing import NamedTuple

import xxhash

from stratum.domain.errors import ShardCorrupt
from stratum.ports import Buffer

FORMAT_VERSION = 1
SEGMENT_HEADER_BYTES = 32
RECORD_HEADER_BYTES = 48
NAME_LENGTH_MAX_BYTES = 128
ALIGNMENT_BYTES = 8
SCAN_WINDOW_BYTES = 256 * 1024
"""How much of a segment is in memory at once while it is looked through."""

_SEGMENT_MAGIC = b"STRATSEG"
_RECORD_MAGIC = b"\xa5SR1"
# magic, version, number, salt, reserved; then CRC-32
_SEGMENT = struct.Struct("<8sHxxII8x")
# magic, kind, flags, length of the name, length of the payload, segment, offset, XXH3-64 of the
# payload, segment and offset of the target; then CRC-32 of all that and the name
_RECORD = struct.Struct("<4sBBHIIQQIQ")
_CRC = struct.Struct("<I")


class Kind(IntEnum):
    """What a record says."""

    SHARD = 1
    """The payload is a shard with this name."""
    PUBLISH = 2
    """The shard with this name is published."""
    DELETE = 3
    """There is no shard with this name any more."""
    RENAME = 4
    """The shard with this name is the published shard whose name is the payload."""


class Flag:
    """State of a shard, in the index and in records. Plain numbers: an IntFlag is slow."""

    PUBLISHED = 1
    FILE_BESIDE = 2
    """There may be a shard of this name as a file of its own, which counts for nothing."""
    RELOCATED = 4
    """In records only: the copy of an older record, `target`, made by a compaction."""


class Place(NamedTuple):
    """Where the payload of a record begins."""

    segment: int
    start: int


NOWHERE = Place(0, 0)


class Record(NamedTuple):
    kind: int
    flags: int
    name: str
    place: Place
    length: int
    checksum: int
    target: Place = NOWHERE
    """The shard a mark is about; for a relocated shard, where it was before."""
    payload: bytes = b""
    """Of marks only."""


def next_offset(end: int) -> int:
    """Where the record after one that ends here begins."""
    return -(-end // ALIGNMENT_BYTES) * ALIGNMENT_BYTES


def footprint(name_length: int, length: int) -> int:
    """Bytes that a record occupies in a segment."""
    return next_offset(RECORD_HEADER_BYTES + name_length + length)


def checksum_of(parts: Sequence[Buffer]) -> int:
    """XXH3-64 of a payload."""
    hasher = xxhash.xxh3_64()
    for part in parts:
        hasher.update(part)
    return hasher.intdigest()


def pack_segment_header(number: int, salt: int) -> bytes:
    """What a segment begins with; `salt` is any number of 32 bits."""
    head = _SEGMENT.pack(_SEGMENT_MAGIC, FORMAT_VERSION, number, salt)
    return head + _CRC.pack(zlib.crc32(head))


def parse_segment_header(raw: bytes, number: int) -> int:
    """The salt; raise ShardCorrupt unless a segment of this number begins like that."""
    if len(raw) == SEGMENT_HEADER_BYTES:
        salt: int = _SEGMENT.unpack(raw[: _SEGMENT.size])[3]
        if raw == pack_segment_header(number, salt):
            return salt
    raise ShardCorrupt(f"segment {number} does not begin like one that this version reads")


def pack_record_header(record: Record, offset: int, salt: int) -> bytes:
    """Header and name of a record that begins at `offset`."""
    name = record.name.encode()
    head = _RECORD.pack(
        _RECORD_MAGIC,
        record.kind,
        record.flags,
        len(name),
        record.length,
        record.place.segment,
        offset,
        record.checksum,
        *record.target,
    )
    crc = zlib.crc32(name, zlib.crc32(head, salt))
    return b"".join((head, _CRC.pack(crc), name))


def parse_record_header(raw: Buffer, segment: int, offset: int, salt: int) -> Record | None:
    """The record that begins at `offset`, None if none does. `raw` may be longer."""
    if len(raw) < RECORD_HEADER_BYTES or raw[:4] != _RECORD_MAGIC:
        return None
    head = bytes(raw[: _RECORD.size])
    _, kind, flags, name_length, length, in_segment, at, checksum, *target = _RECORD.unpack(head)
    name = bytes(raw[RECORD_HEADER_BYTES : RECORD_HEADER_BYTES + name_length])
    stored = bytes(raw[_RECORD.size : RECORD_HEADER_BYTES])
    if stored != _CRC.pack(zlib.crc32(name, zlib.crc32(head, salt))):
        return None
    if (in_segment, at) != (segment, offset) or len(name) != name_length:
        return None
    place = Place(segment, offset + RECORD_HEADER_BYTES + name_length)
    return Record(kind, flags, name.decode(), place, length, checksum, Place(*target))


class SegmentScan:
    """Iterates over the records of a segment from `offset` on.

    `read(offset, length)` returns what the file of `size` bytes has there. What is no record is
    skipped. `end` is where the last good record ends: behind it, something was torn. Marks must
    have their checksums. Shards need not, since who reads them finds out: one that a crash tore
    is as good as one whose extent was never committed.
    """

    def __init__(
        self,
        read: Callable[[int, int], bytes],
        segment: int,
        size: int,
        *,
        offset: int = SEGMENT_HEADER_BYTES,
    ) -> None:
        """Raises ShardCorrupt if it does not begin like a segment."""
        self._read = read
        self._segment = segment
        self._size = size
        self._window = b""
        self._window_at = 0
        self._salt = parse_segment_header(read(0, SEGMENT_HEADER_BYTES), segment)
        self.end = offset
        self.skipped = 0
        """Bytes between records that are none: damage, or writes that failed."""

    def __iter__(self) -> Iterator[Record]:
        offset = self.end
        while offset < self._size:
            record = self._header_at(offset)
            if record is None:
                following = self._search(offset + ALIGNMENT_BYTES)
                if following is None:
                    return
                offset = following
                continue
            after = next_offset(record.place.start + record.length)
            good = self._checked(record)
            if good is not None:
                self.skipped += offset - self.end
                self.end = after
                yield good
            offset = after

    def _header_at(self, offset: int) -> Record | None:
        raw = self._bytes(offset, RECORD_HEADER_BYTES + NAME_LENGTH_MAX_BYTES)
        record = parse_record_header(raw, self._segment, offset, self._salt)
        fits = record is not None and record.place.start + record.length <= self._size
        return record if fits else None

    def _checked(self, record: Record) -> Record | None:
        if record.kind == Kind.SHARD:
            return record
        payload = self._bytes(record.place.start, record.length)
        if checksum_of([payload]) != record.checksum:
            return None
        return record._replace(payload=payload)

    def _search(self, offset: int) -> int | None:
        """The next offset where a record begins, None if there is none."""
        while offset < self._size:
            raw = self._bytes(offset, SCAN_WINDOW_BYTES)
            at = raw.find(_RECORD_MAGIC)
            if at < 0:
                # The magic may lie across the end of what was read.
                offset += max(len(raw) - len(_RECORD_MAGIC) + 1, 1)
                continue
            offset += at
            if offset % ALIGNMENT_BYTES == 0 and self._header_at(offset) is not None:
                return offset
            offset += 1
        return None

    def _bytes(self, offset: int, length: int) -> bytes:
        length = min(length, self._size - offset)
        begin = offset - self._window_at
        if begin < 0 or begin + length > len(self._window):
            self._window = self._read(offset, max(length, SCAN_WINDOW_BYTES))
            self._window_at, begin = offset, 0
        return self._window[begin : begin + length]
