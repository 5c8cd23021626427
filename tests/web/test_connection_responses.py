"""What an application may answer, and what becomes of its mistakes."""

import logging

import pytest
import trio

from tests.support.raw_http import GET, ConnectionCut, Recorder, answer, read_body, serving


def responding(*messages):
    async def app(scope, receive, send):
        for message in messages:
            await send(message)

    return app


def start(status=200, *headers):
    return {"type": "http.response.start", "status": status, "headers": list(headers)}


def body(data=b"", more=False):
    return {"type": "http.response.body", "body": data, "more_body": more}


@pytest.mark.parametrize("status", [204, 304])
async def test_statuses_without_a_body(status):
    app = responding(start(status, (b"content-length", b"7")), body(b"ignored"))
    async with serving(app) as server:
        client = server.connect()
        for _ in range(2):
            response = await client.request(GET)
            assert response.status == status
            assert response.headers.get(b"content-length") == {204: None, 304: b"7"}[status]


async def test_the_length_of_a_single_piece_is_stated():
    async with serving(responding(start(), body(b"12345"))) as server:
        response = await server.connect().request(GET)
        assert response.headers[b"content-length"] == b"5"


async def test_http_10_gets_a_body_delimited_by_the_end_of_the_connection():
    app = responding(start(), body(b"1", more=True), body(b"2"))
    async with serving(app) as server:
        client = server.connect()
        request = b"GET /b/k HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"
        response = await client.request(request)
        assert (response.body, response.closes) == (b"12", True)


