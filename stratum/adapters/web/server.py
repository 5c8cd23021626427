"""Listening: sockets, TLS, lifespan and shutdown around the connection loop.

Two ways in. `serve_http()` is what `stratum serve` runs: it owns the whole life of a server, its
drain included. `install_connection_loop()` is for those who would rather run
`hypercorn -k trio stratum.adapters.web.asgi:app`.
"""

from __future__ import annotations

import contextlib
import logging
from functools import partial
from typing import Protocol, cast

import hypercorn.trio.run
import trio
from hypercorn.app_wrappers import ASGIWrapper
from hypercorn.config import Config, Sockets
from hypercorn.trio.lifespan import Lifespan
from hypercorn.trio.tcp_server import TCPServer as HypercornTCPServer
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import AppWrapper, ASGIFramework, ConnectionState, LifespanState
from hypercorn.utils import repr_socket_addr

from stratum.adapters.web.asgi_types import AsgiApp
from stratum.adapters.web.connection import Connection, TCPServer, take_socket
from stratum.adapters.web.connection_pool import ConnectionPool
from stratum.adapters.web.limits import ConnectionLimits

BACKLOG = 2048  # connections the kernel queues for us; Linux cuts it to net.core.somaxconn
GRACE_S = 30.0
STARTUP_LIMIT_S = 24 * 3600.0
SHUTDOWN_LIMIT_S = 120.0

logger = logging.getLogger(__name__)

DEFAULT_LIMITS = ConnectionLimits()

SecureStream = trio.SSLStream[trio.SocketStream]
Listener = trio.SocketListener | trio.SSLListener[trio.SocketStream]


class Waitable(Protocol):
    """Something that happens once, like a `trio.Event`."""

    async def wait(self) -> object:
        """Returns when it has happened, at once if it already has."""


