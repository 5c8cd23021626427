"""What the remote costs: counted as it is used, put on record, and held against a cap per month."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import partial

import trio

from stratum.domain.catalog import Catalog
from stratum.domain.errors import StratumError
from stratum.domain.events import RemoteUsed, SpendCapReached
from stratum.domain.pricing import PriceList
from stratum.domain.spending import RemoteUse, month_of, refusal
from stratum.domain.tiering import Decision
from stratum.ports import Journal, NowMs

RECORD_DAYS = 1 / 24
"""Use is put on record this often, if there was any, …"""
RECORD_SHARE = 0.01
"""… and whenever this share of the cap was spent since: a crash forgets no more."""
CHECK_S = 1.0
"""How often this is looked at while there is use that is not on record."""
RECORD_LIMIT_S = 10.0
"""How long the last record may hold up a shutdown."""

log = logging.getLogger("stratum.spending")


class RemoteMeter:
    """Counts what is asked of the remote since the start. Implements the adapter's `Meter`."""

    def __init__(self) -> None:
        self.puts = 0
        self.gets = 0
        self.egress_bytes = 0
        self.used = trio.Event()
        """Set when something was counted; whoever waits for it puts a new one in its place."""

    def put(self, requests: int = 1) -> None:
        self.puts += requests
        self.used.set()

    def get(self) -> None:
        self.gets += 1
        self.used.set()

    def received(self, size_bytes: int) -> None:
        self.egress_bytes += size_bytes
        self.used.set()

    def read(self) -> tuple[int, int, int]:
        return self.puts, self.gets, self.egress_bytes


class Spending:
    """`cap` in $ a month; 0: none."""

    def __init__(
        self,
        journal: Journal,
        meter: RemoteMeter,
        prices: PriceList,
        cap: float,
        day_s: float,
        now_ms: NowMs,
    ) -> None:
        self._journal = journal
        self._meter = meter
        self._prices = prices
        self._cap = cap
        self._day_s = day_s
        self._now_ms = now_ms
        self._record_s = max(CHECK_S, RECORD_DAYS * day_s)
        self._taken = meter.read()
        """What of the meter is in `_use`."""
        month = month_of(now_ms(), day_s)
        self._use = self._recorded = journal.catalog.remote_use(month) or RemoteUse(month)
        self._recorded_at_ms = now_ms()
        self._refused = False

    def use(self) -> RemoteUse:
        """What was used in this month until now."""
        month = month_of(self._now_ms(), self._day_s)
        if month != self._use.month:
            self._use = self._recorded = RemoteUse(month)
            self._refused = False
        before, self._taken = self._taken, self._meter.read()
        puts, gets, egress_bytes = (
            now - then for now, then in zip(self._taken, before, strict=True)
        )
        used = self._use
        self._use = RemoteUse(
            month,
            used.puts + puts,
            used.gets + gets,
            used.egress_bytes + egress_bytes,
            used.capped,
        )
        return self._use

    def restrain(self, decision: Decision) -> str:
        """Why a decision must wait for the next month; "" if it may be carried out."""
        size_gb = decision.facts["size_gb"]
        why = refusal(
            self.use(), self._cap, decision.source, decision.target, size_gb, self._prices
        )
        if why:
            self._refused = True
            self._meter.used.set()
        return why

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Put on record what is used until cancelled, and once more then."""
        task_status.started()
        try:
            while True:
                await self._meter.used.wait()
                self._meter.used = trio.Event()
                await trio.sleep(CHECK_S if self._cap else self._record_s)
                if self._is_time():
                    await self._record()
                elif self.use() != self._recorded:
                    self._meter.used.set()
        finally:
            with trio.move_on_after(RECORD_LIMIT_S, shield=True):
                await self._record()

    def _is_time(self) -> bool:
        use = self.use()
        spent, known = use.cost(self._prices), self._recorded.cost(self._prices)
        if self._cap and (spent - known >= RECORD_SHARE * self._cap or self._is_reached(spent)):
            return True
        since_ms = self._now_ms() - self._recorded_at_ms
        return use != self._recorded and since_ms >= self._record_s * 1000

    def _is_reached(self, spent: float) -> bool:
        return bool(self._cap) and not self._use.capped and (self._refused or spent >= self._cap)

    async def _record(self) -> None:
        use = self.use()
        spent = use.cost(self._prices)
        reached = self._is_reached(spent)
        if use == self._recorded and not reached:
            return
        events: list[RemoteUsed | SpendCapReached] = [
            RemoteUsed(use.month, use.puts, use.gets, use.egress_bytes)
        ]
        if reached:
            events.append(SpendCapReached(use.month, spent, self._cap))
            log.warning("the remote has cost %.2f $ in %s, of %.2f", spent, use.month, self._cap)
        try:
            await self._journal.transact(partial(_these, events=events), by="system")
        except StratumError as error:
            log.warning("use of the remote not recorded: %s", error)
            return
        capped = use.capped or reached
        self._recorded = RemoteUse(use.month, use.puts, use.gets, use.egress_bytes, capped)
        if self._use.month == use.month:
            current = self._use
            self._use = RemoteUse(
                current.month, current.puts, current.gets, current.egress_bytes, capped
            )
        self._recorded_at_ms = self._now_ms()


def _these(
    catalog: Catalog, *, events: Sequence[RemoteUsed | SpendCapReached]
) -> Sequence[RemoteUsed | SpendCapReached]:
    return events
