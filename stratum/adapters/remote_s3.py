"""The remote tier on an S3-compatible service: AWS, MinIO, Ceph, or another Stratum.

Bodies are sent with `x-amz-content-sha256: UNSIGNED-PAYLOAD` and a Content-Length, which every
service takes. The signature then does not cover the bytes: use https where the network is not
trusted. What was stored is checked by whoever moved it, by reading it back.

Small bodies and the parts of a multipart upload are held in memory until they are accepted, so
that they can be sent again. A body in between is sent as it comes, and fails with its connection
once the service has begun to take it.
"""

from __future__ import annotations

import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from contextlib import aclosing, asynccontextmanager, contextmanager, suppress
from typing import TypeVar

import trio

from stratum.adapters.http_client import CONNECTIONS_MAX, Connect
from stratum.adapters.http_connection import HttpFailed, Timeouts, Upload
from stratum.adapters.pieces import Pieces
from stratum.adapters.remote_s3_download import Download
from stratum.adapters.remote_s3_xml import parse_listing, parse_upload_id, render_parts
from stratum.adapters.s3_client import Credentials, Refused, S3Client
from stratum.domain.errors import RemoteFailed
from stratum.ports import Buffer, NowMs

REPLAY_MAX_BYTES = 8 * 1024 * 1024
"""A whole object up to this size is held in memory while it is sent."""
MULTIPART_THRESHOLD_BYTES = 512 * 1024 * 1024
"""Larger objects go in parts. AWS takes up to 5 GiB in one piece, but a broken connection then
costs all of it."""
PART_SIZE_BYTES = 64 * 1024 * 1024
"""Also the memory an upload in parts takes; more only beyond 625 GiB, for fewer parts."""
PARTS_MAX = 10_000
"""https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html"""
ABORT_LIMIT_S = 10.0
"""For telling the service to forget an upload that failed. What is left is for a lifecycle rule
(AbortIncompleteMultipartUpload) of the remote bucket."""

A = TypeVar("A")
T = TypeVar("T")


