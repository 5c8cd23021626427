"""The connection loop as a client sees it: requests, bodies, responses, persistence."""

import pytest
import trio

from stratum.adapters.web.http_errors import ClientDisconnected
from stratum.adapters.web.limits import MIB, ConnectionLimits
from tests.support.raw_http import ConnectionCut, Recorder, answer, read_body, serving, tcp_pair

BOTH_LOOPS = pytest.mark.parametrize("stock", [False, True], ids=["ours", "hypercorn"])
GET = b"GET /b/k HTTP/1.1\r\nHost: h\r\n\r\n"


def put(body=b"", *lines, version=b"1.1"):
    length = b"Content-Length: %d" % len(body)
    return b"\r\n".join((b"PUT /b/k HTTP/" + version, b"Host: h", length, *lines, b"", body))


def put_chunked(*chunks):
    head = b"PUT /b/k HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
    return head + b"".join(b"%x\r\n%b\r\n" % (len(c), c) for c in chunks) + b"0\r\n\r\n"


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
            order.append(scope["raw_path"])
            await answer(send, 200)

        async with serving(app) as server:
            greedy, modest = server.connect(), server.connect()
            await greedy.send(b"GET /greedy HTTP/1.1\r\nHost: h\r\n\r\n" * 100)
            await modest.send(b"GET /modest HTTP/1.1\r\nHost: h\r\n\r\n")
            for _ in range(100):
                await greedy.response()
        assert order.index(b"/modest") < 10

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


class TestExpectContinue:
    async def test_100_is_sent_when_the_body_is_first_read(self):
        started, go_on = trio.Semaphore(0), trio.Semaphore(0)

        async def app(scope, receive, send):
            started.release()
            await go_on.acquire()
            await answer(send, 200, await read_body(receive))

        async with serving(app) as server:
            client = server.connect()
            for body in (b"hello", b"again"):
                request = put(body, b"Expect: 100-continue")
                await client.send(request[: -len(body)])
                await started.acquire()
                await trio.testing.wait_all_tasks_blocked()
                with trio.move_on_after(0) as at_once:
                    await client.sock.recv(1)
                assert at_once.cancelled_caught
                go_on.release()
                assert (await client.response()).status == 100
                await client.send(body)
                assert (await client.response()).body == body

    async def test_no_100_when_the_body_has_come_already(self):
        async with serving(Recorder()) as server:
            client = server.connect()
            assert (await client.request(put(b"x", b"Expect: 100-continue"))).body == b"x"

    @pytest.mark.parametrize("body", [b"", None])
    async def test_no_100_without_a_body(self, body):
        request = put(b"", b"Expect: 100-continue") if body == b"" else GET
        async with serving(Recorder()) as server:
            assert (await server.connect().request(request)).status == 200

    async def test_an_answer_instead_of_100_closes_the_connection(self):
        async def app(scope, receive, send):
            await answer(send, 403, b"no")
            seen.append(await receive())

        seen = []
        async with serving(app) as server:
            client = server.connect()
            response = await client.request(put(b"x" * 100, b"Expect: 100-continue")[:-100])
            assert (response.status, response.body, response.closes) == (403, b"no", True)
            assert await client.rest() == b""
        assert seen == [{"type": "http.disconnect"}]


class TestEarlyAnswers:
    @staticmethod
    async def refuse(scope, receive, send):
        await answer(send, 403, b"no")

    @pytest.mark.parametrize("make", [put, put_chunked])
    async def test_a_small_unread_body_is_dropped_and_the_connection_kept(self, make):
        async with serving(self.refuse) as server:
            client = server.connect()
            for _ in range(3):
                response = await client.request(make(b"x" * 900_000))
                assert (response.status, response.closes) == (403, False)
            assert (await client.request(GET)).status == 403

    @pytest.mark.parametrize("make", [put, put_chunked])
    async def test_a_large_unread_body_costs_the_connection_but_not_the_answer(self, make):
        request = make(b"x" * (8 * MIB))
        async with serving(self.refuse) as server:
            client = server.connect()
            async with trio.open_nursery() as nursery:
                nursery.start_soon(client.send, request)  # a client that only writes at first
                response = await client.response(b"PUT")
            assert (response.status, response.body) == (403, b"no")
            assert response.closes == (make is put)
            assert await client.rest() == b""
            assert (await server.connect().request(GET)).status == 403

    async def test_a_client_that_does_not_stop_sending_is_left_after_a_while(self, autojump_clock):
        async with serving(self.refuse, ConnectionLimits(linger_s=5)) as server:
            client = server.connect()
            await client.send(put(b"x" * (2 * MIB))[:100_000])
            assert (await client.response()).status == 403
            began = trio.current_time()
            await client.served.wait()
            assert 5 <= trio.current_time() - began <= 6

    async def test_a_partly_read_body_is_drained_too(self):
        async def app(scope, receive, send):
            await receive()
            await answer(send, 400, b"enough")

        async with serving(app) as server:
            client = server.connect()
            for _ in range(3):
                assert (await client.request(put(b"x" * 700_000))).body == b"enough"


