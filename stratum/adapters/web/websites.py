"""Buckets as web sites, at the hosts `BUCKET.DOMAIN` of `website.domains`.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/WebsiteEndpoints.html. A site is read by
anybody whom the bucket's policy or the objects' ACLs let in, with GET and HEAD only; what goes
wrong is said in HTML.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from html import escape
from http import HTTPStatus
from urllib.parse import quote

from stratum.adapters.s3.condition_keys import Circumstances
from stratum.adapters.s3.errors import S3Error, translate
from stratum.adapters.s3.metadata import WEBSITE_REDIRECT
from stratum.adapters.s3.operations import Operation
from stratum.adapters.s3.request import RequestHead, decode_path_segment
from stratum.adapters.s3.routing import Target, bucket_of_host
from stratum.adapters.s3.sigv4 import Authentication, PayloadMode
from stratum.adapters.web.body import Body
from stratum.adapters.web.guard import Asked, Guard
from stratum.adapters.web.messages import S3Request, S3Response
from stratum.adapters.web.object_handlers import ObjectHandlers
from stratum.app.buckets import Buckets
from stratum.app.objects import Objects
from stratum.app.storage_classes import StorageClasses
from stratum.domain.errors import StratumError
from stratum.domain.names import BucketName, bucket_name, object_key
from stratum.domain.principal import ANONYMOUS
from stratum.domain.website import (
    RedirectTarget,
    WebsiteConfiguration,
    index_key,
    redirect_before,
    redirect_on_error,
)

READING = {"GET": Operation.GET_OBJECT, "HEAD": Operation.HEAD_OBJECT}
NOBODY = Authentication("", PayloadMode.UNSIGNED, None, None, presigned=False)
HTML = "text/html; charset=utf-8"


@dataclass(frozen=True)
class Visit:
    """A request to a site. `key` is its path, decoded, without the first slash."""

    request_id: str
    head: RequestHead
    bucket: BucketName
    key: str
    around: Circumstances
    body: Body
    stack: AsyncExitStack

    def target(self, key: str) -> Target:
        """What is read for it."""
        operation = READING.get(self.head.method, Operation.GET_OBJECT)
        return Target(operation, self.bucket, object_key(key) if key else None, {})


class Websites:
    def __init__(
        self,
        buckets: Buckets,
        objects: Objects,
        classes: StorageClasses,
        guard: Guard,
        domains: Sequence[str],
    ) -> None:
        self._buckets = buckets
        self._handlers = ObjectHandlers(buckets, objects, classes)
        self._guard = guard
        self._domains = domains

    def visit(
        self,
        request_id: str,
        head: RequestHead,
        around: Circumstances,
        body: Body,
        stack: AsyncExitStack,
    ) -> Visit | None:
        """The visit that a request is; None if its host is no site. Raises S3Error InvalidURI;
        InvalidBucketName."""
        domains = self._domains
        name = bucket_of_host(head.headers.get("host", ""), domains) if domains else None
        if name is None:
            return None
        key = decode_path_segment(head.raw_path[1:])
        # What stands behind the question mark is the page's own.
        bare = replace(head, raw_query=b"")
        return Visit(request_id, bare, bucket_name(name), key, around, body, stack)

    async def answer(self, visit: Visit) -> S3Response:
        """A page, a redirect, or the site's or our own error document."""
        try:
            if visit.head.method not in READING:
                raise S3Error("MethodNotAllowed", headers={"allow": "GET, HEAD"})
            website = self._buckets.get(visit.bucket).settings.website
            if website is None:
                raise S3Error("NoSuchWebsiteConfiguration")
            redirect = redirect_before(website, visit.key)
            if redirect is not None:
                return _redirected(visit.head, redirect)
            return await self._page(visit, website)
        except (S3Error, StratumError) as error:
            return _error_page(error, visit.request_id)

    async def _page(self, visit: Visit, website: WebsiteConfiguration) -> S3Response:
        try:
            page = await self._read(visit, index_key(website, visit.key))
        except (S3Error, StratumError) as error:
            status = translate(error).status
            if status == HTTPStatus.NOT_MODIFIED:
                return S3Response(status, translate(error).headers)
            if status == HTTPStatus.NOT_FOUND and await self._is_folder(visit, website):
                return _redirected(visit.head, RedirectTarget(302, None, None, f"{visit.key}/"))
            redirect = redirect_on_error(website, visit.key, status)
            if redirect is not None:
                return _redirected(visit.head, redirect)
            return await self._error_document(visit, website, error)
        elsewhere = page.headers.get(WEBSITE_REDIRECT)
        if elsewhere is not None:
            return S3Response(301, {"location": elsewhere})
        return page

    async def _read(self, visit: Visit, key: str) -> S3Response:
        """Raises what reading an object does."""
        target = visit.target(key)
        asked = Asked(ANONYMOUS, visit.head, target, visit.around)
        found = self._guard.admit(asked)
        request = S3Request(
            visit.request_id,
            visit.head,
            target,
            asked,
            self._guard,
            NOBODY,
            visit.body,
            visit.stack,
            found,
        )
        read = self._handlers.head if visit.head.method == "HEAD" else self._handlers.get
        return await read(request)

    async def _is_folder(self, visit: Visit, website: WebsiteConfiguration) -> bool:
        """Whether the path lacks only its last slash."""
        if not visit.key or visit.key.endswith("/"):
            return False
        try:
            await self._read(
                replace(visit, head=replace(visit.head, method="HEAD")),
                f"{visit.key}/{website.index_suffix}",
            )
        except (S3Error, StratumError):
            return False
        return True

    async def _error_document(
        self, visit: Visit, website: WebsiteConfiguration, error: S3Error | StratumError
    ) -> S3Response:
        status = translate(error).status
        if website.error_key is None or not 400 <= status < 500:
            raise error
        # Conditions and ranges were meant for the page that is not there.
        plain = {"host": visit.head.headers.get("host", "")}
        try:
            document = await self._read(
                replace(visit, head=replace(visit.head, headers=plain)), website.error_key
            )
        except (S3Error, StratumError):
            raise error from None
        return replace(document, status=status)


def _redirected(head: RequestHead, redirect: RedirectTarget) -> S3Response:
    path = "/" + quote(redirect.key, safe="/~")
    host = redirect.host or (head.headers.get("host", "") if redirect.protocol else "")
    location = f"{redirect.protocol or 'http'}://{host}{path}" if host else path
    return S3Response(redirect.status, {"location": location})


def _error_page(error: S3Error | StratumError, request_id: str) -> S3Response:
    wire = translate(error)
    title = f"{wire.status} {HTTPStatus(wire.status).phrase}"
    rows = {"Code": wire.code, "Message": wire.message, **wire.fields, "RequestId": request_id}
    items = "".join(f"<li>{escape(name)}: {escape(value)}</li>" for name, value in rows.items())
    body = (
        f"<!doctype html>\n<html><head><title>{title}</title></head>"
        f"<body><h1>{title}</h1><ul>{items}</ul></body></html>\n"
    )
    return S3Response(wire.status, {**wire.headers, "content-type": HTML}, body.encode())
