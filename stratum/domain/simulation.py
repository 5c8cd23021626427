"""What a policy would have cost on a trace: every request replayed, every move made, in the cost
model of `pricing`.

A trace is requests in order of time: PUT (also over an older object), GET, DELETE. A move at the
second of a GET uses the bytes in flight. An object costs storage until it is deleted or
overwritten, or the trace ends. A GET or DELETE of a key that is not there is left out and counted.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from heapq import heappop, heappush

from stratum.domain.errors import InvalidArgument
from stratum.domain.following import Follower
from stratum.domain.hazard import DAY_S
from stratum.domain.names import Tier
from stratum.domain.pricing import BYTES_PER_GB, PriceList
from stratum.domain.watched import Watched

PUT, GET, DELETE = 0, 1, 2
OPERATIONS = ("PUT", "GET", "DELETE")
Request = tuple[int, int, int, int]
"""Seconds from any fixed time, number of the key, operation, size in bytes (of PUTs)."""
OnMove = Callable[[int, int, int | None, int], None]
"""Told of every placement (from None) and move: seconds, number of the key, from, to (tiers)."""
_NEVER = math.inf


@dataclass
class Usage:
    """What was used of one tier, in physical units, before any prices."""

    gb_days: float = 0.0
    placed: int = 0
    placed_gb: float = 0.0
    reads: int = 0
    read_gb: float = 0.0
    moves_in: int = 0
    moves_in_gb: float = 0.0
    fetched: int = 0
    """Moves out of it that had to get the bytes first."""
    fetched_gb: float = 0.0


@dataclass(frozen=True)
class Costs:
    """In $, by component."""

    storage: float
    requests: float
    """Of writing new objects and of serving reads."""
    retrieval: float
    ingest: float
    """Of writing new objects."""
    moves: float
    """Requests, retrieval and ingest of moves."""
    waiting: float

    @property
    def total(self) -> float:
        return (
            self.storage + self.requests + self.retrieval + self.ingest + self.moves + self.waiting
        )


@dataclass(frozen=True)
class Outcome:
    """What came of a simulation."""

    costs: Costs
    tiers: tuple[Tier, ...]
    usage: tuple[Usage, ...]
    """By tier."""
    moves: int
    moved_gb: float
    reads: int
    waiting_mean_s: float
    waiting_p99_s: float
    left_out: int
    """Requests for keys that were not there."""

    def read_shares(self) -> dict[Tier, float]:
        """The share of reads that each tier served."""
        return {
            tier: used.reads / self.reads if self.reads else 0.0
            for tier, used in zip(self.tiers, self.usage, strict=True)
        }


class _Stored:
    """An object in the simulated store."""

    __slots__ = ("armed_s", "key", "reads", "since_s", "size_gb", "tier", "watched")

    def __init__(self, key: int, size_gb: float, watched: Watched, tier: int, tiers: int) -> None:
        self.key = key
        self.size_gb = size_gb
        self.watched = watched
        self.tier = tier
        self.since_s = 0
        self.armed_s = _NEVER
        self.reads = [0] * tiers


@dataclass
class _Store:
    """The simulated store: its objects, their timers, what has been used."""

    policy: Follower
    usage: list[Usage]
    on_move: OnMove | None
    live: dict[int, _Stored] = field(default_factory=dict)
    timers: list[tuple[float, int, _Stored]] = field(default_factory=list)
    waits: list[dict[float, int]] = field(default_factory=list)
    """By tier: how many reads there were of each size in GB."""
    timers_set: int = 0

    def put(self, now_s: int, key: int, name: str, size_bytes: int) -> None:
        before = self.live.get(key)
        if before is not None:
            self.remove(before, now_s)
        watched = Watched(name, size_bytes, now_s)
        tier = self.policy.put(watched, now_s)
        if tier:
            self.policy.moved(watched, tier, now_s)
        size_gb = size_bytes / BYTES_PER_GB
        stored = self.live[key] = _Stored(key, size_gb, watched, tier, len(self.usage))
        stored.since_s = now_s
        used = self.usage[tier]
        used.placed += 1
        used.placed_gb += size_gb
        if self.on_move is not None:
            self.on_move(now_s, key, None, tier)
        self.arm(stored)

    def remove(self, stored: _Stored, now_s: int) -> None:
        self.policy.removed(stored.watched, now_s)
        self.settle(stored, now_s)
        stored.armed_s = _NEVER
        del self.live[stored.key]

    def settle(self, stored: _Stored, now_s: int) -> None:
        """Enter what an object used until now that is to be gone (or the trace to end)."""
        self.keep(stored, now_s)
        for tier, reads in enumerate(stored.reads):
            if reads:
                used = self.usage[tier]
                used.reads += reads
                used.read_gb += reads * stored.size_gb
                waits = self.waits[tier]
                waits[stored.size_gb] = waits.get(stored.size_gb, 0) + reads

    def keep(self, stored: _Stored, now_s: int) -> None:
        days = (now_s - stored.since_s) / DAY_S
        self.usage[stored.tier].gb_days += stored.size_gb * days
        stored.since_s = now_s

    def move(self, stored: _Stored, target: int, now_s: int, in_flight: bool) -> None:
        self.keep(stored, now_s)
        source, size_gb = stored.tier, stored.size_gb
        if not in_flight:
            self.usage[source].fetched += 1
            self.usage[source].fetched_gb += size_gb
        used = self.usage[target]
        used.moves_in += 1
        used.moves_in_gb += size_gb
        stored.tier = target
        self.policy.moved(stored.watched, target, now_s)
        if self.on_move is not None:
            self.on_move(now_s, stored.key, source, target)

    def arm(self, stored: _Stored) -> None:
        """Set a timer unless one comes earlier anyway."""
        due_s = stored.watched.due_s
        if due_s < stored.armed_s:
            stored.armed_s = due_s
            self.timers_set += 1
            heappush(self.timers, (due_s, self.timers_set, stored))

    def pass_time(self, until_s: int) -> None:
        """Look at all objects whose time comes until then."""
        timers = self.timers
        while timers and timers[0][0] <= until_s:
            at_s, _, stored = heappop(timers)
            if at_s != stored.armed_s:
                continue
            stored.armed_s = _NEVER
            due_s = stored.watched.due_s
            if due_s <= at_s:
                now_s = math.ceil(at_s)
                target = self.policy.due(stored.watched, stored.tier, now_s)
                if target != stored.tier:
                    self.move(stored, target, now_s, in_flight=False)
            self.arm(stored)


def simulate(
    requests: Iterable[Request],
    keys: Sequence[str],
    policy: Follower,
    prices: PriceList,
    tiers: Sequence[Tier],
    on_move: OnMove | None = None,
) -> Outcome:
    """Replay a trace under a policy. Raises InvalidArgument if it isn't in order of time."""
    count = len(tiers)
    store = _Store(policy, [Usage() for _ in tiers], on_move, waits=[{} for _ in range(count)])
    live, timers = store.live, store.timers
    read = policy.read
    now_s = 0
    first = True
    left_out = 0
    for at_s, key, operation, size_bytes in requests:
        if at_s != now_s:
            if at_s < now_s and not first:
                raise InvalidArgument(f"the trace goes back in time at second {at_s}")
            now_s, first = at_s, False
            if timers and timers[0][0] <= at_s:
                store.pass_time(at_s)
        if operation == PUT:
            store.put(at_s, key, keys[key], size_bytes)
            continue
        stored = live.get(key)
        if stored is None:
            left_out += 1
        elif operation == GET:
            tier = stored.tier
            stored.reads[tier] += 1
            watched = stored.watched
            target = read(watched, tier, at_s)
            if target != tier:
                store.move(stored, target, at_s, in_flight=True)
            if watched.due_s < stored.armed_s:
                store.arm(stored)
        else:
            store.remove(stored, at_s)
    for stored in live.values():
        store.settle(stored, now_s)
    return _outcome(store, prices, tuple(tiers), left_out)


