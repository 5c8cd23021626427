import hashlib
from dataclasses import replace

import pytest

from stratum.domain.anchor import (
    ANCHOR,
    RECOVERED,
    format_anchor,
    make_anchor,
    parse_anchors,
    valid_anchors,
)

KEY = bytes(range(32))


def sign(message: bytes) -> bytes:
    """Stands for Ed25519: 64 bytes that depend on everything."""
    return hashlib.sha512(b"secret" + message).digest()


def verify(key: bytes, message: bytes, signature: bytes) -> bool:
    return key == KEY and signature == sign(message)


def anchor(seq, kind=ANCHOR):
    return make_anchor(kind, seq, bytes([seq] * 32), 1000 * seq, KEY, sign)


def test_an_anchor_is_read_as_it_was_written():
    lines = format_anchor(anchor(1)) + format_anchor(anchor(2, RECOVERED))
    assert parse_anchors(lines) == ([anchor(1), anchor(2, RECOVERED)], len(lines))


def test_a_torn_line_is_not_there():
    whole, torn = format_anchor(anchor(1)), format_anchor(anchor(2))
    for length in range(len(torn)):
        assert parse_anchors(whole + torn[:length]) == ([anchor(1)], len(whole))


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"[]",
        b"{}",
        b"\xff",
        b"{" * 2000,
        format_anchor(anchor(1)).strip().replace(b'"seq": 1', b'"seq": "1"'),
        format_anchor(anchor(1)).strip().replace(b'"anchor"', b'"other"'),
        format_anchor(anchor(1)).strip().replace(b"01", b"0x"),
    ],
)
def test_what_is_no_anchor_is_none(line):
    assert parse_anchors(line + b"\n")[0] == [None]


@pytest.mark.parametrize(
    "change",
    [
        {"kind": RECOVERED},
        {"seq": 2},
        {"digest": bytes(32)},
        {"at_ms": 1},
        {"key": bytes(32)},
        {"signature": bytes(64)},
    ],
    ids=str,
)
def test_everything_is_signed(change):
    assert anchor(1).is_genuine(verify)
    assert not replace(anchor(1), **change).is_genuine(verify)


def test_a_recovery_voids_what_it_could_not_keep():
    recovered = anchor(2, RECOVERED)
    made = [anchor(1), anchor(2), anchor(3), recovered, anchor(4)]
    assert valid_anchors(made) == [anchor(1), anchor(2), recovered, anchor(4)]
