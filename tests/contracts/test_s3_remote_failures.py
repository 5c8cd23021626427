"""S3Remote: what it sends, trying again, time limits, connections.

Most tests run on streams in memory and on a clock that jumps.
"""

from contextlib import aclosing

import pytest
import trio

from stratum.adapters.http_connection import IDLE_MAX_S, Timeouts
from stratum.adapters.s3.request import RequestHead
from stratum.adapters.s3.sigv4 import authenticate
from stratum.adapters.s3_client import ATTEMPTS_MAX, BACKOFF_FIRST_S
from stratum.domain.errors import InvalidConfig, RemoteFailed
from tests.support.certificates import tls_contexts
from tests.support.scripted_http import ScriptedServer
from tests.support.scripted_remote import (
    DATA,
    NAME,
    NOW_MS,
    SECRET,
    answering,
    error,
    get,
    ok,
    put,
    s3_remote,
    scripted,
)


# -- what is sent ---------------------------------------------------------------------------------
async def test_requests_carry_a_good_signature_and_no_secret():
    seen = []

    async def script(connection):
        while (request := await connection.head()) is not None:
            path, _, query = request.target.encode().partition(b"?")
            head = RequestHead(request.method, path, query, request.headers)
            seen.append((request.method, authenticate(head, NOW_MS // 1000, secret_for, "eu-1")))
            assert SECRET not in str(request)
            await connection.body(int(request.headers.get("content-length", 0)))
            listing = b"<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>"
            body = listing if query.startswith(b"encoding") else b""
            await connection.answer(200, b"" if request.method == "HEAD" else body)

    def secret_for(access_key_id):
        assert access_key_id == "AKIAREMOTE"
        return SECRET

    async with scripted(script, region="eu-1", prefix="a +é") as (remote, server):
        await put(remote, b"x")
        await remote.size(NAME)
        await remote.delete("b/c~%")
        assert [name async for name in remote.names()] == []
    assert [method for method, _ in seen] == ["PUT", "HEAD", "DELETE", "GET"]
    assert all(authentication is not None for _, authentication in seen)
    assert server.connections == 1


async def test_a_streamed_body_waits_for_continue_or_a_second(autojump_clock):
    async def silent(connection):
        request = await connection.head()
        assert request.headers["expect"] == "100-continue"
        assert await connection.body(len(DATA)) == DATA
        await connection.answer(200)
        await connection.head()

    async with scripted(silent, replay_max_bytes=0) as (remote, _):
        start = trio.current_time()
        await put(remote)
        assert trio.current_time() - start == pytest.approx(Timeouts().continue_s)


async def test_names_page_by_page():
    def page(keys, token):
        contents = "".join(f"<Contents><Key>{key}</Key><Size>1</Size></Contents>" for key in keys)
        more = f"<NextContinuationToken>{token}</NextContinuationToken>" if token else ""
        return (
            '<?xml version="1.0" encoding="UTF-8"?>\n'
            '<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
            f"<IsTruncated>{'true' if token else 'false'}</IsTruncated>{more}{contents}"
            "<EncodingType>url</EncodingType></ListBucketResult>"
        ).encode()

    async def script(connection):
        assert "continuation-token" not in (await connection.request()).target
        await connection.answer(200, page(["p/a", "p/b%20%26"], "t+1"))
        assert "continuation-token=t%2B1" in (await connection.request()).target
        await connection.answer(200, page(["p/c"], ""))

    async with scripted(script, prefix="p") as (remote, _):
        assert [name async for name in remote.names()] == ["a", "b &", "c"]


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"<ListBucketResult>",
        b"<html></html>",
        b"<ListBucketResult><IsTruncated>true</IsTruncated></ListBucketResult>",
        b'<!DOCTYPE x [<!ENTITY a "aaaa">]><ListBucketResult>&a;</ListBucketResult>',
        b"<a>" * 100 + b"</a>" * 100,
    ],
)
async def test_listings_that_make_no_sense(document):
    async with scripted(answering(ok(document))) as (remote, _):
        with pytest.raises(RemoteFailed, match="makes no sense"):
            _ = [name async for name in remote.names()]


@pytest.mark.parametrize(
    "endpoint",
    ["", "remote.test", "ftp://x", "http://", "http://x/path", "http://u@x", "http://x:a"],
)
def test_endpoints_that_are_refused(endpoint):
    with pytest.raises(InvalidConfig):
        s3_remote(endpoint)


# -- trying again ---------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "trouble", [error(500, "InternalError"), error(503, "SlowDown"), error(429, "")]
)
async def test_trouble_that_passes(autojump_clock, trouble):
    start = trio.current_time()
    async with scripted(answering(trouble, trouble, ok())) as (remote, server):
        await put(remote)
        assert server.connections == 1
    # With random = 1, and so no jitter.
    assert trio.current_time() - start == pytest.approx(BACKOFF_FIRST_S * (1 + 2))


