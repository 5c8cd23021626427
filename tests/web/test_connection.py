"""The connection loop as a client sees it: requests and responses one after the other."""

import pytest
import trio
import trio.testing

from tests.support.raw_http import GET, Recorder, answer, put, put_chunked, read_body, serving

BOTH_LOOPS = pytest.mark.parametrize("stock", [False, True], ids=["ours", "hypercorn"])


class TestCore:
    """What any ASGI server does: holds for Hypercorn's loop as for ours."""

    @BOTH_LOOPS
    async def test_requests_follow_each_other_on_one_connection(self, stock):
        app = Recorder()
        async with serving(app, stock=stock) as server:
            client = server.connect()
            for body in (b"one", b"", b"x" * 300_000, b"four"):
                response = await client.request(put(body))
                assert (response.status, response.body) == (200, body)
            assert (await client.request(GET)).status == 200
        assert [body for _, body in app.requests] == [b"one", b"", b"x" * 300_000, b"four", b""]

    @BOTH_LOOPS
    async def test_a_chunked_body_and_what_follows_it(self, stock):
        app = Recorder()
        async with serving(app, stock=stock) as server:
            client = server.connect()
            await client.send(put_chunked(b"hello ", b"world") + GET)
            assert (await client.response()).body == b"hello world"
            assert (await client.response()).body == b""

    @BOTH_LOOPS
    async def test_the_scope(self, stock):
        app = Recorder()
        target = b"/b//k%2Fx%FF/../?versionId=1&a=%20"
        async with serving(app, stock=stock) as server:
            client = server.connect()
            await client.request(
                b"GET " + target + b" HTTP/1.1\r\nHost: h\r\nX-Amz-Meta-A: \xc3\xa9\r\n\r\n"
            )
            scope, _ = app.requests[0]
            address = client.sock.getsockname()
        assert scope["type"] == "http"
        assert scope["method"] == "GET"
        assert scope["http_version"] == "1.1"
        assert scope["scheme"] == "http"
        assert scope["raw_path"] == b"/b//k%2Fx%FF/../"
        assert scope["path"] == "/b//k/x\ufffd/../"
        assert scope["query_string"] == b"versionId=1&a=%20"
        assert list(map(tuple, scope["headers"])) == [
            (b"host", b"h"),
            (b"x-amz-meta-a", b"\xc3\xa9"),
        ]
        assert tuple(scope["client"]) == address
        assert scope["server"][0] == "127.0.0.1"
        assert scope["root_path"] == ""
        if not stock:
            assert scope["extensions"] == {"stratum.connection": {}}
            assert scope["state"] == {"key": "value"}

    @BOTH_LOOPS
    async def test_head_has_the_length_and_no_body(self, stock):
        async def app(scope, receive, send):
            headers = [(b"content-length", b"5")]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            await send({"type": "http.response.body"})

        async with serving(app, stock=stock) as server:
            client = server.connect()
            for _ in range(2):
                response = await client.request(b"HEAD /b/k HTTP/1.1\r\nHost: h\r\n\r\n")
                assert response.headers[b"content-length"] == b"5"

    @BOTH_LOOPS
    async def test_a_body_of_unknown_length_is_chunked(self, stock):
        async def app(scope, receive, send):
            await send({"type": "http.response.start", "status": 200, "headers": []})
            for part in (b"a" * 20_000, b"", b"b"):
                await send({"type": "http.response.body", "body": part, "more_body": True})
            await send({"type": "http.response.body", "body": b"c"})

        async with serving(app, stock=stock) as server:
            client = server.connect()
            for _ in range(2):
                response = await client.request(GET)
                assert response.headers[b"transfer-encoding"] == b"chunked"
                assert response.body == b"a" * 20_000 + b"bc"

    @BOTH_LOOPS
    async def test_connection_close_is_honoured(self, stock):
        async with serving(Recorder(), stock=stock) as server:
            client = server.connect()
            response = await client.request(put(b"x", b"Connection: close"))
            assert response.closes
            assert await client.rest() == b""


