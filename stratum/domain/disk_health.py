"""What is thought of a disk: healthy, suspect or failed, with hysteresis.

A disk that errs again and again has failed, and is still asked: an error comes at once, and when
the disk is back it is used at once. One that lets calls wait much longer than others is set aside
and not asked any more, since each call would cost somebody its time. It is let in again after it
has answered several probes one after the other. Either is suspect until it has worked well for a
while. Reading and writing are judged apart: a full disk, or one mounted read-only, still reads.
"""

from __future__ import annotations

from enum import StrEnum

FAILURES_TO_SUSPECT = 2
"""Errors one after the other, or calls that took too long."""
FAILURES_TO_FAIL = 5
SUCCESSES_TO_HEALTHY = 50
"""Calls that went well one after the other, then a suspect disk is healthy again."""
PROBES_TO_READMIT = 3
"""Probes, or calls, that went well one after the other, then a failed disk is only suspect."""
PROBE_FIRST_S = 2.0
PROBE_MAX_S = 30.0
"""Time between two probes of a disk set aside; it doubles with each one that fails."""


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
        self.is_set_aside = False
        """Whether it should not be asked."""
        self._failures = 0
        self._successes = 0
        self._probe_at_s = 0.0
        self._pause_s = PROBE_FIRST_S

    def went_well(self) -> None:
        """A call was answered in time."""
        self._failures = 0
        if self.condition is Condition.HEALTHY or self.is_set_aside:
            return  # a call from before
        self._successes += 1
        if self.condition is Condition.FAILED and self._successes >= PROBES_TO_READMIT:
            self._let_in()
        elif self._successes >= SUCCESSES_TO_HEALTHY:
            self.condition, self.reason = Condition.HEALTHY, ""
            self._pause_s = PROBE_FIRST_S

    def erred(self, reason: str) -> None:
        """A call failed."""
        self._count(reason)

    def was_slow(self, reason: str, now_s: float, *, may_set_aside: bool) -> bool:
        """A call took too long; whether the disk is set aside because of it, which happens only
        if others can do without it."""
        self._count(reason)
        if self._failures < FAILURES_TO_FAIL or not may_set_aside or self.is_set_aside:
            return False
        self.set_aside(reason, now_s)
        return True

    def set_aside(self, reason: str, now_s: float) -> None:
        """Do not ask it before probes went well."""
        self.condition, self.reason, self.is_set_aside = Condition.FAILED, reason, True
        self._successes = 0
        self._probe_at_s = now_s + self._pause_s

    def probe_is_due(self, now_s: float) -> bool:
        """Whether it should be asked if it works again."""
        return self.is_set_aside and now_s >= self._probe_at_s

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
        self._let_in()
        return True

    def _count(self, reason: str) -> None:
        self._failures += 1
        self._successes = 0
        self.reason = reason
        if self._failures >= FAILURES_TO_FAIL:
            self.condition = Condition.FAILED
        elif self._failures >= FAILURES_TO_SUSPECT and self.condition is Condition.HEALTHY:
            self.condition = Condition.SUSPECT

    def _let_in(self) -> None:
        self.condition, self.is_set_aside = Condition.SUSPECT, False
        self._failures = self._successes = 0
