"""The parts of tiering, put together: what counts reads, decides, moves, and cleans up after it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import trio

from stratum.app.accesses import AccessRecorder
from stratum.app.config import Config
from stratum.app.datapath import DataPath
from stratum.app.foreground import Foreground
from stratum.app.learning import Learning
from stratum.app.mover import Crc, MoveObserver, Mover
from stratum.app.orders import Orders
from stratum.app.pins import Pins
from stratum.app.reclaimer import Reclaimer
from stratum.app.spending import RemoteMeter, Spending
from stratum.app.storage_classes import StorageClasses
from stratum.app.tierer import Tierer
from stratum.app.undo import Batch, Undone, undo
from stratum.app.watermarks import Watermarks
from stratum.domain.catalog import Catalog
from stratum.domain.events import PricesAdopted
from stratum.domain.names import Tier
from stratum.domain.pricing import PriceList
from stratum.domain.rules import Rules
from stratum.ports import AccessLog, Journal, NewId, NowMs, ShardStore


@dataclass(frozen=True)
class TieringServices:
    accesses: AccessRecorder
    mover: Mover
    orders: Orders
    tierer: Tierer
    spending: Spending
    watermarks: Watermarks
    pins: Pins
    reclaimer: Reclaimer
    foreground: Foreground
    prices: PriceList
    classes: StorageClasses
    enabled: bool
    journal: Journal

    def undo(self, batch: Batch, who: str, why: str, dry_run: bool) -> AsyncGenerator[Undone, None]:
        """Bring back what a batch of moves took away."""
        return undo(self.journal, self.orders, batch, who, why, dry_run=dry_run)

    def loops(self) -> tuple[Callable[..., Awaitable[None]], ...]:
        """What runs in the background, in the order in which to start it."""
        making_room = (partial(self.watermarks.run, self.orders),) if self.enabled else ()
        return (
            self.mover.run,
            self.accesses.run,
            self.spending.run,
            *making_room,
            self.tierer.run,
            self.pins.run,
            self.reclaimer.run,
        )


def make_tiering(
    config: Config,
    journal: Journal,
    access_log: AccessLog,
    datapath: DataPath,
    disks: Mapping[Tier, Sequence[ShardStore]],
    meter: RemoteMeter,
    rules: Rules,
    observer: MoveObserver,
    crc: Crc,
    new_id: NewId,
    now_ms: NowMs,
    settled_ms: NowMs,
    learning: Learning,
) -> TieringServices:
    """All parts; nothing runs yet. `settled_ms` as for Reclaimer."""
    rows = trio.Lock()
    wake = _Wake()
    accesses = AccessRecorder(journal, access_log, rules, now_ms, rows, wake, learning)
    foreground = Foreground()
    track, busy = accesses.track, foreground.busy
    mover = Mover(journal, datapath, crc, track, observer, limits=config.moves, busy=busy)
    spending, watermarks = _restraints(config, journal, disks, meter, rules, now_ms)
    orders = Orders(
        journal,
        access_log,
        mover,
        rules,
        (spending.restrain, watermarks.restrain),
        observer.declined,
        new_id,
        now_ms,
        rows,
    )
    tierer = Tierer(
        journal,
        access_log,
        orders,
        rules,
        now_ms,
        rows,
        learning,
        interval_s=config.tiering_interval_s,
        enabled=config.tiering_enabled,
    )
    wake.tierer = tierer
    pins = Pins(journal, access_log, rules, now_ms, rows, wake)
    reclaimer = Reclaimer(
        journal, datapath, now_ms, grace_s=config.reclaim_grace_s, settled_ms=settled_ms
    )
    return TieringServices(
        accesses,
        mover,
        orders,
        tierer,
        spending,
        watermarks,
        pins,
        reclaimer,
        foreground,
        rules.prices,
        StorageClasses(journal, rules.tiers, rules.day_s, now_ms, track),
        config.tiering_enabled,
        journal,
    )


def _restraints(
    config: Config,
    journal: Journal,
    disks: Mapping[Tier, Sequence[ShardStore]],
    meter: RemoteMeter,
    rules: Rules,
    now_ms: NowMs,
) -> tuple[Spending, Watermarks]:
    """What may keep the policy's moves from being made: money and room."""
    prices = rules.prices
    spending = Spending(journal, meter, prices, config.spend_per_month, rules.day_s, now_ms)
    watermarks = Watermarks(
        journal,
        disks,
        rules.tiers,
        prices,
        config.profile,
        high=config.high_watermark,
        low=config.low_watermark,
        interval_s=config.tiering_interval_s,
    )
    return spending, watermarks


class _Wake:
    """The tierer is told of due rows by the recorder, which is made before it."""

    tierer: Tierer | None = None

    def __call__(self, due_at_ms: int) -> None:
        if self.tierer is not None:
            self.tierer.wake(due_at_ms)


async def adopt_prices(journal: Journal, prices: PriceList) -> None:
    """Record the price list when it is another than before: decisions refer to it by version."""
    in_force = journal.catalog.prices()
    if in_force is None or in_force[0] != prices.version():
        adopted = PricesAdopted(prices.version(), prices.document())
        await journal.transact(partial(_adopted, event=adopted), by="operator")


def _adopted(_catalog: Catalog, *, event: PricesAdopted) -> Sequence[PricesAdopted]:
    return [event]
