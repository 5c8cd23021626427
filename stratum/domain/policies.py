"""All policies by name: those a server can run and a simulation can compare."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from stratum.domain.break_even import BreakEven
from stratum.domain.errors import InvalidArgument
from stratum.domain.following import FactsFollower, Follower
from stratum.domain.hazard import DAY_S
from stratum.domain.hazard_following import HazardFollower
from stratum.domain.hazard_policy import Hazard
from stratum.domain.hazard_schedule import Solver
from stratum.domain.names import Tier
from stratum.domain.plain_policies import (
    IDLE_RULE_SIZE_MIN_BYTES,
    Always,
    ByDays,
    break_even_days,
    by_rule_days,
)
from stratum.domain.pricing import PriceList
from stratum.domain.tiering import Policy

HAZARD = "hazard"
PLAIN: Mapping[str, Policy] = {
    "break-even": BreakEven(),
    "ski-rental": ByDays("ski-rental.1", break_even_days, idle=True),
    "idle-30-90": ByDays("idle-30-90.1", by_rule_days(IDLE_RULE_SIZE_MIN_BYTES), idle=True),
    "age-30-90": ByDays("age-30-90.1", by_rule_days(0), idle=False),
    **{f"always-{tier}": Always(tier) for tier in Tier},
}
"""Those that need to know one object only."""
POLICIES = (HAZARD, *PLAIN)
"""Names of all policies."""
RULES: Mapping[str, Policy] = {policy.name: policy for policy in (Hazard(), *PLAIN.values())}
"""By name and version, as decisions record it: to derive those again."""


def make_follower(
    name: str,
    prices: PriceList,
    tiers: Sequence[Tier],
    solver: Solver,
    day_s: float = DAY_S,
    *,
    self_refreshing: bool = True,
) -> Follower:
    """A fresh follower of the policy with this name. `day_s`: seconds that a day of the tiering
    clock lasts, for what is said. `self_refreshing`: see HazardFollower.
    Raises InvalidArgument for an unknown name."""
    if name == HAZARD:
        return HazardFollower(prices, tiers, solver, day_s, self_refreshing=self_refreshing)
    policy = PLAIN.get(name)
    if policy is None:
        raise InvalidArgument(f"there is no policy {name!r}; there are {', '.join(POLICIES)}")
    return FactsFollower(policy, prices, tiers, day_s)
