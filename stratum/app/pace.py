"""A limit on bytes per second for work in the background."""

from __future__ import annotations

from collections.abc import Callable

import trio


def never() -> bool:
    return False


class Pace:
    """Shared by all tasks that spend from it; None or 0: no limit.

    While `busy` says so, the second limit counts: work in the background then gives way.
    """

    def __init__(
        self,
        bytes_per_s: float | None,
        busy_bytes_per_s: float | None = None,
        busy: Callable[[], bool] = never,
    ) -> None:
        self._bytes_per_s = bytes_per_s
        self._busy_bytes_per_s = busy_bytes_per_s
        self._busy = busy
        self._free_at = 0.0

    async def spend(self, size_bytes: int) -> None:
        """Wait as long as these bytes take at the rate that counts now."""
        bytes_per_s = self._busy_bytes_per_s if self._busy() else self._bytes_per_s
        if bytes_per_s:
            now = trio.current_time()
            self._free_at = max(now, self._free_at) + size_bytes / bytes_per_s
            await trio.sleep_until(self._free_at)
