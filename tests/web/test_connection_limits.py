"""Time-outs, the connection limit and the drain, on a clock that jumps."""

import socket

import pytest
import trio
import trio.testing

from stratum.adapters.web.connection_pool import REFUSALS_AT_ONCE
from stratum.adapters.web.http_errors import ClientDisconnected
from stratum.adapters.web.limits import MIB, ConnectionLimits
from tests.support.raw_http import GET, ConnectionCut, Recorder, answer, read_body, serving

PUT_10 = b"PUT /b/k HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\n"
LIMITS = ConnectionLimits()


async def seconds_until(event):
    began = trio.current_time()
    await event.wait()
    return trio.current_time() - began


def endless(raised):
    """An application whose response never ends; what `send` raises goes to `raised`."""

    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        try:
            while True:
                body = {"type": "http.response.body", "body": bytes(MIB), "more_body": True}
                await send(body)
        except (OSError, trio.Cancelled) as error:
            raised.append(type(error))
            raise

    return app


class TestTimeOuts:
    async def test_a_new_connection_without_a_request(self, autojump_clock):
        async with serving(Recorder()) as server:
            client = server.connect()
            assert 75 <= await seconds_until(client.served) <= 77
            assert await client.rest() == b""

    async def test_a_kept_connection_without_another_request(self, autojump_clock):
        async with serving(Recorder()) as server:
            client = server.connect()
            for _ in range(3):
                await client.request(GET)
                await trio.sleep(60)
            assert not client.served.is_set()
            assert 15 <= await seconds_until(client.served) <= 17

    async def test_slow_loris(self, autojump_clock):
        app = Recorder()
        async with serving(app) as server:
            client = server.connect()
            await trio.sleep(50)
            began = trio.current_time()
            async with trio.open_nursery() as nursery:

                async def drip():
                    for byte in GET * 10:
                        await client.send(bytes([byte]))
                        await trio.sleep(3)

                nursery.start_soon(drip)
                response = await client.response()
                nursery.cancel_scope.cancel()
            assert 20 <= trio.current_time() - began <= 22
            assert (response.status, response.closes) == (408, True)
            await client.served.wait()
        assert app.requests == []

    async def test_a_pipelined_half_of_a_head_is_timed_too(self, autojump_clock):
        async with serving(Recorder()) as server:
            client = server.connect()
            assert (await client.request(GET + GET[:10])).status == 200
            assert (await client.response()).status == 408

    async def test_a_stalled_body_is_a_disconnect(self, autojump_clock):
        app = Recorder()
        async with serving(app) as server:
            client = server.connect()
            await client.send(PUT_10 + b"12345")
            began = trio.current_time()
            response = await client.response()
            assert 60 <= trio.current_time() - began <= 62
            assert response.closes
            await client.served.wait()
        assert app.requests[0][1] is None

    async def test_a_slow_body_is_none(self, autojump_clock):
        rate = round(LIMITS.rate_min_bytes_per_s)
        async with serving(Recorder()) as server:
            client = server.connect()
            head = b"PUT /b/k HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n"
            await client.send(head % (10 * 55 * rate))
            for digit in b"0123456789":
                await trio.sleep(54)
                await client.send(bytes([digit]) * 55 * rate)
            assert (await client.response()).body[-1:] == b"9"

    async def test_a_body_that_drips_is_a_disconnect(self, autojump_clock):
        """One byte now and then would hold a connection, a buffer and a turn for days."""
        app = Recorder()
        async with serving(app) as server:
            client = server.connect()
            await client.send(PUT_10)
            async with trio.open_nursery() as nursery:

                async def drip():
                    for _ in range(9):
                        await trio.sleep(50)
                        await client.send(b"x")

                nursery.start_soon(drip)
                assert LIMITS.slow_s <= await seconds_until(client.served) <= LIMITS.slow_s + 60
                nursery.cancel_scope.cancel()
        assert app.requests[0][1] is None

    async def test_waiting_for_us_is_not_the_clients_slowness(self, autojump_clock):
        async def app(scope, receive, send):
            await trio.sleep(1000)
            body = b""
            while (message := await receive()).get("more_body"):
                body += message["body"]
            await answer(send, 200, body + message["body"])

        async with serving(app) as server:
            client = server.connect()
            await client.send(PUT_10 + b"0123456789")
            assert (await client.response()).body == b"0123456789"

    async def test_a_client_that_stops_reading(self, autojump_clock):
        raised = []
        async with serving(endless(raised)) as server:
            client = server.connect()
            await client.send(GET)
            assert 60 <= await seconds_until(client.served) <= 62
        assert raised == [ClientDisconnected]

    async def test_a_client_that_reads_slowly_is_served(self, autojump_clock):
        raised = []
        async with serving(endless(raised)) as server:
            client = server.connect()
            await client.send(GET)
            for _ in range(10):
                await trio.sleep(50)
                await client.discard(8 * MIB)
            assert raised == []

    async def test_an_application_may_think_for_long(self, autojump_clock):
        async def app(scope, receive, send):
            await read_body(receive)
            await trio.sleep(1000)
            await answer(send, 200, b"wise")

        async with serving(app) as server:
            client = server.connect()
            assert (await client.request(PUT_10 + b"0123456789")).body == b"wise"
            await client.send(PUT_10)
            await trio.sleep(10)
            await client.send(b"0123456789")
            assert (await client.response()).body == b"wise"


