"""Reading a range of a remote object, exactly, across broken connections."""

from __future__ import annotations

import re

from stratum.adapters.http_client import HttpResponse
from stratum.adapters.http_connection import HttpFailed
from stratum.adapters.s3_client import Refused, S3Client
from stratum.ports import Buffer

RESUMES_MAX = 3
"""How often in a row a read goes on after a broken connection without having got any further."""

_CONTENT_RANGE = re.compile(r"bytes (\d{1,19})-(\d{1,19})/(?:\d{1,19}|\*)").fullmatch


class Download:
    """Bytes [start, stop) of one object. Methods raise Refused or HttpFailed."""

    def __init__(self, client: S3Client, key: str, start: int, stop: int) -> None:
        self._client = client
        self._key = key
        self._position = start
        self._stop = stop
        self._fruitless_resumes = 0
        self._etag = ""
        self._response: HttpResponse | None = None

    async def begin(self) -> None:
        """Send the request and check what is going to come. Sends none for an empty range."""
        if self._position < self._stop:
            self._response = await self._client.retrying(self._request)

    async def read_some(self) -> Buffer:
        """The next bytes; empty when there were exactly as many as asked for."""
        while self._position < self._stop:
            try:
                piece = await self._receive()
            except HttpFailed as failure:
                await self._resume(failure)
                continue
            self._position += len(piece)
            self._fruitless_resumes = 0
            if self._position > self._stop:
                raise Refused("more bytes than asked for")
            return piece
        return b""

    async def aclose(self) -> None:
        if self._response is not None:
            await self._response.aclose()

    async def _receive(self) -> Buffer:
        assert self._response is not None, "begin() comes first"
        piece = await self._response.read_some()
        if not len(piece):
            raise Refused("fewer bytes than asked for")
        return piece

    async def _resume(self, failure: HttpFailed) -> None:
        """Ask for the rest of the very same object. Raises `failure` if that leads nowhere."""
        await self.aclose()
        if self._fruitless_resumes == RESUMES_MAX:
            raise failure
        self._fruitless_resumes += 1
        self._response = await self._client.retrying(self._request)

    async def _request(self) -> HttpResponse:
        headers = {"range": f"bytes={self._position}-{self._stop - 1}"}
        if self._etag:
            headers["if-match"] = self._etag
        response = await self._client.start("GET", self._key, headers=headers)
        try:
            self._check(response)
        except Refused:
            await response.aclose()
            raise
        self._etag = response.headers.get("etag", "")
        return response

    def _check(self, response: HttpResponse) -> None:
        """Raise Refused unless exactly the range asked for is announced."""
        first, last = self._position, self._stop - 1
        length = response.headers.get("content-length")
        if length is not None and length != str(last - first + 1):
            raise Refused(f"{length} bytes instead of {last - first + 1}")
        if response.status == 206:
            announced = response.headers.get("content-range", "")
            match = _CONTENT_RANGE(announced)
            if match is None or (int(match[1]), int(match[2])) != (first, last):
                raise Refused(f"the range {announced!r} instead of {first}-{last}")
        elif first or length is None:
            raise Refused(f"status {response.status} to a request for a range")