class TestFragmentsAndPipelines:
    @pytest.mark.parametrize("request_", [put(b"hello"), put_chunked(b"hel", b"lo")])
    async def test_a_request_may_be_cut_anywhere(self, request_):
        app = Recorder()
        async with serving(app) as server:
            client = server.connect()
            for cut in range(1, len(request_)):
                await client.send(request_[:cut])
                await trio.testing.wait_all_tasks_blocked()
                await client.send(request_[cut:])
                assert (await client.response()).body == b"hello"

    @pytest.mark.parametrize("request_", [put(b"hello"), put_chunked(b"hel", b"lo")])
    async def test_a_request_may_come_byte_by_byte(self, request_):
        async with serving(Recorder()) as server:
            client = server.connect()
            for at in range(len(request_)):
                await client.send(request_[at : at + 1])
                await trio.testing.wait_all_tasks_blocked()
            assert (await client.response()).body == b"hello"

    async def test_pipelined_requests_are_answered_in_order(self):
        app = Recorder()
        bodies = [b"%d" % i * (i % 50) for i in range(200)]
        async with serving(app) as server:
            client = server.connect()
            await client.send(b"".join((put, put_chunked)[i % 2](b) for i, b in enumerate(bodies)))
            assert [(await client.response()).body for _ in bodies] == bodies

    async def test_a_pipelining_client_does_not_starve_the_others(self):
        order = []

        async def app(scope, receive, send):
            if not order:
                modest.sock._sock.send(b"GET /modest HTTP/1.1\r\nHost: h\r\n\r\n")
            order.append(scope["raw_path"])
            await answer(send, 200)

        async with serving(app) as server:
            greedy, modest = server.connect(), server.connect()
            await greedy.send(b"GET /greedy HTTP/1.1\r\nHost: h\r\n\r\n" * 100)
            for _ in range(100):
                await greedy.response()
        assert order.index(b"/modest") < 10

    async def test_a_long_response_does_not_starve_the_others(self):
        order = []

        async def app(scope, receive, send):
            order.append(scope["raw_path"])
            if scope["raw_path"] == b"/short":
                await answer(send, 200)
                return
            other.sock._sock.send(b"GET /short HTTP/1.1\r\nHost: h\r\n\r\n")
            await send({"type": "http.response.start", "status": 200, "headers": []})
            for _ in range(100):  # all of which the kernel takes at once
                await send({"type": "http.response.body", "body": b"x", "more_body": True})
            order.append("end")
            await send({"type": "http.response.body"})

        async with serving(app) as server:
            client, other = server.connect(), server.connect()
            await client.request(b"GET /long HTTP/1.1\r\nHost: h\r\n\r\n")
        assert order == [b"/long", b"/short", "end"]

    async def test_half_close_after_the_request_still_gets_the_answer(self):
        async with serving(Recorder()) as server:
            client = server.connect()
            await client.send(GET + put(b"last"))
            client.half_close()
            assert (await client.response()).status == 200
            assert (await client.response()).body == b"last"
            assert await client.rest() == b""

    async def test_half_close_is_no_disconnect_to_an_application_that_watches(self):
        async def app(scope, receive, send):
            await read_body(receive)

            async def watch():
                seen.append(await receive())
                nursery.cancel_scope.cancel()

            async with trio.open_nursery() as nursery:
                nursery.start_soon(watch)
                await trio.testing.wait_all_tasks_blocked()
                await answer(send, 200, b"done")

        seen = []
        async with serving(app) as server:
            client = server.connect()
            await client.send(GET)
            client.half_close()
            assert (await client.response()).body == b"done"
            await client.served.wait()
        assert seen == [{"type": "http.disconnect"}]  # once the response is complete

    async def test_watching_for_a_disconnect_loses_no_pipelined_request(self):
        async def app(scope, receive, send):
            body = await read_body(receive)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(receive)
                await trio.testing.wait_all_tasks_blocked()
                await answer(send, 200, body)
                nursery.cancel_scope.cancel()

        async with serving(app) as server:
            client = server.connect()
            await client.send(put(b"1") + put_chunked(b"2") + put(b"3"))
            assert [(await client.response()).body for _ in range(3)] == [b"1", b"2", b"3"]
