"""An HTTP/1.1 client that shows every byte, and connections served without a server."""

import socket
import struct
from contextlib import asynccontextmanager
from dataclasses import dataclass

import trio
from hypercorn.app_wrappers import ASGIWrapper
from hypercorn.config import Config
from hypercorn.trio.tcp_server import TCPServer as HypercornTCPServer
from hypercorn.trio.worker_context import WorkerContext

from stratum.adapters.web.connection import Connection
from stratum.adapters.web.connection_pool import ConnectionPool
from stratum.adapters.web.limits import ConnectionLimits

GET = b"GET /b/k HTTP/1.1\r\nHost: h\r\n\r\n"


def put(body=b"", *lines):
    """A PUT with Content-Length and further header `lines`."""
    length = b"Content-Length: %d" % len(body)
    return b"\r\n".join((b"PUT /b/k HTTP/1.1", b"Host: h", length, *lines, b"", body))


def put_chunked(*chunks):
    """A PUT with a chunked body."""
    head = b"PUT /b/k HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
    return head + b"".join(b"%x\r\n%b\r\n" % (len(c), c) for c in chunks) + b"0\r\n\r\n"


@dataclass(frozen=True)
class RawResponse:
    status: int
    headers: dict[bytes, bytes]
    body: bytes

    @property
    def closes(self):
        return self.headers.get(b"connection") == b"close"


class ConnectionCut(Exception):
    """The server closed in the middle of a response."""


class RawClient:
    """One end of a stream socket. Reads exactly one response at a time; refuses what is sloppy."""

    def __init__(self, sock):
        sock.setblocking(False)
        self.sock = trio.socket.from_stdlib_socket(sock)
        self.buffer = bytearray()

    async def send(self, data):
        view = memoryview(data)
        while view:
            view = view[await self.sock.send(view) :]

    async def request(self, data, method=b""):
        await self.send(data)
        return await self.response(method or data.split(b" ", 1)[0])

    async def response(self, method=b"GET"):
        """The next final response; raises ConnectionCut when it never comes or is truncated."""
        head = await self._until(b"\r\n\r\n")
        status_line, *lines = head[:-4].split(b"\r\n")
        version, status = status_line.split(b" ")[:2]
        assert version == b"HTTP/1.1"
        headers = {}
        for line in lines:
            name, _, value = line.partition(b": ")
            assert name.lower() not in headers, f"{name} twice"
            headers[name.lower()] = value
        code = int(status)
        if code == 100:
            return RawResponse(code, headers, b"")
        return RawResponse(code, headers, await self._body(method, code, headers))

    async def _body(self, method, code, headers):
        assert not (b"content-length" in headers and b"transfer-encoding" in headers)
        if method == b"HEAD" or code in (204, 304):
            return b""
        if b"content-length" in headers:
            return await self._exactly(int(headers[b"content-length"]))
        if b"transfer-encoding" in headers:
            body = b""
            while size := int((await self._until(b"\r\n"))[:-2], 16):
                body += await self._exactly(size)
                assert await self._exactly(2) == b"\r\n"
            assert await self._exactly(2) == b"\r\n"
            return body
        return await self.rest()

    async def _until(self, mark):
        while mark not in self.buffer:
            await self._more()
        return self._take(self.buffer.index(mark) + len(mark))

    async def _exactly(self, size):
        while len(self.buffer) < size:
            await self._more()
        return self._take(size)

    def _take(self, size):
        taken = bytes(self.buffer[:size])
        del self.buffer[:size]
        return taken

    async def _more(self):
        try:
            data = await self.sock.recv(1 << 20)
        except ConnectionResetError as error:
            raise ConnectionCut(f"reset after {self.buffer!r}") from error
        if not data:
            raise ConnectionCut(f"closed after {self.buffer!r}")
        self.buffer += data

    async def discard(self, size):
        """Read at least `size` bytes of whatever comes."""
        while size > 0:
            size -= len(await self.sock.recv(1 << 20))

    async def rest(self):
        """Everything until the server closes; a reset raises ConnectionResetError."""
        while data := await self.sock.recv(1 << 20):
            self.buffer += data
        return self._take(len(self.buffer))

    def half_close(self):
        self.sock.shutdown(socket.SHUT_WR)

    def reset(self):
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close()

    def close(self):
        self.sock.close()


def tcp_pair():
    """Two connected TCP sockets of this machine: (client's, server's)."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = socket.create_connection(listener.getsockname())
        server, _ = listener.accept()
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return client, server


class Serving:
    """Connections to one application, each in a task of its own, without a listener."""

    def __init__(self, nursery, app, limits, stock):
        self._nursery = nursery
        self._app = app
        self._stock = stock
        self._context = WorkerContext(None)
        self._clients = []
        self.pool = ConnectionPool(limits)
        self.connections_cancel_scope = nursery.cancel_scope

    def connect(self, pair=tcp_pair):
        """A new `RawClient`; its attribute `served` is set when the server is done with it."""
        mine, theirs = pair()
        client = RawClient(mine)
        client.served = trio.Event()
        self._clients.append(client)
        self._nursery.start_soon(self._serve, theirs, client.served)
        return client

    async def _serve(self, sock, served):
        sock.setblocking(False)
        try:
            if self._stock:
                stream = trio.SocketStream(trio.socket.from_stdlib_socket(sock))
                wrapped = ASGIWrapper(self._app)
                try:
                    await HypercornTCPServer(wrapped, Config(), self._context, {}, stream)
                finally:
                    await trio.aclose_forcefully(stream)
            else:
                await Connection(self._app, sock, self.pool, {"key": "value"}).serve()
        finally:
            served.set()

    def close(self):
        for client in self._clients:
            client.close()


@asynccontextmanager
async def serving(app, limits=None, *, stock=False):
    """Yields a `Serving`; what it serves is cancelled at the end of the block."""
    async with trio.open_nursery() as supervision:
        async with trio.open_nursery() as connections:
            server = Serving(connections, app, limits or ConnectionLimits(), stock)
            supervision.start_soon(server.pool.supervise, trio.sleep_forever)
            try:
                yield server
            finally:
                server.close()
                connections.cancel_scope.cancel()
        supervision.cancel_scope.cancel()


class Recorder:
    """An application that reads each request whole, remembers it and answers with its body."""

    def __init__(self):
        self.requests = []

    async def __call__(self, scope, receive, send):
        body = await read_body(receive)
        self.requests.append((scope, body))
        await answer(send, 200, body or b"")


async def read_body(receive):
    """The whole request body, None when the client left in the middle of it."""
    body = b""
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        body += message["body"]
        if not message["more_body"]:
            return body


async def answer(send, status, body=b"", headers=()):
    headers = [(b"content-length", b"%d" % len(body)), *headers]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
