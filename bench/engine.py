"""The tiering engine in the server: what counting a read costs, and deriving decisions again.

    python -m bench.engine reads [--volumes N]
    python -m bench.engine decisions [--count N]

`reads`: CPU per read, from the dictionary entry to the row in SQLite, the hazard table included:
once with each volume read once between two flushes, the worst case, and once with ten reads each.
`decisions`: lives through made-up histories until there are as many decisions, records them in a
journal on disk, and derives every one again from its record, as `stratum replay --decisions` does.
Exits with 1 if one is different.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
import tomllib
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import trio

from stratum.adapters.access_log import open_access_log
from stratum.adapters.hazard_solver import ArraySolver
from stratum.adapters.journal import open_journal
from stratum.adapters.read_history import open_read_history
from stratum.app.accesses import AccessRecorder
from stratum.app.history import ReadKeeper
from stratum.app.learning import Learning
from stratum.app.rederive import rederive
from stratum.domain.events import BucketCreated, Event, PricesAdopted, TierDecided, VersionCommitted
from stratum.domain.hazard import DAY_S
from stratum.domain.hazard_following import HazardFollower
from stratum.domain.names import BucketName, ExtentId, ObjectKey, Tier, VolumeId
from stratum.domain.policies import HAZARD, RULES, make_follower
from stratum.domain.pricing import DEFAULT_PRICES_TOML, PriceList, parse_prices
from stratum.domain.rules import Rules
from stratum.domain.simulation import GET, PUT, Request, simulate
from stratum.domain.tiering import Decision, Move
from stratum.domain.volume import Extent, Location
from stratum.domain.watched import Watched

TIERS = tuple(Tier)
PRICES = parse_prices(tomllib.loads(DEFAULT_PRICES_TOML))
EVENTS_PER_TRANSACTION = 200
DAYS = 300
BUCKET = BucketName("bench")


# -- decisions ------------------------------------------------------------------------------------
class Reasoning(HazardFollower):
    """Keeps the decision behind every move."""

    def __init__(self, prices: PriceList) -> None:
        super().__init__(prices, TIERS, ArraySolver())
        self.decisions: list[Decision] = []

    def read(self, watched: Watched, tier: int, now_s: float, reads: int = 1) -> int:
        return self._reasoned(watched, tier, now_s, super().read(watched, tier, now_s, reads))

    def due(self, watched: Watched, tier: int, now_s: float) -> int:
        return self._reasoned(watched, tier, now_s, super().due(watched, tier, now_s))

    def _reasoned(self, watched: Watched, tier: int, now_s: float, target: int) -> int:
        if target != tier:
            verdict = self.verdict(watched, tier, now_s)
            assert isinstance(verdict, Move), verdict
            assert TIERS.index(verdict.decision.target) == target
            self.decisions.append(verdict.decision)
        return target


def history(seed: int, objects: int) -> list[Request]:
    """Objects of several kinds of use, written in the first half of the time."""
    chance = random.Random(seed)
    requests: list[Request] = []
    for number in range(objects):
        at_s = chance.randrange(DAYS * DAY_S // 2)
        requests.append((at_s, number, PUT, int(10 ** chance.uniform(4, 9.5))))
        gap_days = (0.5, 3.0, 15.0, 60.0, 400.0)[number % 5] * chance.uniform(0.5, 2)
        while (at_s := at_s + 1 + int(chance.expovariate(1 / (gap_days * DAY_S)))) < DAYS * DAY_S:
            requests.append((at_s, number, GET, 0))
    return sorted(requests)


def decisions(count: int, seed: int = 1, objects: int = 2000) -> Iterator[Decision]:
    """So many decisions with their reasons, from as many histories as it takes."""
    while count > 0:
        follower = Reasoning(PRICES)
        keys = [
            f"{BUCKET}/kind{number % 5}/{number // 50}/{number}.dat" for number in range(objects)
        ]
        simulate(history(seed, objects), keys, follower, PRICES, TIERS)
        yield from follower.decisions[:count]
        count -= len(follower.decisions)
        seed += 1


async def bench_decisions(count: int) -> int:
    with tempfile.TemporaryDirectory(prefix="stratum-bench-") as folder:
        async with open_journal(Path(folder) / "journal.db", lambda: 1) as journal:
            began = time.perf_counter()
            adopted: list[Event] = [PricesAdopted(PRICES.version(), PRICES.document())]
            await journal.transact(lambda _: adopted, by="operator")
            batch: list[Event] = []
            for number, decision in enumerate(decisions(count)):
                volume_id = VolumeId(f"{number:032x}")
                batch.append(TierDecided(volume_id, decision, ExtentId(f"{number:032x}")))
                if len(batch) == EVENTS_PER_TRANSACTION:
                    await journal.transact(partial(_given, events=tuple(batch)), by="policy")
                    batch.clear()
            await journal.transact(partial(_given, events=tuple(batch)), by="policy")
            size = (Path(folder) / "journal.db").stat().st_size
            print(f"{count:,} decisions made and recorded in {time.perf_counter() - began:.0f} s")
            began = time.perf_counter()
            different = total = 0
            async for derived in rederive(journal, RULES):
                total += 1
                different += bool(derived.difference)
            took_s = time.perf_counter() - began
            print(f"{total:,} derived again in {took_s:.0f} s: {different} differences;")
            print(f"the journal has {size / 1e6:.0f} MB, {size / count:.0f} bytes a decision")
    return 1 if different or total != count else 0


def _given(_catalog: object, *, events: tuple[Event, ...]) -> tuple[Event, ...]:
    return events


# -- reads ----------------------------------------------------------------------------------------
async def bench_reads(volumes: int) -> int:
    clock = [1_700_000_000_000]

    def now_ms() -> int:
        return clock[0]

    async def in_thread(work):  # type: ignore[no-untyped-def]
        return await trio.to_thread.run_sync(work)

    follower = make_follower(HAZARD, PRICES, TIERS, ArraySolver(), self_refreshing=False)
    rules = Rules(follower, PRICES, TIERS, 86400.0)
    with tempfile.TemporaryDirectory(prefix="stratum-bench-") as folder:
        async with (
            open_journal(Path(folder) / "journal.db", now_ms) as journal,
            open_access_log(Path(folder) / "access.db") as access_log,
            open_read_history(Path(folder) / "reads.db", now_ms()) as kept,
        ):
            keeper = ReadKeeper(kept, now_ms, keep_s=1e9, session_ms=rules.session_ms)
            learning = Learning(access_log, rules, now_ms, in_thread, keeper)
            recorder = AccessRecorder(
                journal, access_log, rules, now_ms, trio.Lock(), lambda _: None, learning
            )
            ids = await _write(journal, volumes)
            for volume_id in ids[:1]:
                recorder.track(volume_id)
            await recorder.flush()
            for reads in (1, 10):
                for _ in range(3):  # days: accesses of their own
                    clock[0] += 86_400_000
                    began = time.process_time()
                    for _ in range(reads):
                        for volume_id in ids:
                            recorder.record(volume_id)
                    await recorder.flush()
                    cpu_us = (time.process_time() - began) / (reads * volumes) * 1e6
                print(
                    f"{volumes:,} volumes, {reads:2} reads of each a flush: {cpu_us:.1f} µs a read"
                )
    return 0


async def _write(journal, volumes: int) -> list[VolumeId]:  # type: ignore[no-untyped-def]
    chance = random.Random(5)
    made: list[Event] = [BucketCreated(BUCKET, "a", "a", "us-east-1")]
    await journal.transact(lambda _: made, by="a")
    ids = [VolumeId(f"{number:032x}") for number in range(1, volumes + 1)]
    for start in range(0, volumes, EVENTS_PER_TRANSACTION):
        events: list[Event] = []
        for volume_id in ids[start : start + EVENTS_PER_TRANSACTION]:
            size = int(10 ** chance.uniform(3, 8))
            location = Location(Tier.HOT, (Extent(ExtentId(volume_id), size, 1 << 20),))
            key = ObjectKey(f"dir{len(events) % 7}/{volume_id}.dat")
            events.append(
                VersionCommitted(volume_id, BUCKET, key, "null", size, "0" * 32, "0" * 16, location)
            )
        await journal.transact(partial(_given, events=tuple(events)), by="a")
    return ids


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("what", choices=("reads", "decisions"))
    parser.add_argument("--volumes", type=int, default=20_000)
    parser.add_argument("--count", type=int, default=100_000)
    options = parser.parse_args()
    if options.what == "reads":
        return trio.run(bench_reads, options.volumes)
    return trio.run(bench_decisions, options.count)


if __name__ == "__main__":
    sys.exit(main())
