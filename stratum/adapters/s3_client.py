"""Signed requests to a bucket of an S3-compatible service, repeated while that may help."""

from __future__ import annotations

import ssl
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

import trio

from stratum.adapters.http_client import CONNECTIONS_MAX, Connect, HttpClient, HttpResponse, Origin
from stratum.adapters.http_connection import Body, HttpFailed, Timeouts, Upload
from stratum.adapters.remote_s3_xml import parse_error
from stratum.adapters.s3.signature import (
    EMPTY_SHA256,
    UNSIGNED_PAYLOAD,
    encode_path,
    encode_query,
)
from stratum.adapters.s3.signing import sign_headers
from stratum.ports import NowMs

ATTEMPTS_MAX = 5
BACKOFF_FIRST_S = 0.2
BACKOFF_MAX_S = 10.0
ANSWER_MAX_BYTES = 16 * 1024 * 1024
"""A listing of 1,000 keys of 1,024 bytes, percent-encoded, has less than 4 MB."""
MESSAGE_LENGTH_MAX = 300

_TEMPORARY_STATUSES = frozenset((408, 429, 500, 502, 503, 504))
_TEMPORARY_CODES = frozenset(("InternalError", "RequestTimeout", "ServiceUnavailable", "SlowDown"))

T = TypeVar("T")


@dataclass(frozen=True)
class Credentials:
    """Of the remote account."""

    access_key_id: str
    secret_access_key: str = field(repr=False)


class Refused(Exception):
    """The service did not do what was asked, or did not answer. `code` is S3's, or empty."""

    def __init__(
        self, message: str, *, status: int = 0, code: str = "", temporary: bool = False
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.temporary = temporary


@dataclass(frozen=True)
class Answer:
    """A whole answer. Header names are in lower case."""

    headers: Mapping[str, str]
    body: bytes


class S3Client:
    """Requests to one bucket, path style. `random` returns numbers from [0, 1)."""

    def __init__(
        self,
        endpoint: str,
        bucket: str,
        region: str,
        credentials: Credentials,
        *,
        now_ms: NowMs,
        random: Callable[[], float],
        timeouts: Timeouts,
        connections_max: int = CONNECTIONS_MAX,
        ssl_context: ssl.SSLContext | None = None,
        connect: Connect | None = None,
    ) -> None:
        self.origin = Origin.parse(endpoint)
        self.bucket = bucket
        self._region = region
        self._credentials = credentials
        self._now_ms = now_ms
        self._random = random
        self._http = HttpClient(
            self.origin,
            timeouts=timeouts,
            connections_max=connections_max,
            ssl_context=ssl_context,
            connect=connect,
        )

    async def aclose(self) -> None:
        await self._http.aclose()

    async def request(
        self,
        method: str,
        key: str = "",
        *,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        body: Body = b"",
    ) -> Answer:
        """Send a request, again while it may help; return the whole answer. An empty key means
        the bucket. Raises Refused."""

        async def attempt() -> Answer:
            response = await self.start(method, key, query=query, headers=headers, body=body)
            try:
                content = await response.read_all(ANSWER_MAX_BYTES)
            finally:
                await response.aclose()
            # CompleteMultipartUpload may report an error under status 200.
            if method == "POST" and (error := parse_error(content)):
                raise _refused(response.status, *error)
            return Answer(response.headers, content)

        return await self.retrying(attempt, body)

    async def start(
        self,
        method: str,
        key: str,
        *,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        body: Body = b"",
    ) -> HttpResponse:
        """One attempt: returns with the head of a successful answer, to be closed by the caller.
        Raises Refused or HttpFailed."""
        path = encode_path(f"/{self.bucket}/{key}" if key else f"/{self.bucket}")
        raw_query = encode_query(query or {})
        signed = sign_headers(
            method,
            self.origin.authority,
            path,
            raw_query,
            headers or {},
            UNSIGNED_PAYLOAD if isinstance(body, Upload) or len(body) else EMPTY_SHA256,
            self._now_ms() // 1000,
            self._credentials.access_key_id,
            self._credentials.secret_access_key,
            self._region,
        )
        target = (path + b"?" + raw_query if raw_query else path).decode("ascii")
        response = await self._http.send(method, target, signed, body)
        if 200 <= response.status < 300:
            return response
        try:
            content = await response.read_all(ANSWER_MAX_BYTES)
        finally:
            await response.aclose()
        raise _refused(response.status, *(parse_error(content) or ("", "")))

    async def retrying(self, attempt: Callable[[], Awaitable[T]], body: Body = b"") -> T:
        """Call `attempt` up to ATTEMPTS_MAX times, waiting ever longer, while it fails for reasons
        that pass and none of the body was taken. Raises Refused."""
        for number in range(ATTEMPTS_MAX):
            if number:
                # Full jitter: https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/
                await trio.sleep(
                    self._random() * min(BACKOFF_MAX_S, BACKOFF_FIRST_S * 2 ** (number - 1))
                )
            try:
                return await attempt()
            except HttpFailed as error:
                failure = Refused(str(error), temporary=True)
            except Refused as error:
                failure = error
            taken = isinstance(body, Upload) and body.taken
            if taken or not failure.temporary:
                break
        raise failure


def _refused(status: int, code: str, message: str) -> Refused:
    text = f"{status} {code}: {message}" if code else f"HTTP status {status}"
    printable = "".join(letter if letter.isprintable() else " " for letter in text)
    return Refused(
        printable[:MESSAGE_LENGTH_MAX],
        status=status,
        code=code,
        temporary=status in _TEMPORARY_STATUSES or code in _TEMPORARY_CODES,
    )
