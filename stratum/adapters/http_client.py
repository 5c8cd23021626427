"""A small HTTP/1.1 client on Trio: one origin, pooled connections, every wait limited.

What it leaves out on purpose: redirects, cookies, compression, proxies.
"""

from __future__ import annotations

import ssl
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

import h11
import trio

from stratum.adapters.http_connection import Body, HttpConnection, HttpFailed, Timeouts, Upload
from stratum.domain.errors import InvalidConfig
from stratum.ports import Buffer

CONNECTIONS_MAX = 16
_IDEMPOTENT = frozenset(("GET", "HEAD", "PUT", "DELETE"))

Connect = Callable[[], Awaitable[trio.abc.Stream]]


@dataclass(frozen=True)
class Origin:
    """Scheme, host and port of a server."""

    scheme: str
    host: str
    port: int

    @property
    def authority(self) -> str:
        """As the Host header and a URL have it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        default = {"http": 80, "https": 443}[self.scheme]
        return host if self.port == default else f"{host}:{self.port}"

    def __str__(self) -> str:
        return f"{self.scheme}://{self.authority}"

    @staticmethod
    def parse(url: str) -> Origin:
        """Of `http[s]://host[:port]`; raise InvalidConfig."""
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:
            raise InvalidConfig(f"not an endpoint URL: {url!r}") from None
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise InvalidConfig(f"an endpoint begins with http:// or https://, not {url!r}")
        if parts.path.strip("/") or parts.query or parts.fragment or parts.username:
            raise InvalidConfig(f"an endpoint has no path, query or user: {url!r}")
        return Origin(
            parts.scheme, parts.hostname, port or (443 if parts.scheme == "https" else 80)
        )


class HttpClient:
    """Sends requests to one origin over at most `connections_max` connections.

    `connect` replaces making a connection, `ssl_context` the system's certificate authorities.
    """

    def __init__(
        self,
        origin: Origin,
        *,
        timeouts: Timeouts = Timeouts(),  # noqa: B008  (a frozen value)
        connections_max: int = CONNECTIONS_MAX,
        ssl_context: ssl.SSLContext | None = None,
        connect: Connect | None = None,
    ) -> None:
        self.origin = origin
        self.timeouts = timeouts
        self._slots = trio.Semaphore(connections_max)
        self._idle: list[HttpConnection] = []
        self._ssl_context = ssl_context
        self._connect = connect or self._connect_origin

    async def send(
        self, method: str, target: str, headers: Mapping[str, str], body: Body = b""
    ) -> HttpResponse:
        """Send a request and return with the head of its answer, which the caller must `aclose`.

        Waits for a free connection. A connection that turns out to have been closed while idle is
        replaced without notice, unless some of the body was taken or the method is POST (RFC 9110
        §9.2.2). Raises HttpFailed.
        """
        await self._slots.acquire()
        try:
            connection = await self._take_idle()
            if connection is not None:
                try:
                    return await self._exchange(connection, method, target, headers, body)
                except HttpFailed as failure:
                    taken = isinstance(body, Upload) and body.taken
                    if not failure.broken or taken or method not in _IDEMPOTENT:
                        raise
            connection = HttpConnection(await self._new_stream(), self.timeouts)
            return await self._exchange(connection, method, target, headers, body)
        except BaseException:
            self._slots.release()
            raise

    async def aclose(self) -> None:
        """Close the idle connections. Those in use close when their answers are done with."""
        while self._idle:
            await self._idle.pop().aclose()

    async def _exchange(
        self,
        connection: HttpConnection,
        method: str,
        target: str,
        headers: Mapping[str, str],
        body: Body,
    ) -> HttpResponse:
        try:
            head = await connection.exchange(method, target, headers, body)
        except BaseException:
            await connection.aclose()
            raise
        return HttpResponse(head, connection, self._release)

    async def _release(self, connection: HttpConnection) -> None:
        """Take a connection back whose answer is done with, for reuse if it can be."""
        self._slots.release()
        if connection.ready_for_next():
            self._idle.append(connection)
        else:
            await connection.aclose()

    async def _take_idle(self) -> HttpConnection | None:
        while self._idle:
            connection = self._idle.pop()
            if connection.looks_alive():
                return connection
            await connection.aclose()
        return None

    async def _new_stream(self) -> trio.abc.Stream:
        try:
            with trio.fail_after(self.timeouts.connect_s):
                return await self._connect()
        except trio.TooSlowError:
            text = f"no connection to {self.origin} within {self.timeouts.connect_s:g} s"
            raise HttpFailed(text) from None
        except (OSError, trio.BrokenResourceError) as error:
            why = error.__cause__ or error
            raise HttpFailed(f"no connection to {self.origin}: {why}") from error

    async def _connect_origin(self) -> trio.abc.Stream:
        if self.origin.scheme == "http":
            return await trio.open_tcp_stream(self.origin.host, self.origin.port)
        if self._ssl_context is None:
            self._ssl_context = ssl.create_default_context()
        stream = await trio.open_ssl_over_tcp_stream(
            self.origin.host,
            self.origin.port,
            https_compatible=True,
            ssl_context=self._ssl_context,
        )
        try:
            await stream.do_handshake()
        except BaseException:
            await trio.aclose_forcefully(stream)
            raise
        return stream


class HttpResponse:
    """An answer whose body may still be under way."""

    def __init__(
        self,
        head: h11.Response,
        connection: HttpConnection,
        release: Callable[[HttpConnection], Awaitable[None]],
    ) -> None:
        self.status = head.status_code
        self.headers = {
            name.decode("ascii"): value.decode("latin-1") for name, value in head.headers
        }
        """By name in lower case."""
        self._connection = connection
        self._release = release
        self._closed = False

    async def read_some(self) -> Buffer:
        """The next bytes of the body, empty at its end. Raises HttpFailed, also for a body that
        ends before its announced length."""
        return await self._connection.receive_body()

    async def read_all(self, size_max_bytes: int) -> bytes:
        """The whole body. Raises HttpFailed, also if it is longer than `size_max_bytes`."""
        body = bytearray()
        while piece := await self.read_some():
            body += piece
            if len(body) > size_max_bytes:
                raise HttpFailed(f"an answer of more than {size_max_bytes} bytes")
        return bytes(body)

    async def aclose(self) -> None:
        """Idempotent. Before the end of the body this costs the connection."""
        if not self._closed:
            self._closed = True
            await self._release(self._connection)
