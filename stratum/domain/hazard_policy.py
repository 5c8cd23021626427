"""The hazard-table policy as it runs: follows every object, learns from each, and says where each
belongs. Equal calls give equal answers; time only ever comes in as an argument.

Each object has one timer, the `due_s` it asks to be called at. Reads don't put it off, it is
looked at when it comes. Reads within an hour are one access, accesses within a day one active day.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from stratum.domain.hazard import (
    BIN_STARTS_S,
    BINS,
    DAY_S,
    GAP_WEIGHT,
    HOUR_S,
    HazardTable,
    bin_of,
    habit_of,
    size_class,
)
from stratum.domain.hazard_schedule import (
    Schedule,
    Solver,
    TierCosts,
    octave_of,
    octave_size_gb,
    tier_costs,
)
from stratum.domain.names import Tier
from stratum.domain.pricing import PriceList

ACCESS_S = HOUR_S
REFRESH_CHECK_S = HOUR_S
REFRESH_NEW_SHARE = 0.1
"""The plans are made anew when there are this many new counts, relative to the old ones, …"""
REFRESH_LATEST_S = 3 * DAY_S
"""… or after this time."""
_EAGER_BIN = bin_of(DAY_S)
"""From this bin on a bin is counted when it has passed; those before at the period's end, or all
at once when it is a day old. This saves timers, and a day is soon enough to learn from."""
_OCTAVES = 64


class Watched:
    """What the policy remembers of an object. Times are in s of the trace or the tiering clock."""

    __slots__ = (
        "access_s",
        "active_days",
        "active_s",
        "birth_s",
        "cell",
        "counted",
        "due_s",
        "last_s",
        "log_gap",
        "more_reads",
        "octave",
        "sizes",
        "template_id",
    )

    def __init__(self, now_s: float, size_bytes: int, template_id: int) -> None:
        self.birth_s = self.last_s = self.access_s = now_s
        self.active_s = -math.inf
        self.active_days = 0
        self.log_gap = 0.0
        self.octave = octave_of(size_bytes)
        self.sizes = size_class(size_bytes)
        self.template_id = template_id
        self.cell = 0
        self.counted = 0
        """The first bin of the idle period that isn't counted yet."""
        self.more_reads = 0
        """Reads of the latest access after its first."""
        self.due_s = math.inf


