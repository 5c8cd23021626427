"""Room on the disks: when those of a tier are nearly full, what is cheapest to take away goes.

Nothing is scanned. In each round the next WINDOW_VOLUMES of the tier, in order of placement, are
looked at together with the best of those looked at before, and the cheapest are moved; the place in
the order is kept, so that all get their turn. It is to the choice of the cheapest what sampling is
to the choice of the least recently used in a cache.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from functools import partial

import trio

from stratum.app.orders import Orders
from stratum.domain import wording
from stratum.domain.catalog import Catalog
from stratum.domain.errors import DiskFailed, MoveRefused, NoSuchVolume, StratumError
from stratum.domain.names import Tier, VolumeId
from stratum.domain.pinning import pin_on
from stratum.domain.pricing import PriceList
from stratum.domain.stripes import ErasureProfile
from stratum.domain.tiering import Decision
from stratum.domain.volume import Volume
from stratum.domain.watermark import DeviceUse, Fullness, excess_bytes, make_room
from stratum.ports import Journal, ShardStore

WINDOW_VOLUMES = 500
POOL_VOLUMES = 500
"""The cheapest of earlier windows that are remembered."""
MOVES_PER_ROUND = 100
ROUND_PAUSE_S = 1.0
GARBAGE_COUNTED_MAX = 10_000

log = logging.getLogger("stratum.watermarks")


class Watermarks:
    """`high` and `low` are shares of the fullest disk's space, from 0 to 1."""

    def __init__(
        self,
        journal: Journal,
        disks: Mapping[Tier, Sequence[ShardStore]],
        tiers: Sequence[Tier],
        prices: PriceList,
        profile: ErasureProfile,
        *,
        high: float,
        low: float,
        interval_s: float,
    ) -> None:
        self._journal = journal
        self._disks = disks
        self._tiers = tuple(tiers)
        self._prices = prices
        self._profile = profile
        self._high = high
        self._low = low
        self._interval_s = interval_s
        self._devices: dict[Tier, dict[int, DeviceUse]] = {}
        self._passed: dict[Tier, Volume | None] = {}
        self._pool: dict[Tier, set[VolumeId]] = {}

    def fullness(self) -> dict[Tier, float]:
        """Of the fullest disk of each local tier, as last seen."""
        return {
            tier: max((each.used for each in devices.values()), default=0.0)
            for tier, devices in self._devices.items()
        }

    def restrain(self, decision: Decision) -> str:
        """Why nothing is to be moved to the decision's target; "" if there is room."""
        used = self.fullness().get(decision.target, 0.0)
        if used < self._high:
            return ""
        return (
            f"{wording.size(decision.facts['size_gb'])} stay in {decision.source}, because the"
            f" disks of {decision.target} are {used:.0%} full, and may be {self._high:.0%}"
        )

    async def run(
        self, orders: Orders, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """Look at the disks and make room until cancelled."""
        await self.measure()
        task_status.started()
        while True:
            try:
                started = [await self.relieve(tier, orders) for tier in self._disks]
            except StratumError as error:
                log.warning("making room pauses: %s", error)
                started = []
            await trio.sleep(ROUND_PAUSE_S if any(started) else self._interval_s)
            await self.measure()

    async def measure(self) -> None:
        """Ask all disks how full they are."""
        for tier, members in self._disks.items():
            devices: dict[int, DeviceUse] = {}
            for disk in members:
                try:
                    usage = await disk.usage()
                except DiskFailed:
                    continue
                shards = devices[usage.device].shards if usage.device in devices else 0
                devices[usage.device] = DeviceUse(usage.total_bytes, usage.free_bytes, shards + 1)
            self._devices[tier] = devices

    async def relieve(self, tier: Tier, orders: Orders) -> int:
        """Begin moves away from a tier that is too full, at most MOVES_PER_ROUND; return how
        many. What is on its way out, or waits to be deleted, counts as gone."""
        used = self.fullness().get(tier, 0.0)
        targets = self._with_room(tier)
        if used < self._high or not targets:
            return 0
        devices = list(self._devices[tier].values())
        wanted = excess_bytes(devices, self._low, self._profile.data)
        wanted -= await self._journal.query(partial(_leaving_bytes, tier))
        if wanted <= 0:
            return 0
        fullness = Fullness(used, self._high, self._low)
        started = 0
        for volume, decision in await self._cheapest(tier, targets, fullness, orders):
            if wanted <= 0 or started == MOVES_PER_ROUND:
                break
            self._pool[tier].discard(volume.id)
            try:
                await orders.start(volume.id, decision, "policy")
            except (NoSuchVolume, MoveRefused) as error:
                log.info("not moved: %s", error)
                continue
            wanted -= volume.size_bytes
            started += 1
        return started

    async def _cheapest(
        self, tier: Tier, targets: Sequence[Tier], fullness: Fullness, orders: Orders
    ) -> list[tuple[Volume, Decision]]:
        """Volumes to take away, cheapest first; the best of them are remembered."""
        question = partial(_window, tier, self._passed.get(tier), self._pool.get(tier, set()))
        volumes, passed = await self._journal.query(question)
        self._passed[tier] = passed
        found: list[tuple[Volume, Decision]] = []
        for volume in volumes:
            decision = make_room(await orders.facts(volume), self._prices, fullness, targets)
            if decision is not None:
                found.append((volume, decision))
        found.sort(key=lambda each: (each[1].numbers["cost_per_gb_freed"], each[0].id))
        self._pool[tier] = {volume.id for volume, _ in found[:POOL_VOLUMES]}
        return found

    def _with_room(self, tier: Tier) -> list[Tier]:
        """The tiers below that have room, and not on the same file systems."""
        order = list(Tier)
        own = set(self._devices.get(tier, {}))
        fullness = self.fullness()
        return [
            target
            for target in self._tiers
            if order.index(target) > order.index(tier)
            and fullness.get(target, 0.0) < self._high
            and not own & set(self._devices.get(target, {}))
        ]


def _leaving_bytes(tier: Tier, catalog: Catalog) -> int:
    moving = sum(volume.size_bytes for volume in catalog.pending_moves() if volume.tier is tier)
    garbage = catalog.garbage(1 << 60, GARBAGE_COUNTED_MAX)
    return moving + sum(
        extent.size_bytes
        for copy in garbage
        if copy.location.tier is tier
        for extent in copy.location.extents
    )


def _window(
    tier: Tier, after: Volume | None, pool: set[VolumeId], catalog: Catalog
) -> tuple[list[Volume], Volume | None]:
    """What to look at in this round, and where the next one goes on."""
    window = catalog.residents(tier, WINDOW_VOLUMES, after)
    remembered = [catalog.volume(each) for each in sorted(pool - {each.id for each in window})]
    volumes = [*window, *(each for each in remembered if each is not None)]
    free = [
        volume
        for volume in volumes
        if volume.tier is tier and volume.pending is None and pin_on(catalog, volume, 0) is None
    ]
    return free, window[-1] if len(window) == WINDOW_VOLUMES else None
