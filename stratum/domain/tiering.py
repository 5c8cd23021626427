"""Which tier a volume belongs in, why, and when to look again. Pure: a function of its arguments.

A policy looks at `Facts` and a price list and says `Move` or `Stay`. Facts, numbers and price
version go into the decision's event, so that `derive_again` can repeat it bit for bit.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Protocol

from stratum.domain import wording
from stratum.domain.hazard import DAY_S
from stratum.domain.hazard_plan import Kind, recorded_plan
from stratum.domain.hazard_schedule import octave_of
from stratum.domain.lifecycle import Step
from stratum.domain.names import BucketName, Tier
from stratum.domain.pin import Pin
from stratum.domain.pricing import BYTES_PER_GB, PriceList
from stratum.domain.storage_class import STORAGE_CLASSES, TIERS
from stratum.domain.watched import Watched

MANUAL = "manual"
"""Policy name of a move somebody asked for."""
UNDO = "undo.1"
"""Policy name of a move that takes another one back, because somebody asked for that."""
PINNED = "pinned.1"
"""Policy name of a move to the tier that somebody pinned the key or its prefix to."""
LIFECYCLE = "lifecycle.1"
"""Policy name of a move by a bucket's lifecycle rule."""
STORAGE_CLASS = "storage-class.1"
"""Policy name of a move to the tier that a version's storage class asks for."""
PINNED_LOOK_DAYS = 7.0
"""How often a pinned volume is looked at, so that it finds its pin removed whatever crashed."""

NO_PINS: Mapping[float, Pin] = MappingProxyType({})


@dataclass(frozen=True)
class Decision:
    """That a volume should move, with everything the decision was made from.

    Times are in days of the tiering clock (`tiering.day_s` real seconds each).
    """

    source: Tier
    target: Tier
    policy: str
    """Name and version of the rule, `break-even.1`, `pinned.1` or `manual`."""
    sentence: str
    """The reason as one sentence a person understands, with its numbers."""
    prices: str = ""
    """Version of the price list (see `PricesAdopted`)."""
    facts: dict[str, float] = field(default_factory=dict)
    """Inputs: size_gb, idle_days, age_days, reads, sessions …"""
    numbers: dict[str, float] = field(default_factory=dict)
    """Derived: break_even_days, saving_per_month …"""
    kind: str = ""
    """Template of the name, for the hazard table."""
    vectors: tuple[tuple[int, ...], ...] = ()
    """What the hazard table had counted of such objects: of all, of the habit, and so on down to
    the object's cell (see `hazard`)."""
    step: Step | None = None
    """The transition of a lifecycle rule, as the rule said then."""


@dataclass(frozen=True)
class Facts:
    """What a policy may know of a volume. Times in days of the tiering clock."""

    tier: Tier
    tiers: tuple[Tier, ...]
    """Tiers that are configured, dearest first."""
    size_gb: float
    idle_days: float
    """Since the last read, or since it was written."""
    age_days: float
    """Since it was written."""
    residence_days: float
    """Since it came to its tier."""
    reads: float
    """Since it was written."""
    sessions: float
    """Runs of reads since it came to its tier."""
    gap_days: float
    """Between the beginnings of the latest two of these sessions; 0 with fewer than two."""
    day_s: float
    """Real seconds per day of the tiering clock."""
    kind: Kind | None = None
    """What the hazard table knows of such objects, if that is the policy."""

    def record(self) -> dict[str, float]:
        """All of it but the current tier, as numbers for the decision's event."""
        return {
            "size_gb": self.size_gb,
            "idle_days": self.idle_days,
            "age_days": self.age_days,
            "residence_days": self.residence_days,
            "reads": self.reads,
            "sessions": self.sessions,
            "gap_days": self.gap_days,
            "day_s": self.day_s,
            **{f"has_{tier}": float(tier in self.tiers) for tier in Tier},
        }


@dataclass(frozen=True)
class Move:
    """The volume should move now."""

    decision: Decision


