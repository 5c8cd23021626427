"""Pins: who may set which, what they say of a volume, and the same said again from the record."""

import tomllib
from dataclasses import replace

import pytest

from stratum.adapters.memory_catalog import MemoryCatalog
from stratum.domain.errors import InvalidArgument, KeyTooLong, MoveRefused, NoSuchBucket, NoSuchPin
from stratum.domain.events import BucketCreated, Recorded, TierPinned, TierUnpinned
from stratum.domain.names import BucketName, Tier
from stratum.domain.pin import Pin, pin_prefix
from stratum.domain.pinning import (
    PINS_PER_BUCKET_MAX,
    REASON_LENGTH_MAX,
    pin_from,
    remove_pin,
    set_pin,
)
from stratum.domain.pricing import DEFAULT_PRICES_TOML, parse_prices
from stratum.domain.tiering import PINNED, Facts, Move, Stay, derive_again, obey

HOT, WARM, COLD = Tier
BUCKET = BucketName("films")
PRICES = parse_prices(tomllib.loads(DEFAULT_PRICES_TOML))
PIN = Pin(BUCKET, "a/", HOT, "root", 1_790_000_000_000, 17, "it is shown daily")
FACTS = Facts(
    tier=COLD,
    tiers=tuple(Tier),
    size_gb=0.001,
    idle_days=400.0,
    age_days=500.0,
    residence_days=300.0,
    reads=0.0,
    sessions=0.0,
    gap_days=0.0,
    day_s=86400.0,
)


def catalog_of(*events):
    catalog = MemoryCatalog()
    created = BucketCreated(BUCKET, "o", "O", "us-east-1")
    for seq, event in enumerate([created, *events], 1):
        catalog.apply(Recorded(seq, event.stream, seq, 1000, "root", event))
    return catalog


def pinned(catalog, prefix="a/", tier=HOT, why="", bucket=BUCKET, tiers=tuple(Tier)):
    return set_pin(catalog, bucket=bucket, prefix=prefix, tier=tier, why=why, tiers=tiers)


def test_a_pin_is_set_changed_and_removed():
    assert pinned(catalog_of()) == [TierPinned(BUCKET, "a/", HOT, "")]
    catalog = catalog_of(TierPinned(BUCKET, "a/", HOT))
    assert pinned(catalog) == []
    assert pinned(catalog, tier=WARM) == [TierPinned(BUCKET, "a/", WARM, "")]
    assert pinned(catalog, why="new") == [TierPinned(BUCKET, "a/", HOT, "new")]
    assert remove_pin(catalog, bucket=BUCKET, prefix="a/") == [TierUnpinned(BUCKET, "a/")]


def test_pins_that_make_no_sense_are_refused():
    catalog = catalog_of(TierPinned(BUCKET, "a/", HOT))
    with pytest.raises(NoSuchBucket):
        pinned(catalog, bucket=BucketName("nowhere"))
    with pytest.raises(MoveRefused, match="cold tier is not configured"):
        pinned(catalog, tier=COLD, tiers=(HOT, WARM))
    for why in ("x" * (REASON_LENGTH_MAX + 1), "two\nlines", "\x1b[2J"):
        with pytest.raises(InvalidArgument):
            pinned(catalog, why=why)
    for prefix in ("", "a", "a/b"):
        with pytest.raises(NoSuchPin):
            remove_pin(catalog, bucket=BUCKET, prefix=prefix)
    with pytest.raises(NoSuchBucket):
        remove_pin(catalog, bucket=BucketName("nowhere"), prefix="a/")
    assert pin_prefix("") == ""
    with pytest.raises(KeyTooLong):
        pin_prefix("é" * 513)


def test_a_bucket_has_so_many_pins_and_no_more():
    pins = [TierPinned(BUCKET, f"{number}/", HOT) for number in range(PINS_PER_BUCKET_MAX)]
    catalog = catalog_of(*pins)
    with pytest.raises(InvalidArgument, match="at most 1000 pins"):
        pinned(catalog, "one more/")
    assert pinned(catalog, "7/", WARM)


def test_a_pinned_volume_moves_to_its_tier_and_says_by_whom():
    verdict = obey(PIN, FACTS, PRICES, 0)
    assert isinstance(verdict, Move)
    decision = verdict.decision
    assert (decision.source, decision.target, decision.policy) == (COLD, HOT, PINNED)
    assert decision.sentence == (
        "1.00 MB in cold, pinned to hot by root since 2026-09-21 14:13:20 UTC (s3://films/a/):"
        " it is shown daily: cold → hot"
    )
    assert decision.facts["pin_seq"] == 17


def test_a_pinned_volume_stays_in_its_tier_and_is_looked_at_again():
    verdict = obey(PIN, replace(FACTS, tier=HOT), PRICES, 1000)
    assert isinstance(verdict, Stay)
    assert verdict.sentence.startswith("1.00 MB in hot, pinned to hot by root since 2026-")
    assert verdict.look_again_at_ms == 1000 + 7 * 86_400_000
    assert verdict.would_do is None


def test_a_pin_to_a_tier_that_is_no_longer_configured_moves_nothing():
    verdict = obey(replace(PIN, tier=COLD), replace(FACTS, tier=HOT, tiers=(HOT, WARM)), PRICES, 0)
    assert isinstance(verdict, Stay)
    assert verdict.sentence.endswith("the cold tier is not configured")


def test_the_decision_is_derived_again_from_the_pin_it_names():
    recorded = Recorded(17, "s", 1, PIN.at_ms, "root", TierPinned(BUCKET, "a/", HOT, PIN.why))
    assert pin_from(recorded) == PIN
    verdict = obey(PIN, FACTS, PRICES, 0)
    assert isinstance(verdict, Move)
    decision = verdict.decision
    assert derive_again(decision, {}, PRICES, {17: PIN}) == decision
    assert derive_again(decision, {}, PRICES, {17: replace(PIN, by="mallory")}) != decision
    assert derive_again(decision, {}, PRICES, {17: replace(PIN, tier=COLD)}) is None
    with pytest.raises(KeyError):
        derive_again(decision, {}, PRICES, {})
