"""How an extent is cut into stripes and cells, and what a shard file looks like.

A stripe of `stripe_size_bytes` is four data cells, one after the other, and two parity cells.
The last stripe of an extent may be shorter: its cells are a quarter of what is left, rounded up,
and the last of them are padded with zeros. A shard file holds the cells of one index:

    preamble   64 bytes: extent, index, profile, stripe size
    frame 0    16-byte checksum, cell of stripe 0
    ...
    frame n
    whole      in one shard of a small extent: 16-byte checksum, all bytes of the extent
    record     opaque to this module: says which object the extent belongs to
    tail       32 bytes: length and digest of the record, size of the extent

All offsets but the record's follow from the stripe number alone, so a shard is written without
knowing how long the extent will be. A shard describes itself: the extents of a store can be
found and joined again from the shards, without a journal. All integers are little-endian.
"""

from __future__ import annotations

import hashlib
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

from stratum.domain.errors import InvalidConfig, ShardCorrupt
from stratum.domain.names import ExtentId

DATA_CELLS = 4
PARITY_CELLS = 2
CELLS = DATA_CELLS + PARITY_CELLS

STRIPE_SIZE_BYTES = 1024 * 1024
STRIPE_SIZE_MAX_BYTES = 64 * 1024 * 1024
STRIPE_SIZE_STEP_BYTES = DATA_CELLS * 64
"""Stripe sizes are multiples of this, so that every full cell starts on a cache line."""

WHOLE_COPY_MAX_BYTES = 16 * 1024
"""An extent up to this size lies in one of its shards as a whole, too: one read instead of four. It
then takes 2.5 times its size instead of 1.5, besides the same for records."""
WHOLE_STRIPE = (1 << 64) - 1
"""What the checksum of the whole is bound to in the place of a stripe's number."""
FLAG_WHOLE = 1
"""In the preamble of the shard that holds the whole."""

CHECKSUM_LENGTH_BYTES = 16
PREAMBLE_BYTES = 64
TAIL_BYTES = 32
RECORD_LENGTH_MAX_BYTES = 16 * 1024 * 1024
"""Enough for the 10,000 parts and checksums of the largest multipart object, several times."""

FORMAT_VERSION = 1

_PREAMBLE_MAGIC = b"STRATUM1"
_TAIL_MAGIC = b"STRATEND"
# magic, version, index, data, parity, flags, stripe size, extent id, reserved; then CRC-32
_PREAMBLE = struct.Struct("<8sHBBBxHI16s24x")
# length of the record, size of the extent, digest of the record; then CRC-32 and magic
_TAIL = struct.Struct("<IQ8s")
_CRC = struct.Struct("<I")
_DIGEST_LENGTH_BYTES = 8

Buffer = bytes | bytearray | memoryview


# -- geometry -----------------------------------------------------------------------------------
@dataclass(frozen=True)
class ErasureProfile:
    """How many data and parity cells a stripe has. Raises InvalidConfig unless it is 4+2."""

    data: int = DATA_CELLS
    parity: int = PARITY_CELLS

    def __post_init__(self) -> None:
        if (self.data, self.parity) != (DATA_CELLS, PARITY_CELLS):
            raise InvalidConfig(
                f"erasure profile {self.data}+{self.parity} is not supported:"
                f" this version codes {DATA_CELLS}+{PARITY_CELLS} only"
            )

    @property
    def shards(self) -> int:
        """Shards of an extent, each on its own disk."""
        return self.data + self.parity


@dataclass(frozen=True)
class StripePart:
    """Bytes [start, stop) of a stripe, counted from the stripe's beginning."""

    stripe: int
    start: int
    stop: int

    @property
    def length(self) -> int:
        """Number of bytes."""
        return self.stop - self.start


def check_stripe_size(stripe_size_bytes: int) -> int:
    """Return the stripe size if it can be used; raise InvalidConfig."""
    if (
        not STRIPE_SIZE_STEP_BYTES <= stripe_size_bytes <= STRIPE_SIZE_MAX_BYTES
        or stripe_size_bytes % STRIPE_SIZE_STEP_BYTES
    ):
        raise InvalidConfig(
            f"stripe size {stripe_size_bytes} is not a multiple of {STRIPE_SIZE_STEP_BYTES}"
            f" from {STRIPE_SIZE_STEP_BYTES} to {STRIPE_SIZE_MAX_BYTES} bytes"
        )
    return stripe_size_bytes


