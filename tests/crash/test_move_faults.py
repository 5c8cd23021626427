"""A remote that misbehaves at every single operation of a move, alone and together with crashes.

At all times there is one readable copy, no remote object is deleted while a volume is there, and
in the end nothing is left over.
"""

import random

import pytest
import trio

from stratum.domain.names import Tier
from tests.crash.test_move_crash import AtStep
from tests.support.tiering_world import FAULTS, STRIPE_SIZE_BYTES, World, content_of

CONTENT = content_of(STRIPE_SIZE_BYTES + 7)
HOT, WARM, COLD = Tier
LONG_S = 900


async def _placed(source):
    world = World(enabled=False)
    async with world.running("mover", "reclaimer"):
        await world.put("k", CONTENT)
        if source is not HOT:
            await world.move("k", source)
            await world.settled()
        await trio.sleep(120)
    world.remote.operations = 0
    return world


async def _watch(world):
    """Whatever goes on: where the catalog says the object is, its bytes are."""
    while not world.remote.failing:  # until the crash
        location = world.volume("k").location
        if location.remote:
            start = location.remote.payload_offset_bytes
            held = world.remote.content(location.remote.name)[start:]
            assert held == CONTENT
        else:
            assert await world.peek("k") == CONTENT
        await trio.sleep(5)


async def _finished(world):
    """Let everything come to an end with a remote that works again."""
    world.remote.faults = {}
    async with world.running("mover", "reclaimer"):
        await world.settled()
        await trio.sleep(LONG_S)
        assert await world.peek("k") == CONTENT
        assert await world.stored() == world.referenced("k")
    assert not world.remote.violations


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize(("source", "target"), [(HOT, COLD), (COLD, HOT), (WARM, COLD)])
async def test_a_fault_at_every_operation(autojump_clock, source, target, fault):
    number = 1
    while True:
        world = await _placed(source)
        world.remote.faults = {number: fault}
        async with world.running("mover", "reclaimer") as nursery:
            nursery.start_soon(_watch, world)
            await world.move("k", target)
            await world.settled()
            assert world.tier("k") is target, f"{fault} at operation {number}"
            await trio.sleep(LONG_S)
        reached = world.remote.operations >= number
        await _finished(world)
        if not reached:
            break
        number += 1
    assert number > 2


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize(("source", "target"), [(HOT, COLD), (COLD, HOT)])
async def test_a_fault_that_stays(autojump_clock, source, target, fault):
    """Slow is slow; anything else is given up in the end, with the old copy in its place."""
    world = await _placed(source)
    world.remote.faults = dict.fromkeys(range(1, 1000), fault)
    async with world.running("mover", "reclaimer") as nursery:
        nursery.start_soon(_watch, world)
        await world.move("k", target)
        await world.settled()
        fails = fault not in ("slow", "lost answer") or (fault, target) == ("lost answer", COLD)
        assert world.tier("k") is (source if fails else target)
    await _finished(world)


@pytest.mark.parametrize(("source", "target"), [(HOT, COLD), (COLD, HOT)])
@pytest.mark.parametrize("seed", range(20))
async def test_crashes_while_the_remote_misbehaves(autojump_clock, source, target, seed):
    """Three crashes at random steps, faults at random operations in between."""
    rng = random.Random(f"{seed} {source} {target}")
    world = await _placed(source)
    decided = False
    for _ in range(3):
        world.remote.faults = {number: rng.choice(FAULTS) for number in rng.sample(range(1, 9), 3)}
        found = []
        with trio.CancelScope() as scope:

            def crash(world=world, found=found, scope=scope):
                found.append(world.restarted())
                scope.cancel()

            instrument = AtStep(rng.randrange(1, 150), crash)
            async with world.running("mover", "reclaimer") as nursery:
                nursery.start_soon(_watch, world)
                trio.lowlevel.add_instrument(instrument)
                try:
                    if not decided and world.volume("k").pending is None:
                        await world.move("k", target)
                    await world.settled()
                    await trio.sleep(rng.choice([0, 120]))
                finally:
                    trio.lowlevel.remove_instrument(instrument)
        assert not world.remote.violations
        world = found[0] if found else world.restarted()
        decided = world.volume("k").pending is not None or world.tier("k") is target
        assert await world.peek("k") == CONTENT
    await _finished(world)
