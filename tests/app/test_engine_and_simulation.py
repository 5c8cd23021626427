"""The server's loops and the simulator, over the same history: every move must be the same."""

import random

import pytest
import trio

from stratum.adapters.hazard_solver import ArraySolver
from stratum.domain.events import TierDecided, VersionCommitted
from stratum.domain.hazard import DAY_S, HOUR_S
from stratum.domain.names import ObjectKey, Tier
from stratum.domain.object import Target
from stratum.domain.policies import make_follower
from stratum.domain.simulation import DELETE, GET, PUT, simulate
from tests.support.tiering_world import ALICE, BUCKET, EPOCH_MS, PRICES, World, content_of

TIERS = tuple(Tier)
KINDS = ("reports/2024/{}.pdf", "home/u1/{}.txt", "films/{}.mkv")
FLUSH_S = 600.0
"""Often enough: nothing has to happen within an hour of a move."""


def history(seed: int, days: int, objects: int) -> list[tuple[int, int, int, int]]:
    """Reports are read every few days, home directories in bursts, films hardly ever."""
    chance = random.Random(seed)
    requests = []
    for number in range(objects):
        born_s = chance.randrange(days * DAY_S // 2)
        size_bytes = int(10 ** chance.uniform(4.5, 5.7))
        requests.append((born_s, number, PUT, size_bytes))
        at_s = born_s
        gaps_days = (5.0, 1.5, 40.0)[number % 3]
        while (at_s := at_s + int(chance.expovariate(1 / (gaps_days * DAY_S))) + 1) < days * DAY_S:
            requests.append((at_s, number, GET, 0))
            if number % 3 == 1:
                requests += [(at_s + 300 * n, number, GET, 0) for n in range(chance.randrange(20))]
        if chance.random() < 0.2:
            requests.append((days * DAY_S - chance.randrange(HOUR_S), number, DELETE, 0))
    # One at a time: two in one second would be told in the order of their writing.
    seen: dict[int, tuple[int, int, int, int]] = {}
    for request in sorted(requests):
        seen.setdefault(request[0], request)
    return list(seen.values())


def keys_of(objects: int) -> list[str]:
    return [KINDS[number % 3].format(number) for number in range(objects)]


def simulated(requests, keys, policy):
    start_s = EPOCH_MS // 1000
    moves = []
    simulate(
        [(start_s + at_s, *rest) for at_s, *rest in requests],
        [f"{BUCKET}/{key}" for key in keys],
        make_follower(policy, PRICES, TIERS, ArraySolver()),
        PRICES,
        TIERS,
        lambda at_s, key, source, target: moves.append((at_s - start_s, keys[key], source, target)),
    )
    return [move for move in moves if move[2] is not None]


async def lived(requests, keys, policy):
    world = World(day_s=DAY_S, policy=policy, interval_s=10 * DAY_S, flush_s=FLUSH_S)
    async with world.running("mover", "recorder", "tierer"):
        for at_s, number, operation, size_bytes in requests:
            await trio.sleep(at_s - trio.current_time())
            await world.recorder.flush()
            key = keys[number]
            if operation == PUT:
                await world.put(key, content_of(size_bytes, number))
            elif operation == GET:
                await world.get(key)
            else:
                await world.objects.delete(ALICE, Target(BUCKET, ObjectKey(key)))
            await world.recorder.flush()
            await trio.sleep(0.02)
    names, moves = {}, []
    for recorded in await world.journal.read(0, 10**6):
        event = recorded.event
        if isinstance(event, VersionCommitted):
            names[event.volume_id] = event.key
        elif isinstance(event, TierDecided):
            decision = event.decision
            source, target = TIERS.index(decision.source), TIERS.index(decision.target)
            at_s = (recorded.at_ms - EPOCH_MS) // 1000
            moves.append((at_s, names[event.volume_id], source, target))
    return moves


@pytest.mark.parametrize("policy", ["hazard", "break-even", "idle-30-90"])
async def test_server_and_simulator_make_the_same_moves(policy, autojump_clock):
    requests, keys = history(3, days=120, objects=24), keys_of(24)
    expected = simulated(requests, keys, policy)
    assert len(expected) > (5 if policy == "idle-30-90" else 30)
    assert {target for _, _, _, target in expected} >= {0, 1}
    moves = await lived(requests, keys, policy)
    assert [move[1:] for move in moves] == [move[1:] for move in expected]
    # The simulator's clock has whole seconds; the server's timers of break-even have not.
    tolerance_s = 0 if policy == "hazard" else 1
    for (ours_s, *_), (theirs_s, *_) in zip(moves, expected, strict=True):
        assert abs(ours_s - theirs_s) <= tolerance_s
