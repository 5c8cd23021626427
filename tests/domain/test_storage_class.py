import pytest

from stratum.domain.errors import InvalidStorageClass
from stratum.domain.names import Tier
from stratum.domain.storage_class import (
    ARCHIVES,
    STORAGE_CLASSES,
    TIER_CLASSES,
    TIERS,
    kept_class,
    shown_class,
    tier_of,
)

HOT, WARM, COLD = Tier


def test_what_is_kept_is_what_is_shown():
    for asked in STORAGE_CLASSES[1:]:
        kept = kept_class(asked, tuple(Tier))
        assert {shown_class(kept, tier) for tier in Tier} == {asked}
    assert kept_class(None, ()) == kept_class("STANDARD", ()) == ""


def test_without_a_wish_the_tier_is_shown():
    assert [shown_class("", tier) for tier in Tier] == ["STANDARD", "STANDARD_IA", "GLACIER_IR"]
    assert set(TIER_CLASSES.values()) <= set(STORAGE_CLASSES)


def test_the_tiers_of_classes():
    assert tier_of("") is tier_of("INTELLIGENT_TIERING") is tier_of("REDUCED_REDUNDANCY") is None
    assert tier_of("ONEZONE_IA") is WARM
    assert {name for name, tier in TIERS.items() if tier is COLD} >= ARCHIVES


@pytest.mark.parametrize("asked", ["", "COLD", "standard", "SNOW", "OUTPOSTS"])
def test_unknown_classes_are_refused(asked):
    with pytest.raises(InvalidStorageClass) as refused:
        kept_class(asked, tuple(Tier))
    assert refused.value.asked == asked


def test_a_class_whose_tier_is_not_there_is_refused():
    assert kept_class("STANDARD_IA", (HOT, WARM)) == "STANDARD_IA"
    with pytest.raises(InvalidStorageClass, match="cold tier, which this server does not have"):
        kept_class("GLACIER", (HOT, WARM))
