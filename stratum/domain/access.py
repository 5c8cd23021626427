"""How often and when a volume is read: all the policy knows about demand."""

from __future__ import annotations

from dataclasses import dataclass, replace

from stratum.domain.names import VolumeId

SESSIONS_PER_DAY = 24
"""Reads within 1/24 day of the tiering clock of a session's first read belong to that session."""


@dataclass(frozen=True)
class Access:
    """What is remembered of a volume's reads. All times in Unix ms."""

    volume_id: VolumeId
    last_at_ms: int
    """When it was last read; when it was written or placed, if it has not been read."""
    reads: int
    """All reads since it was written."""
    sessions: int
    """Runs of reads close together count once (see `SESSIONS_PER_DAY`); since the last move."""
    look_at_ms: int
    """When the policy looks at this volume again; 0: not before it is read."""
    session_at_ms: int = 0
    """When the latest of these sessions began; 0 if there is none."""
    gap_ms: int = 0
    """Between the beginnings of the latest two of these sessions; 0 with fewer than two."""


def session_ms(day_s: float) -> float:
    """How long a session lasts at most, when a day lasts `day_s` real seconds."""
    return day_s * 1000 / SESSIONS_PER_DAY


def unread(volume_id: VolumeId, at_ms: int) -> Access:
    """The row of a volume that was placed at `at_ms` and not read since; it has no timer yet."""
    return Access(volume_id, last_at_ms=at_ms, reads=0, sessions=0, look_at_ms=0)


def observe(access: Access, at_ms: int, reads: int, session_ms: float, until_ms: int = 0) -> Access:
    """The row after `reads` reads from `at_ms` to `until_ms` (by default at one moment).

    A session is measured from its first read, so that a volume read every few minutes for days
    has many sessions, and one download in many ranges has one.
    """
    last_at_ms = max(access.last_at_ms, at_ms, until_ms)
    began_at_ms = access.session_at_ms or access.last_at_ms
    if access.sessions and at_ms - began_at_ms <= session_ms:
        return replace(access, last_at_ms=last_at_ms, reads=access.reads + reads)
    return replace(
        access,
        last_at_ms=last_at_ms,
        reads=access.reads + reads,
        sessions=access.sessions + 1,
        session_at_ms=at_ms,
        gap_ms=at_ms - began_at_ms if access.sessions else 0,
    )


def observe_before_move(access: Access, at_ms: int, reads: int) -> Access:
    """The row after reads that were noted only after the volume had moved: no session here."""
    return replace(access, last_at_ms=max(access.last_at_ms, at_ms), reads=access.reads + reads)


def moved(access: Access) -> Access:
    """The row after a move: sessions count from here on."""
    return replace(access, sessions=0, session_at_ms=0, gap_ms=0)
