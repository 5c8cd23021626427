"""What Prometheus is told of deliveries to others."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily
from prometheus_client.registry import Collector


class DeliveryMetrics(Collector):
    """Asks whoever counts losses each time it is scraped."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._lost: dict[str, Callable[[], int]] = {}
        registry.register(self)

    def watch(self, kind: str, lost: Callable[[], int]) -> None:
        """`lost` says how many of a kind were given up since the start."""
        self._lost[kind] = lost

    def collect(self) -> Iterator[CounterMetricFamily]:
        """One family, a sample per kind."""
        family = CounterMetricFamily(
            "stratum_deliveries_lost",
            "Notifications and lines of access logs that were given up",
            labels=["kind"],
        )
        for kind, lost in self._lost.items():
            family.add_metric([kind], lost())
        yield family
