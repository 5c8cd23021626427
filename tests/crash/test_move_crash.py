"""A crash, or a shutdown, at every single step of a move. Afterwards there is one readable copy,
the move is carried out, and nothing is left over."""

import pytest
import trio

from stratum.domain.names import Tier
from tests.support.tiering_world import STRIPE_SIZE_BYTES, World, content_of

CONTENT = content_of(STRIPE_SIZE_BYTES + 7)
HOT, WARM, COLD = Tier


class AtStep(trio.abc.Instrument):
    """Calls `act` before step `number` of the scheduler; counts them all."""

    def __init__(self, number, act):
        self.steps = 0
        self._number = number
        self._act = act

    def before_task_step(self, task):
        self.steps += 1
        if self.steps == self._number:
            self._act()


async def interrupted_move(step, source, target, *, crash):
    """Move an object and stop everything before a step; return the world found afterwards and
    whether the move had ended before."""
    world = World(enabled=False)
    after = []
    async with world.running("mover"):
        await world.put("k", CONTENT)
        if source is not HOT:
            await world.move("k", source)
            await world.settled()
    with trio.CancelScope() as scope:

        def stop():
            if crash:
                after.append(world.restarted())
            scope.cancel()

        instrument = AtStep(step, stop)
        async with world.running("mover", "reclaimer"):
            trio.lowlevel.add_instrument(instrument)
            try:
                await world.move("k", target)
                await world.settled()
            finally:
                trio.lowlevel.remove_instrument(instrument)
    ended = instrument.steps < step
    return after[0] if after else world.restarted(), ended


@pytest.mark.parametrize("crash", [True, False], ids=["crash", "shutdown"])
@pytest.mark.parametrize(
    ("source", "target"), [(HOT, WARM), (HOT, COLD), (COLD, HOT)], ids=["warm", "cold", "back"]
)
async def test_a_move_interrupted_anywhere(autojump_clock, source, target, crash):
    step, tiers = 1, []
    while True:
        world, ended = await interrupted_move(step, source, target, crash=crash)
        assert await world.peek("k") == CONTENT
        decided = world.volume("k").pending is not None
        async with world.running("mover", "reclaimer"):
            await world.settled()
            await trio.sleep(120)
            tiers.append(world.tier("k"))
            assert await world.peek("k") == CONTENT
            assert await world.stored() == world.referenced("k"), f"before step {step}"
            if decided:
                assert world.tier("k") is target
        if ended:
            break
        step += 1
    assert step > 20
    assert set(tiers) == {source, target}
