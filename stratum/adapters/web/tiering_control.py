"""Commands about moves under `/_stratum/`, for whoever runs the server."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from dataclasses import asdict

from quart import Response, request
from quart_trio import QuartTrio

from stratum.adapters.s3.errors import S3Error
from stratum.adapters.web.control import json_lines, operator
from stratum.adapters.web.front import Access
from stratum.app.undo import Batch, Undone
from stratum.domain.pin import pin_prefix
from stratum.ports import NowMs

Undo = Callable[[Batch, str, str, bool], AsyncGenerator[Undone, None]]
"""Batch, who, why, whether only to say what would be done."""


def add_tiering_commands(app: QuartTrio, undo: Undo, access: Access, now_ms: NowMs) -> None:
    """Add the paths to the control plane."""

    @app.post("/_stratum/api/undo")
    async def undo_moves() -> Response:
        caller = operator(access, now_ms() // 1000)[0]
        arguments = request.args
        batch = Batch(
            _time("since_ms"),
            _time("until_ms"),
            arguments.get("bucket", ""),
            pin_prefix(arguments.get("prefix", "")),
            arguments.get("policy", ""),
        )
        dry_run = arguments.get("dry_run") == "true"
        steps = undo(batch, caller.name, arguments.get("why", ""), dry_run)
        return Response(json_lines(_documents(steps)), content_type="application/x-ndjson")


async def _documents(
    steps: AsyncGenerator[Undone, None],
) -> AsyncGenerator[dict[str, object], None]:
    try:
        async for step in steps:
            yield asdict(step)
    finally:
        await steps.aclose()


def _time(argument: str) -> int:
    try:
        return int(request.args[argument])
    except (KeyError, ValueError):
        raise S3Error("InvalidArgument", f"{argument}: Unix time in milliseconds") from None
