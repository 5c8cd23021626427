"""How often and when a volume is read: all the policy knows about demand."""

from __future__ import annotations

from dataclasses import dataclass

from stratum.domain.names import VolumeId


@dataclass(frozen=True)
class Access:
    """What is remembered of a volume's reads. All times in Unix ms."""

    volume_id: VolumeId
    last_at_ms: int
    reads: int
    sessions: int
    """Runs of reads close together count once (see `tiering.session_days`); since the last move."""
    look_at_ms: int
    """When the policy looks at this volume again; 0: not before it is read."""
