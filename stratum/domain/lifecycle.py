"""Lifecycle rules of a bucket: what is to be deleted or moved when it is old enough.

Values and what makes them valid, after
https://docs.aws.amazon.com/AmazonS3/latest/userguide/intro-lifecycle-rules.html and the refusals of
PutBucketLifecycleConfiguration. When a rule acts is the business of `lifecycle_schedule`.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from stratum.domain.errors import InvalidArgument, InvalidRequest

RULES_MAX = 1000
RULE_ID_LENGTH_MAX = 255
PREFIX_LENGTH_MAX_BYTES = 1024
NEWER_NONCURRENT_MAX = 100
DAYS_MAX = 2**31 - 1
DAY_MS = 86_400_000
TRANSITION_MINIMUM_BYTES = 128 * 1024
"""What `all_storage_classes_128K` leaves where it is, unless a rule filters by size."""

WATERFALL = (
    "STANDARD",
    "STANDARD_IA",
    "INTELLIGENT_TIERING",
    "ONEZONE_IA",
    "GLACIER_IR",
    "GLACIER",
    "DEEP_ARCHIVE",
)
"""Storage classes in the order in which transitions may go:
https://docs.aws.amazon.com/AmazonS3/latest/userguide/lifecycle-transition-general-considerations.html
"""
TRANSITION_CLASSES = WATERFALL[1:]


@dataclass(frozen=True)
class Filter:
    """Which objects a rule is for: those for which all of it holds."""

    prefix: str = ""
    tags: dict[str, str] = field(default_factory=dict)
    larger_than_bytes: int | None = None
    smaller_than_bytes: int | None = None

    def matches(self, key: str, size_bytes: int, tags: Mapping[str, str]) -> bool:
        """Whether an object version with these properties is meant."""
        return (
            key.startswith(self.prefix)
            and (self.larger_than_bytes is None or size_bytes > self.larger_than_bytes)
            and (self.smaller_than_bytes is None or size_bytes < self.smaller_than_bytes)
            and all(tags.get(name) == value for name, value in self.tags.items())
        )

    def matches_key(self, key: str) -> bool:
        """Whether something that has neither tags nor size is meant: a delete marker, an upload."""
        return key.startswith(self.prefix) and not self.tags

    @property
    def has_sizes(self) -> bool:
        return self.larger_than_bytes is not None or self.smaller_than_bytes is not None


@dataclass(frozen=True)
class Expiration:
    """Of current versions: after some days, from a date on (Unix ms), or of a delete marker that
    hides nothing any more. Exactly one is set."""

    days: int | None = None
    date_ms: int | None = None
    lone_marker: bool = False


@dataclass(frozen=True)
class Transition:
    """Of current versions to a storage class, after some days or from a date on (Unix ms)."""

    storage_class: str
    days: int | None = None
    date_ms: int | None = None


@dataclass(frozen=True)
class NoncurrentExpiration:
    """Of versions that have been noncurrent for some days and have at least `keep` newer
    noncurrent ones."""

    days: int
    keep: int = 0


@dataclass(frozen=True)
class NoncurrentTransition:
    storage_class: str
    days: int
    keep: int = 0


@dataclass(frozen=True)
class Rule:
    id: str
    enabled: bool
    filter: Filter = Filter()
    expiration: Expiration | None = None
    transitions: tuple[Transition, ...] = ()
    noncurrent_expiration: NoncurrentExpiration | None = None
    noncurrent_transitions: tuple[NoncurrentTransition, ...] = ()
    abort_upload_days: int | None = None
    old_style: bool = False
    """Written with a `Prefix` instead of a `Filter`; it is shown as it was written."""


@dataclass(frozen=True)
class Lifecycle:
    """The configuration of a bucket."""

    rules: tuple[Rule, ...]
    transition_minimum_bytes: int = 0
    """Smaller objects stay, unless their rule filters by size."""


@dataclass(frozen=True)
class Step:
    """A transition as its rule says it, for the record of a decision."""

    rule: str
    storage_class: str
    days: int | None = None
    date_ms: int | None = None
    noncurrent: bool = False


def check_lifecycle(rules: Sequence[Rule]) -> None:
    """Raises InvalidArgument or InvalidRequest, with Amazon's words."""
    if len(rules) > RULES_MAX:
        raise InvalidRequest(f"A lifecycle configuration has at most {RULES_MAX} rules")
    ids: set[str] = set()
    for rule in rules:
        if rule.id in ids:
            raise InvalidArgument("Rule ID must be unique. Found same ID for more than one rule")
        ids.add(rule.id)
        _check_rule(rule)


def _check_rule(rule: Rule) -> None:
    if len(rule.id) > RULE_ID_LENGTH_MAX:
        raise InvalidArgument(
            f"ID length should not exceed allowed limit of {RULE_ID_LENGTH_MAX}", "ID"
        )
    if not (
        rule.expiration
        or rule.transitions
        or rule.noncurrent_expiration
        or rule.noncurrent_transitions
        or rule.abort_upload_days is not None
    ):
        raise InvalidRequest("At least one action needs to be specified in a rule")
    _check_filter(rule)
    _check_days(rule)
    _check_order(rule)


