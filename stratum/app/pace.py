"""A limit on bytes per second for work in the background."""

from __future__ import annotations

import trio


class Pace:
    """Shared by all tasks that spend from it; None: no limit."""

    def __init__(self, bytes_per_s: float | None) -> None:
        self._bytes_per_s = bytes_per_s
        self._free_at = 0.0

    async def spend(self, size_bytes: int) -> None:
        """Wait as long as these bytes take at the set rate."""
        if self._bytes_per_s:
            now = trio.current_time()
            self._free_at = max(now, self._free_at) + size_bytes / self._bytes_per_s
            await trio.sleep_until(self._free_at)