async def test_http_10_may_be_kept_alive():
    async with serving(Recorder()) as server:
        client = server.connect()
        for _ in range(2):
            response = await client.request(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
            assert response.headers[b"connection"] == b"keep-alive"
        assert (await client.request(b"GET / HTTP/1.0\r\n\r\n")).closes
        assert await client.rest() == b""


async def test_the_application_may_close_and_date_but_not_frame():
    app = responding(
        start(
            200,
            (b"Connection", b"Close"),
            (b"Date", b"then"),
            (b"Transfer-Encoding", b"gzip"),
            (b"X-Two", b"1"),
        ),
        body(b"x"),
    )
    async with serving(app) as server:
        client = server.connect()
        response = await client.request(GET)
        assert response.closes
        assert response.headers[b"date"] == b"then"
        assert response.headers[b"x-two"] == b"1"
        assert b"transfer-encoding" not in response.headers
        assert await client.rest() == b""


async def test_a_date_is_added():
    async with serving(Recorder()) as server:
        response = await server.connect().request(GET)
        assert response.headers[b"date"].endswith(b" GMT")


async def test_any_buffer_is_a_body_and_large_ones_are_not_mangled():
    parts = [bytearray(b"ab" * 9000), memoryview(b"cd" * 50_000), b"", memoryview(b"")]
    wide = memoryview(bytes(range(8))).cast("I")
    messages = [body(part, more=True) for part in parts]
    for head in (start(), start(200, (b"content-length", b"118008"))):
        async with serving(responding(head, *messages, body(wide))) as server:
            response = await server.connect().request(GET)
            assert response.body == b"ab" * 9000 + b"cd" * 50_000 + bytes(range(8))


SPLITTING = [
    (b"x-a", b"b\r\nset-cookie: c"),
    (b"x-a", b"b\nc"),
    (b"x-a", b"b\rc"),
    (b"x-a", b"b\0"),
    (b"x-a: b\r\nc", b"d"),
    (b"content-length", b"5\r\nx: y"),
]


@pytest.mark.parametrize("header", SPLITTING)
async def test_response_splitting_is_refused(header, caplog):
    async with serving(responding(start(200, header), body(b"12345"))) as server:
        response = await server.connect().request(GET)
        assert response.status == 500
    assert "ValueError" in caplog.text


BEFORE_THE_START = {
    "no response": [],
    "no body": [start()],
    "body first": [body(b"x")],
    "two starts": [start(), start(), body()],
    "not final": [start(100), body()],
    "unknown message": [{"type": "http.response.push"}],
    "length no number": [start(200, (b"content-length", b"-5")), body()],
    "two lengths": [start(200, (b"content-length", b"1"), (b"content-length", b"1")), body(b"x")],
    "body too short": [start(200, (b"content-length", b"5")), body(b"1234")],
    "body too long": [start(200, (b"content-length", b"5")), body(b"123456")],
}


@pytest.mark.parametrize("messages", BEFORE_THE_START.values(), ids=BEFORE_THE_START.keys())
async def test_mistakes_before_the_first_byte_become_an_internal_error(messages, caplog):
    async with serving(responding(*messages)) as server:
        client = server.connect()
        response = await client.request(GET)
        assert (response.status, response.closes) == (500, True)
        assert response.headers[b"content-type"] == b"application/xml"
        assert response.body.startswith(b'<?xml version="1.0" encoding="UTF-8"?>')
        assert b"<Error><Code>InternalError</Code><Message>" in response.body
        assert await client.rest() == b""
    assert [record.levelno for record in caplog.records] == [logging.ERROR]


FIVE = start(200, (b"content-length", b"5"))
AFTER_THE_START = {
    "too short": [FIVE, body(b"1234", more=True), body()],
    "too long": [FIVE, body(b"1234", more=True), body(b"56")],
    "too long, more to come": [FIVE, body(b"1234", more=True), body(b"56", more=True)],
    "never ended": [FIVE, body(b"1234", more=True)],
    "chunked, never ended": [start(), body(b"1234", more=True)],
}


@pytest.mark.parametrize("messages", AFTER_THE_START.values(), ids=AFTER_THE_START.keys())
async def test_mistakes_after_it_cut_the_connection(messages):
    async with serving(responding(*messages)) as server:
        client = server.connect()
        await client.send(GET + GET)
        with pytest.raises(ConnectionCut):
            await client.response()
        await client.served.wait()


async def test_nothing_may_follow_a_complete_response(caplog):
    async with serving(responding(start(), body(b"x"), body(b"y"))) as server:
        client = server.connect()
        assert (await client.request(GET)).body == b"x"
        assert (await client.request(GET)).body == b"x"
    assert "already complete" in caplog.text


async def test_exceptions_in_groups_do_not_escape(caplog):
    async def app(scope, receive, send):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.sleep_forever)
            await trio.lowlevel.checkpoint()
            raise ValueError("in a group")

    async with serving(app) as server:
        assert (await server.connect().request(GET)).status == 500
        assert (await server.connect().request(GET)).status == 500
    assert "in a group" in caplog.text


async def test_an_exception_after_the_response_spares_the_connection(caplog):
    async def app(scope, receive, send):
        await answer(send, 200, b"fine")
        raise ValueError("afterwards")

    async with serving(app) as server:
        client = server.connect()
        for _ in range(2):
            assert (await client.request(GET)).body == b"fine"
    assert "afterwards" in caplog.text


async def test_bad_framing_of_the_body_is_answered_for_the_application():
    async def app(scope, receive, send):
        assert await read_body(receive) is None
        await answer(send, 500, b"the application sees only a disconnect")

    async with serving(app) as server:
        client = server.connect()
        head = b"PUT /b/k HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
        response = await client.request(head + b"5\r\nhello\r\nxyz\r\n")
        assert (response.status, response.closes) == (400, True)
        assert b"<Code>BadRequest</Code>" in response.body
        assert await client.rest() == b""


async def test_bad_framing_found_during_the_response_ends_the_connection_after_it():
    async def app(scope, receive, send):
        seen.append(scope["raw_path"])
        await send(start())
        await send(body(b"answer", more=True))
        assert await read_body(receive) is None
        await send(body())

    seen = []
    async with serving(app) as server:
        client = server.connect()
        head = b"PUT /b/k HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
        assert (await client.request(head + b"xyz\r\n" + GET)).body == b"answer"
        assert await client.rest() == b""
    assert seen == [b"/b/k"]
