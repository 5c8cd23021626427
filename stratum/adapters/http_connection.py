"""One HTTP/1.1 connection of a client: h11 knows the protocol, this does the I/O.

Time limits are per wait, not per request: a large body may take as long as it keeps moving.
"""

from __future__ import annotations

import select
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping
from contextlib import aclosing
from dataclasses import dataclass

import h11
import trio

from stratum.ports import Buffer

IDLE_MAX_S = 15.0
"""Common servers close a silent connection after 5 s (Apache) to 75 s (nginx); looking at it
before reuse catches what this does not."""
SEND_PIECE_SIZE_BYTES = 256 * 1024
"""The stall limit is for one piece: a large buffer on a slow line is progress, not a stall."""
RECEIVE_SIZE_BYTES = 256 * 1024


@dataclass(frozen=True)
class Timeouts:
    """How long to wait, in seconds."""

    connect_s: float = 10.0
    """For a connection, TLS handshake included."""
    continue_s: float = 1.0
    """For `100 Continue`, before the body is sent without it (RFC 9110 §10.1.1)."""
    first_byte_s: float = 60.0
    """From the end of the request to the whole head of the answer."""
    stall_s: float = 30.0
    """For the next bytes of a body to be taken, or to arrive."""
    late_answer_s: float = 2.0
    """For the answer of a server that stopped taking the body."""


class HttpFailed(Exception):
    """No answer, or not all of it. `broken`: the connection was closed, reset or garbled before
    any part of an answer arrived, as happens to one that had been idle for too long."""

    def __init__(self, message: str, *, broken: bool = False) -> None:
        super().__init__(message)
        self.broken = broken


class _PeerStoppedReading(HttpFailed):
    """The body could not be sent to its end."""


class Upload:
    """A body that can be sent once. `taken` tells whether any of it has been asked for."""

    def __init__(self, size_bytes: int, source: AsyncIterator[Buffer]) -> None:
        self.size_bytes = size_bytes
        self.taken = False
        self._source = source

    async def pieces(self) -> AsyncGenerator[memoryview, None]:
        """Exactly `size_bytes` bytes in pieces of limited size. Raises HttpFailed if the source
        has more or fewer, before the last piece, and whatever the source raises."""
        self.taken = True
        left = self.size_bytes
        last = b""
        async for buffer in self._source:
            view = memoryview(buffer).cast("B")
            left -= len(view)
            if left < 0:
                break
            pieces = list(_split(view))
            if pieces and not left:
                # Kept back, so that a source with too many bytes never makes a complete object.
                last = bytes(pieces.pop())
            for piece in pieces:
                yield piece
        if left:
            raise HttpFailed(f"the bytes to send are not {self.size_bytes} as announced")
        yield memoryview(last)


Body = Buffer | Upload
"""What a request sends: bytes, which can be sent again, or an upload."""


