"""What keeps moves from being made: refusals, and what the remote costs. Rules: `events`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from stratum.domain.names import Tier, VolumeId


@dataclass(frozen=True)
class MoveDeclined:
    """A move was wanted and not begun; the volume stays where it is."""

    TOPIC: ClassVar[str] = "MoveDeclined.1"
    volume_id: VolumeId
    to: Tier
    policy: str
    """Name and version of the rule that wanted it, or `manual`."""
    reason: str
    """One sentence with its numbers."""

    @property
    def stream(self) -> str:
        return self.volume_id


@dataclass(frozen=True)
class RemoteUsed:
    """What was used of the remote tier in a month until now, as far as it costs money."""

    TOPIC: ClassVar[str] = "RemoteUsed.1"
    month: str
    """`2026-11`; with days of another length `month N` of the tiering clock."""
    puts: int
    """Requests that write."""
    gets: int
    """Requests that read or list."""
    egress_bytes: int
    """Bytes that came from there."""

    @property
    def stream(self) -> str:
        return "remote"


@dataclass(frozen=True)
class SpendCapReached:
    """The remote has cost as much as it may in a month: nothing is brought up from there."""

    TOPIC: ClassVar[str] = "SpendCapReached.1"
    month: str
    spent: float
    """$ by the price list."""
    cap: float
    """$ a month (`tiering.spend_per_month`)."""

    @property
    def stream(self) -> str:
        return "remote"


RESTRAINT_EVENTS = (MoveDeclined, RemoteUsed, SpendCapReached)
