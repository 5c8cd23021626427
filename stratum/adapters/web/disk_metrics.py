"""What Prometheus is told about disks and the scrub."""

from __future__ import annotations

from collections.abc import Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge

from stratum.app.disk_watch import DiskCondition
from stratum.app.upkeep import PassState
from stratum.domain.disk_health import Condition
from stratum.domain.names import Tier

CONDITIONS = {Condition.HEALTHY: 0, Condition.SUSPECT: 1, Condition.FAILED: 2}


class DiskMetrics:
    def __init__(self, registry: CollectorRegistry) -> None:
        disk = ["tier", "disk"]
        self._condition = Gauge(
            "stratum_disk_condition", "0 healthy, 1 suspect, 2 failed", disk, registry=registry
        )
        self._free = Gauge("stratum_disk_free_bytes", "Free space", disk, registry=registry)
        self._hedges = Counter(
            "stratum_hedged_reads",
            "Stripes read with parity because a disk was slow",
            ["tier"],
            registry=registry,
        )
        self._volumes = Gauge(
            "stratum_scrub_volumes", "Volumes read in this pass", registry=registry
        )
        self._findings = Gauge(
            "stratum_scrub_findings", "Findings of this pass", ["repaired"], registry=registry
        )
        self._ended = Gauge(
            "stratum_scrub_last_pass_end_seconds",
            "Unix time at which the last whole pass ended",
            registry=registry,
        )
        self._completed = Gauge(
            "stratum_shards_completed", "Shards written later than their object", registry=registry
        )

    def hedged(self, tier: Tier) -> None:
        self._hedges.labels(tier.value).inc()

    def set_gauges(self, disks: Sequence[DiskCondition], scrub: PassState) -> None:
        """What the disks and the pass are like now."""
        for disk in disks:
            labels = (disk.tier.value, str(disk.index))
            self._condition.labels(*labels).set(CONDITIONS[disk.condition])
            self._free.labels(*labels).set(disk.free_bytes)
        self._volumes.set(scrub.volumes)
        self._findings.labels("true").set(scrub.repaired)
        self._findings.labels("false").set(scrub.findings - scrub.repaired)
        self._ended.set(scrub.last_ended_at_ms / 1000)
        self._completed.set(scrub.completed)
