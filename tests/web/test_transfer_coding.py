"""Chunked bodies, sans-IO: the payload, the exact end, and everything doubtful refused."""

import pytest

from stratum.adapters.web.http_errors import RequestRefused
from stratum.adapters.web.transfer_coding import (
    LINE_LIMIT_BYTES,
    TRAILER_LIMIT_BYTES,
    ChunkedDecoder,
)
from tests.support.feeding import WAYS

BODY = b'5\r\nhello\r\n00001;name=value\r\n \r\nB ; a="b"\r\nworld\r\n0\r\n!\r\n0\r\nX-T: 1\r\n\r\n'
PAYLOAD = b"hello world\r\n0\r\n!"


def decode(pieces):
    """(payload, bytes after the body or None when it never ended)."""
    decoder, payload, tail = ChunkedDecoder(), b"", None
    for piece in pieces:
        if tail is not None:
            tail += piece
            continue
        part, tail = decoder.feed(piece)
        payload += part
        assert decoder.finished == (tail is not None)
    return payload, tail


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("tail", [b"", b"GET / HTTP/1.1\r\n\r\n", b"\r\n", b"0\r\n\r\n"])
def test_payload_and_tail(way, tail):
    assert decode(way(BODY + tail)) == (PAYLOAD, tail)


def test_it_may_be_cut_anywhere():
    for cut in range(len(BODY) + 1):
        assert decode([BODY[:cut], BODY[cut:] + b"x"]) == (PAYLOAD, b"x")


def test_an_empty_body():
    assert decode([b"0\r\n\r\n"]) == (b"", b"")


@pytest.mark.parametrize("end", range(1, len(BODY)))
def test_a_cut_off_body_has_no_end(end):
    assert decode([BODY[:end]])[1] is None


BAD = {
    "no size": b"\r\n",
    "no digits": b"x\r\n",
    "minus": b"-1\r\n",
    "plus": b"+1\r\na\r\n",
    "prefix": b"0x1\r\na\r\n",
    "underscore": b"1_0\r\n",
    "too many digits": b"0" * 15 + b"1\r\na\r\n",
    "leading space": b" 1\r\na\r\n",
    "trailing space": b"1 \r\na\r\n",
    "bare LF after size": b"1\na\r\n",
    "bare LF in extension": b"1;a\nb\r\na\r\n",
    "bare CR in extension": b"1;a\rb\r\na\r\n",
    "NUL in extension": b"1;\x00\r\na\r\n",
    "data too long": b"1\r\nab\r\n",
    "data ended by LF": b"1\r\na\n0\r\n\r\n",
    "data ended by CR only": b"1\r\na\rx",
    "folded trailer": b"0\r\nA: b\r\n c\r\n\r\n",
    "trailer without colon": b"0\r\nabc\r\n\r\n",
    "trailer with space before colon": b"0\r\nA : b\r\n\r\n",
    "trailer ended by LF": b"0\r\nA: b\n\r\n",
    "end by bare LF": b"0\r\n\n",
    "long size line": b"1;" + b"x" * LINE_LIMIT_BYTES + b"\r\na\r\n",
    "endless size line": b"1" + b";" * LINE_LIMIT_BYTES,
    "too many trailers": b"0\r\n" + b"A: b\r\n" * (TRAILER_LIMIT_BYTES // 4 + 1) + b"\r\n",
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("data", BAD.values(), ids=BAD.keys())
def test_bad_framing_is_refused(way, data):
    with pytest.raises(RequestRefused) as caught:
        decode(way(data))
    assert caught.value.status == 400


def test_a_chunk_per_byte_takes_linear_time():
    assert decode([b"1\r\nx\r\n" * 50_000 + b"0\r\n\r\n"]) == (b"x" * 50_000, b"")
