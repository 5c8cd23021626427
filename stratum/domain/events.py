"""Everything that happens, as facts in the past tense. The journal of these is the truth.

An event names the stream it belongs to. Its topic (class name and schema number) is what is
stored: a class may move or be renamed in code, its topic may not. A new field needs a default;
anything more is a new class with the next number. Times and actors are in the envelope.
"""

from __future__ import annotations

from dataclasses import dataclass

from stratum.domain.bucket_events import (
    BucketConfigured,
    BucketCreated,
    BucketDeleted,
)
from stratum.domain.identity_events import (
    IDENTITY_EVENTS,
    AccessKeyAdded,
    AccessKeyRemoved,
    IdentityChanged,
    UserAdded,
    UserRemoved,
)
from stratum.domain.object_events import (
    DeleteMarkerCreated,
    DeleteMarkerRemoved,
    PartStored,
    UploadAborted,
    UploadCompleted,
    UploadStarted,
    VersionChanged,
    VersionCommitted,
    VersionRemoved,
)
from stratum.domain.placement_events import (
    CopiesReclaimed,
    DiskAdded,
    MoveAbandoned,
    PricesAdopted,
    ShardsRebuilt,
    TierDecided,
    TierPinned,
    TierUnpinned,
    VolumeMoved,
)
from stratum.domain.recovery_events import JournalRecovered
from stratum.domain.restraint_events import (
    RESTRAINT_EVENTS,
    MoveDeclined,
    RemoteUsed,
    SpendCapReached,
)

__all__ = [
    "ALL",
    "AccessKeyAdded",
    "AccessKeyRemoved",
    "BucketConfigured",
    "BucketCreated",
    "BucketDeleted",
    "CopiesReclaimed",
    "DeleteMarkerCreated",
    "DeleteMarkerRemoved",
    "DiskAdded",
    "Event",
    "IdentityChanged",
    "JournalRecovered",
    "MoveAbandoned",
    "MoveDeclined",
    "PartStored",
    "PricesAdopted",
    "Recorded",
    "RemoteUsed",
    "ShardsRebuilt",
    "SpendCapReached",
    "TierDecided",
    "TierPinned",
    "TierUnpinned",
    "UploadAborted",
    "UploadCompleted",
    "UploadStarted",
    "UserAdded",
    "UserRemoved",
    "VersionChanged",
    "VersionCommitted",
    "VersionRemoved",
    "VolumeMoved",
]

Event = (
    BucketCreated
    | BucketDeleted
    | BucketConfigured
    | VersionCommitted
    | VersionRemoved
    | VersionChanged
    | DeleteMarkerCreated
    | DeleteMarkerRemoved
    | TierDecided
    | VolumeMoved
    | MoveAbandoned
    | ShardsRebuilt
    | UploadStarted
    | PartStored
    | UploadCompleted
    | UploadAborted
    | CopiesReclaimed
    | DiskAdded
    | PricesAdopted
    | TierPinned
    | TierUnpinned
    | JournalRecovered
    | UserAdded
    | UserRemoved
    | AccessKeyAdded
    | AccessKeyRemoved
    | IdentityChanged
    | MoveDeclined
    | RemoteUsed
    | SpendCapReached
)

ALL: tuple[type[Event], ...] = (
    BucketCreated,
    BucketDeleted,
    BucketConfigured,
    VersionCommitted,
    VersionRemoved,
    VersionChanged,
    DeleteMarkerCreated,
    DeleteMarkerRemoved,
    TierDecided,
    VolumeMoved,
    MoveAbandoned,
    ShardsRebuilt,
    UploadStarted,
    PartStored,
    UploadCompleted,
    UploadAborted,
    CopiesReclaimed,
    DiskAdded,
    PricesAdopted,
    TierPinned,
    TierUnpinned,
    JournalRecovered,
    *IDENTITY_EVENTS,
    *RESTRAINT_EVENTS,
)


@dataclass(frozen=True)
class Recorded:
    """An event with its envelope: its place in the journal and its stream, when, by whom."""

    seq: int
    stream: str
    version: int
    at_ms: int
    """Unix time in ms; never goes back along the journal."""
    by: str
    """An access key's account name, `policy`, `operator` or `system`."""
    event: Event
