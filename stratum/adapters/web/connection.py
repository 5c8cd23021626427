"""The HTTP/1.1 connection loop, in the place of Hypercorn's for plain TCP.

The application runs in the connection's own task and pulls the body from the socket, so it feels
back-pressure both ways; only the head goes through a parser. Against Hypercorn's loop (a task, a
channel and three sends per request) that is worth a factor of fifteen in CPU per small request.
"""

from __future__ import annotations

import contextlib
import logging
import socket
from collections.abc import Generator
from math import inf
from typing import Any
from urllib.parse import unquote
from weakref import WeakKeyDictionary

import trio
from hypercorn.app_wrappers import ASGIWrapper
from hypercorn.config import Config
from hypercorn.trio.tcp_server import TCPServer as HypercornTCPServer
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import AppWrapper, LifespanState
from hypercorn.utils import parse_socket_addr

from stratum.adapters.web.asgi_types import AsgiApp, Receive, Scope, Send
from stratum.adapters.web.connection_pool import ConnectionPool
from stratum.adapters.web.exchange import Exchange
from stratum.adapters.web.http_errors import ClientDisconnected, RequestRefused
from stratum.adapters.web.limits import ConnectionLimits
from stratum.adapters.web.request_head import HeadReader, RequestHead, parse_head
from stratum.adapters.web.response_head import render_refusal
from stratum.adapters.web.transport import SocketTransport

HEAD_RECV_SIZE_BYTES = 64 * 1024

logger = logging.getLogger(__name__)


class Connection:
    """Serves the requests of one client one after the other until either side has enough.

    Takes ownership of `sock`, a connected non-blocking stream socket. No exception of the
    application or of the network leaves `serve()`.
    """

    def __init__(
        self,
        app: AsgiApp,
        sock: socket.socket,
        pool: ConnectionPool,
        state: dict[str, Any] | None = None,
        root_path: str = "",
    ) -> None:
        self._app = app
        self._pool = pool
        self._limits = pool.limits
        limits = pool.limits
        self._transport = SocketTransport(
            sock, limits.stall_s, limits.slow_s, limits.rate_min_bytes_per_s
        )
        self._state = state or {}
        self._root_path = root_path
        self._server = parse_socket_addr(sock.family, sock.getsockname())
        self._client: tuple[str, int] | None = None
        with contextlib.suppress(OSError):  # gone already
            self._client = parse_socket_addr(sock.family, sock.getpeername())

    async def serve(self) -> None:
        """Returns when the connection is closed. Cancelled, it resets the connection."""
        transport, pool = self._transport, self._pool
        is_full = pool.is_full
        if is_full and pool.is_overrun:
            transport.abort()
            transport.close()
            return
        with pool.holding(transport, is_refused=is_full):
            try:
                if is_full:
                    raise RequestRefused("Please reduce your request rate", 503, "SlowDown")
                while (head := await self._next_head()) and await self._serve_request(head):
                    pass
            except RequestRefused as refused:
                await self._refuse(refused)
            except ClientDisconnected:
                transport.abort()
            except BaseException:
                transport.abort()
                raise

    async def _next_head(self) -> RequestHead | None:
        """The next request, or None when there will be none.

        Raises `RequestRefused` when what comes is not acceptable or takes too long.
        """
        transport, limits = self._transport, self._limits
        reader = HeadReader(limits.head_size_bytes)
        data = transport.take_all()
        if data:
            await trio.lowlevel.checkpoint()  # a pipelining client must not starve the others
        elif self._pool.is_draining():
            return None
        else:
            transport.read_deadline = trio.current_time() + limits.idle_s
            transport.idle = True
            data = await transport.recv_patiently(HEAD_RECV_SIZE_BYTES)
            transport.idle = False
            if transport.expired or not data:
                return None
        transport.read_deadline = trio.current_time() + limits.head_s
        while (parts := reader.feed(data)) is None:
            data = await transport.recv_patiently(HEAD_RECV_SIZE_BYTES)
            if transport.expired:
                raise RequestRefused("The request took too long", 408, "RequestTimeout")
            if not data:
                return None
        transport.read_deadline = inf
        raw_head, rest = parts
        transport.unread(rest)
        return parse_head(raw_head, limits.header_count)

    async def _serve_request(self, head: RequestHead) -> bool:
        """Run the application for one request; whether the connection can take another.

        Raises `RequestRefused` when the answer has to be ours, `ClientDisconnected` when nobody
        can be answered or only a truncated response was.
        """
        transport, limits = self._transport, self._limits
        transport.begin_request()
        exchange = Exchange(head, transport, limits, self._pool.is_draining)
        has_failed = is_gone = False
        try:
            await self._app(self._scope(head), exchange.receive, exchange.send)
        except* ClientDisconnected:
            is_gone = True
        except* Exception as group:
            has_failed = True
            error = group.exceptions[0] if len(group.exceptions) == 1 else group
            logger.error("The application failed on a %s request", head.method, exc_info=error)
        finally:
            exchange.hang_up()
        if is_gone:
            raise ClientDisconnected("the client left during the response")
        if not exchange.completed:
            if not has_failed and exchange.is_body_intact:
                logger.error("The application ended without a complete response")
            raise exchange.failure(has_failed=has_failed)
        if exchange.is_reusable and (not exchange.has_unread_body or await exchange.discard_body()):
            return True
        if exchange.has_unread_body or transport.has_unread_bytes():
            await transport.linger(limits.linger_s)
        return False

    async def _refuse(self, refused: RequestRefused) -> None:
        """Answer in our own name, then close so that the answer arrives."""
        with contextlib.suppress(ClientDisconnected):
            await self._transport.send((render_refusal(refused),))
        await self._transport.linger(self._limits.linger_s)

    def _scope(self, head: RequestHead) -> Scope:
        path = head.path.decode("ascii")
        return {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.4"},
            "http_version": head.http_version,
            "method": head.method,
            "scheme": "http",
            "path": unquote(path) if "%" in path else path,
            "raw_path": head.path,
            "query_string": head.query,
            "root_path": self._root_path,
            "headers": head.headers,
            "client": self._client,
            "server": self._server,
            "state": self._state.copy(),
            "extensions": {"stratum.connection": {}},
        }


