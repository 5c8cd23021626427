"""Amazon's storage classes, and the tiers in which objects of a class lie here.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/storage-class-intro.html. A class that asks
for a place pins the version there. STANDARD, INTELLIGENT_TIERING and REDUCED_REDUNDANCY leave it to
the tiering policy.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from stratum.domain.errors import InvalidStorageClass
from stratum.domain.names import Tier

STANDARD = "STANDARD"
TIERS: Mapping[str, Tier] = {
    "STANDARD_IA": Tier.WARM,
    "ONEZONE_IA": Tier.WARM,
    "GLACIER_IR": Tier.COLD,
    "GLACIER": Tier.COLD,
    "DEEP_ARCHIVE": Tier.COLD,
}
"""Of the others the tiering policy decides."""
STORAGE_CLASSES = (STANDARD, "REDUCED_REDUNDANCY", "INTELLIGENT_TIERING", *TIERS)
"""All that may be asked for. The order is part of recorded decisions."""
ARCHIVES = frozenset({"GLACIER", "DEEP_ARCHIVE"})
"""Classes that can be restored from."""
TIER_CLASSES: Mapping[Tier, str] = {
    Tier.HOT: STANDARD,
    Tier.WARM: "STANDARD_IA",
    Tier.COLD: "GLACIER_IR",
}
"""What we call our tiers where nobody asked for a class: all of them can be read at once, as these
classes can."""


def tier_of(storage_class: str) -> Tier | None:
    """The tier that a class asks for; None if it leaves that to the policy."""
    return TIERS.get(storage_class)


def kept_class(asked: str | None, tiers: Collection[Tier]) -> str:
    """What is kept of the class a request asks for: "" for none or STANDARD.

    Raises InvalidStorageClass for one that is unknown, or whose tier is not configured: objects
    would be said to lie where they do not.
    """
    if asked is None or asked == STANDARD:
        return ""
    if asked not in STORAGE_CLASSES:
        raise InvalidStorageClass("The storage class you specified is not valid", asked)
    tier = tier_of(asked)
    if tier is not None and tier not in tiers:
        raise InvalidStorageClass(
            f"{asked} is kept in the {tier} tier, which this server does not have", asked
        )
    return asked


def shown_class(storage_class: str, tier: Tier) -> str:
    """The class that answers name: the one that was asked for, or else what the tier is."""
    return storage_class or TIER_CLASSES[tier]
