"""Carrying out lifecycle rules. What is due is found on a view that may be old by then, and is
decided again inside the journal's transaction, on the exact state: a version that somebody has
touched in between is judged as it is now.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from stratum.domain.catalog import Bucket, Namespace
from stratum.domain.events import Event, UploadAborted
from stratum.domain.lifecycle import NEWER_NONCURRENT_MAX, WATERFALL
from stratum.domain.lifecycle_schedule import (
    VERSIONS_THAT_COUNT,
    Action,
    Clock,
    Entry,
    Expire,
    Position,
    abortion_of,
    judge,
    positions,
)
from stratum.domain.listing import ListRequest
from stratum.domain.listing import Position as ListPosition
from stratum.domain.names import BucketName, ObjectKey, UploadId
from stratum.domain.volume import DeleteMarker, ObjectVersion

_RULE_REASON = "lifecycle rule "
BY = "lifecycle"
"""Who the journal says it was."""


@dataclass(frozen=True)
class Cursor:
    """How far the versions of a key have been looked at, newest first."""

    after: ListPosition
    newer: Entry
    """The last one looked at: the next one became noncurrent when it was written."""
    noncurrent: int
    """Noncurrent versions looked at."""


@dataclass(frozen=True)
class Due:
    """Something to be done with a version or marker of a key."""

    version_id: str
    position: Position
    action: Action


@dataclass(frozen=True)
class Look:
    """What was found among versions of a key. `look_at_ms` 0: time alone changes nothing. `next`
    None: there are no more."""

    due: tuple[Due, ...] = ()
    look_at_ms: int = 0
    next: Cursor | None = None


def look(
    catalog: Namespace,
    bucket: BucketName,
    key: ObjectKey,
    clock: Clock,
    *,
    limit: int = VERSIONS_THAT_COUNT,
    cursor: Cursor | None = None,
) -> Look:
    """Judge up to `limit` (2 or more) versions of a key, the newest or those behind `cursor`."""
    found = catalog.bucket(bucket)
    if found is None or found.settings.lifecycle is None:
        return Look()
    due: list[Due] = []
    timers: list[int] = []
    placed, following = _history(catalog, bucket, key, limit, cursor, clock)
    for entry, position in placed:
        verdict = judge(
            found.settings.lifecycle,
            key,
            entry,
            position,
            clock,
            versioned=found.settings.versioning is not None,
        )
        if verdict.action is not None:
            due.append(Due(entry.version_id, position, verdict.action))
        if verdict.look_at_ms:
            timers.append(verdict.look_at_ms)
    return Look(tuple(due), min(timers, default=0), following)


def judge_again(
    catalog: Namespace, bucket: Bucket, key: ObjectKey, due: Due, clock: Clock
) -> tuple[ObjectVersion | DeleteMarker, Position, Action] | None:
    """What is to be done with a version by the rules and the state of now; None if nothing is."""
    lifecycle = bucket.settings.lifecycle
    found = catalog.version_by_id(bucket.name, key, due.version_id)
    if found is None or lifecycle is None:
        return None
    entry = entry_of(found, clock.now_ms)
    position = position_of(catalog, bucket.name, key, due.version_id, clock)
    if position is None:
        # Not among the newest: it has as many newer ones as any rule may keep.
        position = Position(due.position.noncurrent_since_ms, NEWER_NONCURRENT_MAX)
    versioned = bucket.settings.versioning is not None
    verdict = judge(lifecycle, key, entry, position, clock, versioned=versioned)
    return None if verdict.action is None else (found, position, verdict.action)


def position_of(
    catalog: Namespace, bucket: BucketName, key: ObjectKey, version_id: str, clock: Clock
) -> Position | None:
    """Where a version stands; None if it isn't among the newest ones, VERSIONS_THAT_COUNT many."""
    placed, _ = _history(catalog, bucket, key, VERSIONS_THAT_COUNT, None, clock)
    return next((at for each, at in placed if each.version_id == version_id), None)


def entry_of(found: ObjectVersion | DeleteMarker, now_ms: int) -> Entry:
    """A version as the rules see it."""
    if isinstance(found, DeleteMarker):
        return Entry(found.version_id, found.modified_at_ms, is_marker=True)
    attributes = found.attributes
    return Entry(
        found.version_id,
        found.modified_at_ms,
        size_bytes=found.size_bytes,
        tags=attributes.tags,
        storage_class=attributes.storage_class or WATERFALL[0],
        protected_until_ms=attributes.protection.until_ms(now_ms),
    )


def _history(
    catalog: Namespace,
    bucket: BucketName,
    key: ObjectKey,
    limit: int,
    cursor: Cursor | None,
    clock: Clock,
) -> tuple[list[tuple[Entry, Position]], Cursor | None]:
    after = cursor.after if cursor else None
    page = catalog.list_versions(bucket, ListRequest(key, after=after, max_keys=limit))
    own = [listed.version_id for listed in page.entries if listed.key == key]
    versions = [catalog.version_by_id(bucket, key, version_id) for version_id in own]
    entries = [entry_of(found, clock.now_ms) for found in versions if found is not None]
    placed = list(
        positions(entries, cursor.newer, cursor.noncurrent) if cursor else positions(entries)
    )
    if page.next is None or len(own) < len(page.entries) or not placed:
        return placed, None
    entry, position = placed[-1]
    counts = position.noncurrent_since_ms is not None and not entry.is_marker
    return placed, Cursor(page.next, entry, position.newer_noncurrent + counts)


def abort_expired(
    catalog: Namespace, *, bucket: BucketName, upload_id: UploadId, clock: Clock
) -> Sequence[Event]:
    """Abort an upload whose days are over. No event if it ended, or the rules have changed."""
    due = abortion_due(catalog, bucket, upload_id, clock)
    if due is None or due[0] > clock.now_ms:
        return []
    return [UploadAborted(upload_id, rule_reason(due[1]))]


def abortion_due(
    catalog: Namespace, bucket: BucketName, upload_id: UploadId, clock: Clock
) -> tuple[int, str] | None:
    """When an upload is to be aborted, and by which rule; None if it isn't, or is no more."""
    found, upload = catalog.bucket(bucket), catalog.upload(upload_id)
    if found is None or found.settings.lifecycle is None or upload is None:
        return None
    return abortion_of(found.settings.lifecycle, upload.key, upload.started_at_ms, clock.day_ms)


def rule_reason(rule_id: str) -> str:
    """What an event says of why something was removed."""
    return f"{_RULE_REASON}{rule_id}"


def by_a_rule(reason: str) -> bool:
    """Whether a lifecycle rule removed it. Who did is no proof: a user may have any name."""
    return reason.startswith(_RULE_REASON)


def is_final(action: Action, position: Position, bucket: Bucket) -> bool:
    """Whether an expiration removes the very version, instead of hiding it."""
    hides = position.noncurrent_since_ms is None and not position.alone
    return isinstance(action, Expire) and (not hides or bucket.settings.versioning is None)
