"""Storage classes fix tiers; restores bring archives up for some days."""

import pytest
import trio

from stratum.app.rederive import rederive
from stratum.app.storage_classes import StorageClasses, restored
from stratum.domain.attributes import VersionAttributes
from stratum.domain.break_even import BreakEven
from stratum.domain.errors import InvalidObjectState, MoveRefused, RestoreInProgress
from stratum.domain.move import adopt_prices
from stratum.domain.names import Tier
from tests.support.tiering_world import ALICE, BUCKET, PRICES, World, content_of

HOT, WARM, COLD = Tier
CONTENT = content_of(1000)


def classes_of(world):
    return StorageClasses(
        world.journal, world.rules.tiers, world.rules.day_s, world.now_ms, world.recorder.track
    )


async def put(world, key, storage_class):
    await world.put(key, CONTENT, VersionAttributes(storage_class=storage_class))
    return world.journal.catalog.version(BUCKET, key)


def version(world, key):
    return world.journal.catalog.version(BUCKET, key)


async def arrived(world, key, tier):
    with trio.fail_after(60):
        while world.tier(key) is not tier:  # noqa: ASYNC110 - there is no event for it
            await trio.sleep(0.1)


async def test_a_class_that_asks_for_a_tier_fixes_it(autojump_clock):
    world = World(day_s=1000.0)
    async with world.running():
        await world.journal.transact(lambda c: adopt_prices(c, prices=PRICES), by="operator")
        for storage_class, tier in (("STANDARD_IA", WARM), ("GLACIER_IR", COLD)):
            await put(world, storage_class, storage_class)
            await arrived(world, storage_class, tier)
            explanation = await world.explain(storage_class)
            assert explanation.placed_because.endswith(
                f"stored as {storage_class}: hot → {tier.value}"
            )
            # However often it is read: it stays.
            await world.read_in_sessions(storage_class, sessions=6)
            assert world.tier(storage_class) is tier
            with pytest.raises(MoveRefused, match="which fixes its tier"):
                await world.move(storage_class, HOT)
        await put(world, "smart", "INTELLIGENT_TIERING")
        await world.days(0.01)
        assert world.tier("smart") is HOT
        found = [each async for each in rederive(world.journal, {BreakEven.name: BreakEven()})]
        assert {each.recorded.event.decision.policy for each in found} == {"storage-class.1"}
        assert [each.difference for each in found] == [""] * len(found)


async def test_an_operators_pin_is_stronger(autojump_clock):
    world = World(day_s=1000.0)
    async with world.running():
        await world.pin("", HOT)
        await put(world, "k", "GLACIER")
        await world.days(0.1)
        assert world.tier("k") is HOT
        await world.unpin("")
        await arrived(world, "k", COLD)


async def test_a_restore_keeps_an_archive_in_hot_for_some_days(autojump_clock):
    world = World(day_s=1000.0)
    classes = classes_of(world)
    async with world.running():
        await put(world, "k", "DEEP_ARCHIVE")
        await arrived(world, "k", COLD)
        assert await world.get("k") == CONTENT, "cold can be read at once"
        assert classes.restored(version(world, "k")) is None
        assert await classes.restore(ALICE, BUCKET, "k", None, 2)
        assert classes.restored(version(world, "k")).ongoing
        with pytest.raises(RestoreInProgress):
            await classes.restore(ALICE, BUCKET, "k", None, 2)
        await arrived(world, "k", HOT)
        found = classes.restored(version(world, "k"))
        assert not found.ongoing
        assert found.until_ms == pytest.approx(world.now_ms() + 2_000_000, abs=60_000)
        await world.days(1.5)
        assert world.tier("k") is HOT
        assert not await classes.restore(ALICE, BUCKET, "k", None, 1), "it only stays longer"
        await world.days(0.8)
        assert world.tier("k") is HOT
        await world.days(0.5)
        assert classes.restored(version(world, "k")) is None
        assert world.tier("k") is COLD
        assert world.volume("k").storage_class == "DEEP_ARCHIVE"


@pytest.mark.parametrize("storage_class", ["", "STANDARD_IA", "GLACIER_IR", "INTELLIGENT_TIERING"])
async def test_only_archives_can_be_restored(autojump_clock, storage_class):
    world = World(enabled=False)
    await put(world, "k", storage_class)
    with pytest.raises(InvalidObjectState) as refused:
        await classes_of(world).restore(ALICE, BUCKET, "k", None, 1)
    assert refused.value.storage_class == (storage_class or "STANDARD")


async def test_real_days_end_at_midnight(autojump_clock):
    world = World(enabled=False, day_s=86400.0)
    await put(world, "k", "GLACIER")
    await classes_of(world).restore(ALICE, BUCKET, "k", None, 1)
    found = restored(version(world, "k"), world.now_ms())
    assert found.until_ms % 86_400_000 == 0
    assert 86_400_000 <= found.until_ms - world.now_ms() < 2 * 86_400_000
