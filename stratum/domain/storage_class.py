"""Amazon's storage classes, and the tiers in which objects of a class lie here."""

from __future__ import annotations

from collections.abc import Mapping

from stratum.domain.names import Tier

TIERS: Mapping[str, Tier] = {
    "STANDARD_IA": Tier.WARM,
    "ONEZONE_IA": Tier.WARM,
    "GLACIER_IR": Tier.COLD,
    "GLACIER": Tier.COLD,
    "DEEP_ARCHIVE": Tier.COLD,
}
"""Of the others the tiering policy decides."""


def tier_of(storage_class: str) -> Tier | None:
    """The tier that a class asks for; None if it leaves that to the policy."""
    return TIERS.get(storage_class)
