"""The clairvoyant optimum: what a trace would cost somebody who knew all of it in advance.

Per object a dynamic programme over the tier it is held in during each gap between requests. At a
read it is served from its tier, and the bytes in flight may go to another; just before the next
read it may be moved again. Storage is linear in time, so that nothing is gained by moving in the
midst of a gap; nor by two moves in a row. Objects don't influence each other.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from stratum.domain.hazard import DAY_S
from stratum.domain.hazard_schedule import TierCosts, tier_costs
from stratum.domain.names import Tier
from stratum.domain.pricing import BYTES_PER_GB, PriceList
from stratum.domain.simulation import GET, PUT, Request


class _Held:
    """An object: its costs, and the least cost so far for each tier it may be in now, just after
    a request."""

    __slots__ = ("best", "costs", "since_s")

    def __init__(self, costs: TierCosts, now_s: int) -> None:
        self.costs = costs
        self.best = costs.write
        self.since_s = now_s

    def kept(self, now_s: int) -> list[float]:
        """By the tier in which it spent the gap: the least cost until now."""
        costs = self.costs
        days = (now_s - self.since_s) / DAY_S
        least = min(self.best)
        return [
            (min(least + write, stayed)) + keep * days
            for stayed, write, keep in zip(self.best, costs.write, costs.keep, strict=True)
        ]

    def read(self, now_s: int) -> None:
        costs = self.costs
        kept = self.kept(now_s)
        least = min([cost + fetch for cost, fetch in zip(kept, costs.fetch, strict=True)])
        self.best = tuple(
            [
                (min(least + write, stayed)) + read
                for stayed, write, read in zip(kept, costs.write, costs.read, strict=True)
            ]
        )
        self.since_s = now_s


def optimum(requests: Iterable[Request], prices: PriceList, tiers: Sequence[Tier]) -> float:
    """The least cost of a trace in $, by the same rules as `simulation.simulate`."""
    by_size: dict[int, TierCosts] = {}
    live: dict[int, _Held] = {}
    total = 0.0
    at_s = 0
    for at_s, key, operation, size_bytes in requests:
        held = live.get(key)
        if operation == GET:
            if held is not None:
                held.read(at_s)
            continue
        if held is not None:
            total += min(held.kept(at_s))
            del live[key]
        if operation == PUT:
            costs = by_size.get(size_bytes)
            if costs is None:
                costs = tier_costs(prices, tiers, size_bytes / BYTES_PER_GB)
                by_size[size_bytes] = costs
            live[key] = _Held(costs, at_s)
    return total + sum(min(held.kept(at_s)) for held in live.values())
