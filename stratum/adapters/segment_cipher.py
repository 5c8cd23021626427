"""Segments of AES-256-GCM under one data key, and data keys wrapped with master keys. No I/O here.

The segments are the STREAM construction of Hoang, Reyhanitabar, Rogaway and Vizár, "Online
Authenticated-Encryption and its Nonce-Reuse Misuse-Resistance" (CRYPTO 2015), with the nonces that
age uses (https://c2sp.org/age#payload): 11 bytes count, one marks the last segment. They can be
opened one by one, and none can be left out, repeated, moved or taken from another object.
docs/storage-format.md describes what is stored for somebody without this program.
"""

from __future__ import annotations

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from stratum.adapters.master_keys import KEY_BYTES, MasterKey, RandomBytes
from stratum.domain.errors import SealBroken
from stratum.domain.sealing import TAG_BYTES

NONCE_BYTES = 12
WRAPPED_BYTES = NONCE_BYTES + KEY_BYTES + TAG_BYTES


class SegmentCipher:
    """Seals and opens segments. A data key is of one plaintext alone: nonces are its segments'
    numbers, so two plaintexts under one key would give both away."""

    def __init__(self, data_key: bytes, segment_size_bytes: int) -> None:
        self._cipher = AESGCM(data_key)
        self._segment_size_bytes = segment_size_bytes

    def seal_into(
        self, first: int, plaintext: memoryview, sealed: memoryview, *, last: bool
    ) -> int:
        """Encrypt consecutive segments, of which `first` is the number of the first one, all whole
        but perhaps the last; `last`: the plaintext ends here. Returns the bytes written."""
        size = self._segment_size_bytes
        written = 0
        starts = range(0, max(1, len(plaintext)), size)
        for number, start in enumerate(starts, first):
            segment = plaintext[start : start + size]
            ends = last and start == starts[-1]
            stop = written + len(segment) + TAG_BYTES
            self._cipher.encrypt_into(_nonce(number, ends), segment, None, sealed[written:stop])
            written = stop
        return written

    def open(self, first: int, sealed: memoryview, *, last: bool) -> list[bytes]:
        """The plaintext of consecutive segments, one piece each. Raises SealBroken."""
        size = self._segment_size_bytes + TAG_BYTES
        starts = range(0, max(1, len(sealed)), size)
        opened = []
        for number, start in enumerate(starts, first):
            ends = last and start == starts[-1]
            try:
                piece = self._cipher.decrypt(
                    _nonce(number, ends), sealed[start : start + size], None
                )
            except InvalidTag:
                raise SealBroken(f"segment {number} is not the one that was stored") from None
            opened.append(piece)
        return opened


def wrap_key(
    master: MasterKey, data_key: bytes, bound_to: bytes, random_bytes: RandomBytes
) -> bytes:
    """A nonce, the data key encrypted, its tag. It opens only together with `bound_to`."""
    nonce = random_bytes(NONCE_BYTES)
    return nonce + AESGCM(master.secret).encrypt(nonce, data_key, bound_to)


def unwrap_key(master: MasterKey, wrapped: bytes, bound_to: bytes) -> bytes:
    """The data key. Raises SealBroken if it was wrapped with another key or for something else."""
    if len(wrapped) != WRAPPED_BYTES:
        raise SealBroken(f"a wrapped key of {len(wrapped)} bytes")
    try:
        return AESGCM(master.secret).decrypt(wrapped[:NONCE_BYTES], wrapped[NONCE_BYTES:], bound_to)
    except InvalidTag:
        raise SealBroken("the wrapped key does not open") from None


def _nonce(number: int, last: bool) -> bytes:
    return number.to_bytes(NONCE_BYTES - 1, "big") + bytes([last])