async def test_trouble_that_does_not_pass(autojump_clock):
    troubles = [error(503, "SlowDown")] * ATTEMPTS_MAX
    async with scripted(answering(*troubles, ok())) as (remote, _):
        with pytest.raises(RemoteFailed, match="SlowDown: because") as failure:
            await put(remote)
        assert SECRET not in str(failure.value)
        await put(remote)


async def test_refusals_are_not_repeated(autojump_clock):
    async with scripted(answering(error(403, "AccessDenied"), ok())) as (remote, server):
        with pytest.raises(RemoteFailed, match=r"PUT.*403 AccessDenied: because"):
            await put(remote)
        await put(remote)
        assert server.connections == 1


async def test_nobody_listens(autojump_clock):
    async with scripted() as (remote, server):
        with pytest.raises(RemoteFailed, match=r"no connection to http://remote\.test:9000"):
            await remote.size(NAME)
        assert server.connections == ATTEMPTS_MAX


@pytest.mark.parametrize("options", [{}, {"replay_max_bytes": 0}])
async def test_a_refused_upload_is_repeated_while_nothing_of_it_was_taken(autojump_clock, options):
    async def busy(connection):
        request = await connection.head()
        if "expect" not in request.headers:
            await connection.body(len(DATA))
        await connection.error(503, "SlowDown")

    async with scripted(busy, answering(ok()), **options) as (remote, server):
        await put(remote)
        assert server.connections == 2


async def test_a_streamed_upload_cannot_be_repeated_once_begun(autojump_clock):
    async def breaks(connection):
        await connection.head()
        await connection.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        await connection.body(1)

    async with scripted(breaks, answering(ok()), replay_max_bytes=0) as (remote, server):
        with pytest.raises(RemoteFailed):
            await put(remote)
        assert server.connections == 1


async def test_an_answer_before_the_body_was_read_is_heard(autojump_clock):
    async def refuses(connection):
        await connection.head()
        await connection.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        await connection.body(1)
        await connection.error(400, "EntityTooLarge")
        await connection.close()

    async with scripted(refuses, replay_max_bytes=0) as (remote, _):
        with pytest.raises(RemoteFailed, match="EntityTooLarge"):
            await put(remote)


# -- time limits ----------------------------------------------------------------------------------
async def hang(connection):
    await trio.sleep_forever()


@pytest.mark.parametrize("options", [{}, {"replay_max_bytes": 0}])
async def test_a_server_that_takes_the_request_and_says_nothing(autojump_clock, options):
    timeouts = Timeouts(first_byte_s=7, continue_s=2, stall_s=1000)

    async def mute(connection):
        await connection.head()
        await connection.body(len(DATA))
        await trio.sleep_forever()

    async with scripted(*[mute] * ATTEMPTS_MAX, timeouts=timeouts, **options) as (remote, server):
        with pytest.raises(RemoteFailed, match="no answer within 7 s"):
            await put(remote)
        assert server.connections == (1 if options else ATTEMPTS_MAX)


async def test_a_connection_that_does_not_come_about(autojump_clock):
    async def connect():
        await trio.sleep_forever()

    async with aclosing(s3_remote(connect=connect)) as remote:
        with pytest.raises(RemoteFailed, match=r"no connection.*within 10 s"):
            await remote.delete(NAME)


async def test_an_answer_that_stalls(autojump_clock):
    async def stalls(connection):
        await connection.request()
        await connection.answer(
            206, b"x" * 10, content_length=len(DATA), content_range=f"bytes 0-{len(DATA) - 1}/*"
        )
        await trio.sleep_forever()

    async with scripted(stalls, *[hang] * ATTEMPTS_MAX) as (remote, _):
        with pytest.raises(RemoteFailed, match="no answer within 60 s"):
            await get(remote, 0, len(DATA))


