"""What watches the disks and mends what is on them, put together."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import trio

from stratum.app.crew import Crew
from stratum.app.disk_watch import DiskCondition, DiskWatch, WatchedDisk
from stratum.app.scrubber import Scrubber
from stratum.app.upkeep import PassState, Upkeep, UpkeepConfig
from stratum.domain.disk_health import Aspect
from stratum.domain.names import Tier
from stratum.ports import Journal, NowMs, ShardStore


@dataclass(frozen=True)
class DiskServices:
    watch: DiskWatch
    upkeep: Upkeep

    def conditions(self) -> list[DiskCondition]:
        return self.watch.conditions()

    @property
    def pass_state(self) -> PassState:
        return self.upkeep.state


def watched(
    disks: Mapping[Tier, Sequence[ShardStore]],
) -> dict[Tier, Sequence[WatchedDisk]]:
    """The same disks, each with a watch around it."""
    return {tier: [WatchedDisk(disk) for disk in members] for tier, members in disks.items()}


async def start_disk_services(
    nursery: trio.Nursery,
    journal: Journal,
    disks: Mapping[Tier, Sequence[WatchedDisk]],
    scrubber: Scrubber,
    now_ms: NowMs,
    config: UpkeepConfig,
    reserve_bytes: int,
    spare: Mapping[Aspect, int],
    load: Callable[[], str],
    save: Callable[[str], None],
) -> DiskServices:
    """Everything runs when it returns."""

    def expected(tier: Tier, index: int) -> str | None:
        for label in journal.catalog.disks():
            if (label.tier, label.index) == (tier, index):
                return label.disk_id
        return None

    watch = DiskWatch(disks, Crew(nursery), expected, reserve_bytes=reserve_bytes, spare=spare)
    upkeep = Upkeep(journal, scrubber, now_ms, config, load, save)
    await nursery.start(watch.run)
    await nursery.start(upkeep.run)
    return DiskServices(watch, upkeep)
