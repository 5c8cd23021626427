"""What Prometheus is told. One registry per server, so that tests can run several."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from stratum.adapters.web.delivery_metrics import DeliveryMetrics
from stratum.adapters.web.disk_metrics import DiskMetrics
from stratum.adapters.web.tiering_metrics import TieringMetrics
from stratum.domain.catalog import TierTotals
from stratum.domain.names import Tier

LATENCY_BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)


class Metrics:
    def __init__(self) -> None:
        registry = self._registry = CollectorRegistry()
        self._requests = Counter(
            "stratum_requests", "S3 requests answered", ["operation", "status"], registry=registry
        )
        self._seconds = Histogram(
            "stratum_request_seconds",
            "Time to the last byte of the answer",
            ["operation"],
            buckets=LATENCY_BUCKETS_S,
            registry=registry,
        )
        self._answered: dict[tuple[str, int], tuple[Counter, Histogram]] = {}
        self._damage = Counter(
            "stratum_damaged_shards",
            "Shards found missing or corrupt while reading",
            ["tier"],
            registry=registry,
        )
        self._volumes = Gauge("stratum_volumes", "Volumes", ["tier"], registry=registry)
        self._bytes = Gauge("stratum_bytes", "Bytes of volumes", ["tier"], registry=registry)
        self._moves = Gauge("stratum_moves_pending", "Moves not finished", registry=registry)
        self._seq = Gauge("stratum_journal_position", "Events in the journal", registry=registry)
        self.tiering = TieringMetrics(registry)
        self.disks = DiskMetrics(registry)
        self.deliveries = DeliveryMetrics(registry)

    def request(self, operation: str, status: int, elapsed_s: float) -> None:
        known = self._answered.get((operation, status))
        if known is None:  # looking the labels up would cost more than counting
            known = self._answered[operation, status] = (
                self._requests.labels(operation, str(status)),
                self._seconds.labels(operation),
            )
        count, seconds = known
        count.inc()
        seconds.observe(elapsed_s)

    def damage(self, tier: Tier) -> None:
        self._damage.labels(tier.value).inc()

    def render(self, totals: dict[Tier, TierTotals], moves_pending: int, seq: int) -> bytes:
        """The text exposition format, with the gauges set to these values."""
        for tier, held in totals.items():
            self._volumes.labels(tier.value).set(held.volumes)
            self._bytes.labels(tier.value).set(held.size_bytes)
        self._moves.set(moves_pending)
        self._seq.set(seq)
        return generate_latest(self._registry)
