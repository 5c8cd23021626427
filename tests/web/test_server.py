"""Listening, start-up, drain and shutdown of a whole server, and the loop inside Hypercorn's."""

import contextlib
import functools
import socket

import hypercorn.trio
import hypercorn.trio.run
import pytest
import trio
import trio.testing
from hypercorn.config import Config
from hypercorn.utils import LifespanFailureError

from stratum.adapters.web.limits import MIB
from stratum.adapters.web.server import install_connection_loop, serve_http
from tests.support.certificates import tls_contexts
from tests.support.raw_http import GET, RawClient, Recorder, answer, read_body


def with_lifespan(app, log, *, fails=False):
    """`app` with a lifespan that leaves a note in its state and writes to `log`."""

    async def wrapped(scope, receive, send):
        if scope["type"] != "lifespan":
            await app(scope, receive, send)
            return
        while True:
            kind = (await receive())["type"]
            log.append(kind)
            if fails:
                await send({"type": "lifespan.startup.failed", "message": "no disks"})
                return
            scope["state"]["note"] = "from start-up"
            await send({"type": f"{kind}.complete"})
            if kind == "lifespan.shutdown":
                return

    return wrapped


async def endless(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    while True:
        await send({"type": "http.response.body", "body": bytes(MIB), "more_body": True})


@contextlib.asynccontextmanager
async def running(app, *, listen=("127.0.0.1:0",), raw=False, **options):
    """Yields (urls, shutdown event, event set when it has stopped); `raw` adds no lifespan."""
    shutdown, stopped = trio.Event(), trio.Event()

    async def run(task_status):
        await serve_http(
            app if raw else with_lifespan(app, []),
            listen=list(listen),
            shutdown=shutdown,
            task_status=task_status,
            **options,
        )
        stopped.set()

    async with trio.open_nursery() as nursery:
        urls = await nursery.start(run)
        try:
            yield urls, shutdown, stopped
        finally:
            shutdown.set()


@contextlib.contextmanager
def connected(url):
    host, port = url.split("//")[1].rsplit(":", 1)
    client = RawClient(socket.create_connection((host.strip("[]"), int(port))))
    try:
        yield client
    finally:
        client.close()


async def test_it_serves_and_stops():
    app, log = Recorder(), []
    async with running(with_lifespan(app, log), raw=True) as (urls, shutdown, stopped):
        assert log == ["lifespan.startup"]
        assert len(urls) == 1
        assert urls[0].startswith("http://127.0.0.1:")
        with connected(urls[0]) as client:
            for _ in range(2):
                assert (await client.request(GET)).status == 200
            scope = app.requests[0][0]
            assert scope["state"] == {"note": "from start-up"}
            assert scope["server"] == ("127.0.0.1", int(urls[0].rsplit(":", 1)[1]))
            shutdown.set()
            assert await client.rest() == b""
        await stopped.wait()
        assert log == ["lifespan.startup", "lifespan.shutdown"]
        with pytest.raises(ConnectionRefusedError), connected(urls[0]):
            pass


async def test_it_listens_on_several_addresses(tmp_path):
    path = tmp_path / "socket"
    listen = ("127.0.0.1:0", "127.0.0.1:0", f"unix:{path}")
    async with running(Recorder(), listen=listen) as (urls, _, _):
        assert len(set(urls)) == 3
        for url in urls[:2]:
            with connected(url) as client:
                assert (await client.request(GET)).status == 200
        plain = socket.socket(socket.AF_UNIX)
        plain.connect(str(path))
        client = RawClient(plain)
        assert (await client.request(GET)).status == 200
        client.close()


async def test_an_application_without_lifespan_is_served(capfd):
    async def app(scope, receive, send):
        assert scope["type"] == "http"
        await answer(send, 200, b"plain")

    async with running(app, raw=True) as (urls, _, _):
        with connected(urls[0]) as client:
            assert (await client.request(GET)).body == b"plain"


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # Hypercorn leaves the socket to the GC
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
async def test_an_address_in_use_is_an_error_before_the_application_starts():
    log = []
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(OSError, match="in use"):
            await serve_http(
                with_lifespan(Recorder(), log),
                listen=[f"127.0.0.1:{port}"],
                shutdown=trio.Event(),
            )
    assert log == []


async def test_a_failing_start_is_reported_and_frees_the_address():
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    with pytest.RaisesGroup(LifespanFailureError, flatten_subgroups=True):
        await serve_http(
            with_lifespan(Recorder(), [], fails=True),
            listen=[f"127.0.0.1:{port}"],
            shutdown=trio.Event(),
        )
    socket.create_server(("127.0.0.1", port)).close()


async def test_busy_connections_finish_within_the_grace_period(autojump_clock):
    async def slow(scope, receive, send):
        await trio.sleep(20)
        await answer(send, 200, await read_body(receive))

    async with running(slow, grace_s=30) as (urls, shutdown, stopped):
        with connected(urls[0]) as client:
            await client.send(GET)
            await trio.testing.wait_all_tasks_blocked()
            began = trio.current_time()
            shutdown.set()
            response = await client.response()
            assert (response.status, response.closes) == (200, True)
            await stopped.wait()
            assert 20 <= trio.current_time() - began <= 21


async def hanging(scope, receive, send):
    await trio.sleep_forever()


@pytest.mark.parametrize("app", [endless, hanging])
async def test_what_hangs_is_cut_when_the_grace_period_ends(app, autojump_clock):
    async with running(app, grace_s=7) as (urls, shutdown, stopped):
        with connected(urls[0]) as client:
            await client.send(GET)
            await trio.testing.wait_all_tasks_blocked()
            began = trio.current_time()
            shutdown.set()
            await stopped.wait()
            assert 7 <= trio.current_time() - began < 8
            with pytest.raises(ConnectionResetError):
                await client.rest()


async def test_cancelling_stops_it_at_once(autojump_clock):
    with trio.CancelScope() as scope:
        async with running(hanging) as (urls, _, _):
            with connected(urls[0]) as client:
                await client.send(GET)
                await trio.testing.wait_all_tasks_blocked()
                scope.cancel()
    assert trio.current_time() < 1


class TestTls:
    @pytest.fixture
    def tls(self, tmp_path):
        """(what `serve_http` needs, the client's context)"""
        _, client = tls_contexts(tmp_path)
        client.set_alpn_protocols(["h2", "http/1.1"])
        path = str(tmp_path / "localhost.pem")
        return {"certfile": path, "keyfile": path}, client

    @staticmethod
    async def connect(url, context):
        stream = await trio.open_tcp_stream("127.0.0.1", int(url.rsplit(":", 1)[1]))
        secure = trio.SSLStream(stream, context, server_hostname="localhost", https_compatible=True)
        await secure.do_handshake()
        return secure

    async def test_it_serves_http_11(self, tls):
        files, context = tls
        async with running(Recorder(), **files) as (urls, _, _):
            assert urls[0].startswith("https://")
            stream = await self.connect(urls[0], context)
            assert stream.selected_alpn_protocol() == "http/1.1"
            await stream.send_all(GET)
            assert (await stream.receive_some()).startswith(b"HTTP/1.1 200")
            await trio.aclose_forcefully(stream)

    async def test_a_client_that_stops_reading_does_not_prevent_the_shutdown(
        self, tls, autojump_clock
    ):
        files, context = tls
        async with running(endless, grace_s=7, **files) as (urls, shutdown, stopped):
            stream = await self.connect(urls[0], context)
            await stream.send_all(GET)
            await trio.testing.wait_all_tasks_blocked(0.01)
            shutdown.set()
            with trio.fail_after(10):
                await stopped.wait()
            await trio.aclose_forcefully(stream)


class TestInsideHypercorn:
    """`hypercorn -k trio` with our loop and with its own."""

    @pytest.mark.parametrize("ours", [True, False])
    async def test_it_serves_and_drains(self, ours, monkeypatch, capfd):
        # monkeypatch only to restore afterwards what the installation replaces for good.
        monkeypatch.setattr(hypercorn.trio.run, "TCPServer", hypercorn.trio.run.TCPServer)
        if ours:
            install_connection_loop()
        app, shutdown = Recorder(), trio.Event()
        config = Config()
        config.bind = ["127.0.0.1:0"]
        async with trio.open_nursery() as nursery:
            serve = functools.partial(hypercorn.trio.serve, shutdown_trigger=shutdown.wait)
            urls = await nursery.start(serve, with_lifespan(app, []), config)
            with connected(urls[0]) as client:
                for body in (b"one", b"x" * 100_000):
                    head = b"PUT /b/k HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n" % len(body)
                    assert (await client.request(head + body)).body == body
                extensions = app.requests[0][0]["extensions"]
                assert ("stratum.connection" in extensions) is ours
                assert app.requests[0][0]["state"] == {"note": "from start-up"}
                shutdown.set()
                assert await client.rest() == b""
