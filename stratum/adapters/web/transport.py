"""A non-blocking socket for one HTTP/1.1 connection under Trio, with a buffer and stall clocks.

Nothing here opens a cancel scope in normal operation (one costs more than parsing a request).
A blocked read or write states its deadline in a field instead; a task that watches all
connections calls `expire()`, which shuts the socket down, and the blocked call returns.
"""

from __future__ import annotations

import contextlib
import socket
import struct
from collections.abc import Sequence
from math import inf

import trio

from stratum.adapters.web.http_errors import ClientDisconnected

RECV_SIZE_BYTES = 256 * 1024
COALESCE_SIZE_BYTES = 16 * 1024  # up to here copying is cheaper than a scattered send
# Trio sets 16 KiB, which wakes us up for every 16 KiB of a large response.
UNSENT_LOW_WATER_BYTES = 128 * 1024

_RESET_ON_CLOSE = struct.pack("ii", 1, 0)

Buffer = bytes | bytearray | memoryview


class _Drip:
    """How long one side of a request has kept us waiting, and how much came of it."""

    __slots__ = ("moved_bytes", "waited_s")

    def __init__(self) -> None:
        self.waited_s = 0.0
        self.moved_bytes = 0


class SocketTransport:
    """Owns `sock` (a connected, non-blocking stream socket).

    `recv()` and `send()` may run in two tasks at once, but each only in one. A cancelled `recv()`
    has lost nothing. A cancelled `send()` may have sent a part: every later one raises.
    """

    __slots__ = (
        "_broken",
        "_buffer",
        "_rate_min",
        "_reading",
        "_slow_s",
        "_sock",
        "_writing",
        "at_eof",
        "expired",
        "idle",
        "read_deadline",
        "stall_s",
        "write_deadline",
    )

    def __init__(
        self,
        sock: socket.socket,
        stall_s: float,
        slow_s: float = inf,
        rate_min_bytes_per_s: float = 0.0,
    ) -> None:
        self._sock = sock
        self._slow_s = slow_s
        self._rate_min = rate_min_bytes_per_s
        self._reading, self._writing = _Drip(), _Drip()
        self._buffer = b""
        self._broken = False
        self.at_eof = False
        self.expired = False
        self.idle = False  # waiting for a request of which nothing has come yet
        self.stall_s = stall_s
        self.read_deadline = inf
        self.write_deadline = inf
        if sock.family != socket.AF_UNIX:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if hasattr(socket, "TCP_NOTSENT_LOWAT"):
                with contextlib.suppress(OSError):
                    sock.setsockopt(
                        socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, UNSENT_LOW_WATER_BYTES
                    )

    def begin_request(self) -> None:
        """From here on the client is measured anew."""
        self._reading, self._writing = _Drip(), _Drip()

    def _waited(self, drip: _Drip, since: float, moved_bytes: int) -> None:
        """Raises `ClientDisconnected` if the client is too slow to be worth a connection."""
        drip.waited_s += trio.current_time() - since
        drip.moved_bytes += moved_bytes
        if drip.waited_s > self._slow_s and drip.moved_bytes < drip.waited_s * self._rate_min:
            raise ClientDisconnected("the client is too slow")

    # -- reading --------------------------------------------------------------------------------
    @property
    def buffered_bytes(self) -> int:
        return len(self._buffer)

    def has_unread_bytes(self) -> bool:
        """Whether anything has been received, here or in the kernel, that nobody has consumed."""
        if self._buffer:
            return True
        try:
            return bool(self._sock.recv(1, socket.MSG_PEEK))
        except OSError:  # nothing there, or reset
            return False

    def take(self, limit_bytes: int) -> bytes:
        """Up to `limit_bytes` of what was received before and not consumed; may be empty."""
        taken, self._buffer = self._buffer[:limit_bytes], self._buffer[limit_bytes:]
        return taken

    def take_all(self) -> bytes:
        """All that was received before and not consumed; may be empty."""
        taken, self._buffer = self._buffer, b""
        return taken

    def unread(self, data: bytes) -> None:
        """Put back what follows the part of the last data that was ours."""
        self._buffer = data + self._buffer

    def append(self, data: bytes) -> None:
        self._buffer += data

    async def recv(self, limit_bytes: int) -> bytes:
        """The next bytes from the socket; empty at the end of the stream or when expired.

        Always a checkpoint, and before the read: nothing is lost when it raises Cancelled.
        Sets `read_deadline` to `stall_s` from now each time it has to wait.
        Raises `ClientDisconnected` on a reset.
        """
        await trio.lowlevel.checkpoint()
        since: float | None = None
        while True:
            data = self._try_recv(limit_bytes)
            if data is not None:
                if since is not None and data:
                    self._waited(self._reading, since, len(data))
                else:
                    self._reading.moved_bytes += len(data)
                return data
            since = trio.current_time() if since is None else since
            self.read_deadline = trio.current_time() + self.stall_s
            try:
                await trio.lowlevel.wait_readable(self._sock)
            finally:
                self.read_deadline = inf

    async def recv_patiently(self, limit_bytes: int) -> bytes:
        """Like `recv()` with `read_deadline` as the caller has set it, and waiting first."""
        while True:
            await trio.lowlevel.wait_readable(self._sock)
            data = self._try_recv(limit_bytes)
            if data is not None:
                return data

    def _try_recv(self, limit_bytes: int) -> bytes | None:
        try:
            data = self._sock.recv(limit_bytes)
        except (BlockingIOError, InterruptedError):
            return None
        except OSError as error:
            self._broken = True
            raise ClientDisconnected("the client reset the connection") from error
        self.at_eof = not data
        return data

    # -- writing --------------------------------------------------------------------------------
    async def send(self, pieces: Sequence[Buffer]) -> None:
        """Send all of `pieces` in one system call where the socket takes them.

        Waits while the client does not read, at most `stall_s` without any progress.
        A checkpoint only when it has to wait. Raises `ClientDisconnected`.
        """
        if self._broken:
            raise ClientDisconnected("the connection is gone")
        total = sum(map(len, pieces))
        sent = self._try_send(pieces, total)
        if sent < total:
            await self._send_rest(pieces, sent)

    def _try_send(self, pieces: Sequence[Buffer], total: int) -> int:
        try:
            if total > COALESCE_SIZE_BYTES and len(pieces) > 1:
                return self._sock.sendmsg(pieces)
            return self._sock.send(b"".join(pieces) if len(pieces) > 1 else pieces[0])
        except (BlockingIOError, InterruptedError):
            return 0
        except OSError as error:
            self._broken = True
            raise ClientDisconnected("the client is gone") from error

    async def _send_rest(self, pieces: Sequence[Buffer], sent: int) -> None:
        self._broken = True  # until all is out: cancelled here, the rest would be missing
        for piece in pieces:
            view = memoryview(piece)
            skipped = min(sent, len(view))
            sent -= skipped
            view = view[skipped:]
            while view:
                since = trio.current_time()
                self.write_deadline = since + self.stall_s
                try:
                    await trio.lowlevel.wait_writable(self._sock)
                finally:
                    self.write_deadline = inf
                moved_bytes = self._try_send((view,), len(view))
                view = view[moved_bytes:]
                self._waited(self._writing, since, moved_bytes)
        self._broken = False

    # -- the end --------------------------------------------------------------------------------
    def expire(self, now: float) -> None:
        """Make a wait whose deadline has passed return; called by whoever watches."""
        if self.write_deadline <= now:
            self.expired = True
            self._shut_down(socket.SHUT_RDWR)
        elif self.read_deadline <= now:
            if self.idle:
                self.end_idling()
            else:
                self.expired = True
                self._shut_down(socket.SHUT_RD)

    def end_idling(self) -> None:
        """End the wait for a request, unless one has arrived: then it deserves its answer.

        What comes later is not read any more, so that its client can take it for not received.
        """
        if not self.has_unread_bytes():
            self.expired = True
            self._shut_down(socket.SHUT_RD)

    def _shut_down(self, how: int) -> None:
        with contextlib.suppress(OSError):
            self._sock.shutdown(how)

    async def linger(self, linger_s: float) -> None:
        """Send FIN and swallow what the client still sends, for at most `linger_s`.

        Closing with unread bytes makes the kernel send RST, and a client that is still sending
        its body would lose the answer (RFC 9112 section 9.6).
        """
        self._buffer = b""
        try:
            self._sock.shutdown(socket.SHUT_WR)
            with trio.move_on_after(linger_s):
                while await self.recv_patiently(RECV_SIZE_BYTES):
                    pass
        except OSError:
            pass

    def abort(self) -> None:
        """Make `close()` reset the connection, so that no client takes a part for the whole."""
        self._broken = True
        with contextlib.suppress(OSError):
            self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)

    def close(self) -> None:
        """Close the socket; a call still waiting in another task raises ClosedResourceError."""
        self._broken = True
        if self._sock.fileno() != -1:
            trio.lowlevel.notify_closing(self._sock)
            self._sock.close()
