"""What Prometheus is told about moves between tiers."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter

from stratum.domain.names import Tier


class TieringMetrics:
    """Implements `app.mover.MoveObserver`."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._moves = Counter(
            "stratum_moves",
            "Moves that ended",
            ["target", "outcome"],
            registry=registry,
        )
        self._bytes = Counter(
            "stratum_moved_bytes", "Bytes of moved volumes", ["source", "target"], registry=registry
        )
        self._failed = Counter(
            "stratum_move_attempts_failed",
            "Attempts at a move that failed",
            ["target"],
            registry=registry,
        )

    def moved(self, source: Tier, target: Tier, size_bytes: int) -> None:
        self._moves.labels(target.value, "moved").inc()
        self._bytes.labels(source.value, target.value).inc(size_bytes)

    def attempt_failed(self, target: Tier) -> None:
        self._failed.labels(target.value).inc()

    def abandoned(self, target: Tier) -> None:
        self._moves.labels(target.value, "abandoned").inc()

    def void(self, target: Tier) -> None:
        self._moves.labels(target.value, "void").inc()

    def refused(self, target: Tier) -> None:
        """A move that was asked for was not begun."""
        self._moves.labels(target.value, "refused").inc()
