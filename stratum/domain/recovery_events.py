"""That the journal itself was lost and made again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True)
class JournalRecovered:
    """The journal was lost and made again: its events up to `restored_seq` from a copy, what
    follows from the shards. What happened in between and left no shard is not known any more."""

    TOPIC: ClassVar[str] = "JournalRecovered.1"
    restored_seq: int
    """The last event that a copy had; 0 if there was none."""
    restored_digest: str
    """The hash chain's digest there, 64 hexadecimal digits."""
    restored_at_ms: int
    """When that event happened; 0 if there was none."""
    source: str
    """Where the copy was."""
    versions: int
    """Object versions found by their shards only."""
    parts: int
    """Parts of uploads found by their shards only."""
    moves: int
    """Moves found by their copies only."""
    dropped: int
    """Copies that were found and not taken: incomplete, or of versions that are gone."""
    absent: tuple[str, ...] = ()
    """Disks that did not answer."""

    @property
    def stream(self) -> str:
        return RECOVERIES


RECOVERIES = "recovery"
"""The stream of all recoveries."""
