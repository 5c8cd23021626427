"""Which tier a volume belongs in, why, and when to look again. Pure: a function of its arguments."""

from __future__ import annotations

from dataclasses import dataclass, field

from stratum.domain.names import Tier


@dataclass(frozen=True)
class Decision:
    """That a volume should move, with everything the decision was made from.

    Times are in days of the tiering clock (`tiering.day_s` real seconds each).
    """

    source: Tier
    target: Tier
    policy: str
    """Name and version of the rule, `break-even.1`, or `manual`."""
    sentence: str
    """The reason as one sentence a person understands, with its numbers."""
    prices: str = ""
    """Version of the price list (see `PricesAdopted`)."""
    facts: dict[str, float] = field(default_factory=dict)
    """Inputs: size_gb, idle_days, age_days, reads, sessions …"""
    numbers: dict[str, float] = field(default_factory=dict)
    """Derived: break_even_days, saving_per_month …"""
