"""What a bucket tells others of: which events, for which keys, to which target.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-how-to-event-types-and-
destinations.html. An event is named `s3:ObjectCreated:Put`; a configuration may say
`s3:ObjectCreated:*`.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum

from stratum.domain.errors import InvalidArgument
from stratum.domain.names import BucketName, ObjectKey

TARGETS_MAX = 100
FILTER_LENGTH_MAX_BYTES = 1024


class EventName(StrEnum):
    """What happens to objects here, by Amazon's names."""

    PUT = "s3:ObjectCreated:Put"
    POST = "s3:ObjectCreated:Post"
    COPY = "s3:ObjectCreated:Copy"
    COMPLETE = "s3:ObjectCreated:CompleteMultipartUpload"
    DELETE = "s3:ObjectRemoved:Delete"
    DELETE_MARKER = "s3:ObjectRemoved:DeleteMarkerCreated"
    TAGGING_PUT = "s3:ObjectTagging:Put"
    TAGGING_DELETE = "s3:ObjectTagging:Delete"
    ACL_PUT = "s3:ObjectAcl:Put"
    EXPIRED = "s3:LifecycleExpiration:Delete"
    EXPIRED_MARKER = "s3:LifecycleExpiration:DeleteMarkerCreated"
    TRANSITION = "s3:LifecycleTransition"
    RESTORE_POST = "s3:ObjectRestore:Post"
    RESTORE_COMPLETED = "s3:ObjectRestore:Completed"
    RESTORE_DELETE = "s3:ObjectRestore:Delete"


OTHER_EVENTS = frozenset(
    (
        "s3:ReducedRedundancyLostObject",
        "s3:IntelligentTiering",
        "s3:Replication:OperationFailedReplication",
        "s3:Replication:OperationMissedThreshold",
        "s3:Replication:OperationNotTracked",
        "s3:Replication:OperationReplicatedAfterThreshold",
    )
)
"""Taken in a configuration, as Amazon takes them; they do not happen here."""


def _groups() -> frozenset[str]:
    names = [*(name.value for name in EventName), *OTHER_EVENTS]
    return frozenset(name.rpartition(":")[0] + ":*" for name in names if name.count(":") == 2)


GROUPS = _groups()


class TargetKind(StrEnum):
    """The element a target stands in; we send to all of them alike."""

    TOPIC = "Topic"
    QUEUE = "Queue"
    FUNCTION = "CloudFunction"


@dataclass(frozen=True)
class NotificationTarget:
    """One target and what it hears of; empty filters fit every key."""

    id: str
    kind: TargetKind
    arn: str
    events: tuple[str, ...]
    prefix: str = ""
    suffix: str = ""


@dataclass(frozen=True)
class NotificationConfiguration:
    """All targets of a bucket."""

    targets: tuple[NotificationTarget, ...] = ()


@dataclass(frozen=True)
class ObjectChange:
    """Something that happened to one object. `size_bytes` and `etag` as far as there is data."""

    event: EventName
    bucket: BucketName
    key: ObjectKey
    version_id: str | None = None
    size_bytes: int | None = None
    etag: str | None = None


@dataclass(frozen=True)
class Cause:
    """The request that changed something."""

    request_id: str
    principal_id: str
    source_ip: str


@dataclass(frozen=True)
class Message:
    """One thing one target is told; `sequencer` orders the messages about a key."""

    target: NotificationTarget
    change: ObjectChange
    cause: Cause
    owner_id: str
    at_ms: int
    sequencer: str


def check_notification(
    configuration: NotificationConfiguration, known_arns: Collection[str]
) -> None:
    """Raise InvalidArgument for what Amazon refuses, a target that is not known included."""
    targets = configuration.targets
    if len(targets) > TARGETS_MAX:
        raise InvalidArgument(f"A bucket has at most {TARGETS_MAX} notification targets")
    if len({target.id for target in targets}) != len(targets):
        raise InvalidArgument("Same ID used for multiple configurations.")
    for target in targets:
        for event in target.events:
            if event not in GROUPS and event not in OTHER_EVENTS and event not in list(EventName):
                raise InvalidArgument(
                    "The event is not supported for notifications", "Event", event
                )
        for text in (target.prefix, target.suffix):
            if len(text.encode()) > FILTER_LENGTH_MAX_BYTES:
                raise InvalidArgument("Size of filter rule value cannot exceed 1024 bytes")
        if target.arn not in known_arns:
            raise InvalidArgument(
                "Unable to validate the following destination configurations", target.arn
            )
    for one, other in itertools.combinations(targets, 2):
        if _overlap(one, other):
            raise InvalidArgument(
                "Configurations overlap. Configurations on the same bucket cannot share a common"
                " event type."
            )


def targets_for(
    configuration: NotificationConfiguration, event: EventName, key: str
) -> tuple[NotificationTarget, ...]:
    """Who is told of an event on a key."""
    names = (event.value, event.rpartition(":")[0] + ":*")
    return tuple(
        target
        for target in configuration.targets
        if key.startswith(target.prefix)
        and key.endswith(target.suffix)
        and any(name in target.events for name in names)
    )


def _overlap(one: NotificationTarget, other: NotificationTarget) -> bool:
    """Whether one event on one key could go to both: Amazon wants an event to have one target."""
    prefixes = one.prefix.startswith(other.prefix) or other.prefix.startswith(one.prefix)
    suffixes = one.suffix.endswith(other.suffix) or other.suffix.endswith(one.suffix)
    return prefixes and suffixes and any(_same(a, b) for a in one.events for b in other.events)


def _same(one: str, other: str) -> bool:
    if one == other:
        return True
    for group, event in ((one, other), (other, one)):
        if group.endswith(":*") and event.startswith(group[:-1]):
            return True
    return False