@dataclass(frozen=True)
class Stay:
    """The volume should stay where it is."""

    look_again_at_ms: int
    """When time alone may change that; 0: only a read can."""
    sentence: str
    would_do: Tier | None
    """Where it would go then, unless it is read before."""
    numbers: dict[str, float] = field(default_factory=dict)


Verdict = Move | Stay


class Policy(Protocol):
    """A rule for moving volumes. Pure: equal arguments give equal verdicts.

    `now_ms` only turns the days until the next look into a time; it must not influence a Move.
    """

    name: str

    def decide(self, facts: Facts, prices: PriceList, now_ms: int) -> Verdict: ...


def obey(pin: Pin, facts: Facts, prices: PriceList, now_ms: int) -> Verdict:
    """What a pin says of a volume: move to its tier, or stay there whatever the policy thinks."""
    where = f"{wording.size(facts.size_gb)} in {facts.tier}, {pin.describe()}"
    if pin.tier is facts.tier or pin.tier not in facts.tiers:
        missing = "" if pin.tier in facts.tiers else f"; the {pin.tier} tier is not configured"
        look_at_ms = look_again(facts, PINNED_LOOK_DAYS, now_ms)
        if pin.until_ms:
            look_at_ms = min(look_at_ms, max(pin.until_ms, now_ms + 1))
        return Stay(look_at_ms, where + missing, would_do=None)
    sentence = f"{where}: {facts.tier} → {pin.tier}"
    if pin.storage_class:
        recorded = {
            **facts.record(),
            "storage_class": float(STORAGE_CLASSES.index(pin.storage_class)),
            "restored_until_ms": float(pin.until_ms),
        }
        return Move(
            Decision(facts.tier, pin.tier, STORAGE_CLASS, sentence, prices.version(), recorded)
        )
    recorded = {**facts.record(), "pin_seq": float(pin.seq)}
    return Move(Decision(facts.tier, pin.tier, PINNED, sentence, prices.version(), recorded))


def look_again(facts: Facts, days: float, now_ms: int) -> int:
    """The time `days` from now, rounded up and never at once, so that looking early can't spin.

    0 (never) if that is infinitely far.
    """
    if math.isinf(days):
        return 0
    return now_ms + max(1, math.ceil(days * facts.day_s * 1000))


def facts_of_watched(
    watched: Watched,
    tier: Tier,
    tiers: tuple[Tier, ...],
    now_s: float,
    day_s: float,
    kind: Kind | None = None,
) -> Facts:
    """The facts about an object that lies in a tier, now (in seconds of the tiering clock)."""

    def days_since(at_s: float) -> float:
        return max(0.0, now_s - at_s) / DAY_S

    return Facts(
        tier=tier,
        tiers=tiers,
        size_gb=watched.size_bytes / BYTES_PER_GB,
        idle_days=days_since(watched.last_s),
        age_days=days_since(watched.birth_s),
        residence_days=days_since(watched.placed_s),
        reads=float(watched.reads),
        sessions=float(watched.accesses),
        gap_days=watched.gap_s / DAY_S,
        day_s=day_s,
        kind=kind,
    )


def facts_of(decision: Decision, prices: PriceList) -> Facts:
    """The facts a policy's decision was made from, out of its record. Raises KeyError if the
    record lacks one."""
    record = decision.facts
    tiers = tuple(tier for tier in Tier if record[f"has_{tier}"])
    kind = None
    if decision.vectors:
        size_bytes = round(record["size_gb"] * BYTES_PER_GB)
        plan = recorded_plan(decision.vectors, prices, tiers, octave_of(size_bytes))
        kind = Kind(decision.kind, int(record["active_days"]), record["log_gap_days"], plan)
    return Facts(
        kind=kind,
        tier=decision.source,
        tiers=tiers,
        size_gb=record["size_gb"],
        idle_days=record["idle_days"],
        age_days=record["age_days"],
        residence_days=record["residence_days"],
        reads=record["reads"],
        sessions=record["sessions"],
        gap_days=record["gap_days"],
        day_s=record["day_s"],
    )


