"""Request bodies as byte sources: pulled from ASGI only as fast as they are stored."""

from __future__ import annotations

from stratum.adapters.s3.chunked import ChunkedDecoder
from stratum.adapters.web.asgi_types import Receive
from stratum.domain.errors import IncompleteBody


class Body:
    """The bytes as they come over the wire. Asking for the first one is what makes the server
    send `100 Continue`, so a request that is refused before never costs the client its upload."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._more = True
        self._rest = memoryview(b"")

    async def read_into(self, buffer: memoryview) -> int:
        """Raises IncompleteBody if the client goes away."""
        piece = self._rest or await self.piece()
        length = min(len(piece), len(buffer))
        buffer[:length] = piece[:length]
        self._rest = piece[length:]
        return length

    async def piece(self) -> memoryview:
        """The next bytes as they arrive; empty only at the end."""
        while self._more:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise IncompleteBody("The client closed the connection before the body's end")
            self._more = message.get("more_body", False)
            if message.get("body"):
                return memoryview(message["body"])
        return memoryview(b"")


class ChunkedBody:
    """A body in aws-chunked encoding, decoded (see `adapters.s3.chunked`)."""

    def __init__(self, body: Body, decoder: ChunkedDecoder) -> None:
        self._body = body
        self._decoder = decoder
        self._pieces: list[memoryview] = []

    async def read_into(self, buffer: memoryview) -> int:
        while not self._pieces:
            raw = await self._body.piece()
            if not raw:
                self._decoder.finish()
                return 0
            self._pieces = self._decoder.receive_data(raw)
        piece = self._pieces[0]
        length = min(len(piece), len(buffer))
        buffer[:length] = piece[:length]
        if length == len(piece):
            del self._pieces[0]
        else:
            self._pieces[0] = piece[length:]
        return length
