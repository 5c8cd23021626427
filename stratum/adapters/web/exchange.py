"""One request and its response: the `receive` and `send` that an ASGI application is given."""

from __future__ import annotations

from collections.abc import Callable

import trio

from stratum.adapters.web.asgi_types import Message
from stratum.adapters.web.http_errors import ClientDisconnected, RequestRefused
from stratum.adapters.web.limits import ConnectionLimits
from stratum.adapters.web.request_head import RequestHead
from stratum.adapters.web.response_head import (
    CONTINUE,
    ResponseHead,
    render_head,
)
from stratum.adapters.web.transfer_coding import ChunkedDecoder
from stratum.adapters.web.transport import RECV_SIZE_BYTES, Buffer, SocketTransport

# Smaller than the receive size for plain bodies: a client can make every byte a chunk.
CHUNKED_RECV_SIZE_BYTES = 64 * 1024
READ_AHEAD_BYTES = 64 * 1024  # of pipelined requests, while an application awaits a disconnect


class Exchange:
    """Pulls the request body from the socket as the application asks, sends what it answers.

    `started` says that the first byte of the response is out, `completed` that the last is;
    `refused` holds the reason when the body turned out to be no valid HTTP: unless the response
    has started by then, what the application answers is dropped for a 400 of ours.
    """

    __slots__ = (
        "_continue_due",
        "_decoder",
        "_delivered",
        "_ended",
        "_head",
        "_is_draining",
        "_keep_alive",
        "_left_to_read",
        "_left_to_send",
        "_limits",
        "_lost",
        "_response",
        "_transport",
        "completed",
        "refused",
        "started",
    )

    def __init__(
        self,
        head: RequestHead,
        transport: SocketTransport,
        limits: ConnectionLimits,
        is_draining: Callable[[], bool],
    ) -> None:
        self._head = head
        self._transport = transport
        self._limits = limits
        self._is_draining = is_draining
        self._decoder = ChunkedDecoder() if head.body_length is None else None
        self._left_to_read = head.body_length or 0
        # An empty body, too: botocore takes a final answer in the place of 100 for that of the
        # next request as well, unless the connection closes.
        self._continue_due = head.expects_continue
        self._delivered = False  # the application has seen the end of the body
        self._lost = False  # the rest of the body will never come
        self._ended: trio.Event | None = None
        self._response: ResponseHead | None = None
        self._left_to_send: int | None = None  # None: chunked, or delimited by the close
        self._keep_alive = False
        self.started = False
        self.completed = False
        self.refused: RequestRefused | None = None

    @property
    def has_unread_body(self) -> bool:
        return self._left_to_read > 0 or (self._decoder is not None and not self._decoder.finished)

    @property
    def is_body_intact(self) -> bool:
        """Whether the client has, as far as we have looked, sent what it announced."""
        return not self._lost

    @property
    def is_reusable(self) -> bool:
        """Whether another request may follow, once the rest of this one's body is discarded."""
        return self.completed and self._keep_alive and not self._lost

    def failure(self, *, has_failed: bool) -> RequestRefused | ClientDisconnected:
        """Why there is no complete response, as the exception that ends the connection rightly.

        `has_failed`: the application raised.
        """
        if self.started:
            return ClientDisconnected("only a truncated response can be had")
        if self.refused is not None:
            return self.refused
        if self._lost and not has_failed:
            message = "You did not provide the number of bytes specified by Content-Length"
            return RequestRefused(message, 400, "IncompleteBody")
        message = "We encountered an internal error. Please try again."
        return RequestRefused(message, 500, "InternalError")

    # -- request body ---------------------------------------------------------------------------
    async def receive(self) -> Message:
        """ASGI `receive`: the next piece of the body, then, once there is one, the disconnect.

        A client that vanishes, stalls or breaks the framing inside the body is a disconnect. One
        that only closes its sending side after the body is not: it still wants its answer.
        """
        if self.completed or self._lost:
            return {"type": "http.disconnect"}
        if self._delivered:
            await self._wait_until_gone()
            return {"type": "http.disconnect"}
        try:
            if self._continue_due:
                await self._send_continue()
            data = await self._read_body()
        except (ClientDisconnected, RequestRefused) as reason:
            self._lost = True
            self.refused = reason if isinstance(reason, RequestRefused) else None
            return {"type": "http.disconnect"}
        more = self.has_unread_body
        self._delivered = not more
        return {"type": "http.request", "body": data, "more_body": more}

    async def _send_continue(self) -> None:
        """`100 Continue`, unless the client did not wait for it (RFC 9110 section 10.1.1)."""
        self._continue_due = False
        if not self._transport.buffered_bytes:
            await self._transport.send((CONTINUE,))

    async def _read_body(self) -> bytes:
        """The next bytes of the body; empty only at its end.

        Raises `ClientDisconnected` when there are no more although there should be,
        `RequestRefused` on bad chunked framing.
        """
        transport, decoder = self._transport, self._decoder
        if decoder is None:
            limit = min(self._left_to_read, RECV_SIZE_BYTES)
            if not limit:
                return b""
            data = transport.take(limit) or await transport.recv(limit)
            if not data:
                raise ClientDisconnected("the request body ended early")
            self._left_to_read -= len(data)
            return data
        while not decoder.finished:
            limit = CHUNKED_RECV_SIZE_BYTES
            data = transport.take(limit) or await transport.recv(limit)
            if not data:
                raise ClientDisconnected("the request body ended early")
            payload, tail = decoder.feed(data)
            if tail is not None:
                transport.unread(tail)
            if payload:
                return payload
        return b""

    async def _wait_until_gone(self) -> None:
        """Until the response is complete or the client has reset the connection."""
        transport = self._transport
        try:
            while not transport.at_eof and transport.buffered_bytes < READ_AHEAD_BYTES:
                transport.append(await transport.recv_patiently(READ_AHEAD_BYTES))
        except ClientDisconnected:
            return
        if self._ended is None:
            self._ended = trio.Event()
        await self._ended.wait()

    async def discard_body(self) -> bool:
        """Read and drop the rest of the body; False when that takes too much or fails."""
        budget_bytes = self._limits.drain_size_bytes
        try:
            with trio.move_on_after(self._limits.linger_s):
                while budget_bytes >= 0:
                    data = await self._read_body()
                    if not data:
                        return True
                    budget_bytes -= len(data)
        except (ClientDisconnected, RequestRefused):
            pass
        return False

    # -- response -------------------------------------------------------------------------------
    async def send(self, message: Message) -> None:
        """ASGI `send`. The head leaves together with the first piece of the body.

        Raises `ClientDisconnected` when nobody listens any more, ValueError for headers that
        cannot be sent or a body that differs from its Content-Length, RuntimeError when messages
        come in the wrong order.
        """
        kind = message["type"]
        if kind == "http.response.start":
            self._start(message)
        elif kind == "http.response.body":
            await self._send_body(message.get("body", b""), message.get("more_body", False))
        else:
            raise RuntimeError(f"Unexpected ASGI message {kind}")

    def _start(self, message: Message) -> None:
        if self._response is not None:
            raise RuntimeError("The response was started twice")
        response = self._response = render_head(
            message["status"], message.get("headers", ()), method=self._head.method
        )
        if self._continue_due and not self._transport.buffered_bytes:
            # After a final answer instead of 100 the client may send its body or not, and only
            # closing the connection tells the two apart.
            self._lost = True
        self._keep_alive = not (
            response.asks_to_close
            or not self._head.keep_alive
            or self._left_to_read > self._limits.drain_size_bytes
            or self._lost
            or self._is_draining()
        )

    async def _send_body(self, body: Buffer, more: bool) -> None:
        response = self._response
        if response is None:
            raise RuntimeError("The response body came before its start")
        if self.completed:
            raise RuntimeError("The response is already complete")
        if isinstance(body, memoryview):
            body = body.cast("B")
        if self.refused is not None and not self.started:
            return  # our 400 takes its place
        pieces: list[Buffer] = []
        if not self.started:
            pieces.append(self._render_start(response, None if more else len(body)))
        elif more:
            await trio.lowlevel.checkpoint()  # a fast reader must not starve the others
        if response.has_body:
            self._frame(pieces, body, more)
        self.started = True
        if pieces:
            await self._transport.send(pieces)
        if not more:
            self._end()

    def _render_start(self, response: ResponseHead, whole_size_bytes: int | None) -> bytes:
        """The complete head; decides how the body is delimited (RFC 9112 section 6.3)."""
        is_http_10 = self._head.http_version == "1.0"
        framing = b""
        if response.has_body:
            self._left_to_send = response.length_bytes
            if response.length_bytes is None and whole_size_bytes is not None:
                self._left_to_send = whole_size_bytes
                framing = b"content-length: %d\r\n" % whole_size_bytes
            elif response.length_bytes is None and is_http_10:
                self._keep_alive = False  # no chunks there: the end of the connection ends it
            elif response.length_bytes is None:
                framing = b"transfer-encoding: chunked\r\n"
        if not self._keep_alive:
            framing += b"connection: close\r\n"
        elif is_http_10:
            framing += b"connection: keep-alive\r\n"
        return response.lines + framing + b"\r\n"

    def _frame(self, pieces: list[Buffer], body: Buffer, more: bool) -> None:
        """Append `body` to `pieces` as this response's framing wants it."""
        size_bytes = len(body)
        if self._left_to_send is not None:
            self._left_to_send -= size_bytes
            if self._left_to_send < 0 or (self._left_to_send and not more):
                raise ValueError("The response body differs from its Content-Length")
            if size_bytes:
                pieces.append(body)
        elif self._head.http_version == "1.0":
            if size_bytes:
                pieces.append(body)
        else:
            if size_bytes:
                pieces += (b"%x\r\n" % size_bytes, body, b"\r\n")
            if not more:
                pieces.append(b"0\r\n\r\n")

    def _end(self) -> None:
        self.completed = True
        self.hang_up()

    def hang_up(self) -> None:
        """Release a task that still waits in `receive()` for the client to go."""
        if self._ended is not None:
            self._ended.set()
