"""Posting notifications to a URL."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

from stratum.adapters.http_client import Connect, HttpClient, Origin
from stratum.adapters.http_connection import HttpFailed, Timeouts
from stratum.domain.errors import InvalidConfig, RemoteFailed

Post = Callable[[bytes], Awaitable[None]]

TIMEOUTS = Timeouts(connect_s=5.0, stall_s=10.0)
ANSWER_MAX_BYTES = 64 * 1024
"""More than that of an answer, which nobody reads, costs the connection."""


class Webhook:
    """A URL that takes JSON by POST and answers 2xx. Raises InvalidConfig for one that is none."""

    def __init__(self, url: str, connect: Connect | None = None) -> None:
        parts = urlsplit(url)
        if parts.username or parts.fragment:
            raise InvalidConfig("a webhook's URL has no user and no fragment")
        self._client = HttpClient(
            Origin.parse(f"{parts.scheme}://{parts.netloc}"), timeouts=TIMEOUTS, connect=connect
        )
        self._target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")

    async def post(self, body: bytes) -> None:
        """Deliver one message. Raises RemoteFailed unless it was accepted."""
        headers = {"host": self._client.origin.authority, "content-type": "application/json"}
        try:
            response = await self._client.send("POST", self._target, headers, body)
            try:
                if not 200 <= response.status < 300:
                    raise RemoteFailed(f"the webhook answered {response.status}")
                await response.read_all(ANSWER_MAX_BYTES)
            finally:
                await response.aclose()
        except HttpFailed as failure:
            raise RemoteFailed(str(failure)) from None

    async def aclose(self) -> None:
        """Close its connections."""
        await self._client.aclose()


@asynccontextmanager
async def open_webhooks(urls: Mapping[str, str]) -> AsyncIterator[Mapping[str, Post]]:
    """Webhooks by whatever names their URLs."""
    webhooks = {name: Webhook(url) for name, url in urls.items()}
    try:
        yield {name: webhook.post for name, webhook in webhooks.items()}
    finally:
        for webhook in webhooks.values():
            await webhook.aclose()