def _outcome(store: _Store, prices: PriceList, tiers: tuple[Tier, ...], left_out: int) -> Outcome:
    waits = sorted(
        (prices.wait_s(tier, size_gb), reads)
        for tier, sizes in zip(tiers, store.waits, strict=True)
        for size_gb, reads in sizes.items()
    )
    reads = sum(number for _, number in waits)
    waited_s = math.fsum(wait_s * number for wait_s, number in waits)
    return Outcome(
        costs=costs_of(store.usage, prices, tiers, waited_s),
        tiers=tiers,
        usage=tuple(store.usage),
        moves=sum(used.moves_in for used in store.usage),
        moved_gb=sum(used.moves_in_gb for used in store.usage),
        reads=reads,
        waiting_mean_s=waited_s / reads if reads else 0.0,
        waiting_p99_s=_quantile(waits, 0.99),
        left_out=left_out,
    )


def costs_of(
    usage: Sequence[Usage], prices: PriceList, tiers: Sequence[Tier], waited_s: float
) -> Costs:
    """What the usage of the tiers and the waiting of readers come to."""
    storage = requests = retrieval = ingest = moves = 0.0
    for tier, used in zip(tiers, usage, strict=True):
        price = prices.of(tier)
        storage += prices.storage_per_day(tier, used.gb_days)
        requests += price.put * used.placed + price.get * used.reads
        retrieval += price.retrieval_per_gb * used.read_gb
        ingest += price.ingest_per_gb * used.placed_gb
        moves += price.put * used.moves_in + price.ingest_per_gb * used.moves_in_gb
        moves += price.get * used.fetched + price.retrieval_per_gb * used.fetched_gb
    return Costs(storage, requests, retrieval, ingest, moves, prices.waiting_per_s * waited_s)


def _quantile(weighted: Sequence[tuple[float, int]], share: float) -> float:
    """The smallest value that at least this share of the weight doesn't exceed."""
    wanted = share * sum(weight for _, weight in weighted)
    passed = 0
    for value, weight in weighted:
        passed += weight
        if passed >= wanted:
            return value
    return 0.0
