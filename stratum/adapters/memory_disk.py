"""A disk in memory: the same contract as a directory, with a crash model, for simulation.

What a crash does is what the contract of ShardStore allows, no more:

- a sealed shard survives, staged under its name;
- what was written and not sealed is lost, or survives torn (`crash(torn_bytes=…)`);
- a rename or a deletion that nobody fsynced may not have happened: `crash(undo_publishes=True)`
  puts all shards published so far back among the staged.

Every operation is a checkpoint, so that a simulation can interleave and cancel tasks there.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence

import trio

from stratum.domain.errors import DiskFailed, ShardNotFound
from stratum.ports import Buffer, DiskUsage, Sealing

DEFAULT_SIZE_BYTES = 1 << 40


class MemoryDisk:
    """A ShardStore in memory. `device` is what `usage` reports."""

    def __init__(
        self, path: str = "memory", *, device: int = 0, size_bytes: int = DEFAULT_SIZE_BYTES
    ) -> None:
        self.path = path
        self.device = device
        self.size_bytes = size_bytes
        self._label: dict[str, str] | None = None
        self._unsealed: dict[str, bytearray] = {}
        self._staged: dict[str, bytearray] = {}
        self._published: dict[str, bytearray] = {}
        self._used_bytes = 0
        self._failed = ""

    def __repr__(self) -> str:
        return f"MemoryDisk({self.path!r})"

    # -- the contract ---------------------------------------------------------------------------
    def create(self, name: str) -> MemoryShardWriter:
        return MemoryShardWriter(self, name)

    async def publish(self, name: str) -> None:
        await self._step()
        if name in self._staged:
            self._published[name] = self._staged.pop(name)
        elif name not in self._published:
            raise ShardNotFound(f"{self.path}: no such shard: {name}")

    def publish_now(self, name: str) -> bool:
        return False

    async def replace(self, staged: str, name: str) -> None:
        await self._step()
        if staged not in self._staged:
            raise ShardNotFound(f"{self.path}: no such shard: {staged}")
        new = self._staged.pop(staged)
        self._drop(name, self._unsealed, self._staged, self._published)
        self._published[name] = new

    async def open(self, name: str) -> MemoryShardReader:
        await self._step()
        return MemoryShardReader(self, self._find(name))

    def open_now(self, name: str) -> MemoryShardReader | None:
        return None

    async def delete(self, name: str) -> None:
        await self._step()
        self._drop(name, self._unsealed, self._staged, self._published)

    async def staged(self) -> Sequence[str]:
        await self._step()
        return [*self._staged, *self._unsealed]

    async def names(self) -> AsyncIterator[str]:
        await self._step()
        for name in list(self._published):
            yield name

    async def usage(self) -> DiskUsage:
        await self._step()
        return DiskUsage(self.size_bytes, self.size_bytes - self._used_bytes, self.device)

    async def label(self, new: Mapping[str, str] | None = None) -> Mapping[str, str] | None:
        await self._step()
        if new is not None:
            self._label = dict(new)
        return None if self._label is None else dict(self._label)

    # -- what can happen to a disk --------------------------------------------------------------
    def fail(self, reason: str = "taken away") -> None:
        """Every operation raises DiskFailed until `recover`, also of open readers and writers."""
        self._failed = reason

    def recover(self) -> None:
        """The disk is back as it was."""
        self._failed = ""

    def corrupt(self, name: str, offset: int) -> None:
        """Invert the byte at `offset` of a shard, as a failing medium does: without an error."""
        self._find(name)[offset] ^= 0xFF

    def crash(self, *, torn_bytes: int = 0, undo_publishes: bool = False) -> MemoryDisk:
        """The disk as found after a power cut; this one is of no use any more.

        Of unsealed shards at most `torn_bytes` bytes survive, and nothing at all if it is 0.
        """
        after = MemoryDisk(self.path, device=self.device, size_bytes=self.size_bytes)
        after._label = self._label
        if torn_bytes:
            after._staged |= {name: data[:torn_bytes] for name, data in self._unsealed.items()}
        after._staged |= {name: bytearray(data) for name, data in self._staged.items()}
        published = {name: bytearray(data) for name, data in self._published.items()}
        (after._staged if undo_publishes else after._published).update(published)
        kept = (*after._staged.values(), *after._published.values())
        after._used_bytes = sum(len(data) for data in kept)
        self.fail("this disk is from before the crash")
        return after

    # -- inside ---------------------------------------------------------------------------------
    async def _step(self) -> None:
        await trio.lowlevel.checkpoint()
        self._check()

    def _check(self) -> None:
        if self._failed:
            raise DiskFailed(f"{self.path}: {self._failed}")

    def _find(self, name: str) -> bytearray:
        for shards in (self._published, self._staged, self._unsealed):
            if name in shards:
                return shards[name]
        raise ShardNotFound(f"{self.path}: no such shard: {name}")

    def _drop(self, name: str, *places: dict[str, bytearray]) -> None:
        for shards in places:
            self._used_bytes -= len(shards.pop(name, b""))

    def _start(self, name: str) -> bytearray:
        if any(name in shards for shards in (self._unsealed, self._staged)):
            raise DiskFailed(f"{self.path}/{name}: File exists (EEXIST)")
        return self._unsealed.setdefault(name, bytearray())

    def _extend(self, data: bytearray, parts: Sequence[Buffer]) -> None:
        more = b"".join(parts)
        if self._used_bytes + len(more) > self.size_bytes:
            raise DiskFailed(f"{self.path}: No space left on device (ENOSPC)")
        self._used_bytes += len(more)
        data += more

    def _seal(self, name: str) -> None:
        if name in self._unsealed:
            self._staged[name] = self._unsealed.pop(name)

    def _forget(self, name: str) -> None:
        if not self._failed:
            self._drop(name, self._unsealed, self._staged)


class MemoryShardWriter:
    """A ShardWriter in memory."""

    def __init__(self, disk: MemoryDisk, name: str) -> None:
        self._disk = disk
        self._name = name
        self._data: bytearray | None = None
        self._ended = False

    async def append(self, parts: Sequence[Buffer]) -> None:
        if self._ended:
            raise DiskFailed(f"{self._name}: the shard is sealed, discarded or lost already")
        await trio.lowlevel.checkpoint()
        try:
            self._disk._check()
            if self._data is None:
                self._data = self._disk._start(self._name)
            self._disk._extend(self._data, parts)
        except DiskFailed:
            self._ended = True
            raise

    async def seal(self, parts: Sequence[Buffer]) -> None:
        await self.append(parts)
        self._disk._seal(self._name)
        self._ended = True

    def begin_seal(self, parts: Sequence[Buffer]) -> Sealing | None:
        return None

    async def discard(self) -> None:
        self._ended = True
        if self._data is not None:
            self._data = None
            self._disk._forget(self._name)


class MemoryShardReader:
    """A ShardReader in memory."""

    def __init__(self, disk: MemoryDisk, data: bytearray) -> None:
        self._disk = disk
        self._data: bytearray | None = data
        self._size_bytes = len(data)

    async def read_at(self, offset: int, length: int) -> Buffer:
        await self._disk._step()
        if self._data is None:
            raise DiskFailed(f"{self._disk.path}: the reader is closed")
        return bytes(self._data[offset : min(offset + length, self._size_bytes)])

    def read_now(self, offset: int, length: int) -> Buffer | None:
        return None

    def size(self) -> int:
        return self._size_bytes

    def close(self) -> None:
        self._data = None
