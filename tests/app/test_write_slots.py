from functools import partial

import pytest
import trio

from stratum.app import write_slots
from stratum.app.write_slots import WriteSlots
from stratum.domain.errors import TooSlow, Unavailable


class Uploads:
    """Large writes whose client takes `slow_s` for each of `stripes` stripes."""

    def __init__(self, turns):
        self.slots = WriteSlots(turns)
        self.ended = []

    async def write(self, name, slow_s, stripes=1):
        try:
            async with self.slots.turn() as turn:
                for _ in range(stripes):
                    await turn.fill(partial(trio.sleep, slow_s))
        except (TooSlow, Unavailable) as error:
            self.ended.append((name, type(error)))
        else:
            self.ended.append((name, None))


async def test_slow_clients_are_let_be_while_nobody_waits(autojump_clock):
    uploads = Uploads(2)
    await uploads.write("slow", 10_000, stripes=3)
    assert uploads.ended == [("slow", None)]


async def test_slow_clients_lose_their_turn_to_those_that_wait(autojump_clock):
    uploads = Uploads(32)
    async with trio.open_nursery() as nursery:
        for number in range(32):
            nursery.start_soon(uploads.write, f"slow{number}", 1000)
        await trio.sleep(1)
        for number in range(3):
            nursery.start_soon(uploads.write, f"quick{number}", 1)
        await trio.sleep(write_slots.SLOW_FILL_S + 10)
        assert {f"quick{number}" for number in range(3)} <= {name for name, _ in uploads.ended}
        nursery.cancel_scope.cancel()
    too_slow = [name for name, error in uploads.ended if error is TooSlow]
    assert 1 <= len(too_slow) <= 3
    assert all(name.startswith("slow") for name in too_slow)


async def test_quick_clients_keep_their_turn_and_others_are_refused(autojump_clock):
    uploads = Uploads(1)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(uploads.write, "busy", write_slots.SLOW_FILL_S - 1, 100)
        await trio.sleep(1)
        began_s = trio.current_time()
        await uploads.write("late", 1)
        assert trio.current_time() - began_s <= write_slots.WAIT_MAX_S + 2
        assert uploads.ended == [("late", Unavailable)]
        nursery.cancel_scope.cancel()


async def test_a_queue_that_is_too_long_refuses_at_once(autojump_clock):
    uploads = Uploads(1)
    async with trio.open_nursery() as nursery:
        for number in range(1 + write_slots.WAITING_MAX):
            nursery.start_soon(uploads.write, f"{number}", 1)
        await trio.sleep(0.1)
        began_s = trio.current_time()
        await uploads.write("one too many", 1)
        assert trio.current_time() == began_s
        assert uploads.ended == [("one too many", Unavailable)]
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("raises", [RuntimeError, None])
async def test_turns_come_back(autojump_clock, raises):
    slots = WriteSlots(1)
    for _ in range(5):
        try:
            async with slots.turn() as turn:
                await turn.fill(partial(trio.sleep, 1))
                if raises:
                    raise raises
        except RuntimeError:
            pass
    with trio.move_on_after(1):
        async with slots.turn() as turn:
            await turn.fill(trio.sleep_forever)
    await Uploads(1).write("after", 1)
    async with slots.turn():
        pass
