"""What Prometheus is told about moves between tiers."""

from __future__ import annotations

from collections.abc import Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge

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

        self._fullness = Gauge(
            "stratum_tier_fullness", "Used share of the fullest disk", ["tier"], registry=registry
        )
        self._spent = Gauge(
            "stratum_remote_spent_dollars", "Requests and egress this month", registry=registry
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

    def declined(self, target: Tier) -> None:
        """A move that was wanted was not begun."""
        self._moves.labels(target.value, "declined").inc()

    def set_gauges(self, fullness: Mapping[Tier, float], spent: float) -> None:
        """How full the fullest disk of each tier is, from 0 to 1; $ spent on the remote."""
        for tier, used in fullness.items():
            self._fullness.labels(tier.value).set(used)
        self._spent.set(spent)
