"""The copies of the journal and their anchors, put together: what runs beside a server for them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

import trio

from stratum.app.anchors import AnchorWriter, proved_recovery
from stratum.app.journal_mirror import (
    FIRST_LOOK_LIMIT_S,
    REMOTE_INTERVAL_S,
    ArchiveStatus,
    JournalMirror,
)
from stratum.domain.anchor import Sign, Verify
from stratum.domain.names import Tier
from stratum.ports import EventArchive, Journal, NowMs

STOP_LIMIT_S = 5.0
"""How long a stopping server waits for the last events to be in the copies."""


@dataclass(frozen=True)
class CopiesConfig:
    """Where and how often the journal is copied. `tier`: None for no copies on disks."""

    tier: Tier | None
    interval_s: float
    in_remote: bool
    anchor_interval_s: float


@dataclass(frozen=True)
class JournalCopies:
    mirror: JournalMirror
    anchors: AnchorWriter

    @asynccontextmanager
    async def kept(self) -> AsyncIterator[None]:
        """Keep the copies up to date meanwhile, and bring them up to date at the end.

        Raises JournalCorrupt at the beginning if a copy has what the journal lacks.
        """
        await self.mirror.check()
        async with trio.open_nursery() as nursery:
            await nursery.start(self.mirror.run)
            await nursery.start(self.anchors.run)
            try:
                yield
            finally:
                with trio.CancelScope(shield=True):
                    await self.mirror.catch_up(STOP_LIMIT_S)
                nursery.cancel_scope.cancel()

    def status(self) -> tuple[ArchiveStatus, ...]:
        return self.mirror.status()


async def make_copies(
    journal: Journal,
    on_disks: Sequence[EventArchive],
    in_remote: EventArchive | None,
    sign: Sign,
    verify: Verify,
    public_key: bytes,
    now_ms: NowMs,
    config: CopiesConfig,
) -> JournalCopies:
    """Nothing runs yet."""
    archives = [(archive, config.interval_s) for archive in on_disks]
    if in_remote is not None:
        archives.append((in_remote, max(REMOTE_INTERVAL_S, config.interval_s)))
    places = [archive for archive, _ in archives]
    recovery = None
    with trio.move_on_after(FIRST_LOOK_LIMIT_S):
        recovery = await proved_recovery(journal, places, public_key, verify)
    mirror = JournalMirror(
        journal,
        archives,
        now_ms,
        interval_s=config.interval_s,
        outdated_above=recovery.seq if recovery is not None else None,
    )
    anchors = AnchorWriter(
        journal, places, sign, public_key, now_ms, interval_s=config.anchor_interval_s
    )
    return JournalCopies(mirror, anchors)
