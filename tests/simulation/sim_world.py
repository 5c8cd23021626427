"""A store on simulated disks, remote and journal, with a fault budget and one source of chance.

The budget, per run. Whatever happens within it must lose nothing:

- at most two disks of a tier are bad. A bad disk may refuse any operation (EIO), be full (ENOSPC),
  be slow, lose shards and rot bytes without a word;
- the remote may refuse, time out, lose the answer to a call that had its effect, break off a
  read, and answer a put of which it kept other bytes (then it must be noticed, not survived:
  a put that is acknowledged by `VolumeMoved` has been read back);
- the process may die at any step of the scheduler, also while it recovers, and the power with it:
  what was not sealed is lost or torn, a rename that nobody synced may not have happened, and the
  last transaction may be there or not if nobody had its answer yet.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field

import trio

from stratum.adapters.memory_journal import MemoryJournal
from stratum.app.recovery import Recovered
from stratum.domain.errors import DiskFailed, RemoteFailed
from stratum.domain.events import VolumeMoved
from stratum.domain.names import Tier
from tests.support.store import FaultyDisk, Store
from tests.support.tiering_world import EPOCH_MS, FaultyRemote

BAD_DISKS_MAX = 2
TORN_BYTES = (0, 0, 10, 100, 5000)


@dataclass
class Switches:
    """Safeguards that a test can switch off, to see that the simulation notices."""

    fsync: bool = True
    """A sealed shard survives a power cut."""
    read_back: bool = True
    """A move reads its copy back before it is committed."""
    version_guard: bool = True
    """A move that lost a race against an overwrite is refused."""
    settle_staged: bool = True
    """Recovery settles what was staged."""


@dataclass
class Chances:
    """How likely faults are; drawn once per run, so that some runs are quiet and some are not."""

    disk_error: float = 0.0
    disk_slow: float = 0.0
    rot: float = 0.0
    remote_error: float = 0.0
    remote_wrong_bytes: float = 0.0
    bad_disks: dict[Tier, frozenset[int]] = field(default_factory=dict)
    full_disks: bool = False
    on: bool = True
    """Off while the invariants are checked: faults of the past stay, new ones don't come."""


def draw_chances(chance: random.Random) -> Chances:
    def one_of(*values: float) -> float:
        return chance.choice(values)

    bad = {
        tier: frozenset(chance.sample(range(6), chance.choice((0, 0, 1, 1, 2))))
        for tier in (Tier.HOT, Tier.WARM)
    }
    return Chances(
        disk_error=one_of(0, 0.02, 0.3),
        disk_slow=one_of(0, 0.1),
        rot=one_of(0, 0.1),
        remote_error=one_of(0, 0.05, 0.4),
        remote_wrong_bytes=one_of(0, 0, 0.3),
        bad_disks=bad,
        full_disks=chance.random() < 0.1,
    )


class SimDisk(FaultyDisk):
    """A disk whose faults come by chance. `tier` and `index` say whether it is a bad one."""

    def arm(self, world: SimStore, tier: Tier, index: int) -> None:
        self._world, self._tier, self._index = world, tier, index

    @property
    def is_bad(self) -> bool:
        return self._index in self._world.chances.bad_disks[self._tier]

    async def _step(self) -> None:
        await super()._step()
        await self.misbehave()

    async def fault(self, operation: str) -> None:
        await super().fault(operation)
        if operation in ("append", "seal"):
            await self.misbehave()

    async def misbehave(self) -> None:
        chances, chance = self._world.chances, self._world.random
        if not (chances.on and self.is_bad):
            return
        if chance.random() < chances.disk_slow:
            await trio.sleep(chance.uniform(0.01, 5.0))
        if chance.random() < chances.disk_error:
            raise DiskFailed(f"{self.path}: Input/output error (EIO)")
        if chances.full_disks and chance.random() < 0.5:
            self.size_bytes = self._used_bytes
        if chance.random() < chances.rot and (names := sorted(self.shards())):
            self._rot(chance.choice(names))

    def _rot(self, name: str) -> None:
        chance, data = self._world.random, self.data(name)
        if chance.random() < 0.3:
            self.lose(name)
        elif data:
            self.corrupt(name, chance.randrange(len(data)))

    def crash(self, *, torn_bytes: int = 0, undo_publishes: bool = False) -> FaultyDisk:
        chance = self._world.random
        after = super().crash(torn_bytes=chance.choice(TORN_BYTES))
        if not self._world.switches.fsync:
            for name in [name for name in after._staged if chance.random() < 0.5]:
                del after._staged[name]
        for name in list(after._published):
            if chance.random() < 0.1:  # its rename had not reached the disk
                after._staged[name] = after._published.pop(name)
        return after