class TestConnectionLimit:
    async def test_a_connection_too_many_is_told_so(self):
        async with serving(Recorder(), ConnectionLimits(connections=2)) as server:
            first, second = server.connect(), server.connect()
            for client in (first, second):
                assert (await client.request(GET)).status == 200
            third = server.connect()
            response = await third.request(GET)
            assert (response.status, response.closes) == (503, True)
            assert b"<Code>SlowDown</Code>" in response.body
            assert await third.rest() == b""
            first.close()
            await first.served.wait()
            assert (await server.connect().request(GET)).status == 200
            assert len(server.pool) == 2

    async def test_a_flood_is_dropped(self):
        async with serving(Recorder(), ConnectionLimits(connections=1)) as server:
            first = server.connect()
            await first.request(GET)
            refused = [server.connect() for _ in range(REFUSALS_AT_ONCE)]
            await trio.testing.wait_all_tasks_blocked()
            with pytest.raises((ConnectionCut, OSError)):
                await server.connect().request(GET)
            assert (await refused[-1].response()).status == 503
            assert (await first.request(GET)).status == 200


class TestDrain:
    async def test_idle_connections_close_at_once(self, autojump_clock):
        async with serving(Recorder()) as server:
            fresh, used = server.connect(), server.connect()
            await used.request(GET)
            await trio.testing.wait_all_tasks_blocked()
            server.pool.drain()
            for client in (fresh, used):
                assert await seconds_until(client.served) == 0
                assert await client.rest() == b""

    async def test_busy_ones_finish_their_response(self):
        go_on = trio.Event()

        async def app(scope, receive, send):
            await go_on.wait()
            await answer(send, 200, await read_body(receive))

        async with serving(app) as server:
            client = server.connect()
            await client.send(PUT_10 + b"01234")
            await trio.testing.wait_all_tasks_blocked()
            server.pool.drain()
            go_on.set()
            await client.send(b"56789" + PUT_10)
            response = await client.response()
            assert (response.body, response.closes) == (b"0123456789", True)
            assert await client.rest() == b""

    async def test_a_response_under_way_is_completed(self):
        go_on = trio.Event()

        async def app(scope, receive, send):
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"a", "more_body": True})
            await go_on.wait()
            await send({"type": "http.response.body", "body": b"b"})

        async with serving(app) as server:
            client = server.connect()
            await client.send(GET)
            await trio.testing.wait_all_tasks_blocked()
            server.pool.drain()
            go_on.set()
            assert (await client.response()).body == b"ab"
            assert await client.rest() == b""

    async def test_a_request_that_has_arrived_is_answered(self):
        async with serving(Recorder()) as server:
            client = server.connect()
            await trio.testing.wait_all_tasks_blocked()
            client.sock._sock.send(GET)  # no chance for the server in between
            server.pool.drain()
            response = await client.response()
            assert (response.status, response.closes) == (200, True)
            assert await client.rest() == b""

    async def test_one_that_comes_too_late_is_not(self):
        app = Recorder()
        async with serving(app) as server:
            client = server.connect()
            await trio.testing.wait_all_tasks_blocked()
            server.pool.drain()
            client.sock._sock.send(GET)
            with pytest.raises(ConnectionCut):
                await client.response()
            await client.served.wait()
        assert app.requests == []

    @pytest.mark.parametrize("sent_before", [1, 10, len(PUT_10), len(PUT_10) + 3])
    async def test_one_that_has_begun_to_arrive_is_completed(self, sent_before):
        request = PUT_10 + b"0123456789"
        async with serving(Recorder()) as server:
            client = server.connect()
            await trio.testing.wait_all_tasks_blocked()
            client.sock._sock.send(request[:sent_before])
            server.pool.drain()
            await trio.testing.wait_all_tasks_blocked()
            await client.send(request[sent_before:])
            response = await client.response()
            assert (response.status, response.closes) == (200, True)
            assert response.body == b"0123456789"

    async def test_cancelling_ends_even_a_client_that_never_reads(self):
        raised = []
        async with serving(endless(raised)) as server:
            client = server.connect()
            await client.send(GET)
            await trio.testing.wait_all_tasks_blocked(0.02)
            server.connections_cancel_scope.cancel()
            await client.served.wait()
            with pytest.raises(ConnectionResetError):
                await client.rest()
        assert raised == [trio.Cancelled]


async def test_works_over_a_unix_socket():
    app = Recorder()
    async with serving(app) as server:
        client = server.connect(socket.socketpair)
        assert (await client.request(PUT_10 + b"0123456789")).body == b"0123456789"
        server.pool.drain()
        assert await client.rest() == b""
    assert app.requests[0][0]["client"] is None
