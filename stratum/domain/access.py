"""How often and when a volume is read, as it is kept: all a policy knows about demand.

About 50 bytes a volume beside its id. `watched.Watched` is the same as policies use it, and `rules`
turns one into the other.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from stratum.domain.names import VolumeId


@dataclass(frozen=True)
class Access:
    """What is remembered of a volume's reads. All times in Unix ms."""

    volume_id: VolumeId
    last_at_ms: int
    """When it was last read; when it was written or placed, if it has not been read."""
    reads: int
    """All reads since it was written."""
    sessions: int
    """Accesses (reads within an hour of the first one) since the last move."""
    look_at_ms: int
    """Its timer: when it is looked at again; 0: not before it is read."""
    session_at_ms: int = 0
    """When the latest access began, before or after the last move; 0 if there is none."""
    gap_ms: int = 0
    """Between the beginnings of the latest two of the sessions; 0 with fewer than two."""
    due_at_ms: int = 0
    """When the policy has something to do; 0: not before it is read. Never before `look_at_ms`
    without being set by hand: reads put it off, but not the timer."""
    active_at_ms: int = 0
    """When the latest active day began; 0 if there is none."""
    active_days: int = 0
    """Accesses a day or more apart."""
    log_gap: float = 0.0
    """Moving average of the logarithm of the days between active days."""
    more_reads: int = 0
    """Reads of the latest access after its first."""
    period: int = 0
    """Class of age and size of the idle period that goes on, for the hazard table."""
    counted: int = 0
    """The first bin of this period that the hazard table hasn't counted yet."""


def look(access: Access, at_ms: int) -> Access:
    """The row that is looked at then, whatever its policy thought."""
    return replace(access, look_at_ms=at_ms, due_at_ms=at_ms)


@dataclass(frozen=True)
class ReadRun:
    """Reads of one volume within an hour of the first. Times in Unix ms."""

    volume_id: VolumeId
    first_ms: int
    last_ms: int
    reads: int