def _check_filter(rule: Rule) -> None:
    chosen = rule.filter
    if len(chosen.prefix.encode()) > PREFIX_LENGTH_MAX_BYTES:
        raise InvalidRequest(f"The maximum size of a prefix is {PREFIX_LENGTH_MAX_BYTES}.")
    larger, smaller = chosen.larger_than_bytes, chosen.smaller_than_bytes
    if larger is not None and larger < 0:
        raise InvalidRequest("'ObjectSizeGreaterThan' has to be a nonnegative value")
    if smaller is not None and smaller <= (larger or 0):
        raise InvalidRequest(
            "'ObjectSizeLessThan' has to be a value greater than 'ObjectSizeGreaterThan'"
        )
    if rule.abort_upload_days is not None and (chosen.tags or chosen.has_sizes):
        raise InvalidRequest(
            "AbortIncompleteMultipartUpload cannot be specified with Tags or object sizes."
        )
    lone_marker = rule.expiration is not None and rule.expiration.lone_marker
    if lone_marker and (chosen.tags or chosen.has_sizes):
        raise InvalidRequest(
            "ExpiredObjectDeleteMarker cannot be specified with Tags or object sizes."
        )


def _check_days(rule: Rule) -> None:
    if rule.expiration is not None:
        _require(rule.expiration.days, 1, "'Days' for Expiration action")
        _check_date(rule.expiration.date_ms)
    for transition in rule.transitions:
        _require(transition.days, 0, "'Days' for Transition action")
        _check_date(transition.date_ms)
    noncurrent = rule.noncurrent_expiration
    if noncurrent is not None:
        _require(noncurrent.days, 1, "'NoncurrentDays' for NoncurrentVersionExpiration action")
        _check_keep(noncurrent.keep, "NoncurrentVersionExpiration")
    for later in rule.noncurrent_transitions:
        _require(later.days, 0, "'NoncurrentDays' for NoncurrentVersionTransition action")
        _check_keep(later.keep, "NoncurrentVersionTransition")
    _require(
        rule.abort_upload_days,
        1,
        "'DaysAfterInitiation' for AbortIncompleteMultipartUpload action",
    )


def _require(days: int | None, least: int, what: str) -> None:
    if days is None or least <= days <= DAYS_MAX:
        return
    kind = "positive" if least else "nonnegative"
    raise InvalidArgument(f"{what} must be a {kind} integer")


def _check_date(date_ms: int | None) -> None:
    if date_ms is not None and date_ms % DAY_MS:
        raise InvalidArgument("'Date' must be at midnight GMT", "Date")


def _check_keep(keep: int, action: str) -> None:
    if not 0 <= keep <= NEWER_NONCURRENT_MAX:
        raise InvalidArgument(
            f"'NewerNoncurrentVersions' for {action} action must be a positive integer of at most"
            f" {NEWER_NONCURRENT_MAX}"
        )


def _check_order(rule: Rule) -> None:
    """Colder classes later, and everything before the end."""
    prefix = rule.filter.prefix
    steps = rule.transitions
    expiration = rule.expiration or Expiration()
    timed = [_is_dated(step) for step in steps]
    if rule.expiration is not None and not expiration.lone_marker:
        timed.append(_is_dated(expiration))
    if len(set(timed)) > 1:
        raise InvalidRequest(
            "Found mixed 'Date' and 'Days' based Expiration and Transition actions in lifecycle"
            f" rule for prefix '{prefix}'"
        )
    _check_steps(
        [(step.storage_class, _when(step)) for step in steps],
        _when(expiration),
        "Transition",
        prefix,
    )
    noncurrent = rule.noncurrent_expiration
    _check_steps(
        [(step.storage_class, step.days) for step in rule.noncurrent_transitions],
        noncurrent.days if noncurrent else None,
        "NoncurrentVersionTransition",
        prefix,
    )


def _is_dated(action: Expiration | Transition) -> bool:
    return action.days is None


def _when(action: Expiration | Transition) -> int | None:
    return action.date_ms if action.days is None else action.days


def _check_steps(
    steps: Sequence[tuple[str, int | None]], end: int | None, action: str, prefix: str
) -> None:
    names = [name for name, _ in steps]
    if len(set(names)) < len(names):
        raise InvalidRequest(
            f"'StorageClass' must be different for '{action}' actions in same 'Rule' with prefix"
            f" '{prefix}'"
        )
    ordered = sorted(steps, key=lambda step: WATERFALL.index(step[0]))
    whens = [when for _, when in ordered if when is not None]
    for (name, when), (colder, later) in itertools.pairwise(ordered):
        if when is not None and later is not None and later <= when:
            raise InvalidArgument(
                f"The time of the {action} action for StorageClass '{colder}' must be greater than"
                f" that for StorageClass '{name}' for prefix '{prefix}'"
            )
    if end is not None and whens and end <= max(whens):
        raise InvalidArgument(
            f"The time of the Expiration action for prefix '{prefix}' must be greater than that of"
            f" the {action} action"
        )
