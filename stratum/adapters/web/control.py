"""The control plane under `/_stratum/`: health, metrics and the operator's commands.

Quart-Trio, because nothing here is hot and documents are small. Commands need the root's
signature (SigV4, as for S3); without one they answer 401, with another user's 403.
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass

from quart import Response, jsonify, request
from quart_trio import QuartTrio

from stratum.adapters.s3.errors import S3Error, credentials_required, render_error
from stratum.adapters.s3.request import RequestHead, headers_from_raw
from stratum.adapters.s3.sigv4 import Authentication, authenticate
from stratum.adapters.web.front import Access
from stratum.domain.errors import AccessDenied, StratumError
from stratum.domain.names import BucketName, Caller, ObjectKey, Tier, bucket_name, object_key
from stratum.domain.pin import pin_prefix
from stratum.ports import NowMs

DOCUMENT_MAX_BYTES = 64 * 1024
PLAIN_TEXT = "text/plain; charset=utf-8"


@dataclass(frozen=True)
class Commands:
    """What the control plane can ask of the application."""

    ready: Callable[[], Awaitable[bool]]
    metrics: Callable[[], Awaitable[bytes]]
    status: Callable[[], Awaitable[dict[str, object]]]
    move: Callable[[Caller, BucketName, ObjectKey, Tier], Awaitable[str]]
    """Orders a move; returns the id of the volume."""
    pin: Callable[[Caller, BucketName, str, Tier, str], Awaitable[None]]
    """Pins a prefix of keys to a tier, with a reason."""
    unpin: Callable[[Caller, BucketName, str], Awaitable[None]]
    scrub: Callable[[bool], AsyncGenerator[dict[str, object], None]]
    """Reads all shards, repairs them if told so; findings and progress."""


def make_control(commands: Commands, access: Access, now_ms: NowMs) -> QuartTrio:
    """The ASGI application."""
    app = QuartTrio("stratum")
    app.config["MAX_CONTENT_LENGTH"] = DOCUMENT_MAX_BYTES
    app.config["BODY_TIMEOUT"] = 10
    app.config["RESPONSE_TIMEOUT"] = None

    async def authorized() -> Caller:
        return operator(access, now_ms() // 1000)[0]

    @app.get("/_stratum/health/live")
    async def live() -> Response:
        return Response("live\n", content_type=PLAIN_TEXT)

    @app.get("/_stratum/health/ready")
    async def ready() -> Response:
        text, status = ("ready\n", 200) if await commands.ready() else ("not ready\n", 503)
        return Response(text, status, content_type=PLAIN_TEXT)

    @app.get("/_stratum/metrics")
    async def metrics() -> Response:
        return Response(await commands.metrics(), content_type="text/plain; version=0.0.4")

    @app.get("/_stratum/api/status")
    async def status() -> Response:
        await authorized()
        return jsonify(await commands.status())

    @app.post("/_stratum/api/move")
    async def move() -> Response:
        caller = await authorized()
        arguments = request.args
        target = _tier("to")
        bucket, key = bucket_name(arguments["bucket"]), object_key(arguments["key"])
        volume_id = await commands.move(caller, bucket, key, target)
        return jsonify({"volume_id": volume_id})

    @app.post("/_stratum/api/pin")
    async def pin() -> Response:
        caller = await authorized()
        tier = _tier("tier")
        bucket, prefix = _bucket_and_prefix()
        await commands.pin(caller, bucket, prefix, tier, request.args.get("why", ""))
        return jsonify({"bucket": bucket, "prefix": prefix, "tier": tier})

    @app.delete("/_stratum/api/pin")
    async def unpin() -> Response:
        caller = await authorized()
        bucket, prefix = _bucket_and_prefix()
        await commands.unpin(caller, bucket, prefix)
        return jsonify({"bucket": bucket, "prefix": prefix})

    @app.post("/_stratum/api/scrub")
    async def scrub() -> Response:
        await authorized()
        steps = commands.scrub(request.args.get("repair") == "true")
        return Response(json_lines(steps), content_type="application/x-ndjson")

    @app.errorhandler(S3Error)
    @app.errorhandler(StratumError)
    async def refused(error: Exception) -> Response:
        rendered = render_error(error, resource=request.path, request_id="")
        return Response(rendered.body, rendered.status, rendered.headers)

    return app


def operator(access: Access, now_s: int) -> tuple[Caller, Authentication]:
    """Who signed the request, if it is whoever runs the server; raises S3Error, AccessDenied."""
    head = RequestHead(
        request.method,
        request.scope["raw_path"],
        request.scope["query_string"],
        headers_from_raw(request.scope["headers"]),
    )
    who = authenticate(head, now_s, access.secret_for, access.region)
    if who is None:
        raise credentials_required()
    principal = access.principal_of(who.access_key_id, "")
    if not principal.operator:
        raise AccessDenied("Only the root commands the server")
    return principal.account, who


def _tier(argument: str) -> Tier:
    try:
        return Tier(request.args[argument])
    except (KeyError, ValueError):
        raise S3Error("InvalidArgument", f"{argument}: hot, warm or cold") from None


def _bucket_and_prefix() -> tuple[BucketName, str]:
    arguments = request.args
    return bucket_name(arguments["bucket"]), pin_prefix(arguments.get("prefix", ""))


async def json_lines(steps: AsyncGenerator[dict[str, object], None]) -> AsyncGenerator[str, None]:
    """Findings and progress as JSON lines, as they come; at the end `{}`, or `{"error": …}`: an
    answer without either was broken off."""
    last: dict[str, object] = {}
    try:
        async with aclosing(steps):
            async for step in steps:
                yield json.dumps(step) + "\n"
    except StratumError as error:
        last = {"error": str(error)}
    yield json.dumps(last) + "\n"
