"""The hazard table at work: follows every object, learns from each, and says where each belongs.

Each object has one timer. It comes when the object may have to move or when a bin of idle age has
passed that is to be counted, so that what is *not* read is learnt from as it happens. Reads don't
put it off; it is looked at when it comes. Reads within an hour are one access and so one event.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from stratum.domain.hazard import (
    BIN_STARTS_DAYS,
    BINS,
    DAY_S,
    HOUR_S,
    HazardTable,
    Snapshot,
    bin_of,
    habit_of,
    period_class,
    template,
)
from stratum.domain.hazard_plan import Kind, Plan
from stratum.domain.hazard_policy import Hazard
from stratum.domain.hazard_schedule import (
    Known,
    Solver,
    TierCosts,
    known_ancestor,
    octave_of,
    octave_size_gb,
    tier_costs,
)
from stratum.domain.names import Tier
from stratum.domain.pricing import PriceList
from stratum.domain.tiering import Verdict, facts_of_watched
from stratum.domain.watched import UNKNOWN, Watched

REFRESH_NEW_SHARE = 0.1
"""At the end of an hour in which something happened, the plans are made anew if there are this many
new counts, relative to the old ones, …"""
REFRESH_LATEST_S = 3 * DAY_S
"""… or if they are this old."""
_EAGER_BIN = bin_of(1.0)
"""From this bin on a bin is counted when it has passed; those before at the period's end, or all
at once when it is a day old. This saves timers, and a day is soon enough to learn from."""
_OCTAVES = 64


@dataclass(frozen=True)
class Refreshed:
    """New plans, by number, and what they were made from."""

    known: Known
    plans: dict[int, Plan]


@dataclass(frozen=True)
class Refresh:
    """All plans in use, to be made anew: work that may be done in any thread."""

    solver: Solver
    counts: Snapshot | HazardTable
    pairs: Mapping[int, tuple[int, TierCosts]]
    """By number: cell and costs."""

    def run(self) -> Refreshed:
        known = self.solver.learn(self.counts)
        schedules = self.solver.solve(known, list(self.pairs.values()))
        plans = {
            number: Plan(schedule, costs, known, cell)
            for (number, (cell, costs)), schedule in zip(self.pairs.items(), schedules, strict=True)
        }
        return Refreshed(known, plans)


class HazardFollower:
    """A `Follower`. With `self_refreshing` it makes its plans anew whenever it is time; otherwise
    its owner does (`refresh_due`, `begin_refresh`, `install`)."""

    policy = Hazard()

    def __init__(
        self,
        prices: PriceList,
        tiers: Sequence[Tier],
        solver: Solver,
        day_s: float = DAY_S,
        *,
        self_refreshing: bool = True,
    ) -> None:
        self.table = HazardTable()
        self._prices = prices
        self._tiers = tuple(tiers)
        self._solver = solver
        self._day_s = day_s
        self._self_refreshing = self_refreshing
        self._known = solver.learn(HazardTable())
        self._costs: dict[int, TierCosts] = {}
        self._plans: dict[int, Plan] = {}
        """By cell and octave; those of newer cells are their nearest known ancestor's."""
        self._hour_ends_s = -math.inf
        """Of the hour of the latest event."""
        self._checked = True
        """Whether that has been looked at since."""
        self._solved_s = -math.inf
        self._solved_counted = 0.0

    # -- what happens to objects ------------------------------------------------------------------
    def put(self, watched: Watched, now_s: float) -> int:
        self._pass_time(now_s)
        self._set_timer(watched, self._begin(watched, now_s), 0, now_s)
        return 0

    def read(self, watched: Watched, tier: int, now_s: float, reads: int = 1) -> int:
        if not watched.begins_access(now_s):
            watched.read_on(now_s, reads)
            return tier
        self._pass_time(now_s)
        self._end(watched, now_s, by_read=True)
        watched.begin_access(now_s, reads)
        plan = self._begin(watched, now_s)
        target = plan.after_read(tier, watched.accesses, watched.gap_s / DAY_S)
        if target == tier:
            self._set_timer(watched, plan, tier, now_s)
        return target

    def due(self, watched: Watched, tier: int, now_s: float) -> int:
        self._pass_time(now_s)
        idle_days = max(0.0, now_s - watched.last_s) / DAY_S
        number = bin_of(idle_days)
        if number >= _EAGER_BIN and number > watched.counted:
            self.table.passed(self._cell(watched), watched.counted, number)
            watched.counted = number
        plan = self._plan(watched)
        if number == 0 and watched.accesses:
            target = plan.after_read(tier, watched.accesses, watched.gap_s / DAY_S)
            if target != tier:
                return target
        target = plan.when_idle(tier, idle_days, _residence_days(watched, now_s))
        if target == tier:
            self._set_timer(watched, plan, tier, now_s)
        return target

    def moved(self, watched: Watched, tier: int, now_s: float) -> None:
        watched.moved(now_s)
        self._set_timer(watched, self._plan(watched), tier, now_s)

    def removed(self, watched: Watched, now_s: float) -> None:
        self._pass_time(now_s)
        self._end(watched, now_s, by_read=False)

    def verdict(self, watched: Watched, tier: int, now_s: float, now_ms: int = 0) -> Verdict:
        kind = Kind(
            template(watched.key), watched.active_days, watched.log_gap, self._plan(watched)
        )
        here = self._tiers[tier]
        facts = facts_of_watched(watched, here, self._tiers, now_s, self._day_s, kind)
        return self.policy.decide(facts, self._prices, now_ms)

    def restore(self, table: HazardTable, now_s: float) -> Refresh:
        """Go on with a table that was kept; the refresh that is due then."""
        self.table = table
        self._begin_hour(now_s)
        return self.begin_refresh()

    # -- making the plans anew --------------------------------------------------------------------
    def refresh_due(self, now_s: float) -> bool:
        """Whether enough has been counted since the latest plans. To be asked before every event
        or batch of them. The answer depends on what has happened, not on how often it is asked."""
        if self._checked or now_s < self._hour_ends_s:
            return False
        self._checked = True
        new = self.table.counted - self._solved_counted
        grown = new >= REFRESH_NEW_SHARE * self._solved_counted
        late = self._hour_ends_s - self._solved_s >= REFRESH_LATEST_S
        return new > 0 and (grown or late)

    def begin_refresh(self, *, copy: bool = True) -> Refresh:
        """The work of making all plans in use anew; from a copy, if counting goes on meanwhile."""
        self._solved_s, self._solved_counted = self._hour_ends_s, self.table.counted
        pairs = {
            number: (number // _OCTAVES, self._cost(number % _OCTAVES - 1))
            for number in self._plans
        }
        return Refresh(self._solver, self.table.snapshot() if copy else self.table, pairs)

    def install(self, refreshed: Refreshed) -> None:
        """Put new plans in force."""
        self._known, self._plans = refreshed.known, refreshed.plans

    # -- within -----------------------------------------------------------------------------------
    def _pass_time(self, now_s: float) -> None:
        if now_s < self._hour_ends_s:
            return
        if self._self_refreshing and self.refresh_due(now_s):
            self.install(self.begin_refresh(copy=False).run())
        self._begin_hour(now_s)

    def _begin_hour(self, now_s: float) -> None:
        hour_s = now_s // HOUR_S * HOUR_S
        self.table.pass_time(hour_s)
        self._hour_ends_s = hour_s + HOUR_S
        self._checked = False

    def _cell(self, watched: Watched) -> int:
        if watched.cell == UNKNOWN:
            if watched.template_id == UNKNOWN:
                watched.template_id = self.table.template_id(watched.key)
            habit = habit_of(watched.active_days, watched.log_gap)
            watched.cell = self.table.cell(habit, watched.template_id, watched.period)
        return watched.cell

    def _begin(self, watched: Watched, now_s: float) -> Plan:
        """Begin an idle period."""
        watched.period = period_class(now_s - watched.birth_s, watched.size_bytes)
        watched.cell = UNKNOWN
        watched.counted = 0
        return self._plan(watched)

    def _end(self, watched: Watched, now_s: float, by_read: bool) -> None:
        """End an idle period, and the access before it."""
        cell = self._cell(watched)
        last = bin_of(max(0.0, now_s - watched.last_s) / DAY_S)
        self.table.ended(cell, watched.counted, last, by_read)
        if watched.active_days:
            self.table.accessed(cell, watched.more_reads)

    def _set_timer(self, watched: Watched, plan: Plan, tier: int, now_s: float) -> None:
        """When it has to be looked at again: to move it, or to count a bin that has passed."""
        idle_days = max(0.0, now_s - watched.last_s) / DAY_S
        leave_days = plan.leave_days(tier, idle_days, _residence_days(watched, now_s))
        following = max(bin_of(idle_days) + 1, _EAGER_BIN)
        count_days = BIN_STARTS_DAYS[following] if following < BINS else math.inf
        due_s = watched.last_s + min(leave_days, count_days) * DAY_S
        watched.due_s = max(math.ceil(due_s), now_s + 1) if due_s < math.inf else math.inf

    def _plan(self, watched: Watched) -> Plan:
        cell, octave = self._cell(watched), octave_of(watched.size_bytes)
        plan = self._plans.get(cell * _OCTAVES + octave + 1)
        return plan or self._new_plan(cell, octave)

    def _new_plan(self, cell: int, octave: int) -> Plan:
        """The plan of a pair that is asked for the first time: that of the nearest cell upwards
        which was there when the plans were made."""
        known = known_ancestor(self.table.parents, cell, len(self._known))
        shared = known * _OCTAVES + octave + 1
        plan = self._plans.get(shared)
        if plan is None:
            costs = self._cost(octave)
            [schedule] = self._solver.solve(self._known, [(known, costs)])
            plan = self._plans[shared] = Plan(schedule, costs, self._known, known)
        self._plans[cell * _OCTAVES + octave + 1] = plan
        return plan

    def _cost(self, octave: int) -> TierCosts:
        costs = self._costs.get(octave)
        if costs is None:
            costs = tier_costs(self._prices, self._tiers, octave_size_gb(octave))
            self._costs[octave] = costs
        return costs


def _residence_days(watched: Watched, now_s: float) -> float:
    """Since it was moved to where it is; infinity if it was written there."""
    if watched.placed_s <= watched.birth_s:
        return math.inf
    return max(0.0, now_s - watched.placed_s) / DAY_S
