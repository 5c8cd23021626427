"""Reads that are kept, and the trace that they and the journal make."""

from stratum.adapters.hazard_solver import ArraySolver
from stratum.adapters.journal_trace import journal_trace
from stratum.adapters.read_history import MemoryReadHistory
from stratum.adapters.trace_file import SAVED_SUFFIX, read_trace, save_trace
from stratum.app.history import ReadKeeper
from stratum.domain.access import ReadRun
from stratum.domain.names import ObjectKey, Tier, VolumeId
from stratum.domain.object import Target
from stratum.domain.policies import make_follower
from stratum.domain.simulation import DELETE, GET, PUT, simulate
from tests.support.tiering_world import ALICE, BUCKET, EPOCH_MS, PRICES, World, content_of

HOUR_MS = 3_600_000
VOLUME = VolumeId("0" * 32)


async def batches(history):
    found, after = [], 0
    while True:
        after, runs = await history.read(after)
        if not runs:
            return found
        found.append(list(runs))


class Clock:
    def __init__(self, now_ms):
        self.now_ms = now_ms

    def __call__(self):
        return self.now_ms


def keeper_at(clock, keep_s=1e9):
    history = MemoryReadHistory(clock())
    return history, ReadKeeper(history, clock, keep_s=keep_s, session_ms=HOUR_MS)


async def test_runs_are_joined_within_an_hour_and_written_in_batches():
    clock = Clock(EPOCH_MS)
    history, keeper = keeper_at(clock)
    keeper.note(VOLUME, [(EPOCH_MS, EPOCH_MS + 5, 2)])
    keeper.note(VOLUME, [(EPOCH_MS + 60_000, EPOCH_MS + 60_000, 1)])
    keeper.note(VOLUME, [(EPOCH_MS + 2 * HOUR_MS, EPOCH_MS + 2 * HOUR_MS, 1)])
    await keeper.keep()
    assert await batches(history) == []
    clock.now_ms += 600_000
    await keeper.keep()
    assert await batches(history) == [
        [
            ReadRun(VOLUME, EPOCH_MS, EPOCH_MS + 60_000, 3),
            ReadRun(VOLUME, EPOCH_MS + 2 * HOUR_MS, EPOCH_MS + 2 * HOUR_MS, 1),
        ]
    ]


async def test_old_runs_are_forgotten_and_none_kept_if_so_asked():
    clock = Clock(EPOCH_MS)
    history, keeper = keeper_at(clock, keep_s=7200.0)
    keeper.note(VOLUME, [(EPOCH_MS, EPOCH_MS, 1)])
    await keeper.keep(all_=True)
    clock.now_ms += 3 * HOUR_MS
    await keeper.keep()
    assert await batches(history) == []
    assert await history.since_ms() == EPOCH_MS + 1
    history, keeper = keeper_at(clock, keep_s=0.0)
    keeper.note(VOLUME, [(EPOCH_MS, EPOCH_MS, 1)])
    await keeper.keep(all_=True)
    assert await batches(history) == []


async def test_the_stores_own_history_as_a_trace(autojump_clock, tmp_path):
    world = World(day_s=86400.0, policy="hazard", interval_s=1e6, flush_s=600.0)
    async with world.running("mover", "recorder", "tierer"):
        await world.put("a", content_of(1000))
        await world.put("b", content_of(2000))
        await world.days(1)
        await world.get("a")
        await world.get("a")
        await world.days(1)
        await world.put("a", content_of(3000))
        await world.objects.delete(ALICE, Target(BUCKET, ObjectKey("b")))
        await world.days(1)
        await world.get("a")
    trace = await journal_trace(world.journal, world.read_history, 86400.0, world.now_ms())
    day = EPOCH_MS // 1000 + 86400
    requests = [(at_s, trace.keys[number], operation, size) for at_s, number, operation, size in
                trace.requests()]  # fmt: skip
    assert requests == [
        (day - 86400, "bucket/a", PUT, 1000),
        (day - 86400, "bucket/b", PUT, 2000),
        (day, "bucket/a", GET, 0),
        (day, "bucket/a", GET, 0),
        (day + 86400, "bucket/a", PUT, 3000),
        (day + 86400, "bucket/a", DELETE, 0),
        (day + 86400, "bucket/b", DELETE, 0),
        (day + 2 * 86400, "bucket/a", GET, 0),
    ]
    assert len(set(trace.numbers)) == 3, "each version is an object of its own"
    save_trace(trace, tmp_path / f"x{SAVED_SUFFIX}")
    assert read_trace(tmp_path / f"x{SAVED_SUFFIX}") == trace
    tiers = tuple(Tier)
    follower = make_follower("hazard", PRICES, tiers, ArraySolver())
    outcome = simulate(trace.requests(), trace.keys, follower, PRICES, tiers)
    assert (outcome.reads, outcome.left_out) == (3, 0)


async def test_what_was_there_before_reads_were_kept_is_written_then(autojump_clock):
    world = World(day_s=86400.0, policy="hazard", interval_s=1e6, flush_s=600.0)
    async with world.running("mover", "recorder", "tierer"):
        await world.put("a", content_of(1000))
        await world.days(3)
        history = MemoryReadHistory(world.now_ms())
        await history.append([ReadRun(world.volume("a").id, world.now_ms(), world.now_ms(), 2)])
    trace = await journal_trace(world.journal, history, 86400.0, world.now_ms())
    start_s = EPOCH_MS // 1000 + 3 * 86400
    assert [(at_s, op) for at_s, _, op, _ in trace.requests()] == [
        (start_s, PUT), (start_s, GET), (start_s, GET)
    ]  # fmt: skip
