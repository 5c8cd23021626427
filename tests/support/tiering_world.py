"""A whole store in memory under a virtual clock: disks, a remote, journal, tiering and its loops.

`restarted` is what a new process finds after a crash; nothing that was only in memory survives.
"""

from __future__ import annotations

import random
import tomllib
from collections.abc import Callable
from contextlib import aclosing, asynccontextmanager

import trio
from awscrt import checksums

from stratum.adapters.access_log import MemoryAccessLog
from stratum.adapters.hazard_solver import ArraySolver
from stratum.adapters.memory_disk import MemoryDisk
from stratum.adapters.memory_journal import MemoryJournal
from stratum.adapters.memory_remote import MemoryRemote
from stratum.adapters.metered_remote import MeteredRemote
from stratum.adapters.read_history import MemoryReadHistory
from stratum.adapters.record_codec import decode_record, encode_record
from stratum.adapters.s3.digests import new_hasher
from stratum.adapters.stripe_codec import InlineCodec
from stratum.adapters.web.metrics import Metrics
from stratum.app.accesses import AccessRecorder
from stratum.app.datapath import DataPath
from stratum.app.explain import explain
from stratum.app.foreground import Foreground
from stratum.app.history import ReadKeeper
from stratum.app.learning import Learning
from stratum.app.mover import MoveLimits, Mover
from stratum.app.objects import Objects
from stratum.app.orders import Orders
from stratum.app.payload import Stated, StreamSource
from stratum.app.pins import Pins
from stratum.app.reclaimer import Reclaimer
from stratum.app.recovery import settle_staged
from stratum.app.spending import RemoteMeter, Spending
from stratum.app.tierer import INTERVAL_S, Tierer
from stratum.app.watermarks import Watermarks
from stratum.domain.attributes import VersionAttributes
from stratum.domain.errors import RemoteFailed
from stratum.domain.events import BucketCreated
from stratum.domain.names import BucketName, Caller, ObjectKey, Tier
from stratum.domain.policies import make_follower
from stratum.domain.pricing import DEFAULT_PRICES_TOML, PriceList, parse_prices
from stratum.domain.ranges import Span
from stratum.domain.rules import Rules
from stratum.domain.stripes import ErasureProfile
from stratum.domain.volume import Metadata, Volume
from tests.support.keys import sealing

STRIPE_SIZE_BYTES = 16384
EPOCH_MS = 1_700_000_000_000
BUCKET = BucketName("bucket")
ALICE = Caller("alice-id", "alice")
PRICES = parse_prices(tomllib.loads(DEFAULT_PRICES_TOML))


FAULTS = ("500", "time-out", "slow", "truncated", "wrong bytes", "lost answer")
TIMEOUT_S = 60.0
SLOW_S = 300.0