class S3Remote:
    """A RemoteStore in one bucket, under `prefix`. `aclose` it at the end.

    `random` returns numbers from [0, 1), for the waits between attempts. Raises InvalidConfig for
    an endpoint that is not `http[s]://host[:port]`.
    """

    def __init__(
        self,
        endpoint: str,
        bucket: str,
        credentials: Credentials,
        *,
        prefix: str = "",
        region: str = "us-east-1",
        now_ms: NowMs,
        random: Callable[[], float],
        timeouts: Timeouts = Timeouts(),  # noqa: B008  (a frozen value)
        connections_max: int = CONNECTIONS_MAX,
        replay_max_bytes: int = REPLAY_MAX_BYTES,
        multipart_threshold_bytes: int = MULTIPART_THRESHOLD_BYTES,
        part_size_bytes: int = PART_SIZE_BYTES,
        ssl_context: ssl.SSLContext | None = None,
        connect: Connect | None = None,
    ) -> None:
        self._client = S3Client(
            endpoint,
            bucket,
            region,
            credentials,
            now_ms=now_ms,
            random=random,
            timeouts=timeouts,
            connections_max=connections_max,
            ssl_context=ssl_context,
            connect=connect,
        )
        self._prefix = prefix if not prefix or prefix.endswith("/") else prefix + "/"
        self._replay_max_bytes = replay_max_bytes
        self._multipart_threshold_bytes = multipart_threshold_bytes
        self._part_size_bytes = part_size_bytes

    def describe(self) -> str:
        return f"{self._client.origin}/{self._client.bucket}/{self._prefix}"

    async def aclose(self) -> None:
        """Close the idle connections."""
        await self._client.aclose()

    async def put(self, name: str, size_bytes: int, body: AsyncIterator[Buffer]) -> None:
        """Raises RemoteFailed also if `body` has more or fewer bytes, and what `body` raises."""
        key = self._prefix + name
        with self._explained("PUT", name):
            if size_bytes > self._multipart_threshold_bytes:
                await self._put_parts(key, size_bytes, body)
            elif size_bytes > self._replay_max_bytes:
                await self._client.request("PUT", key, body=Upload(size_bytes, body))
            else:
                whole = bytearray(size_bytes)
                pieces = Pieces(body)
                await _fill(pieces, memoryview(whole))
                await _expect_end(pieces)
                await self._client.request("PUT", key, body=whole)

    @asynccontextmanager
    async def read(self, name: str, start: int, stop: int) -> AsyncIterator[AsyncIterator[Buffer]]:
        """Entering sends the request: that there is no such object, or not so much of it, is known
        before the first piece. A read whose connection breaks goes on with another request."""
        download = Download(self._client, self._prefix + name, start, stop)
        with self._explained("GET", name):
            await download.begin()
        try:
            async with aclosing(self._explained_pieces(name, download)) as pieces:
                yield pieces
        finally:
            await download.aclose()

    async def size(self, name: str) -> int | None:
        with self._explained("HEAD", name):
            return await self._size(self._prefix + name)

    async def delete(self, name: str) -> None:
        with self._explained("DELETE", name):
            try:
                await self._client.request("DELETE", self._prefix + name)
            except Refused as refusal:
                # Some services say so instead of 204. A bucket that is gone is another matter.
                if refusal.status != 404 or refusal.code == "NoSuchBucket":
                    raise

    async def names(self) -> AsyncIterator[str]:
        query = {"list-type": "2", "encoding-type": "url", "prefix": self._prefix}
        while True:
            with self._explained("LIST", self._prefix):
                answer = await self._client.request("GET", query=query)
                page = _parsed(parse_listing, answer.body)
            for key in page.keys:
                if key.startswith(self._prefix) and key != self._prefix:
                    yield key[len(self._prefix) :]
            if not page.next_token:
                return
            query["continuation-token"] = page.next_token

    # -- inside ---------------------------------------------------------------------------------
    @contextmanager
    def _explained(self, what: str, name: str) -> Iterator[None]:
        try:
            yield
        except (Refused, HttpFailed) as error:
            raise RemoteFailed(f"{self.describe()}: {what} {name}: {error}") from error

    async def _explained_pieces(
        self, name: str, download: Download
    ) -> AsyncGenerator[Buffer, None]:
        while True:
            with self._explained("GET", name):
                piece = await download.read_some()
            if not len(piece):
                return
            yield piece

    async def _size(self, key: str) -> int | None:
        try:
            answer = await self._client.request("HEAD", key)
        except Refused as refusal:
            if refusal.status != 404:
                raise
            await self._require_bucket()
            return None
        return _parsed(int, answer.headers.get("content-length", ""))

    async def _require_bucket(self) -> None:
        """An answer to HEAD has no body, and so no code: is it the object or the bucket that is
        missing? A whole tier must not pass for empty because its bucket is gone."""
        try:
            await self._client.request("HEAD")
        except Refused as refusal:
            if refusal.status == 404:
                raise Refused("404 NoSuchBucket", status=404, code="NoSuchBucket") from refusal
            if refusal.status != 403:  # Without s3:ListBucket one may not ask.
                raise

    async def _put_parts(self, key: str, size_bytes: int, body: AsyncIterator[Buffer]) -> None:
        """The multipart upload of an object; its parts go one after the other."""
        answer = await self._client.request("POST", key, query={"uploads": ""})
        upload_id = _parsed(parse_upload_id, answer.body)
        try:
            etags = await self._send_parts(key, upload_id, size_bytes, body)
            await self._complete(key, upload_id, size_bytes, etags)
        except BaseException:
            with trio.move_on_after(ABORT_LIMIT_S, shield=True), suppress(Refused):
                await self._client.request("DELETE", key, query={"uploadId": upload_id})
            raise

    async def _send_parts(
        self, key: str, upload_id: str, size_bytes: int, body: AsyncIterator[Buffer]
    ) -> list[str]:
        part_size_bytes = max(self._part_size_bytes, -(-size_bytes // PARTS_MAX))
        buffer = memoryview(bytearray(part_size_bytes))
        pieces = Pieces(body)
        etags = []
        for number, start in enumerate(range(0, size_bytes, part_size_bytes), 1):
            part = buffer[: min(part_size_bytes, size_bytes - start)]
            await _fill(pieces, part)
            query = {"partNumber": str(number), "uploadId": upload_id}
            answer = await self._client.request("PUT", key, query=query, body=part)
            if not (etag := answer.headers.get("etag")):
                raise Refused(f"no ETag for part {number}")
            etags.append(etag)
        await _expect_end(pieces)
        return etags

    async def _complete(self, key: str, upload_id: str, size_bytes: int, etags: list[str]) -> None:
        try:
            await self._client.request(
                "POST", key, query={"uploadId": upload_id}, body=render_parts(etags)
            )
        except Refused as refusal:
            # A first attempt may have done it, and its answer got lost.
            if refusal.code != "NoSuchUpload" or await self._size(key) != size_bytes:
                raise


async def _fill(pieces: Pieces, buffer: memoryview) -> None:
    if await pieces.fill(buffer) < len(buffer):
        raise Refused("the bytes to send are fewer than announced")


async def _expect_end(pieces: Pieces) -> None:
    if not await pieces.at_end():
        raise Refused("the bytes to send are more than announced")


def _parsed(parse: Callable[[A], T], text: A) -> T:
    try:
        return parse(text)
    except ValueError as error:
        raise Refused(f"an answer that makes no sense: {error}") from error
