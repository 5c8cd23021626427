"""Bodies on a connection: 100-continue, early answers, clients that leave, back-pressure."""

import pytest
import trio
import trio.testing

from stratum.adapters.web.http_errors import ClientDisconnected
from stratum.adapters.web.limits import MIB, ConnectionLimits
from tests.support.raw_http import (
    GET,
    ConnectionCut,
    Recorder,
    answer,
    put,
    put_chunked,
    read_body,
    serving,
    tcp_pair,
)


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

    async def test_100_for_an_empty_body(self):
        """awscli gives a final answer in its place to the next request as well."""
        async with serving(Recorder()) as server:
            client = server.connect()
            assert (await client.request(put(b"", b"Expect: 100-continue"))).status == 100
            assert (await client.response()).status == 200

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

    async def test_after_a_cancelled_send_nothing_more_is_sent(self, autojump_clock):
        raised = []

        async def app(scope, receive, send):
            await send({"type": "http.response.start", "status": 200, "headers": []})
            with trio.move_on_after(1):
                large = {"type": "http.response.body", "body": bytes(16 * MIB), "more_body": True}
                await send(large)
            try:
                await send({"type": "http.response.body", "body": b"the end"})
            except OSError as error:
                raised.append((type(error), trio.current_time() < 2))
                raise

        async with serving(app) as server:
            client = server.connect()
            await client.send(GET)
            await client.served.wait()
            with pytest.raises(ConnectionCut):
                await client.response()
        assert raised == [(ClientDisconnected, True)]


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