class HazardPolicy:
    """See the module. Tiers are indices into `tiers`, dearest first."""

    name = "hazard.1"

    def __init__(self, prices: PriceList, tiers: Sequence[Tier], solver: Solver) -> None:
        self.table = HazardTable()
        self._prices = prices
        self._tiers = tuple(tiers)
        self._solver = solver
        self._costs: dict[int, TierCosts] = {}
        self._schedules: dict[int, Schedule] = {}
        self._check_s = -math.inf
        self._solved_s = -math.inf
        self._solved_counted = 0.0

    # -- what happens to objects ------------------------------------------------------------------
    def put(self, key: str, size_bytes: int, now_s: float) -> tuple[Watched, int]:
        """A new object: what to remember of it, and the tier to write it to."""
        self._pass_time(now_s)
        watched = Watched(now_s, size_bytes, self.table.template_id(key))
        plan = self._begin(watched, now_s)
        self._set_timer(watched, plan, plan.placement)
        return watched, plan.placement

    def read(self, watched: Watched, tier: int, now_s: float) -> int:
        """A read from a tier: the tier to move to with the bytes at hand."""
        if now_s - watched.access_s < ACCESS_S and watched.active_days:
            watched.last_s = now_s
            watched.more_reads += 1
            return tier
        self._pass_time(now_s)
        self._end(watched, now_s, by_read=True)
        watched.last_s = watched.access_s = now_s
        self._note_activity(watched, now_s)
        plan = self._begin(watched, now_s)
        target = plan.landing[tier]
        self._set_timer(watched, plan, target)
        return target

    def due(self, watched: Watched, tier: int, now_s: float) -> int:
        """The object's timer has come: the tier to move to. Sets the next timer."""
        self._pass_time(now_s)
        idle_s = now_s - watched.last_s
        number = bin_of(idle_s)
        if number >= _EAGER_BIN and number > watched.counted:
            self.table.passed(watched.cell, watched.counted, number)
            watched.counted = number
        plan = self._schedule(watched)
        caps = self._cost(watched.octave).cap
        target = plan.target(number, tier)
        while idle_s >= caps[target][0]:
            target = caps[target][1]
        self._set_timer(watched, plan, target, number)
        return target

    def removed(self, watched: Watched, now_s: float) -> None:
        """The object was deleted or overwritten."""
        self._pass_time(now_s)
        self._end(watched, now_s, by_read=False)

    # -- within -----------------------------------------------------------------------------------
    def _note_activity(self, watched: Watched, now_s: float) -> None:
        since_s = now_s - watched.active_s
        if since_s < DAY_S:
            return
        if watched.active_days:
            log_gap = math.log(since_s / DAY_S)
            if watched.active_days > 1:
                log_gap = GAP_WEIGHT * log_gap + (1 - GAP_WEIGHT) * watched.log_gap
            watched.log_gap = log_gap
        watched.active_days += 1
        watched.active_s = now_s

    def _end(self, watched: Watched, now_s: float, by_read: bool) -> None:
        """End an idle period, and the access before it."""
        last = bin_of(now_s - watched.last_s)
        self.table.ended(watched.cell, watched.counted, last, by_read)
        if watched.active_days:
            self.table.accessed(watched.cell, watched.more_reads)

    def _begin(self, watched: Watched, now_s: float) -> Schedule:
        """Begin an idle period."""
        habit = habit_of(watched.active_days, watched.log_gap)
        age_s = now_s - watched.birth_s
        watched.cell = self.table.cell(habit, watched.template_id, age_s, watched.sizes)
        watched.counted = watched.more_reads = 0
        return self._schedule(watched)

    def _set_timer(self, watched: Watched, plan: Schedule, tier: int, number: int = 0) -> None:
        """When it has to be looked at again, being in a tier and in bin `number`: to move it, or
        to count a bin that has passed."""
        leave_s = plan.leave_s(tier, number + 1) if number else plan.first_leave_s[tier]
        following = max(number + 1, _EAGER_BIN)
        count_s = BIN_STARTS_S[following] if following < BINS else math.inf
        cap_s = self._cost(watched.octave).cap[tier][0]
        watched.due_s = watched.last_s + min(leave_s, cap_s, count_s)

    def _schedule(self, watched: Watched) -> Schedule:
        pair = watched.cell * _OCTAVES + watched.octave + 1
        plan = self._schedules.get(pair)
        if plan is None:
            costs = self._cost(watched.octave)
            [plan] = self._solver.solve(self.table, [(watched.cell, costs)])
            self._schedules[pair] = plan
        return plan

    def _cost(self, octave: int) -> TierCosts:
        costs = self._costs.get(octave)
        if costs is None:
            costs = tier_costs(self._prices, self._tiers, octave_size_gb(octave))
            self._costs[octave] = costs
        return costs

    def _pass_time(self, now_s: float) -> None:
        if now_s < self._check_s:
            return
        self._check_s = now_s + REFRESH_CHECK_S
        table = self.table
        table.pass_time(now_s)
        new = table.counted - self._solved_counted
        if not new:
            return
        grown = new >= REFRESH_NEW_SHARE * self._solved_counted
        if grown or now_s - self._solved_s >= REFRESH_LATEST_S:
            self._solved_s, self._solved_counted = now_s, table.counted
            self.refresh()

    def refresh(self) -> None:
        """Make all plans in use anew from the present counts."""
        self._solver.refresh(self.table)
        numbers = list(self._schedules)
        pairs = [(number // _OCTAVES, self._cost(number % _OCTAVES - 1)) for number in numbers]
        self._schedules = dict(zip(numbers, self._solver.solve(self.table, pairs), strict=True))
