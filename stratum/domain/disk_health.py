"""What is thought of a disk: healthy, suspect or failed, with hysteresis.

A disk that errs again and again, or lets calls wait much longer than the other disks, is set aside
and not asked any more. It is let in again after it has answered several probes one after the
other, and is suspect until it has worked well for a while: a disk that comes and goes is not
asked on each of its comings. Reading and writing are judged apart: a full disk, or one that is
mounted read-only, still reads.
"""

from __future__ import annotations

from enum import StrEnum

FAILURES_TO_SUSPECT = 2
"""Errors one after the other, or calls that took too long."""
FAILURES_TO_FAIL = 5
SUCCESSES_TO_HEALTHY = 50
"""Calls that went well one after the other, then a suspect disk is healthy again."""
PROBES_TO_READMIT = 3
"""Probes that went well one after the other, then a failed disk is asked again."""
PROBE_FIRST_S = 2.0
PROBE_MAX_S = 60.0
"""Time between two probes of a failed disk; it doubles with each one that fails."""


class Condition(StrEnum):
    HEALTHY = "healthy"
    SUSPECT = "suspect"
    FAILED = "failed"


class Aspect(StrEnum):
    """What a disk is asked to do."""

    READING = "reading"
    WRITING = "writing"


class Health:
    """One aspect of one disk. Times in seconds of any clock that does not go back."""

    def __init__(self) -> None:
        self.condition = Condition.HEALTHY
        self.reason = ""
        """What went wrong last, while it is not healthy."""
        self.is_slow = False
        """Whether that was a call that took too long."""
        self._failures = 0
        self._successes = 0
        self._probe_at_s = 0.0
        self._pause_s = PROBE_FIRST_S

    def went_well(self) -> None:
        """A call was answered in time."""
        self._failures = 0
        if self.condition is Condition.SUSPECT:
            self._successes += 1
            if self._successes >= SUCCESSES_TO_HEALTHY:
                self.condition, self.reason = Condition.HEALTHY, ""
                self._pause_s = PROBE_FIRST_S

    def went_wrong(self, reason: str, now_s: float, *, slow: bool, may_fail: bool) -> bool:
        """A call failed or took too long; whether the disk is set aside because of it, which
        happens only if it `may_fail`."""
        self._failures += 1
        self._successes = 0
        self.reason, self.is_slow = reason, slow
        if self.condition is Condition.FAILED:
            return False
        if self._failures >= FAILURES_TO_FAIL and may_fail:
            self.condition = Condition.FAILED
            self._probe_at_s = now_s + self._pause_s
            return True
        if self._failures >= FAILURES_TO_SUSPECT:
            self.condition = Condition.SUSPECT
        return False

    def probe_is_due(self, now_s: float) -> bool:
        """Whether it should be asked if it works again."""
        return self.condition is Condition.FAILED and now_s >= self._probe_at_s

    def probed(self, reason: str, now_s: float) -> bool:
        """A probe was answered, or not and why; whether the disk is let in again."""
        if reason:
            self._successes = 0
            self.reason = reason
            self._pause_s = min(PROBE_MAX_S, 2 * self._pause_s)
            self._probe_at_s = now_s + self._pause_s
            return False
        self._successes += 1
        self._probe_at_s = now_s + PROBE_FIRST_S
        if self._successes < PROBES_TO_READMIT:
            return False
        self.condition = Condition.SUSPECT
        self._failures = self._successes = 0
        return True