async def serve_http(
    app: AsgiApp,
    *,
    listen: list[str],
    shutdown: Waitable,
    limits: ConnectionLimits = DEFAULT_LIMITS,
    grace_s: float = GRACE_S,
    certfile: str | None = None,
    keyfile: str | None = None,
    task_status: trio.TaskStatus[list[str]] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve `app` until `shutdown` happens, then drain for at most `grace_s` and return.

    `listen` takes what Hypercorn's `bind` takes: "host:port" (port 0 picks one), "[::1]:port",
    "unix:PATH", "fd://N". With `certfile` and `keyfile` all of it is TLS, by Hypercorn's loop.
    Reports the URLs bound through `task_status`, when the application has started and
    connections are accepted. Addresses are bound before the application starts.
    At shutdown listening stops, idle connections close at once, busy ones after their response;
    what is left when the grace period ends, or when this call is cancelled, is reset.

    Raises OSError when an address cannot be bound, and what Hypercorn raises (in an exception
    group) when the application's lifespan start-up fails.
    """
    config = _configure(listen, limits, certfile, keyfile)
    wrapped = ASGIWrapper(cast("ASGIFramework", app))
    state: LifespanState = {}
    lifespan = Lifespan(wrapped, config, state)
    with contextlib.ExitStack() as stack:
        sockets = config.create_sockets()
        for sock in (*sockets.insecure_sockets, *sockets.secure_sockets):
            stack.callback(sock.close)
        async with trio.open_nursery() as lifespan_nursery:
            await lifespan_nursery.start(lifespan.handle_lifespan)
            await lifespan.wait_for_startup()
            server = _Server(app, wrapped, config, limits, state)
            await server.run(sockets, shutdown, grace_s, task_status)
            await lifespan.wait_for_shutdown()
            lifespan_nursery.cancel_scope.cancel()


def install_connection_loop(limits: ConnectionLimits = DEFAULT_LIMITS) -> None:
    """Make `hypercorn -k trio` use our connection loop; call it as the ASGI module is imported.

    Every Hypercorn worker imports that module before it serves. Its `worker_serve` names the
    class for connections as a global of `hypercorn.trio.run` and offers no setting for it, so
    replacing that global is the only way in; everything else of Hypercorn stays as it is. Without
    this call its own loop serves the same application.
    """

    class LimitedTCPServer(TCPServer):
        """Our loop with the limits given."""

    LimitedTCPServer.limits = limits
    hypercorn.trio.run.TCPServer = LimitedTCPServer  # type: ignore[attr-defined, assignment]


def _configure(
    listen: list[str], limits: ConnectionLimits, certfile: str | None, keyfile: str | None
) -> Config:
    config = Config()
    config.bind = listen
    config.certfile = certfile
    config.keyfile = keyfile
    # All below is for TLS, which Hypercorn serves. S3 speaks HTTP/1.1 only; offered HTTP/2, Go
    # clients would take it.
    config.alpn_protocols = ["http/1.1"]
    config.include_server_header = False
    # Recovery may take long after a crash, and closing waits for what is being written.
    config.startup_timeout = STARTUP_LIMIT_S
    config.shutdown_timeout = SHUTDOWN_LIMIT_S
    config.keep_alive_timeout = int(limits.idle_s)
    config.keep_alive_max_requests = 2**31
    config.h11_max_incomplete_size = limits.head_size_bytes
    return config


class _Server:
    """One call of `serve_http()`: accepts connections and sees them off."""

    def __init__(
        self,
        app: AsgiApp,
        wrapped: AppWrapper,
        config: Config,
        limits: ConnectionLimits,
        state: LifespanState,
    ) -> None:
        self._app = app
        self._wrapped = wrapped
        self._config = config
        self._state = state
        self._pool = ConnectionPool(limits)
        self._context = WorkerContext(None)
        self._secure_streams: set[SecureStream] = set()

    async def run(
        self,
        sockets: Sockets,
        shutdown: Waitable,
        grace_s: float,
        task_status: trio.TaskStatus[list[str]],
    ) -> None:
        listeners, urls = self._listen(sockets)
        async with trio.open_nursery() as supervision:
            supervision.start_soon(self._pool.supervise, shutdown.wait)
            async with trio.open_nursery() as connections:
                async with trio.open_nursery() as accepting:
                    serve = partial(trio.serve_listeners, handler_nursery=connections)
                    accepting.start_soon(serve, self._serve_stream, listeners)
                    task_status.started(urls)
                    await shutdown.wait()
                    accepting.cancel_scope.cancel()
                await self._context.terminated.set()
                connections.cancel_scope.deadline = trio.current_time() + grace_s
                supervision.start_soon(self._cut_secure_streams_after, grace_s)
            supervision.cancel_scope.cancel()

    def _listen(self, sockets: Sockets) -> tuple[list[Listener], list[str]]:
        listeners: list[Listener] = []
        urls: list[str] = []
        tls = self._config.create_ssl_context()
        for scheme, group in (
            ("http", sockets.insecure_sockets),
            ("https", sockets.secure_sockets),
        ):
            for sock in group:
                sock.listen(BACKLOG)
                listener = trio.SocketListener(trio.socket.from_stdlib_socket(sock))
                if scheme == "https":
                    assert tls is not None
                    listeners.append(trio.SSLListener(listener, tls, https_compatible=True))
                else:
                    listeners.append(listener)
                urls.append(f"{scheme}://{repr_socket_addr(sock.family, sock.getsockname())}")
        return listeners, urls

    async def _serve_stream(self, stream: trio.SocketStream | SecureStream) -> None:
        if isinstance(stream, trio.SSLStream):
            await self._serve_secure(stream)
        else:
            state = dict(self._state)
            await Connection(self._app, take_socket(stream), self._pool, state).serve()

    async def _serve_secure(self, stream: SecureStream) -> None:
        self._secure_streams.add(stream)
        state = ConnectionState(self._state.copy())
        try:
            await HypercornTCPServer(self._wrapped, self._config, self._context, state, stream)
        except* Exception as group:
            logger.error("A TLS connection failed", exc_info=group)
        finally:
            self._secure_streams.discard(stream)

    async def _cut_secure_streams_after(self, grace_s: float) -> None:
        """Hypercorn shields its sends from cancellation, so a client that has stopped reading
        would keep us from stopping: closing the socket under it is what ends them."""
        await trio.sleep(grace_s)
        for stream in tuple(self._secure_streams):
            stream.transport_stream.socket.close()
