"""The ASGI application in front: S3 is answered here, `/_stratum/` goes to the control plane.

Plain ASGI for two reasons (ADR 5): a framework buffers bodies that must stream, and its routing
normalises paths that are keys.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace

import trio

from stratum.adapters.s3.condition_keys import Circumstances
from stratum.adapters.s3.encryption_headers import refuse_customer_keys
from stratum.adapters.s3.errors import S3Error, render_error
from stratum.adapters.s3.operations import Operation
from stratum.adapters.s3.request import RequestHead, headers_from_raw
from stratum.adapters.s3.routing import resolve
from stratum.adapters.s3.sigv4 import (
    Authentication,
    PayloadMode,
    SecretFor,
    SessionSecret,
    anonymous,
    authenticate,
)
from stratum.adapters.web.aftermath import Aftermath, Served
from stratum.adapters.web.asgi_types import AsgiApp, Receive, Scope, Send
from stratum.adapters.web.body import Body
from stratum.adapters.web.guard import Asked, Guard
from stratum.adapters.web.http_errors import ClientDisconnected
from stratum.adapters.web.iam_front import IamFront, is_api_call
from stratum.adapters.web.messages import S3Request, S3Response
from stratum.adapters.web.metrics import Metrics
from stratum.adapters.web.private_channel import PrivateChannel
from stratum.adapters.web.websites import Websites
from stratum.app.foreground import Foreground
from stratum.domain.errors import IncompleteBody, StratumError
from stratum.domain.principal import ANONYMOUS, Principal
from stratum.ports import NewId, NowMs

CONTROL_PREFIX = b"/_stratum/"
DRAIN_LIMIT_BYTES = 1 << 20
"""How much of a refused body is read so that the connection stays usable. Where the loop below us
does that itself we leave it alone; Hypercorn's own does not."""
OWN_LOOP_EXTENSION = "stratum.connection"
SERVER = "Stratum"

log = logging.getLogger("stratum.http")

Handler = Callable[[S3Request], Awaitable[S3Response]]

UNSIGNED_OPERATIONS = (Operation.PREFLIGHT_REQUEST, Operation.POST_OBJECT)
"""A browser asks the first without credentials, for a URL that may be signed for the page; who
sends the second stands in the form."""
UNSIGNED = Authentication("", PayloadMode.UNSIGNED, None, None, presigned=False)


@dataclass(frozen=True)
class Access:
    """Who may come in."""

    secret_for: SecretFor
    session_secret: SessionSecret
    principal_of: Callable[[str, str], Principal]
    """Of an access key id and a session token, which is empty for most."""
    guard: Guard
    region: str
    domains: Sequence[str]


