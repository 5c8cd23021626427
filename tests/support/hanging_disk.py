"""A disk in memory that can be slow, hang, be full or be gone."""

import trio

from stratum.domain.errors import DiskFull
from tests.support.store import FaultyDisk


class HangingDisk(FaultyDisk):
    """`hanging`: calls wait until it is False again. `slow_s`: calls take so long. `full`: nothing
    can be written."""

    def __init__(self, path: str, **options) -> None:
        super().__init__(path, **options)
        self.hanging = self.full = False
        self.slow_s = 0.0
        self.calls: list[str] = []

    async def fault(self, operation: str) -> None:
        await self._wait(operation)
        if self.full and operation in ("create", "append", "seal"):
            raise DiskFull(f"{self.path}: no space left")
        await super().fault(operation)

    async def usage(self):
        await self._wait("usage")
        return await super().usage()

    async def open(self, name):
        return _HangingReader(self, await super().open(name))

    async def _wait(self, operation: str) -> None:
        self.calls.append(operation)
        if self.slow_s:
            await trio.sleep(self.slow_s)
        while self.hanging:  # noqa: ASYNC110 - the test's own clock
            await trio.sleep(0.05)


class _HangingReader:
    def __init__(self, disk: HangingDisk, inner) -> None:
        self._disk = disk
        self._inner = inner

    async def read_at(self, offset, length):
        await self._disk._wait("read")
        return await self._inner.read_at(offset, length)

    def read_now(self, offset, length):
        return None

    def size(self):
        return self._inner.size()

    def close(self):
        self._inner.close()
