"""When lifecycle rules act, and on what: pure functions of rules, a key's versions and the time.

A rule's days are counted from when a version was written or became noncurrent, or an upload was
begun, and rounded up to the next midnight UTC. With a shorter day of the tiering clock, "midnight"
is the next multiple of that day. Where several rules apply, a permanent deletion wins over a
transition, a transition over a delete marker, the colder class over the warmer one.
https://docs.aws.amazon.com/AmazonS3/latest/userguide/intro-lifecycle-rules.html and
https://docs.aws.amazon.com/AmazonS3/latest/userguide/lifecycle-conflicts.html
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from stratum.domain.lifecycle import (
    DAY_MS,
    NEWER_NONCURRENT_MAX,
    WATERFALL,
    Expiration,
    Lifecycle,
    Rule,
    Step,
    Transition,
)

VERSIONS_THAT_COUNT = NEWER_NONCURRENT_MAX + 2
"""A new version changes nothing for those behind the newest so many: the current one, the
noncurrent ones a rule may keep, and the first it may not."""


@dataclass(frozen=True)
class Entry:
    """One version or delete marker of a key. Times in Unix ms."""

    version_id: str
    modified_at_ms: int
    is_marker: bool = False
    size_bytes: int = 0
    tags: Mapping[str, str] = field(default_factory=dict)
    storage_class: str = WATERFALL[0]
    protected_until_ms: int | None = 0
    """Object lock: not deleted for good before; None: while a legal hold is on."""


@dataclass(frozen=True)
class Position:
    """Where an entry stands among those of its key."""

    noncurrent_since_ms: int | None = None
    """When the next newer one was written; None for the current one."""
    newer_noncurrent: int = 0
    """How many of the key's noncurrent versions are newer."""
    alone: bool = False
    """Whether the key has no other version or marker."""


@dataclass(frozen=True)
class Expire:
    """Delete: the current version as a client would, a noncurrent one or a lone marker for good."""

    rule: str
    due_at_ms: int


@dataclass(frozen=True)
class Change:
    """Change to another storage class."""

    step: Step
    due_at_ms: int

    @property
    def storage_class(self) -> str:
        return self.step.storage_class


Action = Expire | Change


@dataclass(frozen=True)
class Verdict:
    """What is to be done with a version now, and when to look again (0: never, if nothing
    happens)."""

    action: Action | None
    look_at_ms: int


