"""Hostile bytes on real connections: smuggling attempts, mutations and noise."""

import contextlib
import random
import re
import socket

import pytest
import trio
import trio.testing

from tests.support.raw_http import Recorder, serving

GOOD = b"GET /good HTTP/1.1\r\nHost: h\r\n\r\n"
SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: h\r\n\r\n"
POST = b"POST /b HTTP/1.1\r\nHost: h\r\n"

# Each hides a second request behind two readings of where the first one ends.
SMUGGLING = {
    "CL.TE": POST + b"Content-Length: 40\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + SMUGGLED,
    "TE.CL": POST + b"Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n1\r\na\r\n0\r\n\r\n",
    "TE.TE": POST
    + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n\r\n0\r\n\r\n"
    + SMUGGLED,
    "folded TE": POST + b"Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n" + SMUGGLED,
    "TE, space": POST + b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n" + SMUGGLED,
    "TE after bare LF": POST + b"A: b\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + SMUGGLED,
    "TE in 1.0": POST.replace(b"1.1", b"1.0")
    + b"Transfer-Encoding: chunked\r\nConnection: keep-alive\r\n\r\n0\r\n\r\n"
    + SMUGGLED,
    "CL.CL": POST + b"Content-Length: 0\r\nContent-Length: 40\r\n\r\n" + SMUGGLED,
    "CL list": POST + b"Content-Length: 0, 40\r\n\r\n" + SMUGGLED,
    "CL +": POST + b"Content-Length: +0\r\n\r\n" + SMUGGLED,
    "CL empty": POST + b"Content-Length:\r\n\r\n" + SMUGGLED,
    "chunk size 0x": POST + b"Transfer-Encoding: chunked\r\n\r\n0x0\r\n\r\n" + SMUGGLED,
    "chunk ends LF": POST + b"Transfer-Encoding: chunked\r\n\r\n1\r\na\n0\r\n\r\n" + SMUGGLED,
    "extension LF": POST + b"Transfer-Encoding: chunked\r\n\r\n1;\nab\r\n0\r\n\r\n" + SMUGGLED,
    "chunk size overflow": POST
    + b"Transfer-Encoding: chunked\r\n\r\n10000000000000000\r\n\r\n"
    + SMUGGLED,
    "no host": b"GET / HTTP/1.1\r\n\r\n" + SMUGGLED,
    "bare LF head": b"GET / HTTP/1.1\nHost: h\n\n" + SMUGGLED,
    "header too large": b"GET / HTTP/1.1\r\nHost: h\r\nA: "
    + b"x" * 70_000
    + b"\r\n\r\n"
    + SMUGGLED,
    "too many headers": b"GET / HTTP/1.1\r\nHost: h\r\n" + b"A: b\r\n" * 300 + b"\r\n" + SMUGGLED,
}


@pytest.mark.parametrize("attack", SMUGGLING.values(), ids=SMUGGLING.keys())
async def test_no_request_is_smuggled(attack):
    app = Recorder()
    async with serving(app) as server:
        client = server.connect()
        assert (await client.request(GOOD)).status == 200
        await client.send(attack)
        response = await client.response()
        assert response.status in (400, 431)
        assert response.closes
        assert response.headers[b"content-type"] == b"application/xml"
        assert re.search(rb"<Error><Code>\w+</Code><Message>[^<]+</Message></Error>", response.body)
        client.half_close()
        assert await client.rest() == b""
    paths = [scope["raw_path"] for scope, body in app.requests if body is not None]
    assert paths == [b"/good"]


def fold_dates(output):
    return re.sub(rb"date: [^\r]*\r\n", b"", output).replace(b"HTTP/1.1 100 Continue\r\n\r\n", b"")


async def converse(pieces, *, patient):
    """(all the server said, what the application got) for one connection."""
    app = Recorder()
    async with serving(app) as server:
        client = server.connect(socket.socketpair)
        with contextlib.suppress(BrokenPipeError):
            for piece in pieces:
                await client.send(piece)
                if patient:
                    await trio.testing.wait_all_tasks_blocked()
            client.half_close()
        output = await client.rest()
        await client.served.wait()
    return fold_dates(output), [(scope["raw_path"], body) for scope, body in app.requests]


TOKENS = [b"\r", b"\n", b"\r\n", b"\r\n\r\n", b"0\r\n\r\n", b" ", b"\t", b":", b";", b"\0", b"\xff"]
TOKENS += [
    b"Content-Length: 5\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"Host: h\r\n",
    b"5",
    b"GET",
]


def random_requests(rng):
    requests = []
    for _ in range(rng.randint(1, 4)):
        body = rng.randbytes(rng.randint(0, 40))
        kind = rng.randrange(3)
        if kind == 0:
            requests.append(b"GET /%d?q HTTP/1.1\r\nHost: h\r\n\r\n" % rng.randrange(9))
        elif kind == 1:
            requests.append(POST + b"Content-Length: %d\r\n\r\n%b" % (len(body), body))
        else:
            cut = rng.randint(0, len(body))
            chunks = [chunk for chunk in (body[:cut], body[cut:]) if chunk]
            framed = b"".join(b"%x\r\n%b\r\n" % (len(c), c) for c in chunks) + b"0\r\n\r\n"
            expect = rng.choice([b"", b"Expect: 100-continue\r\n"])
            requests.append(POST + expect + b"Transfer-Encoding: chunked\r\n\r\n" + framed)
    return b"".join(requests)


def mutated(rng, data):
    for _ in range(rng.randint(0, 4)):
        at = rng.randint(0, len(data))
        dropped = rng.choice([0, 0, 1, 5])
        data = data[:at] + rng.choice(TOKENS) + data[at + dropped :]
    return data


def random_pieces(rng, data):
    pieces, at = [], 0
    while at < len(data):
        size = rng.choice([1, 1, 2, 3, 17, 100])
        pieces.append(data[at : at + size])
        at += size
    return pieces


@pytest.mark.parametrize("seed", range(60))
async def test_how_the_bytes_are_cut_makes_no_difference(seed, caplog):
    rng = random.Random(seed)
    data = mutated(rng, random_requests(rng))
    at_once = await converse([data], patient=False)
    assert await converse(random_pieces(rng, data), patient=True) == at_once
    assert caplog.records == []


@pytest.mark.parametrize("seed", range(40))
async def test_noise_is_refused_or_ends_in_silence(seed, caplog):
    rng = random.Random(seed)
    alphabet = rng.choice([bytes(range(256)), b"GET / HTTP/1.1\r\nHost: x\r\n", b"\r\n :;0aA\0"])
    data = rng.choice([b"", b"GET "]) + bytes(rng.choices(alphabet, k=rng.randint(1, 3000)))
    output, requests = await converse([data], patient=False)
    assert output == b"" or re.match(rb"HTTP/1\.1 (400|431|505) ", output)
    assert requests == []
    assert caplog.records == []
