"""Segments under one data key, and wrapped keys: what was changed anywhere does not open."""

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from stratum.adapters.master_keys import MasterKey
from stratum.adapters.segment_cipher import (
    WRAPPED_BYTES,
    SegmentCipher,
    unwrap_key,
    wrap_key,
)
from stratum.domain.errors import SealBroken
from stratum.domain.sealing import TAG_BYTES, Segments

SIZE = 10
STEP = SIZE + TAG_BYTES
KEY = bytes(range(32))


def sealed(plaintext, key=KEY):
    out = bytearray(Segments(len(plaintext), SIZE).sealed_size_bytes)
    written = SegmentCipher(key, SIZE).seal_into(
        0, memoryview(plaintext), memoryview(out), last=True
    )
    assert written == len(out)
    return bytes(out)


def opened(data, first=0, *, last=True, key=KEY):
    return b"".join(SegmentCipher(key, SIZE).open(first, memoryview(data), last=last))


@pytest.mark.parametrize("size", [0, 1, 9, 10, 11, 20, 25])
def test_what_was_sealed_is_opened(size):
    data = bytes(range(size))
    assert opened(sealed(data)) == data


def test_every_segment_has_a_nonce_of_its_own():
    whole = sealed(bytes(3 * SIZE))
    pieces = [whole[at : at + STEP] for at in range(0, len(whole), STEP)]
    cipher = AESGCM(KEY)
    for number, piece in enumerate(pieces):
        nonce = number.to_bytes(11, "big") + (b"\x01" if number == 2 else b"\x00")
        assert cipher.decrypt(nonce, piece, None) == bytes(SIZE)
    assert len(set(pieces)) == 3


def test_a_bit_that_changed_anywhere_is_noticed():
    whole = sealed(bytes(15))
    for at in range(len(whole)):
        changed = bytearray(whole)
        changed[at] ^= 1
        with pytest.raises(SealBroken):
            opened(changed)


def test_a_segment_that_was_left_out_moved_or_cut_is_noticed():
    whole = sealed(bytes(25))
    first, second, third = whole[:STEP], whole[STEP : 2 * STEP], whole[2 * STEP :]
    for wrong in (
        first + second,  # the end is missing
        second + first + third,
        first + first + third,
        second + third,
        whole[:-1],
        whole + third,
        b"",
    ):
        with pytest.raises(SealBroken):
            opened(wrong)
    assert opened(first, last=False) == bytes(SIZE)
    with pytest.raises(SealBroken):
        opened(third, 2, last=False)


def test_another_key_opens_nothing():
    with pytest.raises(SealBroken):
        opened(sealed(b"data"), key=bytes(32))


def test_a_wrapped_key_opens_for_what_it_was_wrapped_for_only():
    master, other = MasterKey(b"1" * 32), MasterKey(b"2" * 32)
    wrapped = wrap_key(master, KEY, b"this object", lambda length: b"n" * length)
    assert len(wrapped) == WRAPPED_BYTES
    assert KEY not in wrapped
    assert unwrap_key(master, wrapped, b"this object") == KEY
    for key, data, bound_to in (
        (other, wrapped, b"this object"),
        (master, wrapped, b"another"),
        (master, wrapped[:-1], b"this object"),
        (master, wrapped[:-1] + b"x", b"this object"),
        (master, b"", b"this object"),
    ):
        with pytest.raises(SealBroken):
            unwrap_key(key, data, bound_to)
