"""The parts of tiering, put together: what counts reads, decides, moves, and cleans up after it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import trio

from stratum.app.accesses import AccessRecorder
from stratum.app.config import Config
from stratum.app.datapath import DataPath
from stratum.app.foreground import Foreground
from stratum.app.mover import Crc, MoveObserver, Mover
from stratum.app.pins import Pins
from stratum.app.reclaimer import Reclaimer
from stratum.app.tierer import Tierer
from stratum.domain.tiering import Rules
from stratum.ports import AccessLog, Journal, NewId, NowMs


@dataclass(frozen=True)
class TieringServices:
    accesses: AccessRecorder
    mover: Mover
    tierer: Tierer
    pins: Pins
    reclaimer: Reclaimer
    foreground: Foreground

    def loops(self) -> tuple[Callable[..., Awaitable[None]], ...]:
        """What runs in the background, in the order in which to start it."""
        services = (self.mover, self.accesses, self.tierer, self.pins, self.reclaimer)
        return tuple(service.run for service in services)


def make_tiering(
    config: Config,
    journal: Journal,
    access_log: AccessLog,
    datapath: DataPath,
    rules: Rules,
    observer: MoveObserver,
    crc: Crc,
    new_id: NewId,
    now_ms: NowMs,
    settled_ms: NowMs,
) -> TieringServices:
    """All parts; nothing runs yet. `settled_ms` as for Reclaimer."""
    rows = trio.Lock()
    wake = _Wake()
    accesses = AccessRecorder(journal, access_log, rules, now_ms, rows, wake)
    foreground = Foreground()
    mover = Mover(
        journal,
        datapath,
        crc,
        accesses.track,
        observer,
        limits=config.moves,
        busy=foreground.busy,
    )
    tierer = Tierer(
        journal,
        access_log,
        mover,
        rules,
        new_id,
        now_ms,
        rows,
        interval_s=config.tiering_interval_s,
        enabled=config.tiering_enabled,
    )
    wake.tierer = tierer
    pins = Pins(journal, access_log, rules, now_ms, rows, wake)
    reclaimer = Reclaimer(
        journal, datapath, now_ms, grace_s=config.reclaim_grace_s, settled_ms=settled_ms
    )
    return TieringServices(accesses, mover, tierer, pins, reclaimer, foreground)


class _Wake:
    """The tierer is told of due rows by the recorder, which is made before it."""

    tierer: Tierer | None = None

    def __call__(self, due_at_ms: int) -> None:
        if self.tierer is not None:
            self.tierer.wake(due_at_ms)
