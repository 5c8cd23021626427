"""Whether clients are being served: what runs in the background gives way to them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import trio

LINGER_S = 0.5
"""How long after a request the next one is expected."""


class Foreground:
    """Counts requests under way."""

    def __init__(self) -> None:
        self._active = 0
        self._ended_at = float("-inf")

    @contextmanager
    def serving(self) -> Iterator[None]:
        """Around each request."""
        self._active += 1
        try:
            yield
        finally:
            self._active -= 1
            self._ended_at = trio.current_time()

    def busy(self) -> bool:
        """True while a request is under way or has only just ended."""
        return self._active > 0 or trio.current_time() - self._ended_at < LINGER_S
