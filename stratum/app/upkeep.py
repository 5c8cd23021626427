"""What repairs the store by itself: shards that were not written are completed, and all shards
are read in turn.

Both work from the catalog, volume by volume, within a limit on bytes per second. The walk through
all volumes takes `days` and goes on after a restart where it was.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial

import trio

from stratum.app.scrubber import Scrubber, ShardFinding
from stratum.domain.catalog import Catalog
from stratum.domain.errors import Conflict, StratumError
from stratum.domain.volume import Volume
from stratum.ports import Journal, NowMs

UPKEEP_BYTES_PER_S = 20e6
"""What the upkeep reads from all disks together."""
COMPLETE_INTERVAL_S = 10.0
"""Between two looks for shards that were not written."""
COMPLETE_AT_ONCE = 100
RETRY_S = 60.0
"""Before the completion of shards is tried again that could not be written."""
FIRST_PAUSE_S = 60.0
"""After a start clients come first."""
SAVE_INTERVAL_S = 10.0
DAY_S = 86400.0
PAUSE_MAX_S = 3600.0
"""However few volumes there are, so long at most between two of them."""

log = logging.getLogger("stratum.upkeep")


@dataclass(frozen=True)
class UpkeepConfig:
    """`days`: how long a walk through all volumes takes; 0: there is none."""

    days: float
    bytes_per_s: float


@dataclass(frozen=True)
class PassState:
    """How far the walk through all volumes is. Times in Unix ms, 0 for never."""

    after: str = ""
    """The last volume looked at in this pass."""
    volumes: int = 0
    findings: int = 0
    repaired: int = 0
    begun_at_ms: int = 0
    last_ended_at_ms: int = 0
    last_findings: int = 0
    """What the pass before found."""
    last_unrepaired: int = 0
    completed: int = 0
    """Shards completed since the store was made that had not been written."""


class Upkeep:
    """`load` and `save` keep the state of the pass as text across restarts; either may fail."""

    def __init__(
        self,
        journal: Journal,
        scrubber: Scrubber,
        now_ms: NowMs,
        config: UpkeepConfig,
        load: Callable[[], str],
        save: Callable[[str], None],
    ) -> None:
        self._journal = journal
        self._scrubber = scrubber
        self._now_ms = now_ms
        self._config = config
        self._save = save
        self._saved_at_s = 0.0
        self._unfinished: set[str] = set()
        """Volumes whose shards could not be completed the last time."""
        self.state = pass_state(load())

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Keep up until cancelled."""
        task_status.started()
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._complete_always)
                if self._config.days:
                    nursery.start_soon(self._walk_always)
        finally:
            self._keep()

    # -- shards that were not written -----------------------------------------------------------
    async def _complete_always(self) -> None:
        retry_at_s = 0.0
        await trio.sleep(COMPLETE_INTERVAL_S)
        while True:
            if trio.current_time() >= retry_at_s:
                self._unfinished.clear()
                retry_at_s = trio.current_time() + RETRY_S
            try:
                more = await self.complete()
            except StratumError as error:
                log.warning("shards are not completed now: %s", error)
                more = False
            if not more:
                await trio.sleep(COMPLETE_INTERVAL_S)

    async def complete(self) -> bool:
        """Write shards that were missing at the commit, of some volumes; whether some are left
        that have not been tried."""
        after, tried = "", 0
        while tried < COMPLETE_AT_ONCE:
            page = await self._journal.query(partial(_incomplete, after=after))
            if not page:
                return False
            after = page[-1].id
            for volume in page:
                if volume.id in self._unfinished:
                    continue
                tried += 1
                before = _lacking(volume)
                await self._mend(volume)
                now = self._journal.catalog.volume(volume.id)
                left = _lacking(now) if now is not None else 0
                if left:
                    self._unfinished.add(volume.id)
                completed = self.state.completed + max(0, before - left)
                self.state = replace(self.state, completed=completed)
        return True

    # -- all shards in turn ---------------------------------------------------------------------
    async def _walk_always(self) -> None:
        await trio.sleep(FIRST_PAUSE_S)
        while True:
            begun_s = trio.current_time()
            try:
                total = await self.look_at_next()
            except StratumError as error:
                log.warning("scrubbing pauses: %s", error)
                total = 0
            share_s = self._config.days * DAY_S / max(1, total)
            await trio.sleep_until(begun_s + min(share_s, PAUSE_MAX_S))

    async def look_at_next(self) -> int:
        """Read and repair the next volume, or begin again; how many volumes there are."""
        state = self.state
        totals = await self._journal.query(lambda catalog: catalog.totals())
        total = sum(held.volumes for held in totals.values())
        page = await self._journal.query(partial(_volumes, after=state.after))
        if not page:
            if state.volumes:
                unrepaired = state.findings - state.repaired
                log.info("all %d volumes read: %d findings", state.volumes, state.findings)
                state = PassState(
                    last_ended_at_ms=self._now_ms(),
                    last_findings=state.findings,
                    last_unrepaired=unrepaired,
                    completed=state.completed,
                )
            self.state = state
            self._keep()
            return total
        found = await self._mend(page[0])
        state = self.state
        self.state = replace(
            state,
            after=page[0].id,
            volumes=state.volumes + 1,
            findings=state.findings + len(found),
            repaired=state.repaired + sum(each.repaired for each in found),
            begun_at_ms=state.begun_at_ms or self._now_ms(),
        )
        if trio.current_time() >= self._saved_at_s + SAVE_INTERVAL_S:
            self._keep()
        return total

    async def _mend(self, volume: Volume) -> Sequence[ShardFinding]:
        """Waits for a repair that somebody ordered."""
        while True:
            try:
                found = await self._scrubber.mend(volume)
            except Conflict:
                await trio.sleep(COMPLETE_INTERVAL_S)
                continue
            for each in found:
                done = "repaired" if each.repaired else "not repaired"
                level = logging.INFO if each.repaired else logging.ERROR
                log.log(level, "%s of %s: %s: %s", each.kind, each.subject, each.detail, done)
            return found

    def _keep(self) -> None:
        self._saved_at_s = trio.current_time()
        try:
            self._save(json.dumps(asdict(self.state)))
        except (OSError, StratumError) as error:
            log.warning("where the scrub is can't be noted: %s", error)


def pass_state(text: str) -> PassState:
    """The state as saved; from the beginning if that can't be read."""
    try:
        found = json.loads(text)
        return PassState(**{name: type(getattr(PassState(), name))(found[name]) for name in found})
    except (ValueError, TypeError, AttributeError):
        return PassState()


def _lacking(volume: Volume) -> int:
    return sum(len(extent.missing) for extent in volume.location.extents)


def _incomplete(catalog: Catalog, *, after: str) -> Sequence[Volume]:
    return catalog.incomplete(after, COMPLETE_AT_ONCE)


def _volumes(catalog: Catalog, *, after: str) -> Sequence[Volume]:
    return catalog.volumes(after, 1)
