"""Object lock: versions that nobody deletes before a date, or while a hold is on.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-lock.html. A lock protects one version:
a delete marker may still hide it, and a PUT adds a version beside it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from stratum.domain.errors import (
    AccessDenied,
    InvalidArgument,
    InvalidRequest,
    InvalidRetentionPeriod,
)

DEFAULT_DAYS_MAX = 36_500
DEFAULT_YEARS_MAX = 100
DAY_MS = 86_400_000
"""A real day: `tiering.day_s` doesn't shorten what the law asks for."""
DAYS_PER_YEAR = 365

_PROTECTED = "Access Denied because object protected by object lock."


class LockMode(StrEnum):
    """GOVERNANCE yields to whoever may bypass it, COMPLIANCE to nobody."""

    GOVERNANCE = "GOVERNANCE"
    COMPLIANCE = "COMPLIANCE"


@dataclass(frozen=True)
class DefaultRetention:
    """What new versions of a bucket get: days or years, the other is 0."""

    mode: LockMode
    days: int = 0
    years: int = 0

    @property
    def length_ms(self) -> int:
        return (self.days + self.years * DAYS_PER_YEAR) * DAY_MS


@dataclass(frozen=True)
class ObjectLock:
    """A bucket's configuration. That it has one means that locks are enabled, for good."""

    default: DefaultRetention | None = None


@dataclass(frozen=True)
class Retention:
    """Until when a version can't be deleted. Unix ms."""

    mode: LockMode
    until_ms: int


@dataclass(frozen=True)
class Protection:
    """What protects one version. `legal_hold` None: nobody ever said."""

    retention: Retention | None = None
    legal_hold: bool | None = None

    def until_ms(self, now_ms: int) -> int | None:
        """When it ends at the earliest: 0 if nothing protects now, None while a hold is on."""
        if self.legal_hold:
            return None
        if self.retention is None or self.retention.until_ms <= now_ms:
            return 0
        return self.retention.until_ms


UNPROTECTED = Protection()


def default_retention(mode: LockMode, days: int | None, years: int | None) -> DefaultRetention:
    """Parse a bucket's default; exactly one of `days` and `years` is given.

    Raises InvalidRetentionPeriod.
    """
    period, period_max = (
        (days, DEFAULT_DAYS_MAX) if days is not None else (years, DEFAULT_YEARS_MAX)
    )
    assert period is not None, "days or years"
    if not 1 <= period <= period_max:
        raise InvalidRetentionPeriod(
            f"Default retention period must be a positive integer of at most {period_max}"
        )
    return DefaultRetention(mode, days or 0, years or 0)


def require_lock(lock: ObjectLock | None) -> ObjectLock:
    """The bucket's lock configuration; raises InvalidRequest if locks aren't enabled there."""
    if lock is None:
        raise InvalidRequest("Bucket is missing Object Lock Configuration")
    return lock


def check_asked(asked: Protection, lock: ObjectLock | None, now_ms: int) -> None:
    """Whether a new version may have what its writer asks for.

    Raises InvalidRequest if locks aren't enabled there; InvalidArgument for a date in the past.
    """
    if asked != UNPROTECTED:
        require_lock(lock)
    if asked.retention is not None:
        check_future(asked.retention, now_ms)


def with_default(asked: Protection, lock: ObjectLock | None, now_ms: int) -> Protection:
    """What protects a version written now: what was asked for, else the bucket's default."""
    if asked.retention is not None or lock is None or lock.default is None:
        return asked
    retention = Retention(lock.default.mode, now_ms + lock.default.length_ms)
    return Protection(retention, asked.legal_hold)


def check_future(retention: Retention, now_ms: int) -> None:
    """Raises InvalidArgument for a date that has passed."""
    if retention.until_ms <= now_ms:
        raise InvalidArgument(
            "The retain until date must be in the future!", "x-amz-object-lock-retain-until-date"
        )


def check_change(
    current: Retention | None, new: Retention | None, now_ms: int, *, bypass: bool
) -> None:
    """Whether a version's retention may become `new` (None: none).

    Anybody may extend one. Less, or another mode, needs the bypass, which COMPLIANCE doesn't know.
    Raises AccessDenied.
    """
    if current is None or current.until_ms <= now_ms:
        return
    if new is not None and new.mode is current.mode and new.until_ms >= current.until_ms:
        return
    if current.mode is LockMode.COMPLIANCE or not bypass:
        raise AccessDenied(_PROTECTED)


def check_removal(protection: Protection, now_ms: int, *, bypass: bool) -> None:
    """Whether a version may be deleted for good. Raises AccessDenied."""
    if protection.legal_hold:
        raise AccessDenied(_PROTECTED)
    retention = protection.retention
    if retention is None or retention.until_ms <= now_ms:
        return
    if retention.mode is LockMode.COMPLIANCE or not bypass:
        raise AccessDenied(_PROTECTED)
