"""Disks that are watched: who errs or hangs is set aside, probed, and let in again.

`WatchedDisk` is a ShardStore around another one. It counts what goes well and wrong, and refuses
at once where the disk behind it is known not to answer. `DiskWatch` looks after all of them: at
calls that take too long, at free space, and at those set aside.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import trio

from stratum.app.crew import Crew
from stratum.domain.disk_health import Aspect, Condition, Health
from stratum.domain.errors import DiskFailed, DiskFull, ShardNotFound
from stratum.domain.names import Tier
from stratum.ports import Buffer, DiskUsage, Sealing, ShardReader, ShardStore, ShardWriter

SLOW_S = 3.0
"""A call that takes longer counts against the disk, once for each time as long again."""
LOOK_INTERVAL_S = 1.0
PROBE_LIMIT_S = 5.0
"""A probe that takes longer has failed."""
SPACE_INTERVAL_S = 5.0
RESERVE_BYTES = 64 * 1024 * 1024
"""A disk with less free space takes no more shards: what deletes and repairs needs some."""
SPARE = {Aspect.READING: 2, Aspect.WRITING: 1}
"""So many disks of a tier can be done without. No more are set aside for being slow: if more are
slow, it is not the disks."""
PROBE_NAME = "probe-00"

_UNKNOWN_BYTES = 1 << 62
"""Free space of a disk that was not asked yet."""

log = logging.getLogger("stratum.disks")

T = TypeVar("T")


@dataclass(frozen=True)
class DiskCondition:
    """What is thought of a disk, for status and metrics."""

    tier: Tier
    index: int
    path: str
    condition: Condition
    """The worse of reading and writing."""
    reason: str
    free_bytes: int
    is_full: bool


@dataclass
class Space:
    """Free space of a device, which several disks may share: as it was asked for last, less what
    was written since."""

    free_bytes: int


class WatchedDisk:
    """Implements ShardStore. `is_spare(aspect)`: whether its tier can do without it."""

    def __init__(self, inner: ShardStore) -> None:
        self.inner = inner
        self.path = inner.path
        self.health = {aspect: Health() for aspect in Aspect}
        self.space = Space(_UNKNOWN_BYTES)
        self.reserve_bytes = RESERVE_BYTES
        self.is_spare: Callable[[Aspect], bool] = lambda _: True
        self._calls: dict[int, tuple[Aspect, float]] = {}
        self._number = 0

    def create(self, name: str) -> ShardWriter:
        return _WatchedWriter(self, self.inner.create(name))

    async def publish(self, name: str) -> None:
        await self.watch(Aspect.WRITING, partial(self.inner.publish, name))

    def publish_now(self, name: str) -> bool:
        if self.health[Aspect.WRITING].condition is Condition.FAILED:
            return False
        return self.inner.publish_now(name)

    async def replace(self, staged: str, name: str) -> None:
        await self.watch(Aspect.WRITING, partial(self.inner.replace, staged, name))

    async def open(self, name: str) -> ShardReader:
        reader = await self.watch(Aspect.READING, partial(self.inner.open, name))
        return _WatchedReader(self, reader)

    def open_now(self, name: str) -> ShardReader | None:
        if self.health[Aspect.READING].condition is Condition.FAILED:
            return None
        inner = self.inner.open_now(name)
        return None if inner is None else _WatchedReader(self, inner)

    async def delete(self, name: str) -> None:
        """Also on a full disk: it makes room."""
        await self.watch(Aspect.READING, partial(self.inner.delete, name))

    async def staged(self) -> Sequence[str]:
        return await self.watch(Aspect.READING, self.inner.staged)

    def names(self) -> AsyncIterator[str]:
        return self.inner.names()

    async def usage(self) -> DiskUsage:
        return await self.watch(Aspect.READING, self.inner.usage)

    async def label(self, new: Mapping[str, str] | None = None) -> Mapping[str, str] | None:
        aspect = Aspect.READING if new is None else Aspect.WRITING
        return await self.watch(aspect, partial(self.inner.label, new))

    @property
    def is_full(self) -> bool:
        """Whether what is left is kept in reserve."""
        return self.space.free_bytes < self.reserve_bytes

    def reserve(self, size_bytes: int) -> None:
        """Take room for a write. Raises DiskFull."""
        if self.space.free_bytes - size_bytes < self.reserve_bytes:
            raise DiskFull(f"{self.path}: less than {self.reserve_bytes >> 20} MiB are free")
        self.space.free_bytes -= size_bytes

    @property
    def condition(self) -> Condition:
        """The worse of reading and writing."""
        order = list(Condition)
        return max((health.condition for health in self.health.values()), key=order.index)

    @property
    def reason(self) -> str:
        """What is wrong, if anything is."""
        return next((f"{a}: {h.reason}" for a, h in self.health.items() if h.reason), "")

    # -- bookkeeping ----------------------------------------------------------------------------
    async def watch(self, aspect: Aspect, call: Callable[[], Awaitable[T]]) -> T:
        """A call to the disk. Raises DiskFailed before it if the disk is set aside."""
        health = self.health[aspect]
        if health.is_set_aside:
            raise DiskFailed(f"{self.path}: set aside: {health.reason}")
        number = self._number = self._number + 1
        begun_s = trio.current_time()
        self._calls[number] = (aspect, begun_s)
        try:
            answer = await call()
        except DiskFailed as error:
            if not isinstance(error, DiskFull):
                health.erred(str(error))
            raise
        except ShardNotFound:
            health.went_well()
            raise
        finally:
            del self._calls[number]
        if trio.current_time() - begun_s < SLOW_S:
            health.went_well()
        return answer

    def look_at_calls(self) -> None:
        """Count those that have taken SLOW_S, and begin to count them again."""
        now_s = trio.current_time()
        for number, (aspect, since_s) in list(self._calls.items()):
            if now_s - since_s >= SLOW_S:
                self._calls[number] = (aspect, now_s)
                reason, may = f"no answer in {SLOW_S:.0f} s", self.is_spare(aspect)
                if self.health[aspect].was_slow(reason, now_s, may_set_aside=may):
                    log.error("%s is set aside for %s: %s", self.path, aspect, reason)


class _WatchedWriter:
    def __init__(self, disk: WatchedDisk, inner: ShardWriter) -> None:
        self._disk = disk
        self._inner = inner

    async def append(self, parts: Sequence[Buffer]) -> None:
        self._disk.reserve(sum(map(len, parts)))
        await self._disk.watch(Aspect.WRITING, partial(self._inner.append, parts))

    async def seal(self, parts: Sequence[Buffer]) -> None:
        self._disk.reserve(sum(map(len, parts)))
        await self._disk.watch(Aspect.WRITING, partial(self._inner.seal, parts))

    def begin_seal(self, parts: Sequence[Buffer]) -> Sealing | None:
        disk = self._disk
        if disk.is_full or disk.health[Aspect.WRITING].condition is Condition.FAILED:
            return None
        inner = self._inner.begin_seal(parts)
        if inner is None:
            return None
        # Small, and begun: it may take the last of what is not in reserve.
        disk.space.free_bytes -= sum(map(len, parts))
        return partial(disk.watch, Aspect.WRITING, inner)

    async def discard(self) -> None:
        await self._inner.discard()


class _WatchedReader:
    def __init__(self, disk: WatchedDisk, inner: ShardReader) -> None:
        self._disk = disk
        self._inner = inner

    async def read_at(self, offset: int, length: int) -> Buffer:
        return await self._disk.watch(Aspect.READING, partial(self._inner.read_at, offset, length))

    def read_now(self, offset: int, length: int) -> Buffer | None:
        return self._inner.read_now(offset, length)

    def size(self) -> int:
        return self._inner.size()

    def close(self) -> None:
        self._inner.close()


class DiskWatch:
    """Looks after the disks of all tiers. `expected` tells the id in the label of a disk, None
    before it has one."""

    def __init__(
        self,
        disks: Mapping[Tier, Sequence[WatchedDisk]],
        crew: Crew,
        expected: Callable[[Tier, int], str | None],
        *,
        reserve_bytes: int = RESERVE_BYTES,
        spare: Mapping[Aspect, int] = SPARE,
    ) -> None:
        self._disks = disks
        self._crew = crew
        self._expected = expected
        self._spaces: dict[int, Space] = {}
        self._asked: set[WatchedDisk] = set()
        self._spare = spare
        for members in disks.values():
            for disk in members:
                disk.reserve_bytes = reserve_bytes
                disk.is_spare = partial(self._can_do_without, members, disk)

    def _can_do_without(
        self, members: Sequence[WatchedDisk], disk: WatchedDisk, aspect: Aspect
    ) -> bool:
        others = [each.health[aspect].condition for each in members if each is not disk]
        return others.count(Condition.FAILED) < self._spare[aspect]

    def conditions(self) -> list[DiskCondition]:
        """What is thought of every disk."""
        return [
            DiskCondition(
                tier,
                index,
                disk.path,
                disk.condition,
                disk.reason,
                disk.space.free_bytes if disk.space.free_bytes < _UNKNOWN_BYTES else 0,
                disk.is_full,
            )
            for tier, members in self._disks.items()
            for index, disk in enumerate(members)
        ]

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Watch until cancelled. Starts when the disks have said how much room they have."""
        with trio.move_on_after(PROBE_LIMIT_S):
            first = self._crew.round(
                {
                    number: partial(self._ask, disk, tier, index)
                    for number, (tier, index, disk) in enumerate(self._all())
                }
            )
            await first.until_all()
        task_status.started()
        space_at_s = trio.current_time() + SPACE_INTERVAL_S
        while True:
            now_s = trio.current_time()
            for tier, index, disk in self._all():
                disk.look_at_calls()
                due = any(health.probe_is_due(now_s) for health in disk.health.values())
                if (due or now_s >= space_at_s) and disk not in self._asked:
                    self._crew.start(self._ask, disk, tier, index)
            if now_s >= space_at_s:
                space_at_s = now_s + SPACE_INTERVAL_S
            await trio.sleep(LOOK_INTERVAL_S)

    def _all(self) -> list[tuple[Tier, int, WatchedDisk]]:
        return [
            (tier, index, disk)
            for tier, members in self._disks.items()
            for index, disk in enumerate(members)
        ]

    async def _ask(self, disk: WatchedDisk, tier: Tier, index: int) -> None:
        """Ask a disk for its space, and if it is set aside, whether it works again."""
        self._asked.add(disk)
        try:
            for aspect, probe in (
                (Aspect.READING, self._probe_reading),
                (Aspect.WRITING, self._probe_writing),
            ):
                health = disk.health[aspect]
                if not health.is_set_aside and aspect is Aspect.WRITING:
                    continue
                fault = f"no answer in {PROBE_LIMIT_S:.0f} s"
                with trio.move_on_after(PROBE_LIMIT_S) as scope:
                    fault = await probe(disk, tier, index)
                if scope.cancelled_caught:
                    fault = f"no answer in {PROBE_LIMIT_S:.0f} s"
                if health.probe_is_due(trio.current_time()) and health.probed(
                    fault, trio.current_time()
                ):
                    log.warning("%s answers again, and is used for %s", disk.path, aspect)
        finally:
            self._asked.discard(disk)

    async def _probe_reading(self, disk: WatchedDisk, tier: Tier, index: int) -> str:
        """What is wrong, or nothing. Takes note of the free space."""
        try:
            if disk.health[Aspect.READING].is_set_aside:
                label, usage = await disk.inner.label(), await disk.inner.usage()
            else:
                label, usage = await disk.label(), await disk.usage()
        except DiskFailed as error:
            return str(error)
        was_full = disk.is_full
        disk.space = self._spaces.setdefault(usage.device, Space(0))
        disk.space.free_bytes = usage.free_bytes
        if disk.is_full and not was_full:
            log.error("%s is full: it takes no more shards", disk.path)
        expected = self._expected(tier, index)
        if label is None:
            return "missing: there is no label"
        if expected is not None and label.get("disk_id") != expected:
            fault = "another disk than the one that belongs here"
            for health in disk.health.values():
                if not health.is_set_aside:
                    health.set_aside(fault, trio.current_time())
            return fault
        return ""

    async def _probe_writing(self, disk: WatchedDisk, tier: Tier, index: int) -> str:
        fault = await self._probe_reading(disk, tier, index)
        if fault:
            return fault
        writer = disk.inner.create(PROBE_NAME)
        try:
            await writer.seal([b"probe"])
        except DiskFailed as error:
            return str(error)
        finally:
            await writer.discard()
        return ""