@dataclass(frozen=True)
class Clock:
    """The time, and how long a day lasts. `day_ms` is a whole number of milliseconds."""

    now_ms: int
    day_ms: int = DAY_MS

    @property
    def midnight_ms(self) -> int:
        """The next one; now, if it is midnight."""
        return -(-self.now_ms // self.day_ms) * self.day_ms

    def due_ms(self, since_ms: int, days: int) -> int:
        """`days` after a time, rounded up to a whole day."""
        exact_ms = since_ms + days * self.day_ms
        return -(-exact_ms // self.day_ms) * self.day_ms


def clock_of(now_ms: int, day_s: float) -> Clock:
    """The clock of a server whose days of tiering last `day_s` real seconds."""
    return Clock(now_ms, max(1, round(day_s * 1000)))


def positions(
    entries: Iterable[Entry], newer: Entry | None = None, noncurrent: int = 0
) -> Iterator[tuple[Entry, Position]]:
    """Entries of one key, newest first, with their positions: all of them, or those that come
    after `newer` and `noncurrent` noncurrent versions."""
    rest = iter(entries)
    entry = next(rest, None)
    while entry is not None:
        following = next(rest, None)
        if newer is None:
            yield entry, Position(alone=following is None)
        else:
            yield entry, Position(newer.modified_at_ms, noncurrent)
            noncurrent += not entry.is_marker
        newer, entry = entry, following


def judge(
    lifecycle: Lifecycle,
    key: str,
    entry: Entry,
    position: Position,
    clock: Clock,
    *,
    versioned: bool = False,
) -> Verdict:
    """What the rules say of one version. `versioned`: whether the expiration of a current version
    leaves a delete marker."""
    found = actions_of(lifecycle, key, entry, position, clock)
    due = [action for action in found if action.due_at_ms <= clock.now_ms]
    later = [action.due_at_ms for action in found if action.due_at_ms > clock.now_ms]
    look_at_ms = min(later, default=0)
    expirations = [action for action in due if isinstance(action, Expire)]
    changes = [action for action in due if isinstance(action, Change)]
    hides_only = versioned and position.noncurrent_since_ms is None
    if changes and (hides_only or not expirations):
        best = max(changes, key=lambda change: WATERFALL.index(change.storage_class))
        # What else is due is done at the next look, which is at once.
        return Verdict(best, clock.now_ms if expirations else look_at_ms)
    if expirations:
        return Verdict(min(expirations, key=lambda action: action.due_at_ms), look_at_ms)
    return Verdict(None, look_at_ms)


def actions_of(
    lifecycle: Lifecycle, key: str, entry: Entry, position: Position, clock: Clock
) -> list[Action]:
    """Everything that rules will do to a version, if nothing happens to it."""
    return [
        action
        for rule in lifecycle.rules
        if rule.enabled
        for action in _actions(lifecycle, rule, key, entry, position, clock)
    ]


def expiration_of(
    lifecycle: Lifecycle, key: str, size_bytes: int, tags: Mapping[str, str], modified_at_ms: int
) -> tuple[int, str] | None:
    """The day on which a current version expires (Unix ms, midnight UTC) and the rule's id, for
    x-amz-expiration; None if it doesn't.

    Days are those of the calendar here, however short `tiering.day_s` makes them.
    """
    clock = Clock(0)
    found = [
        (_due_ms(rule.expiration, modified_at_ms, clock), rule.id)
        for rule in lifecycle.rules
        if rule.enabled
        and rule.expiration is not None
        and not rule.expiration.lone_marker
        and rule.filter.matches(key, size_bytes, tags)
    ]
    return min(found, default=None)


def abortion_of(
    lifecycle: Lifecycle, key: str, started_at_ms: int, day_ms: int = DAY_MS
) -> tuple[int, str] | None:
    """When an upload is aborted (Unix ms) and the rule's id; None if it isn't."""
    clock = Clock(0, day_ms)
    found = [
        (clock.due_ms(started_at_ms, rule.abort_upload_days), rule.id)
        for rule in lifecycle.rules
        if rule.enabled and rule.abort_upload_days is not None and rule.filter.matches_key(key)
    ]
    return min(found, default=None)


def _actions(
    lifecycle: Lifecycle, rule: Rule, key: str, entry: Entry, position: Position, clock: Clock
) -> Iterator[Action]:
    if entry.is_marker:
        if position.alone and rule.expiration is not None and rule.filter.matches_key(key):
            # Days and dates clean up, too: the marker is old enough then and hides nothing.
            yield Expire(rule.id, _due_ms(rule.expiration, entry.modified_at_ms, clock))
            return
        if position.noncurrent_since_ms is None or not rule.filter.matches_key(key):
            return
    elif not rule.filter.matches(key, entry.size_bytes, entry.tags):
        return
    may_move = not entry.is_marker and (
        rule.filter.has_sizes or entry.size_bytes >= lifecycle.transition_minimum_bytes
    )
    if position.noncurrent_since_ms is None:
        if rule.expiration is not None and not rule.expiration.lone_marker:
            yield Expire(rule.id, _due_ms(rule.expiration, entry.modified_at_ms, clock))
        for step in rule.transitions if may_move else ():
            if _is_colder(step.storage_class, entry):
                taken = Step(rule.id, step.storage_class, step.days, step.date_ms)
                yield Change(taken, _due_ms(step, entry.modified_at_ms, clock))
        return
    since_ms = position.noncurrent_since_ms
    end = rule.noncurrent_expiration
    protected_until_ms = entry.protected_until_ms
    if end is not None and position.newer_noncurrent >= end.keep and protected_until_ms is not None:
        yield Expire(rule.id, max(clock.due_ms(since_ms, end.days), protected_until_ms))
    for later in rule.noncurrent_transitions if may_move else ():
        if position.newer_noncurrent >= later.keep and _is_colder(later.storage_class, entry):
            taken = Step(rule.id, later.storage_class, later.days, noncurrent=True)
            yield Change(taken, clock.due_ms(since_ms, later.days))


def _due_ms(action: Expiration | Transition, since_ms: int, clock: Clock) -> int:
    if action.date_ms is not None:
        return action.date_ms
    # A lone marker has neither: it goes as soon as it is alone.
    return since_ms if action.days is None else clock.due_ms(since_ms, action.days)


def _is_colder(storage_class: str, entry: Entry) -> bool:
    current = entry.storage_class if entry.storage_class in WATERFALL else WATERFALL[0]
    return WATERFALL.index(storage_class) > WATERFALL.index(current)