class TCPServer:
    """Takes the place of `hypercorn.trio.tcp_server.TCPServer`: same constructor, awaitable.

    Plain TCP runs our loop. TLS, and HTTP/2 with it, is Hypercorn's own affair. Of Hypercorn's
    configuration our loop honours `root_path`; its limits are `ConnectionLimits`.
    """

    limits = ConnectionLimits()

    def __init__(
        self,
        app: AppWrapper,
        config: Config,
        context: WorkerContext,
        state: LifespanState,
        stream: trio.SocketStream | trio.SSLStream[trio.SocketStream],
    ) -> None:
        self._app = app
        self._config = config
        self._context = context
        self._state = state
        self._stream = stream

    def __await__(self) -> Generator[Any, Any, None]:
        return self.run().__await__()

    async def run(self) -> None:
        """Serve the connection until it is closed."""
        if isinstance(self._stream, trio.SSLStream):
            await HypercornTCPServer(
                self._app, self._config, self._context, self._state, self._stream
            )
            return
        pool = _pools.get(self._context)
        if pool is None:
            pool = _pools[self._context] = ConnectionPool(self.limits)
            # Hypercorn has no place for a task of ours; a system task ends with its Trio run.
            trio.lowlevel.spawn_system_task(pool.supervise, self._context.terminated.wait)
        sock = take_socket(self._stream)
        app = _plain_asgi(self._app)
        await Connection(app, sock, pool, dict(self._state), self._config.root_path).serve()


_pools: WeakKeyDictionary[WorkerContext, ConnectionPool] = WeakKeyDictionary()


def take_socket(stream: trio.SocketStream) -> socket.socket:
    """The non-blocking socket of `stream`, which is left closed."""
    taken = stream.socket
    family, kind, protocol = taken.family, taken.type, taken.proto
    sock = socket.socket(family, kind, protocol, fileno=taken.detach())
    sock.setblocking(False)
    return sock


def _plain_asgi(app: AppWrapper) -> AsgiApp:
    """What Hypercorn has wrapped, or (WSGI) the wrapper with its two extra arguments."""
    wrapped: Any = app
    if isinstance(app, ASGIWrapper):
        inner: AsgiApp = wrapped.app
        return inner

    async def call(scope: Scope, receive: Receive, send: Send) -> None:
        await wrapped(scope, receive, send, trio.to_thread.run_sync, trio.from_thread.run)

    return call
