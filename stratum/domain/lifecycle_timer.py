"""What a lifecycle waits for: a time at which something is to be looked at, and buckets to walk."""

from __future__ import annotations

from dataclasses import dataclass

from stratum.domain.names import BucketName, ObjectKey

NOT_AN_UPLOAD = ""


@dataclass(frozen=True)
class Timer:
    """When the versions of a key, or one upload in progress, are looked at. Unix ms; 0: never."""

    bucket: BucketName
    key: ObjectKey
    due_at_ms: int
    upload_id: str = NOT_AN_UPLOAD


@dataclass(frozen=True)
class Walk:
    """A bucket whose rules changed: everything in it gets new timers, page by page.

    `seq` is the journal position of the change, of which only the last one of a bucket counts.
    """

    bucket: BucketName
    seq: int
    after_key: str = ""
    """Done up to and including this key."""
    after_upload: str = ""
    """Of the uploads of that key, done up to and including this one."""
    uploads: bool = False
    """Whether all versions are done and it is the uploads' turn."""
