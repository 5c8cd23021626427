"""A sealed object: a header with a wrapped data key, then segments of AES-256-GCM. No I/O here.

The segments are the STREAM construction of Hoang, Reyhanitabar, Rogaway and Vizár, "Online
Authenticated-Encryption and its Nonce-Reuse Misuse-Resistance" (CRYPTO 2015), with the nonces that
age uses (https://c2sp.org/age#payload): 11 bytes count, one marks the last segment. They can be
opened one by one, and none can be left out, repeated, moved or taken from another object.
docs/storage-format.md describes the format for somebody without this program.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from stratum.adapters.master_keys import KEY_BYTES, KEY_ID_BYTES, Keyring, RandomBytes
from stratum.domain.ranges import Span

MAGIC = b"STRATUMS"
VERSION = 1
SEGMENT_SIZE_BYTES = 64 * 1024
"""Plaintext per segment: the least that a range read fetches and decrypts."""
SEGMENT_SIZE_MAX_BYTES = 16 * 1024 * 1024
NONCE_BYTES = 12
TAG_BYTES = 16

_FIXED = struct.Struct(f"<8sHHIQ{KEY_ID_BYTES}s")
"""Magic, version, flags (0), segment size, plaintext size, id of the master key."""
_WRAPPED_AT = _FIXED.size + NONCE_BYTES
HEADER_BYTES = _WRAPPED_AT + KEY_BYTES + TAG_BYTES


class SealBroken(Exception):
    """What was read is not what was sealed under this name, or not with a key we have."""


@dataclass(frozen=True)
class Layout:
    """Where the segments of a sealed object are."""

    size_bytes: int
    """Of the plaintext."""
    segment_size_bytes: int = SEGMENT_SIZE_BYTES

    @property
    def segments(self) -> int:
        """At least one: an empty object has an empty segment, which says that it is empty."""
        return max(1, -(-self.size_bytes // self.segment_size_bytes))

    @property
    def sealed_size_bytes(self) -> int:
        return HEADER_BYTES + self.size_bytes + self.segments * TAG_BYTES

    def segments_of(self, plain: Span) -> range:
        """The numbers of the segments that hold a range of the plaintext which is not empty."""
        return range(
            plain.start // self.segment_size_bytes, -(-plain.stop // self.segment_size_bytes)
        )

    def sealed_span(self, numbers: range) -> Span:
        """Where consecutive segments are in the sealed object."""
        step = self.segment_size_bytes + TAG_BYTES
        start, stop = HEADER_BYTES + numbers.start * step, HEADER_BYTES + numbers.stop * step
        return Span(start, min(stop, self.sealed_size_bytes))


@dataclass(frozen=True)
class Seal:
    """What it takes to write or read the segments of one object."""

    layout: Layout
    data_key: bytes = field(repr=False)

    def close(self, first: int, plaintext: memoryview) -> list[bytes]:
        """Encrypt consecutive segments, of which `first` is the number of the first one. All but
        the object's last are whole."""
        cipher = AESGCM(self.data_key)
        size = self.layout.segment_size_bytes
        return [
            cipher.encrypt(self._nonce(first + index), plaintext[start : start + size], None)
            for index, start in enumerate(range(0, max(1, len(plaintext)), size))
        ]

    def open(self, first: int, sealed: memoryview) -> list[bytes]:
        """The plaintext of consecutive segments, one piece each. Raises SealBroken."""
        cipher = AESGCM(self.data_key)
        size = self.layout.segment_size_bytes + TAG_BYTES
        opened = []
        for number, start in enumerate(range(0, len(sealed), size), first):
            try:
                piece = cipher.decrypt(self._nonce(number), sealed[start : start + size], None)
            except InvalidTag:
                raise SealBroken(f"segment {number} is not the one that was stored") from None
            opened.append(piece)
        return opened

    def _nonce(self, number: int) -> bytes:
        """Never used twice: the data key is of this object alone, and made anew by every put."""
        last = number == self.layout.segments - 1
        return number.to_bytes(NONCE_BYTES - 1, "big") + bytes([last])


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
    nonce = random_bytes(NONCE_BYTES)
    wrapped = master.cipher().encrypt(nonce, data_key, _bound_to(fixed, name))
    return Seal(layout, data_key), fixed + nonce + wrapped


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
    nonce = header[_FIXED.size : _WRAPPED_AT]
    try:
        data_key = master.cipher().decrypt(nonce, header[_WRAPPED_AT:], _bound_to(fixed, name))
    except InvalidTag:
        raise SealBroken("the header is not the one that was stored under this name") from None
    return Seal(Layout(size, segment_size), data_key)


def _bound_to(fixed: bytes, name: str) -> bytes:
    """What the wrapped key vouches for: the rest of the header, and the object's name."""
    return fixed + name.encode()