class HttpConnection:
    """One connection and the state of the exchange on it."""

    def __init__(self, stream: trio.abc.Stream, timeouts: Timeouts) -> None:
        self._stream = stream
        self._timeouts = timeouts
        self._protocol = h11.Connection(h11.CLIENT)
        self._answering = False
        self._idle_since_s = 0.0

    async def exchange(
        self, method: str, target: str, headers: Mapping[str, str], body: Body
    ) -> h11.Response:
        """Send a request; return the head of the final answer. Raises HttpFailed."""
        self._answering = False
        fields = dict(headers)
        size_bytes = body.size_bytes if isinstance(body, Upload) else memoryview(body).nbytes
        if size_bytes or method in ("PUT", "POST"):
            fields["content-length"] = str(size_bytes)
        if isinstance(body, Upload) and size_bytes:
            # A refusal, or a connection closed meanwhile, then costs none of the body.
            fields["expect"] = "100-continue"
        try:
            await self._send(h11.Request(method=method, target=target, headers=[*fields.items()]))
            if "expect" in fields and (refusal := await self._await_continue()):
                return refusal
            await self._send_body(body)
        except _PeerStoppedReading as stopped:
            # It may have said why.
            if answer := await self._late_answer():
                return answer
            raise HttpFailed(str(stopped), broken=stopped.broken) from stopped
        with trio.move_on_after(self._timeouts.first_byte_s):
            return await self._receive_head()
        raise HttpFailed(f"no answer within {self._timeouts.first_byte_s:g} s")

    async def receive_body(self) -> Buffer:
        """The next bytes of the answer's body, empty at its end. Raises HttpFailed, also if the
        connection ends before the body does."""
        if self._protocol.their_state is not h11.SEND_BODY:
            return b""
        with trio.move_on_after(self._timeouts.stall_s):
            event = await self._next_event()
            return event.data if isinstance(event, h11.Data) else b""
        raise HttpFailed(f"no more of the answer within {self._timeouts.stall_s:g} s")

    def ready_for_next(self) -> bool:
        """Whether another request may follow; if so, the connection is idle from now on."""
        protocol = self._protocol
        try:
            if protocol.their_state is h11.SEND_BODY:
                protocol.next_event()  # The end of the body, unless there is more of it.
        except h11.RemoteProtocolError:
            return False
        if not (protocol.our_state is h11.DONE and protocol.their_state is h11.DONE):
            return False
        if protocol.trailing_data[0]:
            return False  # Whose answer would that be?
        protocol.start_next_cycle()
        self._idle_since_s = trio.current_time()
        return True

    def looks_alive(self) -> bool:
        """False if idle for too long, or if there is something to read: the end, or garbage."""
        if trio.current_time() - self._idle_since_s > IDLE_MAX_S:
            return False
        stream = self._stream
        if isinstance(stream, trio.SSLStream):
            stream = stream.transport_stream
        if not isinstance(stream, trio.SocketStream):
            return True
        poll = select.poll()
        poll.register(stream.socket.fileno(), select.POLLIN)
        return not poll.poll(0)

    async def aclose(self) -> None:
        """At once, whatever is under way; does not raise Cancelled in place of another error."""
        with trio.CancelScope(shield=True):
            await trio.aclose_forcefully(self._stream)

    # -- inside ---------------------------------------------------------------------------------
    async def _send(self, event: h11.Event) -> None:
        stall_s = self._timeouts.stall_s
        for piece in self._protocol.send_with_data_passthrough(event) or ():
            sent = False
            try:
                with trio.move_on_after(stall_s):
                    await self._stream.send_all(piece)
                    sent = True
            except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
                raise _PeerStoppedReading("the connection was closed", broken=True) from error
            if not sent:
                raise _PeerStoppedReading(f"no more of the request taken within {stall_s:g} s")

    async def _send_body(self, body: Body) -> None:
        if isinstance(body, Upload):
            async with aclosing(body.pieces()) as pieces:
                async for piece in pieces:
                    await self._send_data(piece)
        else:
            for piece in _split(memoryview(body).cast("B")):
                await self._send_data(piece)
        await self._send(h11.EndOfMessage())

    async def _send_data(self, piece: memoryview) -> None:
        # h11 takes any bytes-like object and hands it on uncopied.
        await self._send(h11.Data(data=piece))  # type: ignore[arg-type]

    async def _await_continue(self) -> h11.Response | None:
        """None if the body is to be sent, or the answer that makes it unnecessary."""
        with trio.move_on_after(self._timeouts.continue_s):
            while not isinstance(event := await self._next_event(), h11.Response):
                if isinstance(event, h11.InformationalResponse) and event.status_code == 100:
                    return None
            return event
        return None

    async def _late_answer(self) -> h11.Response | None:
        self._protocol.send_failed()
        try:
            with trio.move_on_after(self._timeouts.late_answer_s):
                return await self._receive_head()
        except HttpFailed:
            pass
        return None

    async def _receive_head(self) -> h11.Response:
        while not isinstance(event := await self._next_event(), h11.Response):
            pass  # 100 Continue that came late, and other interim answers.
        return event

    async def _next_event(self) -> h11.Event:
        try:
            while (event := self._protocol.next_event()) is h11.NEED_DATA:
                data = await self._stream.receive_some(RECEIVE_SIZE_BYTES)
                self._answering = self._answering or bool(data)
                self._protocol.receive_data(bytes(data))
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            raise HttpFailed("the connection was lost", broken=not self._answering) from error
        except h11.RemoteProtocolError as error:
            text = f"the answer is malformed or incomplete: {error}"
            raise HttpFailed(text, broken=not self._answering) from error
        assert isinstance(event, h11.Event), "h11 pauses only between two exchanges"
        return event


def _split(view: memoryview) -> Iterator[memoryview]:
    for start in range(0, len(view), SEND_PIECE_SIZE_BYTES):
        yield view[start : start + SEND_PIECE_SIZE_BYTES]