class SimRemote(FaultyRemote):
    """A remote whose faults come by chance."""

    world: SimStore

    async def put(self, name, size_bytes, body) -> None:
        await super().put(name, size_bytes, body)
        chances, chance = self.world.chances, self.world.random
        if chances.on and chance.random() < chances.remote_wrong_bytes:
            self.corrupt(name, chance.randrange(size_bytes))

    async def _operation(self, name: str) -> None:
        await super()._operation(name)
        chances, chance = self.world.chances, self.world.random
        if chances.on and chance.random() < chances.remote_error:
            if chance.random() < 0.2:
                await trio.sleep(60)
                raise RemoteFailed(f"{name} timed out")
            raise RemoteFailed(f"{name}: ServiceUnavailable")

    def reconnected(self) -> SimRemote:
        again = SimRemote()
        again._objects, self._objects = self._objects, {}
        self.failing = {"put", "put answer", "read", "read on", "delete"}
        return again


class SimJournal(MemoryJournal):
    """A journal whose commits take a moment: who dies meanwhile does not know whether they are."""

    def __init__(self, now_ms, rows=(), chance: random.Random | None = None) -> None:
        super().__init__(now_ms, rows)
        self.chance = chance or random.Random(0)
        self._writing = trio.Lock()
        self._unsynced = []

    async def transact(self, decide, *, by):
        await trio.lowlevel.checkpoint()
        with trio.CancelScope(shield=True):
            async with self._writing:
                at_ms = max(self._now_ms(), self._head.at_ms)
                self._unsynced = self._link(decide(self._catalog), at_ms, by)
                for _ in range(self.chance.randrange(3)):
                    await trio.lowlevel.checkpoint()
                links, self._unsynced = self._unsynced, []
                for each in links:
                    self._append(*each)
        return [each.recorded for each in links]

    def reopened(self, now_ms=None) -> SimJournal:
        rows = list(self._rows)
        if self._unsynced and self.chance.random() < 0.5:
            rows += [
                (each.recorded.stream, each.recorded.version, each.recorded.event.TOPIC, *rest)
                for each in self._unsynced
                for rest in [(each.state, each.digest)]
            ]
        return SimJournal(now_ms or self._now_ms, rows, self.chance)


class SimStore(Store):
    """The whole store on simulated parts. `restarted` draws what the crash did."""

    def __init__(
        self, chances: Chances, switches: Switches, chance: random.Random, **options
    ) -> None:
        self.chances, self.switches, self.random = chances, switches, chance
        options.setdefault("enabled", True)
        before = options.get("before")
        if options.get("journal") is None:
            options["journal"] = SimJournal(now_ms, (), chance)
        super().__init__(**options)
        self.random = chance
        self.crashed = False
        for tier, disks in self.disks.items():
            disks[:] = [SimDisk.of(disk) for disk in disks]
            for index, disk in enumerate(disks):
                disk.arm(self, tier, index)
        if before is None:
            remote = SimRemote()
            remote._objects = self.remote._objects
            self._replace_remote(remote)
        self.remote.world = self
        if not switches.read_back:
            self.mover._read_back = _unread

    def all_disks(self) -> list[SimDisk]:
        return [disk for disks in self.disks.values() for disk in disks]

    def _replace_remote(self, remote: SimRemote) -> None:
        self.remote = remote
        if self.datapath._remote is not None:
            self.datapath._remote = remote

    def restarted(self) -> SimStore:
        self.crashed = True
        return SimStore(
            self.chances,
            self.switches,
            self.random,
            before=self,
            journal=self.journal.reopened(),
            **self._made_with,
        )


def now_ms() -> int:
    return EPOCH_MS + round(trio.current_time() * 1000)


async def _unread(volume, target) -> str:
    """The switched-off safeguard: whatever was written is taken for right."""
    return volume.checksum


def unguarded_complete_move(catalog, *, volume_id, copy_id, target, checksum):
    """The switched-off safeguard: a move is committed whatever happened to the volume."""
    volume = catalog.volume(volume_id)
    source = volume.location if volume else target
    return [VolumeMoved(volume_id, source, target, checksum)]


async def nothing_settled(journal, disks, decode) -> Recovered:
    """The switched-off safeguard: what was staged stays so."""
    return Recovered(0, 0, ())