async def test_a_slow_answer_that_moves_is_no_stall(autojump_clock):
    async def slow(connection):
        await connection.request()
        await connection.answer(
            206, content_length=20, content_range=f"bytes 0-19/{len(DATA)}", etag='"e"'
        )
        for start in range(20):
            await trio.sleep(29)
            await connection.send(DATA[start : start + 1])

    async with scripted(slow) as (remote, _):
        assert await get(remote, 0, 20) == DATA[:20]


async def test_a_server_that_stops_reading(autojump_clock):
    class Stuck(trio.abc.Stream):
        async def send_all(self, data):
            await trio.sleep_forever()

        async def wait_send_all_might_not_block(self):
            await trio.sleep_forever()

        async def receive_some(self, max_bytes=None):
            await trio.sleep_forever()

        async def aclose(self):
            await trio.lowlevel.checkpoint()

    async def connect():
        return Stuck()

    async with aclosing(s3_remote(connect=connect)) as remote:
        with pytest.raises(RemoteFailed, match="no more of the request taken within 30 s"):
            await put(remote)


# -- connections ----------------------------------------------------------------------------------
async def test_a_connection_closed_between_requests_is_replaced():
    """On a real socket: the end of the connection is seen before it is used again."""
    closed = trio.Event()

    async def once(connection):
        await connection.request()
        await connection.answer(200)
        await connection.close()
        closed.set()

    async with trio.open_nursery() as nursery:
        server = ScriptedServer(nursery, once, answering(ok()))
        port = await server.listen()
        async with aclosing(s3_remote(f"http://127.0.0.1:{port}")) as remote:
            await put(remote)
            await closed.wait()
            await put(remote)
        assert server.connections == 2
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("options", [{}, {"replay_max_bytes": 0}])
async def test_a_connection_closed_at_the_same_moment_is_replaced_at_once(options):
    async def once(connection):
        await connection.request()
        await connection.answer(200)
        await connection.head()

    async with scripted(once, answering(ok()), **options) as (remote, server):
        await put(remote)
        start = trio.current_time()
        await put(remote)
        assert trio.current_time() - start < BACKOFF_FIRST_S
        assert server.connections == 2


async def test_a_connection_idle_for_too_long_is_not_used(autojump_clock):
    async with scripted(answering(ok(), ok()), answering(ok())) as (remote, server):
        await remote.delete(NAME)
        await trio.sleep(IDLE_MAX_S - 1)
        await remote.delete(NAME)
        assert server.connections == 1
        await trio.sleep(IDLE_MAX_S + 1)
        await remote.delete(NAME)
        assert server.connections == 2


async def test_surplus_bytes_after_an_answer_are_nobodys_answer():
    async def surplus(connection):
        await connection.request()
        await connection.send(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\nHTTP/1.1 200 OK\r\n")
        await connection.head()

    async with scripted(surplus, answering(ok(content_length=7))) as (remote, server):
        await remote.delete(NAME)
        assert await remote.size(NAME) == 7
        assert server.connections == 2


async def waits_for_a_request(connection):
    assert await connection.head() is None


async def test_tls_with_the_right_and_the_wrong_authority(tmp_path):
    server_context, client_context = tls_contexts(tmp_path)
    async with trio.open_nursery() as nursery:
        server = ScriptedServer(nursery, answering(ok(), ok(content_length=7)))
        port = await server.listen(server_context)
        async with aclosing(
            s3_remote(f"https://localhost:{port}", ssl_context=client_context)
        ) as remote:
            await put(remote)
            assert await remote.size(NAME) == 7
            assert server.connections == 1
        nursery.cancel_scope.cancel()
    async with trio.open_nursery() as nursery:
        server = ScriptedServer(nursery, *[waits_for_a_request] * ATTEMPTS_MAX)
        port = await server.listen(server_context)
        async with aclosing(s3_remote(f"https://localhost:{port}", random=lambda: 0.0)) as remote:
            with pytest.raises(RemoteFailed, match="CERTIFICATE_VERIFY_FAILED"):
                await put(remote)
        nursery.cancel_scope.cancel()