class Front:
    """ASGI 3. `handlers` decides which operations are built; the others answer 501."""

    def __init__(
        self,
        handlers: Mapping[Operation, Handler],
        access: Access,
        control: AsgiApp,
        metrics: Metrics,
        new_id: NewId,
        now_ms: NowMs,
        foreground: Foreground,
        websites: Websites,
        aftermath: Aftermath,
        channel: PrivateChannel,
        iam: IamFront,
    ) -> None:
        self._handlers = handlers
        self._access = access
        self._control = control
        self._metrics = metrics
        self._new_id = new_id
        self._now_ms = now_ms
        self._foreground = foreground
        self._websites = websites
        self._aftermath = aftermath
        self._channel = channel
        self._iam = iam

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["raw_path"].startswith(CONTROL_PREFIX):
            await self._control(scope, receive, send)
            return
        with self._foreground.serving():
            await self._serve(scope, receive, send)

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        head = RequestHead(
            scope["method"],
            scope["raw_path"],
            scope["query_string"],
            headers_from_raw(scope["headers"]),
            self._channel.is_private(scope),
        )
        around = Circumstances(
            self._now_ms(),
            (scope.get("client") or ("",))[0],
            scope.get("scheme") == "https",
            self._access.region,
        )
        served = Served(self._new_id()[-16:].upper(), head, around)
        body = Body(receive)
        started_s = trio.current_time()
        async with AsyncExitStack() as stack:
            try:
                served.response = await self._answer(served, body, stack)
            except Exception as error:
                served.response = self._refuse(error, served)
            response = self._aftermath.answered(served)
            common = {"x-amz-request-id": served.request_id}
            if OWN_LOOP_EXTENSION in scope.get("extensions", {}):
                common["server"] = SERVER
            else:  # Hypercorn's adds a `server` of its own
                await _drain(body)
            try:
                await _send(send, head.method, response, common)
            finally:
                took_s = trio.current_time() - started_s
                self._aftermath.sent(served, int(took_s * 1000))
        nameless = "iam" if is_api_call(head) else "invalid"
        operation = served.target.operation if served.target else nameless
        self._metrics.request(operation, response.status, took_s)

    async def _answer(self, served: Served, body: Body, stack: AsyncExitStack) -> S3Response:
        access, head = self._access, served.head
        if is_api_call(head):
            return await self._iam.answer(served.request_id, head, body, served.around)
        visit = self._websites.visit(served.request_id, head, served.around, body, stack)
        if visit is not None:
            served.target = visit.target(visit.key)
            return await self._websites.answer(visit)
        served.target = target = resolve(head, access.domains)
        if not head.is_private:
            refuse_customer_keys(head.headers)
        who, authentication = ANONYMOUS, UNSIGNED
        if target.operation not in UNSIGNED_OPERATIONS:
            now_s = served.around.now_ms // 1000
            signed = authenticate(
                head,
                now_s,
                access.secret_for,
                access.region,
                session_secret=access.session_secret,
            )
            authentication = signed or anonymous(head)
            if signed is not None:
                who = access.principal_of(signed.access_key_id, signed.session_token)
                served.who = who
        around = served.around
        if authentication.presigned:
            around = replace(around, presigned=True)
        asked = Asked(who, head, target, around)
        found = access.guard.admit(asked)
        handler = self._handlers.get(target.operation)
        if handler is None:
            raise S3Error("NotImplemented", f"{target.operation} is not implemented")
        return await handler(
            S3Request(
                served.request_id,
                head,
                target,
                asked,
                access.guard,
                authentication,
                body,
                stack,
                found,
            )
        )

    def _refuse(self, error: Exception, served: Served) -> S3Response:
        target = served.target
        rendered = render_error(
            error,
            resource=served.head.raw_path.decode("latin-1"),
            request_id=served.request_id,
            bucket=target.bucket if target else None,
            key=target.key if target else None,
        )
        if not isinstance(error, S3Error | StratumError):
            log.error("request %s failed", served.request_id, exc_info=error)
        elif rendered.status >= 500 and rendered.code != "NotImplemented":
            log.warning("request %s: %s", served.request_id, error)
        return S3Response(
            rendered.status, rendered.headers, rendered.body, error_code=rendered.code
        )


async def _send(send: Send, method: str, response: S3Response, common: dict[str, str]) -> None:
    headers = {"content-length": str(len(response.body)), **response.headers, **common}
    if response.status in (204, 304):
        del headers["content-length"]
    start = {
        "type": "http.response.start",
        "status": response.status,
        "headers": [
            (name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()
        ],
    }
    await send(start)
    if response.pieces is not None and method != "HEAD":
        try:
            async for piece in response.pieces:
                await send({"type": "http.response.body", "body": piece, "more_body": True})
        except StratumError as error:
            # The status is out. Only a connection cut short tells the client.
            log.warning("request %s broken off: %s", common["x-amz-request-id"], error)
            raise ClientDisconnected("the answer could not be completed") from None
    body = b"" if method == "HEAD" else response.body
    await send({"type": "http.response.body", "body": body, "more_body": False})


async def _drain(body: Body) -> None:
    """Hypercorn's own loop never reuses a connection whose request body was not read."""
    dropped = 0
    try:
        while dropped < DRAIN_LIMIT_BYTES and (piece := await body.piece()):
            dropped += len(piece)
    except IncompleteBody:
        return
