"""A sealed object: a header with a wrapped data key, then the segments (see `segment_cipher`). No
I/O here. docs/storage-format.md describes the format for somebody without this program.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

from stratum.adapters.master_keys import KEY_BYTES, KEY_ID_BYTES, Keyring, RandomBytes
from stratum.adapters.segment_cipher import WRAPPED_BYTES, SegmentCipher, unwrap_key, wrap_key
from stratum.domain.errors import SealBroken
from stratum.domain.ranges import Span
from stratum.domain.sealing import Segments

MAGIC = b"STRATUMS"
VERSION = 1
SEGMENT_SIZE_BYTES = 64 * 1024
"""Plaintext per segment: the least that a range read fetches and decrypts."""
SEGMENT_SIZE_MAX_BYTES = 16 * 1024 * 1024

_FIXED = struct.Struct(f"<8sHHIQ{KEY_ID_BYTES}s")
"""Magic, version, flags (0), segment size, plaintext size, id of the master key."""
HEADER_BYTES = _FIXED.size + WRAPPED_BYTES


@dataclass(frozen=True)
class Layout:
    """Where the segments of a sealed object are: after its header."""

    size_bytes: int
    """Of the plaintext."""
    segment_size_bytes: int = SEGMENT_SIZE_BYTES

    @property
    def segments(self) -> Segments:
        return Segments(self.size_bytes, self.segment_size_bytes)

    @property
    def sealed_size_bytes(self) -> int:
        return HEADER_BYTES + self.segments.sealed_size_bytes

    def sealed_span(self, numbers: range) -> Span:
        """Where consecutive segments are in the sealed object."""
        span = self.segments.sealed_span(numbers)
        return Span(HEADER_BYTES + span.start, HEADER_BYTES + span.stop)


@dataclass(frozen=True)
class Seal:
    """What it takes to write or read the segments of one object."""

    layout: Layout
    data_key: bytes = field(repr=False)

    def close(self, first: int, plaintext: memoryview) -> list[bytearray]:
        """Encrypt consecutive segments, of which `first` is the number of the first one. All but
        the object's last are whole. One piece with all of them."""
        size = self.layout.segment_size_bytes
        batch = Segments(len(plaintext), size)
        sealed = bytearray(batch.sealed_size_bytes)
        self._cipher().seal_into(
            first, plaintext, memoryview(sealed), last=self._ends(first + batch.count)
        )
        return [sealed]

    def open(self, first: int, sealed: memoryview) -> list[bytes]:
        """The plaintext of consecutive segments, one piece each. Raises SealBroken."""
        step = self.layout.sealed_span(range(1)).length
        return self._cipher().open(first, sealed, last=self._ends(first + -(-len(sealed) // step)))

    def _cipher(self) -> SegmentCipher:
        return SegmentCipher(self.data_key, self.layout.segment_size_bytes)

    def _ends(self, stop: int) -> bool:
        return stop == self.layout.segments.count


def new_seal(
    name: str, layout: Layout, keys: Keyring, random_bytes: RandomBytes
) -> tuple[Seal, bytes]:
    """A seal with a fresh data key for the object `name`, and its header. Raises SealBroken
    without a master key."""
    master = keys.newest
    if master is None:
        raise SealBroken(f"there is no master key to seal with: {keys.where}")
    data_key = random_bytes(KEY_BYTES)
    fixed = _FIXED.pack(MAGIC, VERSION, 0, layout.segment_size_bytes, layout.size_bytes, master.id)
    wrapped = wrap_key(master, data_key, _bound_to(fixed, name), random_bytes)
    return Seal(layout, data_key), fixed + wrapped


def open_header(name: str, header: bytes, keys: Keyring) -> Seal:
    """The seal of the object `name`, from its first HEADER_BYTES bytes. Raises SealBroken."""
    assert len(header) == HEADER_BYTES
    fixed = header[: _FIXED.size]
    magic, version, flags, segment_size, size, key_id = _FIXED.unpack(fixed)
    if magic != MAGIC:
        raise SealBroken("this is no sealed object")
    if (version, flags) != (VERSION, 0):
        raise SealBroken(f"sealed in format {version} with flags {flags}, which is not known here")
    if not 0 < segment_size <= SEGMENT_SIZE_MAX_BYTES:
        raise SealBroken(f"segments of {segment_size} bytes")
    master = keys.find(key_id)
    if master is None:
        raise SealBroken(f"sealed with the master key {key_id.hex()}, which is not in {keys.where}")
    try:
        data_key = unwrap_key(master, header[_FIXED.size :], _bound_to(fixed, name))
    except SealBroken:
        raise SealBroken("the header is not the one that was stored under this name") from None
    return Seal(Layout(size, segment_size), data_key)


def _bound_to(fixed: bytes, name: str) -> bytes:
    """What the wrapped key vouches for: the rest of the header, and the object's name."""
    return fixed + name.encode()