def stripe_count(size_bytes: int, stripe_size_bytes: int = STRIPE_SIZE_BYTES) -> int:
    """Stripes of an extent of this size; 0 for an empty one."""
    return -(-size_bytes // stripe_size_bytes)


def stripe_length(size_bytes: int, stripe: int, stripe_size_bytes: int = STRIPE_SIZE_BYTES) -> int:
    """Bytes of user data in one stripe of an extent: 0 beyond its end."""
    return max(0, min(stripe_size_bytes, size_bytes - stripe * stripe_size_bytes))


def cell_length(length: int) -> int:
    """Bytes of each cell of a stripe that holds `length` bytes of user data."""
    return -(-length // DATA_CELLS)


def frame_length(length: int) -> int:
    """Bytes of a checksum and its cell, for a stripe that holds `length` bytes of user data."""
    return CHECKSUM_LENGTH_BYTES + cell_length(length)


def frame_offset(stripe: int, stripe_size_bytes: int = STRIPE_SIZE_BYTES) -> int:
    """Where in a shard the frame of a stripe begins: its checksum, then its cell."""
    return PREAMBLE_BYTES + stripe * frame_length(stripe_size_bytes)


def frames_end(size_bytes: int, stripe_size_bytes: int = STRIPE_SIZE_BYTES) -> int:
    """Where in a shard the frames end: there the whole begins, or the record."""
    full_stripes, rest = divmod(size_bytes, stripe_size_bytes)
    last = frame_length(rest) if rest else 0
    return frame_offset(full_stripes, stripe_size_bytes) + last


def whole_length(size_bytes: int) -> int:
    """Bytes of a checksum and the whole of an extent."""
    return CHECKSUM_LENGTH_BYTES + size_bytes


def record_offset(
    size_bytes: int, stripe_size_bytes: int = STRIPE_SIZE_BYTES, flags: int = 0
) -> int:
    """Where in a shard with these flags the record begins."""
    whole = whole_length(size_bytes) if flags & FLAG_WHOLE else 0
    return frames_end(size_bytes, stripe_size_bytes) + whole


def shard_length(
    size_bytes: int,
    record_length: int,
    stripe_size_bytes: int = STRIPE_SIZE_BYTES,
    flags: int = 0,
) -> int:
    """Bytes of a shard: preamble, frames, in one of them the whole, record and tail."""
    return record_offset(size_bytes, stripe_size_bytes, flags) + record_length + TAIL_BYTES


def whole_index(extent_id: str) -> int:
    """Which shard of a small extent holds the whole: all disks get as many."""
    return int(extent_id[-2:], 16) % CELLS


def stripes_of_range(
    start: int, stop: int, stripe_size_bytes: int = STRIPE_SIZE_BYTES
) -> Iterator[StripePart]:
    """The stripes that hold bytes [start, stop) of an extent, and which bytes of each, in order.

    The caller has cut the range to the extent's size. An empty range has no stripes.
    """
    position = start
    while position < stop:
        stripe, offset = divmod(position, stripe_size_bytes)
        end = min(stripe_size_bytes, offset + stop - position)
        yield StripePart(stripe, offset, end)
        position += end - offset


# -- beginning of a shard -----------------------------------------------------------------------
@dataclass(frozen=True)
class Preamble:
    """The first 64 bytes of a shard. `flags` is 0, or FLAG_WHOLE in one of them."""

    extent_id: ExtentId
    index: int
    stripe_size_bytes: int = STRIPE_SIZE_BYTES
    profile: ErasureProfile = ErasureProfile()
    flags: int = 0


def extent_bytes(extent_id: str) -> bytes:
    """The 16 bytes that an extent id of 32 hexadecimal digits stands for."""
    raw = bytes.fromhex(extent_id)
    assert len(raw) == 16, f"an extent id is 32 hex digits, not {extent_id!r}"
    return raw


def pack_preamble(preamble: Preamble) -> bytes:
    """The 64 bytes a shard begins with."""
    head = _PREAMBLE.pack(
        _PREAMBLE_MAGIC,
        FORMAT_VERSION,
        preamble.index,
        preamble.profile.data,
        preamble.profile.parity,
        preamble.flags,
        preamble.stripe_size_bytes,
        extent_bytes(preamble.extent_id),
    )
    return head + _CRC.pack(zlib.crc32(head))


def parse_preamble(raw: Buffer) -> Preamble:
    """Read what `pack_preamble` wrote, from the first bytes of a file; raise ShardCorrupt."""
    head, stored = bytes(raw[: _PREAMBLE.size]), raw[_PREAMBLE.size : PREAMBLE_BYTES]
    if len(raw) < PREAMBLE_BYTES or not head.startswith(_PREAMBLE_MAGIC):
        raise ShardCorrupt("the file does not begin like a shard")
    if stored != _CRC.pack(zlib.crc32(head)):
        raise ShardCorrupt("the shard's preamble does not have the checksum stored with it")
    _, version, index, data, parity, flags, stripe_size_bytes, extent = _PREAMBLE.unpack(head)
    if version != FORMAT_VERSION:
        raise ShardCorrupt(f"shard format {version} is unknown: this version reads 1")
    try:
        profile = ErasureProfile(data, parity)
        check_stripe_size(stripe_size_bytes)
    except InvalidConfig as error:
        raise ShardCorrupt(f"the shard's preamble is not usable: {error}") from error
    if index >= profile.shards:
        raise ShardCorrupt(f"the shard's preamble says index {index} of {profile.shards}")
    return Preamble(ExtentId(extent.hex()), index, stripe_size_bytes, profile, flags)


# -- end of a shard -----------------------------------------------------------------------------
@dataclass(frozen=True)
class Tail:
    """The last 32 bytes of a shard: where the record is, and how long the extent."""

    record_length: int
    size_bytes: int
    record_digest: bytes

    def check_shard(
        self, length: int, stripe_size_bytes: int = STRIPE_SIZE_BYTES, flags: int = 0
    ) -> int:
        """Offset of the record in a shard of this length; raise ShardCorrupt if it lies."""
        expected = shard_length(self.size_bytes, self.record_length, stripe_size_bytes, flags)
        if length != expected:
            raise ShardCorrupt(f"the shard has {length} bytes, its tail says {expected}")
        return record_offset(self.size_bytes, stripe_size_bytes, flags)

    def check_record(self, record: Buffer) -> Buffer:
        """Return the record if it is the one that was written; raise ShardCorrupt."""
        if len(record) != self.record_length or _digest(record) != self.record_digest:
            raise ShardCorrupt("the shard's record does not have the digest stored with it")
        return record


def pack_trailer(record: Buffer, size_bytes: int) -> bytes:
    """Record and tail: what a shard of an extent of `size_bytes` ends with."""
    assert len(record) <= RECORD_LENGTH_MAX_BYTES, "the record of a shard has a limit"
    fields = _TAIL.pack(len(record), size_bytes, _digest(record))
    return b"".join((record, fields, _CRC.pack(zlib.crc32(fields)), _TAIL_MAGIC))


def parse_tail(raw: Buffer) -> Tail:
    """Read the last 32 bytes of a file as a shard's tail; raise ShardCorrupt.

    A file without one was not written to the end.
    """
    raw = bytes(raw)
    fields, stored, magic = raw[: _TAIL.size], raw[_TAIL.size : -len(_TAIL_MAGIC)], raw[-8:]
    if len(raw) != TAIL_BYTES or magic != _TAIL_MAGIC:
        raise ShardCorrupt("the file does not end like a shard")
    if stored != _CRC.pack(zlib.crc32(fields)):
        raise ShardCorrupt("the shard's tail does not have the checksum stored with it")
    record_length, size_bytes, digest = _TAIL.unpack(fields)
    if record_length > RECORD_LENGTH_MAX_BYTES:
        raise ShardCorrupt(f"the shard's tail says the record has {record_length} bytes")
    return Tail(record_length, size_bytes, digest)


def _digest(record: Buffer) -> bytes:
    return hashlib.sha256(record).digest()[:_DIGEST_LENGTH_BYTES]