class FaultyRemote(MemoryRemote):
    """`failing` names operations that raise from now on; `latency_s` slows all of them.

    `faults` says what goes wrong with the operations by their number (from 1): one of FAULTS.
    `referenced` is asked at every deletion for the names that must not be deleted.
    """

    def __init__(self) -> None:
        super().__init__()
        self.failing: set[str] = set()
        self.latency_s = 0.0
        self.corrupts_puts = False
        self.faults: dict[int, str] = {}
        self.operations = 0
        self.referenced: Callable[[], set[str]] = set
        self.violations: list[str] = []

    async def put(self, name, size_bytes, body) -> None:
        await self._operation("put")
        fault = await self._fault()
        if fault == "truncated":
            await anext(body)
            raise RemoteFailed("the connection broke while the body was sent")
        await super().put(name, size_bytes, body)
        if self.corrupts_puts or fault == "wrong bytes":
            self.corrupt(name, size_bytes - 1)
        if fault == "lost answer":
            raise RemoteFailed("the answer was lost")
        await self._operation("put answer")

    @asynccontextmanager
    async def read(self, name, start, stop):
        await self._operation("read")
        fault = await self._fault()
        if fault == "truncated":
            self.truncate_next_read((stop - start) // 2)
        async with (
            super().read(name, start, stop) as pieces,
            aclosing(self._slowly(pieces, wrong=fault == "wrong bytes")) as slow_pieces,
        ):
            yield slow_pieces

    async def delete(self, name) -> None:
        if name in self.referenced():
            self.violations.append(name)
        await self._operation("delete")
        fault = await self._fault()
        await super().delete(name)
        if fault == "lost answer":
            raise RemoteFailed("the answer was lost")

    def content(self, name: str) -> bytes:
        """What is stored under a name, without an operation."""
        return bytes(self._objects[name])

    def reconnected(self) -> FaultyRemote:
        """What a new process finds; this connection is dead."""
        again = FaultyRemote()
        again._objects = self._objects
        self._objects = {}
        self.failing = {"put", "put answer", "read", "read on", "delete"}
        return again

    async def _slowly(self, pieces, *, wrong: bool):
        async for piece in pieces:
            await self._operation("read on")
            yield bytes(byte ^ 0xFF for byte in piece) if wrong else piece

    async def _fault(self) -> str:
        """Count an operation; fail if that is planned, or say what else is to go wrong."""
        self.operations += 1
        fault = self.faults.get(self.operations, "")
        if fault == "500":
            raise RemoteFailed("500 InternalError")
        if fault == "time-out":
            await trio.sleep(TIMEOUT_S)
            raise RemoteFailed("no answer within a minute")
        if fault == "slow":
            await trio.sleep(SLOW_S)
        return fault

    async def _operation(self, name: str) -> None:
        await trio.sleep(self.latency_s)
        if name in self.failing:
            raise RemoteFailed(f"{name} failed")


LOOPS = ("mover", "recorder", "spending", "watermarks", "tierer", "pins", "reclaimer")


async def inline(work):
    """No threads: they stop the virtual clock."""
    return work()


class World:
    """Use cases and loops over memory. Times in seconds are those of the Trio clock."""

    def __init__(
        self,
        *,
        day_s: float = 1.0,
        cold: bool = True,
        enabled: bool = True,
        interval_s: float = INTERVAL_S,
        policy: str = "break-even",
        prices: PriceList = PRICES,
        moves: MoveLimits = MoveLimits(bytes_per_s=0, busy_bytes_per_s=0),  # noqa: B008
        grace_s: float = 60.0,
        spend_per_month: float = 0.0,
        high_watermark: float = 0.9,
        low_watermark: float = 0.8,
        flush_s: float = 5.0,
        encrypted: bool = False,
        before: World | None = None,
        journal: MemoryJournal | None = None,
    ) -> None:
        self._made_with = {
            "day_s": day_s,
            "cold": cold,
            "enabled": enabled,
            "interval_s": interval_s,
            "policy": policy,
            "prices": prices,
            "moves": moves,
            "grace_s": grace_s,
            "spend_per_month": spend_per_month,
            "high_watermark": high_watermark,
            "low_watermark": low_watermark,
            "flush_s": flush_s,
            "encrypted": encrypted,
        }
        self.random = before.random if before else random.Random(4)
        self.remote = before.remote.reconnected() if before else FaultyRemote()
        self.access_log = before.access_log if before else MemoryAccessLog()
        if before is None:
            self.disks = {
                tier: [MemoryDisk(f"{tier}{index}") for index in range(6)]
                for tier in (Tier.HOT, Tier.WARM)
            }
        else:
            self.disks = {
                tier: [disk.crash(torn_bytes=100) for disk in disks]
                for tier, disks in before.disks.items()
            }
        self.journal = journal or MemoryJournal(self.now_ms)
        self.remote.referenced = self._remote_names
        self.enabled = enabled
        self.damage: list[str] = []
        tiers = tuple(Tier) if cold else (Tier.HOT, Tier.WARM)
        follower = make_follower(policy, prices, tiers, ArraySolver(), day_s, self_refreshing=False)
        self.rules = Rules(follower, prices, tiers, day_s)
        self.meter = RemoteMeter()
        self.datapath = DataPath(
            self.disks,
            MeteredRemote(self.remote, self.meter) if cold else None,
            InlineCodec(STRIPE_SIZE_BYTES, buffers=8),
            encode_record,
            profile=ErasureProfile(4, 2),
            write_quorum=5,
            large_writes=4,
            on_damage=lambda tier, extent, index, reason: self.damage.append(reason),
            stripe_size_bytes=STRIPE_SIZE_BYTES,
        )
        self.metrics = Metrics()
        self.foreground = Foreground()
        rows = trio.Lock()
        self.read_history = before.read_history if before else MemoryReadHistory(self.now_ms())
        keeper = ReadKeeper(
            self.read_history,
            self.now_ms,
            keep_s=400 * day_s,
            session_ms=self.rules.session_ms,
        )
        self.learning = Learning(self.access_log, self.rules, self.now_ms, inline, keeper)
        self.recorder = AccessRecorder(
            self.journal,
            self.access_log,
            self.rules,
            self.now_ms,
            rows,
            lambda timer_ms: self.tierer.wake(timer_ms),
            self.learning,
            flush_s=flush_s,
        )
        self.mover = Mover(
            self.journal,
            self.datapath,
            checksums.crc64nvme,
            self.recorder.track,
            self.metrics.tiering,
            limits=moves,
            busy=self.foreground.busy,
        )
        self.spending = Spending(
            self.journal, self.meter, prices, spend_per_month, day_s, self.now_ms
        )
        self.watermarks = Watermarks(
            self.journal,
            self.disks,
            tiers,
            prices,
            ErasureProfile(4, 2),
            high=high_watermark,
            low=low_watermark,
            interval_s=60.0,
        )
        self.orders = Orders(
            self.journal,
            self.access_log,
            self.mover,
            self.rules,
            (self.spending.restrain, self.watermarks.restrain),
            self.metrics.tiering.declined,
            self.new_id,
            self.now_ms,
            rows,
        )
        self.tierer = Tierer(
            self.journal,
            self.access_log,
            self.orders,
            self.rules,
            self.now_ms,
            rows,
            self.learning,
            interval_s=interval_s,
            enabled=enabled,
        )
        self.pins = Pins(
            self.journal, self.access_log, self.rules, self.now_ms, rows, self.tierer.wake
        )
        self.reclaimer = Reclaimer(self.journal, self.datapath, self.now_ms, grace_s=grace_s)
        # Keys are in a file: a crash does not touch them.
        self.sealing = before.sealing if before else sealing(encrypted=encrypted)
        self.objects = Objects(
            self.journal,
            self.datapath,
            self.recorder,
            self.new_id,
            self.now_ms,
            new_hasher,
            self.sealing,
        )

    # -- life -----------------------------------------------------------------------------------
    @asynccontextmanager
    async def running(self, *loops: str):
        """Recovery, then the named loops (all by default) until the block ends."""
        await settle_staged(self.journal, self.disks, decode_record)
        async with trio.open_nursery() as nursery:
            for loop in loops or LOOPS:
                service = getattr(self, loop)
                arguments = (self.orders,) if service is self.watermarks else ()
                await nursery.start(service.run, *arguments)
            yield nursery
            nursery.cancel_scope.cancel()

    def restarted(self) -> World:
        """A new process over what is durable right now. Synchronous: call it at any moment."""
        return World(before=self, journal=self.journal.reopened(), **self._made_with)

    def now_ms(self) -> int:
        return EPOCH_MS + round(trio.current_time() * 1000)

    def new_id(self) -> str:
        return f"{self.now_ms():012x}7{self.random.getrandbits(76):019x}"

    # -- use ------------------------------------------------------------------------------------
    async def make_bucket(self) -> None:
        created = BucketCreated(BUCKET, ALICE.id, ALICE.name, "us-east-1")
        if self.journal.catalog.bucket(BUCKET) is None:
            await self.journal.transact(lambda _: [created], by="alice")

    async def put(
        self, key: str, content: bytes, attributes: VersionAttributes | None = None
    ) -> Volume:
        await self.make_bucket()

        async def pieces():
            yield content

        stated = Stated(size_bytes=len(content))
        source = StreamSource(pieces())
        await self.objects.put(
            ALICE,
            BUCKET,
            ObjectKey(key),
            source,
            stated,
            Metadata(),
            attributes=attributes,
        )
        return self.volume(key)

    async def get(self, key: str) -> bytes:
        """What a GET answers; counts as an access."""
        async with self.objects.open(BUCKET, ObjectKey(key)) as download:
            return b"".join([bytes(piece) async for piece in download.pieces])

    async def copy(self, source: str, target: str) -> None:
        await self.objects.copy(
            ALICE,
            self.objects.source(BUCKET, ObjectKey(source)),
            (BUCKET, ObjectKey(target)),
            None,
            None,
        )

    async def peek(self, key: str) -> bytes:
        """The bytes where the object is now, without an access."""
        volume = self.volume(key)
        async with self.datapath.read(volume.location, Span(0, volume.size_bytes)) as pieces:
            return b"".join([bytes(piece) async for piece in pieces])

    async def read_in_sessions(self, *keys: str, sessions: int = 3, apart_days: float = 0.1):
        for _ in range(sessions):
            for key in keys:
                await self.get(key)
            await self.days(apart_days)

    async def move(self, key: str, target: Tier) -> None:
        await self.orders.by_hand(self.volume(key).id, target, "alice")

    async def pin(self, prefix: str, tier: Tier, why: str = "") -> None:
        await self.make_bucket()
        await self.pins.pin(ALICE, BUCKET, prefix, tier, why)

    async def unpin(self, prefix: str) -> None:
        await self.pins.unpin(ALICE, BUCKET, prefix)

    async def explain(self, key: str):
        return await explain(
            self.journal,
            self.access_log,
            self.rules,
            BUCKET,
            ObjectKey(key),
            self.now_ms(),
            enabled=self.enabled,
        )

    def counted(self, name: str, **labels: str) -> float:
        """The value of a metric."""
        return self.metrics._registry.get_sample_value(name, labels) or 0.0

    def volume(self, key: str) -> Volume:
        version = self.journal.catalog.version(BUCKET, ObjectKey(key))
        assert version is not None
        volume = self.journal.catalog.volume(version.volume_id)
        assert volume is not None
        return volume

    def tier(self, key: str) -> Tier:
        return self.volume(key).tier

    async def days(self, days: float) -> None:
        """Let days of the tiering clock pass."""
        await trio.sleep(days * self.rules.day_s)

    async def settled(self) -> None:
        """Wait until no move is under way."""
        while self.journal.catalog.pending_moves():  # noqa: ASYNC110 - there is no event for it
            await trio.sleep(0.01)

    def break_even_days(self, source: Tier, target: Tier, size_bytes: int) -> float:
        return self.rules.prices.break_even_days(source, target, size_bytes / 1e9)

    # -- inspection -----------------------------------------------------------------------------
    def _remote_names(self) -> set[str]:
        locations = [volume.location for volume in self.journal.catalog.volumes(limit=10_000)]
        return {location.remote.name for location in locations if location.remote}

    async def stored(self) -> set[str]:
        """Names of everything stored anywhere, staged or published."""
        found = {name async for name in self.remote.names()}
        for disks in self.disks.values():
            for disk in disks:
                found |= set(await disk.staged())
                found |= {name async for name in disk.names()}
        return found

    def referenced(self, *keys: str) -> set[str]:
        """Names of what these keys refer to."""
        found = set()
        for key in keys:
            location = self.volume(key).location
            found |= {extent.id for extent in location.extents}
            if location.remote:
                found.add(location.remote.name)
        return found

    async def topics(self, key: str) -> list[str]:
        """The names of the events about a key's current volume."""
        history = await self.journal.history(self.volume(key).id)
        return [type(record.event).__name__ for record in history]


def content_of(size_bytes: int, seed: int = 1) -> bytes:
    return random.Random(seed).randbytes(size_bytes)
