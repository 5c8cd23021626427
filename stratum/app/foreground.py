"""Whether clients are being served: what runs in the background gives way to them."""

from __future__ import annotations

import trio

LINGER_S = 0.5
"""How long after a request the next one is expected."""


class Foreground:
    """Counts requests under way."""

    def __init__(self) -> None:
        self._active = 0
        self._ended_at = float("-inf")

    def serving(self) -> Foreground:
        """The context around each request; many at once are one object."""
        return self

    def __enter__(self) -> None:
        self._active += 1

    def __exit__(self, *_: object) -> None:
        self._active -= 1
        self._ended_at = trio.current_time()

    def busy(self) -> bool:
        """True while a request is under way or has only just ended."""
        return self._active > 0 or trio.current_time() - self._ended_at < LINGER_S
