"""Simulations as jobs of worker processes: values in, values out, nothing of Trio imported.

A worker keeps the trace it read last, since the policies of one trace follow each other.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from stratum.adapters.hazard_solver import ArraySolver
from stratum.adapters.trace_file import Trace, read_trace
from stratum.domain.names import Tier
from stratum.domain.optimum import optimum
from stratum.domain.policies import make_follower
from stratum.domain.pricing import PriceList
from stratum.domain.simulation import Outcome, simulate

TIERS = tuple(Tier)


@dataclass(frozen=True)
class Job:
    """One policy on one trace, or with no policy the optimum."""

    trace: Path
    policy: str | None
    prices: PriceList
    moves_out: Path | None = None


@lru_cache(maxsize=1)
def _trace(path: Path) -> Trace:
    return read_trace(path)


def run_job(job: Job) -> Outcome | float:
    """The outcome of the policy, or the optimum's cost in $. Raises InvalidArgument, OSError."""
    trace = _trace(job.trace)
    if job.policy is None:
        return optimum(trace.requests(), job.prices, TIERS)
    policy = make_follower(job.policy, job.prices, TIERS, ArraySolver())
    if job.moves_out is None:
        return simulate(trace.requests(), trace.keys, policy, job.prices, TIERS)
    with job.moves_out.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("t", "key", "from", "to"))

        def write(at_s: int, key: int, source: int | None, target: int) -> None:
            came_from: Any = "" if source is None else TIERS[source]
            writer.writerow((at_s, trace.keys[key], came_from, TIERS[target]))

        return simulate(trace.requests(), trace.keys, policy, job.prices, TIERS, write)