def derive_again(
    decision: Decision,
    policies: Mapping[str, Policy],
    prices: PriceList,
    pins: Mapping[float, Pin] = NO_PINS,
) -> Decision | None:
    """The decision the recorded policy makes from the recorded facts: equal to the record, or
    something is wrong. None if it would not move at all. A manual decision is its own reason.
    `pins` are those the journal knows by their position in it.

    Raises KeyError for a policy that isn't among `policies`, a pin that isn't among `pins` or a
    record that lacks a fact.
    """
    if decision.policy in (MANUAL, UNDO):
        return decision
    if decision.policy == LIFECYCLE:
        return by_rule(decision.source, decision.target, decision.step, decision.facts, prices)
    facts = facts_of(decision, prices)
    if decision.policy == STORAGE_CLASS:
        verdict = obey(_class_pin(decision), facts, prices, 0)
        return verdict.decision if isinstance(verdict, Move) else None
    if decision.policy == PINNED:
        verdict = obey(pins[decision.facts["pin_seq"]], facts, prices, 0)
    else:
        verdict = policies[decision.policy].decide(facts, prices, 0)
    return verdict.decision if isinstance(verdict, Move) else None


def by_rule(
    source: Tier, target: Tier, step: Step | None, facts: Mapping[str, float], prices: PriceList
) -> Decision | None:
    """The decision that a lifecycle rule makes; None if its time hasn't come.

    `facts`: size_gb, counted_days (since the version was written or became noncurrent), now_ms
    day_s. Raises KeyError for one that is missing.
    """
    if step is None:
        raise KeyError("step")
    counted, day_s = facts["counted_days"], facts["day_s"]
    since = "noncurrent for" if step.noncurrent else "written"
    ago = "" if step.noncurrent else " ago"
    if step.date_ms is not None:
        has_come = facts["now_ms"] >= step.date_ms
        when = f"from {wording.moment(step.date_ms)[:10]} on"
    else:
        has_come = counted >= (step.days or 0)
        when = f"after {wording.duration(float(step.days or 0), day_s)}"
    if not has_come:
        return None
    sentence = (
        f"{wording.size(facts['size_gb'])} in {source}, {since}"
        f" {wording.duration(counted, day_s)}{ago}: {source} → {target}, because lifecycle rule"
        f" {step.rule} moves {'noncurrent versions' if step.noncurrent else 'objects'} to"
        f" {step.storage_class} {when}"
    )
    return Decision(
        source, target, LIFECYCLE, sentence, prices.version(), dict(facts), numbers={}, step=step
    )


def _class_pin(decision: Decision) -> Pin:
    """What a recorded decision obeyed. Raises KeyError."""
    storage_class = STORAGE_CLASSES[int(decision.facts["storage_class"])]
    until_ms = int(decision.facts["restored_until_ms"])
    tier = Tier.HOT if until_ms else TIERS[storage_class]
    return Pin(BucketName(""), "", tier, "", 0, 0, storage_class=storage_class, until_ms=until_ms)


def by_hand(facts: Facts, target: Tier, who: str, why: str, prices: PriceList) -> Decision:
    """The decision that somebody made: `who` asked for it, `why` in their words (or empty)."""
    reason = f": {why}" if why else ""
    sentence = (
        f"{wording.size(facts.size_gb)}: {facts.tier} → {target} because {who} asked for it{reason}"
    )
    return Decision(
        facts.tier, target, MANUAL, sentence, prices.version(), facts.record(), numbers={}
    )


def undoing(
    facts: Facts,
    target: Tier,
    who: str,
    why: str,
    prices: PriceList,
    undone_seq: int,
    undone: str,
) -> Decision:
    """The decision to take a move back: `undone` is the sentence of the decision that is undone,
    `undone_seq` its place in the journal."""
    reason = f": {why}" if why else ""
    sentence = (
        f"{wording.size(facts.size_gb)}: {facts.tier} → {target} because {who} asked to undo event"
        f" {undone_seq} ({undone}){reason}"
    )
    recorded = {**facts.record(), "undone_seq": float(undone_seq)}
    return Decision(facts.tier, target, UNDO, sentence, prices.version(), recorded, numbers={})