class TestVanishingClients:
    @pytest.mark.parametrize("make", [put, put_chunked])
    @pytest.mark.parametrize("leave", ["close", "reset", "half_close"])
    async def test_leaving_inside_the_body_is_a_disconnect(self, make, leave):
        app = Recorder()
        async with serving(app) as server:
            client = server.connect()
            await client.send(make(b"hello" * 100)[:-10])
            await trio.testing.wait_all_tasks_blocked()
            getattr(client, leave)()
            await client.served.wait()
            assert app.requests[0][1] is None

    async def test_a_half_closed_client_learns_that_its_body_was_incomplete(self):
        async def app(scope, receive, send):
            assert await read_body(receive) is None

        async with serving(app) as server:
            client = server.connect()
            await client.send(put(b"hello")[:-1])
            client.half_close()
            response = await client.response()
            assert (response.status, response.closes) == (400, True)
            assert b"<Code>IncompleteBody</Code>" in response.body

    async def test_send_raises_when_the_client_is_gone(self):
        raised = []

        async def app(scope, receive, send):
            await send({"type": "http.response.start", "status": 200, "headers": []})
            try:
                while True:
                    body = {"type": "http.response.body", "body": b"x" * MIB, "more_body": True}
                    await send(body)
            except OSError as error:
                raised.append(error)
                raise

        async with serving(app) as server:
            client = server.connect()
            await client.send(GET)
            await client.sock.recv(1000)
            client.close()
            await client.served.wait()
        assert isinstance(raised[0], ClientDisconnected)

    async def test_a_reset_is_a_disconnect_to_an_application_that_watches(self):
        async def app(scope, receive, send):
            await read_body(receive)
            seen.append(await receive())

        seen = []
        async with serving(app) as server:
            client = server.connect()
            await client.send(GET)
            await trio.testing.wait_all_tasks_blocked()
            client.reset()
            await client.served.wait()
        assert seen == [{"type": "http.disconnect"}]


class TestBackPressure:
    async def test_the_body_is_read_only_as_fast_as_the_application_asks(self):
        tickets = trio.Semaphore(0)
        sizes = []

        async def app(scope, receive, send):
            more = True
            while more:
                await tickets.acquire()
                message = await receive()
                sizes.append(len(message["body"]))
                more = message["more_body"]
            await answer(send, 200)

        total = 32 * MIB
        async with serving(app) as server:
            client = server.connect()
            async with trio.open_nursery() as nursery:
                nursery.start_soon(client.send, put(b"x" * total))
                await trio.testing.wait_all_tasks_blocked(0.02)
                assert nursery.child_tasks  # the kernel's buffers are full and nobody reads
                assert sizes == []
                tickets.release()
                await trio.testing.wait_all_tasks_blocked(0.02)
                assert len(sizes) == 1
                assert sizes[0] <= 256 * 1024
                nursery.cancel_scope.cancel()

    async def test_the_response_is_sent_only_as_fast_as_the_client_reads(self):
        sent = []

        async def app(scope, receive, send):
            headers = [(b"content-length", b"%d" % (32 * MIB))]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            for i in range(32):
                more = i < 31
                await send({"type": "http.response.body", "body": bytes(MIB), "more_body": more})
                sent.append(i)

        async with serving(app) as server:
            client = server.connect()
            await client.send(GET)
            await trio.testing.wait_all_tasks_blocked(0.05)
            assert len(sent) < 16
            assert (await client.response()).body == bytes(32 * MIB)
            assert len(sent) == 32

    async def test_head_and_small_body_leave_in_one_piece(self):
        async def app(scope, receive, send):
            await answer(send, 200, b"x" * 4096)

        async with serving(app) as server:
            client = server.connect()
            await client.send(GET)
            assert len(await client.sock.recv(100_000)) > 4096

    async def test_a_cancelled_receive_loses_nothing(self):
        async def app(scope, receive, send):
            body, more = b"", True
            while more:
                with trio.CancelScope() as scope_:
                    scope_.cancel()
                    message = await receive()
                if scope_.cancelled_caught:
                    await trio.lowlevel.checkpoint()
                    message = await receive()
                body += message["body"]
                more = message["more_body"]
            await answer(send, 200, body)

        body = bytes(range(256)) * 10_000
        async with serving(app) as server:
            client = server.connect()
            async with trio.open_nursery() as nursery:
                nursery.start_soon(client.send, put(body))
                assert (await client.response()).body == body


async def test_a_truncated_response_is_recognised_with_http_10_too():
    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"some", "more_body": True})
        raise ValueError("no more")

    async with serving(app) as server:
        client = server.connect(tcp_pair)
        await client.send(b"GET /b/k HTTP/1.0\r\n\r\n")
        with pytest.raises(ConnectionResetError):
            await client.rest()
        client = server.connect()
        with pytest.raises(ConnectionCut):
            await client.request(GET)
