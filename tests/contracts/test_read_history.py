"""The contract of ReadHistory, passed by the one in memory and the one in SQLite."""

import pytest

from stratum.adapters.read_history import MemoryReadHistory, open_read_history
from stratum.domain.access import ReadRun
from tests.support.histories import volume_id

BEGAN_MS = 1_700_000_000_000


def run(number: int, first_ms: int, reads: int = 1) -> ReadRun:
    return ReadRun(volume_id(number), first_ms, first_ms + 10 * (reads - 1), reads)


@pytest.fixture(params=["memory", "sqlite"])
async def history(request, tmp_path):
    if request.param == "memory":
        yield MemoryReadHistory(BEGAN_MS)
    else:
        async with open_read_history(tmp_path / "reads.db", BEGAN_MS) as history:
            yield history


async def everything(history):
    batches, after = [], 0
    while True:
        after, runs = await history.read(after)
        if not runs:
            return batches
        batches.append(list(runs))


async def test_batches_come_back_in_order(history):
    assert await everything(history) == []
    await history.append([run(2, BEGAN_MS), run(1, BEGAN_MS + 5, reads=7)])
    await history.append([])
    await history.append([run(1, BEGAN_MS + 9)])
    assert await everything(history) == [
        [run(1, BEGAN_MS + 5, reads=7), run(2, BEGAN_MS)],
        [run(1, BEGAN_MS + 9)],
    ]
    assert await history.since_ms() == BEGAN_MS


async def test_old_batches_are_forgotten_and_it_says_since_when(history):
    for number in range(5):
        await history.append([run(number, BEGAN_MS + 1000 * number)])
    await history.forget(BEGAN_MS + 2000, 10**9)
    assert [runs[0].first_ms for runs in await everything(history)] == [
        BEGAN_MS + 1000 * number for number in (2, 3, 4)
    ]
    assert await history.since_ms() == BEGAN_MS + 1001
    await history.forget(BEGAN_MS + 2000, 10**9)
    assert len(await everything(history)) == 3
    await history.forget(BEGAN_MS + 10**6, 10**9)
    assert await everything(history) == []
    await history.append([run(9, BEGAN_MS + 10**7)])
    assert await everything(history) == [[run(9, BEGAN_MS + 10**7)]]


async def test_a_history_that_is_too_large_loses_its_oldest(history):
    for number in range(20):
        await history.append([run(number, BEGAN_MS + number)])
    await history.forget(0, 1)
    left = [runs[0].first_ms - BEGAN_MS for runs in await everything(history)]
    assert left == list(range(20 - len(left), 20))
    assert len(left) < 20
    assert await history.since_ms() > BEGAN_MS


async def test_a_run_takes_little_room(tmp_path):
    async with open_read_history(tmp_path / "reads.db", BEGAN_MS) as history:
        runs = [run(number, BEGAN_MS + 37 * number) for number in range(2000)]
        await history.append(runs)
        assert len((await history.read())[1]) == 2000
    assert (tmp_path / "reads.db").stat().st_size < 2000 * 32


async def test_a_reopened_history_goes_on(tmp_path):
    async with open_read_history(tmp_path / "reads.db", BEGAN_MS) as history:
        await history.append([run(1, BEGAN_MS)])
    async with open_read_history(tmp_path / "reads.db", BEGAN_MS + 10**6) as history:
        await history.append([run(2, BEGAN_MS + 1)])
        assert await everything(history) == [[run(1, BEGAN_MS)], [run(2, BEGAN_MS + 1)]]
        assert await history.since_ms() == BEGAN_MS
