"""Making room on disks that are nearly full: what is cheapest to take away goes first.

Cheapest is the least expected cost for each GB freed: the move, and with the chance of a read in
the coming month also the dearer read and the way back, less what a month of storage there saves.
The chance is that of the shipped prior (a power law of idle age, as in `hazard`), or, for what is
read in a rhythm that goes on, that of a Poisson process with this rhythm.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from stratum.domain import wording
from stratum.domain.names import Tier
from stratum.domain.pricing import DAYS_PER_MONTH, PriceList
from stratum.domain.tiering import Decision, Facts, facts_of

WATERMARK = "watermark.1"
"""Policy name of a move that makes room."""
PRIOR_EXPONENT = 0.3
RHYTHM_SESSIONS_MIN = 2
RHYTHM_LOST_GAPS = 2.0
"""A rhythm is over when the volume has been idle for this many of its gaps."""


@dataclass(frozen=True)
class Fullness:
    """How full the fullest disk of a tier is, and how full it may be; shares of its space."""

    used: float
    high: float
    low: float


@dataclass(frozen=True)
class DeviceUse:
    """One file system with `shards` of a tier's disks on it."""

    total_bytes: int
    free_bytes: int
    shards: int

    @property
    def used(self) -> float:
        return 1 - self.free_bytes / self.total_bytes if self.total_bytes else 0.0


def excess_bytes(devices: Sequence[DeviceUse], low: float, data_shards: int) -> int:
    """How many bytes of volumes have to leave a tier until each of its file systems is filled to
    `low` at most: a volume of s bytes has s / data_shards on each disk."""
    return max(
        (
            math.ceil(
                (each.total_bytes - each.free_bytes - low * each.total_bytes)
                * data_shards
                / each.shards
            )
            for each in devices
        ),
        default=0,
    )


def read_chance(facts: Facts) -> float:
    """How likely a read is within the coming month."""
    survives: float = (1 + facts.idle_days) / (1 + facts.idle_days + DAYS_PER_MONTH)
    prior = 1 - math.pow(survives, PRIOR_EXPONENT)
    in_rhythm = (
        facts.sessions >= RHYTHM_SESSIONS_MIN
        and facts.gap_days > 0
        and facts.idle_days <= RHYTHM_LOST_GAPS * facts.gap_days
    )
    if not in_rhythm:
        return prior
    return max(prior, 1 - math.exp(-DAYS_PER_MONTH / facts.gap_days))


def make_room(
    facts: Facts, prices: PriceList, fullness: Fullness, targets: Sequence[Tier]
) -> Decision | None:
    """The decision to take a volume away, to whichever of the targets is the cheapest; None if
    there is nothing to free or nowhere to go. `targets` are those of the slower tiers that have
    room."""
    if not facts.size_gb or not targets:
        return None
    chance = read_chance(facts)
    costs = {target: _cost_per_gb(facts, prices, target, chance) for target in targets}
    target = min(targets, key=costs.__getitem__)
    sentence = (
        f"{wording.size(facts.size_gb)} in {facts.tier}, idle for"
        f" {wording.duration(facts.idle_days, facts.day_s)}: {facts.tier} → {target}, because the"
        f" disks of {facts.tier} are {fullness.used:.0%} full, more than {fullness.high:.0%}, and"
        f" this is among the cheapest to take away: that {_costs(costs[target])} for each GB"
        f" freed, with a chance of {chance:.0%} that it is read within a month"
    )
    recorded = {
        **facts.record(),
        "used": fullness.used,
        "high_watermark": fullness.high,
        "low_watermark": fullness.low,
        **{f"room_{tier}": float(tier in targets) for tier in Tier},
    }
    numbers = {"cost_per_gb_freed": costs[target], "read_chance": chance}
    return Decision(facts.tier, target, WATERMARK, sentence, prices.version(), recorded, numbers)


def derive_room(decision: Decision, prices: PriceList) -> Decision | None:
    """The same decision from its record. Raises KeyError if that lacks something."""
    record = decision.facts
    fullness = Fullness(record["used"], record["high_watermark"], record["low_watermark"])
    targets = [tier for tier in Tier if record[f"room_{tier}"]]
    return make_room(facts_of(decision, prices), prices, fullness, targets)


def _costs(amount: float) -> str:
    """`costs $0.01`, `saves $0.01`."""
    return f"{'costs' if amount >= 0 else 'saves'} {wording.money(abs(amount))}"


def _cost_per_gb(facts: Facts, prices: PriceList, target: Tier, chance: float) -> float:
    move = prices.move_cost(facts.tier, target, facts.size_gb)
    back = prices.cycle_cost(facts.tier, target, facts.size_gb) - move
    saved_per_day = prices.storage_per_day(facts.tier, facts.size_gb) - prices.storage_per_day(
        target, facts.size_gb
    )
    return (move + chance * back - saved_per_day * DAYS_PER_MONTH) / facts.size_gb
