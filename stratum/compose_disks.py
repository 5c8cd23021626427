"""The part of `compose` that is about disks: which they are, what watches them and mends them."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence

import trio

from stratum.adapters.disk import DirectoryDisk
from stratum.adapters.record_codec import encode_record
from stratum.adapters.text_file import text_file
from stratum.adapters.web.metrics import Metrics
from stratum.app.config import Config
from stratum.app.crew import Crew
from stratum.app.datapath import DataPath
from stratum.app.disk_services import DiskServices, start_disk_services
from stratum.app.disk_watch import WatchedDisk
from stratum.app.scrubber import Scrubber
from stratum.domain.disk_health import Aspect
from stratum.domain.names import Tier
from stratum.domain.volume import Extent
from stratum.ports import Codec, Journal, NowMs, RemoteStore, ShardStore

log = logging.getLogger("stratum")


def open_disks(config: Config, *, own: bool = False) -> dict[Tier, list[DirectoryDisk]]:
    """The disks of the local tiers; nothing touches them yet. Who holds the journal owns them."""
    index_folder = config.shard_indexes
    return {
        tier: [DirectoryDisk(p, index_folder=index_folder, observer=not own) for p in paths]
        for tier, paths in config.disks.items()
    }


def make_datapath(
    config: Config,
    disks: Mapping[Tier, Sequence[ShardStore]],
    remote: RemoteStore | None,
    codec: Codec,
    metrics: Metrics,
    crew: Crew,
) -> DataPath:
    """Bytes to copies and back, on these disks."""

    def on_damage(tier: Tier, extent: Extent, index: int, reason: str) -> None:
        log.warning("shard %d of %s in %s: %s", index, extent.id, tier, reason)
        metrics.damage(tier)

    return DataPath(
        disks,
        remote,
        codec,
        encode_record,
        profile=config.profile,
        write_quorum=config.write_quorum,
        # Each holds two buffers of the pool.
        large_writes=config.buffers // 2,
        on_damage=on_damage,
        crew=crew,
        on_hedge=metrics.disks.hedged,
    )


async def keep_disks(
    config: Config,
    background: trio.Nursery,
    journal: Journal,
    disks: Mapping[Tier, Sequence[WatchedDisk]],
    scrubber: Scrubber,
    now_ms: NowMs,
) -> DiskServices:
    """Start what runs beside a server for its disks."""
    for disk in (each for members in disks.values() for each in members):
        assert isinstance(disk.inner, DirectoryDisk), "made by `open_disks`"
        background.start_soon(disk.inner.run)
    load, save = text_file(config.scrub_state)
    return await start_disk_services(
        background,
        journal,
        disks,
        scrubber.paced(config.upkeep.bytes_per_s),
        now_ms,
        config.upkeep,
        config.reserve_bytes,
        {
            Aspect.READING: config.profile.parity,
            Aspect.WRITING: config.profile.shards - config.write_quorum,
        },
        load,
        save,
    )
