"""A server that does what a test's script says, over memory streams or a loopback socket."""

import ssl
from dataclasses import dataclass

import trio
import trio.testing


@dataclass
class Received:
    """One request as it came."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes = b""


class ServerEnd:
    """The server's end of one connection."""

    def __init__(self, stream):
        self._stream = stream
        self._buffer = b""

    async def head(self):
        """The next request's head, its body not read. None at the end of the connection."""
        while b"\r\n\r\n" not in self._buffer:
            if not (data := await self._stream.receive_some()):
                return None
            self._buffer += data
        head, _, self._buffer = self._buffer.partition(b"\r\n\r\n")
        request_line, *lines = head.decode("ascii").split("\r\n")
        method, target, _ = request_line.split(" ")
        headers = {}
        for line in lines:
            name, _, value = line.partition(":")
            headers[name.lower()] = value.strip()
        return Received(method, target, headers)

    async def request(self):
        """The next request with its body; asks for one that waits for `100 Continue`."""
        received = await self.head()
        assert received is not None, "the client closed the connection"
        if "expect" in received.headers:
            await self.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        received.body = await self.body(int(received.headers.get("content-length", 0)))
        return received

    async def body(self, length):
        while len(self._buffer) < length:
            data = await self._stream.receive_some()
            assert data, "the client sent less than it announced"
            self._buffer += data
        body, self._buffer = self._buffer[:length], self._buffer[length:]
        return body

    async def send(self, data):
        await self._stream.send_all(data)

    async def answer(self, status, body=b"", **headers):
        """A whole answer; `content_length=` may lie."""
        headers = {"content_length": len(body), **headers}
        lines = [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        head = "\r\n".join([f"HTTP/1.1 {status} Status", *lines])
        await self.send(head.encode() + b"\r\n\r\n" + body)

    async def error(self, status, code):
        await self.answer(
            status, f"<Error><Code>{code}</Code><Message>because</Message></Error>".encode()
        )

    async def close(self):
        await self._stream.aclose()


class ScriptedServer:
    """Runs one script per connection, in order; the next connection is refused."""

    def __init__(self, nursery, *scripts):
        self._nursery = nursery
        self._scripts = list(scripts)
        self.connections = 0

    async def connect(self):
        """For the client: a new connection in memory."""
        self.connections += 1
        if not self._scripts:
            raise OSError("connection refused")
        ours, theirs = trio.testing.memory_stream_pair()
        self._nursery.start_soon(self._run, self._scripts.pop(0), theirs)
        return ours

    async def listen(self, ssl_context: ssl.SSLContext | None = None):
        """Serve on a loopback port as well; returns its number."""

        async def handle(stream):
            self.connections += 1
            script = self._scripts.pop(0)
            if ssl_context is not None:
                stream = trio.SSLStream(
                    stream, ssl_context, server_side=True, https_compatible=True
                )
            try:
                await self._run(script, stream)
            except trio.BrokenResourceError:
                return

        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        self._nursery.start_soon(trio.serve_listeners, handle, listeners)
        return listeners[0].socket.getsockname()[1]

    async def _run(self, script, stream):
        async with stream:
            await script(ServerEnd(stream))
