"""One seed, one history: `python -m tests.simulation.simulate --seed 7` replays it.

Clients use the store while disks, the remote and the process fail within the budget of
`sim_world`. After every life of the process the store recovers, perhaps dying again while it does,
and must then keep what `sim_model` says it owes. No threads, no wall clock, one source of chance:
equal seeds give equal histories, to the last hash of the journal.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from contextlib import ExitStack, asynccontextmanager, contextmanager
from types import ModuleType
from unittest import mock

import trio
import trio._core._run as scheduler
from trio.testing import MockClock

from stratum.adapters.memory_disk import DEFAULT_SIZE_BYTES
from stratum.app import mover
from stratum.domain import upload
from stratum.domain.errors import DiskFailed
from stratum.domain.volume import Location
from tests.simulation.sim_clients import Client, abort_uploads, check_all, prepare
from tests.simulation.sim_model import Broken, Model
from tests.simulation.sim_world import (
    SimStore,
    Switches,
    draw_chances,
    nothing_settled,
    unguarded_complete_move,
)
from tests.support import tiering_world
from tests.support.store import CrashAtStep

LIVES = (2, 3)
CLIENTS = 3
REQUESTS_PER_CLIENT = 8
STEPS_MAX = 1500
"""Steps of the scheduler within which a life may be cut short."""
SETTLE_S = 50_000.0
"""Virtual seconds given to moves, retries and reclaiming before the invariants are checked."""


@contextmanager
def deterministic(seed: int, switches: Switches):
    """Trio's scheduler shuffles tasks: by the seed, too. Small parts make uploads cheap."""
    with ExitStack() as stack:

        def patch(where: ModuleType, name: str, new: object) -> None:
            stack.enter_context(mock.patch.object(where, name, new))

        patch(scheduler, "_ALLOW_DETERMINISTIC_SCHEDULING", True)
        patch(scheduler, "_r", random.Random(seed))
        patch(upload, "PART_SIZE_MIN_BYTES", 0)
        if not switches.version_guard:
            patch(mover, "complete_move", unguarded_complete_move)
        if not switches.settle_staged:
            patch(tiering_world, "settle_staged", nothing_settled)
        yield


def run_seed(seed: int, switches: Switches | None = None) -> tuple[str, int]:
    """Play one history. Returns the journal's last hash and how many writes were acknowledged;
    raises Broken, or whatever else escapes, with the seed in its notes."""
    switches = switches or Switches()
    with deterministic(seed, switches):
        clock = MockClock(autojump_threshold=0)
        try:
            return trio.run(_play, random.Random(seed), switches, clock=clock)
        except BaseException as error:
            error.add_note(f"replay with: make sim SEED={seed}")
            raise


async def _play(chance: random.Random, switches: Switches) -> tuple[str, int]:
    store = SimStore(
        draw_chances(chance), switches, chance, day_s=1000.0, grace_s=10.0, flush_s=30.0
    )
    store.chances.on = False
    model = Model()
    async with _started(store):
        await prepare(store)
    lives = chance.choice(LIVES)
    for life in range(lives):
        store = await _live(store, model, chance)
        store = await _recover(store, model, chance, thorough=life == lives - 1)
    head = await store.journal.head()
    return head.digest.hex(), model.acknowledged


@asynccontextmanager
async def _started(store: SimStore):
    """What a server does from its start on."""
    await store.claim()
    async with store.running():
        yield


async def _live(store: SimStore, model: Model, chance: random.Random) -> SimStore:
    """A life that ends by a crash or, now and then, in peace; returns what the next one finds."""
    store.chances.on = True
    step = chance.randrange(STEPS_MAX) if chance.random() < 0.8 else 0

    async def life() -> None:
        async with _started(store), trio.open_nursery() as clients:
            for number in range(CLIENTS):
                client = Client(number, store, model, chance)
                clients.start_soon(client.run, REQUESTS_PER_CLIENT)

    return await _until_step(store, step, life)


async def _recover(
    store: SimStore, model: Model, chance: random.Random, *, thorough: bool
) -> SimStore:
    """Start again until a start survives, then read everything; if `thorough`, let all that is
    under way end, scrub and audit, too."""
    store.chances.on = False
    while chance.random() < 0.3:

        async def start(store: SimStore = store) -> None:
            async with _started(store):
                await trio.sleep(1)

        store = await _until_step(store, chance.randrange(1, 60), start)
    async with _started(store):
        await check_all(store, model)
        if thorough:
            await _check_invariants(store)
            await check_all(store, model)
    return store.restarted()


async def _until_step(store: SimStore, step: int, act) -> SimStore:
    """Run `act`, killed before a step of the scheduler (0: never)."""
    with trio.CancelScope() as scope:
        crash = CrashAtStep(store, step, scope)
        trio.lowlevel.add_instrument(crash)
        try:
            await act()
        except* DiskFailed:
            if crash.after is None:
                raise
        finally:
            trio.lowlevel.remove_instrument(crash)
    return crash.after or store.restarted()


async def _check_invariants(store: SimStore) -> None:
    await abort_uploads(store)
    catalog = store.journal.catalog
    with trio.move_on_after(SETTLE_S):
        while catalog.pending_moves() or catalog.garbage(1 << 60, 1):  # noqa: ASYNC110
            await trio.sleep(60)
    if catalog.pending_moves():
        raise Broken("a move is still pending although nothing fails any more")
    for disk in store.all_disks():
        disk.size_bytes = DEFAULT_SIZE_BYTES
    left = [found for found in await store.scrub(repair=True) if not found.repaired]
    if left:
        raise Broken(f"a scrub could not mend {left}")
    if findings := await store.findings():
        raise Broken(f"an audit finds {findings}")
    volumes = catalog.volumes()
    if any(extent.missing for volume in volumes for extent in volume.location.extents):
        raise Broken(f"shards count as missing after a scrub: {volumes}")
    if left_over := await store.stored() - {name for v in volumes for name in names_of(v.location)}:
        raise Broken(f"nobody refers to {left_over}")
    await store.journal.check_chain()


def names_of(location: Location) -> list[str]:
    """Under which names a copy is stored."""
    if location.remote:
        return [location.remote.name]
    return [extent.id for extent in location.extents]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=None, help="replay this one")
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--count", type=int, default=5000)
    arguments = parser.parse_args()
    seeds = (
        [arguments.seed]
        if arguments.seed is not None
        else range(arguments.first, arguments.first + arguments.count)
    )
    started, acknowledged = time.monotonic(), 0
    for done, seed in enumerate(seeds, 1):
        digest, writes = run_seed(seed)
        acknowledged += writes
        if sys.stderr.isatty() or done == len(seeds):
            print(f"\r{done} seeds, {acknowledged} acknowledged writes", end="", file=sys.stderr)
    print(f" in {time.monotonic() - started:.0f} s; last digest {digest[:16]}", file=sys.stderr)


if __name__ == "__main__":
    main()
