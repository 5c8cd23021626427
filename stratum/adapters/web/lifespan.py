"""ASGI lifespan around an application that has to be opened and closed."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

from stratum.adapters.web.asgi_types import AsgiApp, Receive, Scope, Send

log = logging.getLogger("stratum.lifespan")


class Lifespan:
    """ASGI 3. Opens the application at `lifespan.startup`, closes it at `lifespan.shutdown`."""

    def __init__(self, opened: Callable[[], AbstractAsyncContextManager[AsgiApp]]) -> None:
        self._opened = opened
        self._app: AsgiApp | None = None
        self.failure: BaseException | None = None
        """Why the application could not be opened."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._live(receive, send)
            return
        assert self._app is not None, "the server sends lifespan.startup first"
        await self._app(scope, receive, send)

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()
        try:
            async with self._opened() as self._app:
                await send({"type": "lifespan.startup.complete"})
                await receive()
        except Exception as error:
            if self._app is not None:
                raise
            self.failure = error
            await send({"type": "lifespan.startup.failed", "message": str(error)})
            return
        await send({"type": "lifespan.shutdown.complete"})
