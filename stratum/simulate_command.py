"""`stratum simulate`: what policies would have cost on traces, beside the clairvoyant optimum."""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
import tomllib
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from statistics import fmean, geometric_mean
from typing import Any

import trio
import trio_parallel

from stratum.adapters.cost_chart import draw_chart
from stratum.adapters.journal_reader import open_journal_readonly
from stratum.adapters.journal_trace import journal_trace
from stratum.adapters.price_file import read_prices
from stratum.adapters.read_history import open_read_history
from stratum.adapters.simulation_jobs import Job, run_job
from stratum.adapters.trace_file import SAVED_SUFFIX, save_trace
from stratum.app.config import Config
from stratum.domain import wording
from stratum.domain.errors import InvalidArgument
from stratum.domain.policies import POLICIES
from stratum.domain.pricing import DEFAULT_PRICES_TOML, PriceList, parse_prices
from stratum.domain.simulation import Costs, Outcome

COMPONENTS = tuple(field.name for field in fields(Costs))
PROGRESS_WIDTH = 30
WORKER_IDLE_S = 5.0


@dataclass(frozen=True)
class Result:
    """One trace: its optimum in $, and what came of each policy."""

    trace: Path
    optimum: float
    outcomes: dict[str, Outcome]

    def ratio(self, policy: str) -> float:
        """The policy's cost in multiples of the optimum; 1 if nothing costs anything."""
        total = self.outcomes[policy].costs.total
        return total / self.optimum if self.optimum else 1.0


def add_parser(
    subparsers: argparse._SubParsersAction[argparse.ArgumentParser],
    listing: argparse.ArgumentParser,
) -> None:
    """Add the command with its options."""
    parser = subparsers.add_parser(
        "simulate", parents=[listing], help="what each policy would have cost on a trace"
    )
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument(
        "--journal",
        action="store_true",
        help="this store's own history: the journal's writes and removals, and the reads that"
        " tiering.history_days keeps",
    )
    source.add_argument(
        "--trace",
        action="extend",
        nargs="+",
        metavar="FILE",
        help="CSV or Parquet with the columns t (seconds), key, op (PUT, GET, DELETE), size;"
        " one or several",
    )
    parser.add_argument(
        "--policy",
        action="extend",
        nargs="+",
        choices=POLICIES,
        metavar="NAME",
        help=f"repeat for several; default all: {', '.join(POLICIES)}",
    )
    parser.add_argument(
        "--prices", metavar="FILE", help="price list, or preset; default the store's own"
    )
    parser.add_argument(
        "--moves-out",
        metavar="FILE",
        help="write every placement and move as CSV t,key,from,to (one trace, one policy)",
    )
    parser.add_argument("--chart", metavar="FILE.svg", help="draw cost by policy")
    parser.set_defaults(run=simulate)


async def simulate(config: Config, options: argparse.Namespace) -> int:
    """Run every policy over every trace, in as many processes as there are cores."""
    policies: list[str] = list(dict.fromkeys(options.policy or POLICIES))
    moves_out = Path(options.moves_out) if options.moves_out else None
    if moves_out and (len(options.trace or ["journal"]) > 1 or len(policies) > 1):
        raise InvalidArgument("--moves-out needs exactly one --trace and one --policy")
    if not options.journal:
        return await _simulate(config, options, [Path(name) for name in options.trace], policies)
    if not config.read_history.exists():
        raise InvalidArgument(f"no reads are kept yet: there is no {config.read_history}")
    now_ms = time.time_ns() // 1_000_000
    with tempfile.TemporaryDirectory(prefix="stratum-simulate-") as folder:
        path = Path(folder) / f"journal{SAVED_SUFFIX}"
        async with (
            open_journal_readonly(config.journal) as journal,
            open_read_history(config.read_history, now_ms) as history,
        ):
            trace = await journal_trace(journal, history, config.day_s, now_ms)
        await trio.to_thread.run_sync(save_trace, trace, path)
        return await _simulate(config, options, [path], policies)


async def _simulate(
    config: Config, options: argparse.Namespace, traces: Sequence[Path], policies: Sequence[str]
) -> int:
    for trace in traces:
        if not trace.is_file():
            raise InvalidArgument(f"there is no file {trace}")
    prices = _prices(config, options.prices)
    moves_out = Path(options.moves_out) if options.moves_out else None
    jobs = [
        Job(trace, policy, prices, moves_out if policy else None)
        for trace in traces
        for policy in (None, *policies)
    ]
    results = _results(traces, policies, await _run(jobs))
    if options.chart:
        await trio.Path(options.chart).write_text(_chart(results, policies))
    if options.format == "json":
        print(json.dumps(_document(results, policies, prices), indent=2))
    else:
        print(_text(results, policies, prices), end="")
    return 0


def _prices(config: Config, name: str | None) -> PriceList:
    """The list named, a file or a preset, else the store's, else the defaults."""
    if name is None and not config.prices.exists() and config.prices.suffix == ".toml":
        return parse_prices(tomllib.loads(DEFAULT_PRICES_TOML), config.patience)
    return read_prices(Path(name) if name else config.prices, config.patience)


async def _run(jobs: Sequence[Job]) -> list[Outcome | float]:
    """The jobs' results in their order. Raises what the first failing one raised."""
    answers: list[Outcome | float] = [0.0] * len(jobs)
    done = 0
    limiter = trio.CapacityLimiter(min(len(jobs), _cores()))

    async def run(number: int) -> None:
        nonlocal done
        job = jobs[number]
        answers[number] = await context.run_sync(run_job, job, kill_on_cancel=True, limiter=limiter)
        done += 1
        _show_progress(done, len(jobs))

    async with (
        trio_parallel.open_worker_context(idle_timeout=WORKER_IDLE_S) as context,
        trio.open_nursery() as nursery,
    ):
        _show_progress(0, len(jobs))
        for number in range(len(jobs)):
            nursery.start_soon(run, number)
    return answers


def _cores() -> int:
    """Cores this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _show_progress(done: int, total: int) -> None:
    if sys.stderr.isatty():
        filled = PROGRESS_WIDTH * done // total
        bar = "#" * filled + "." * (PROGRESS_WIDTH - filled)
        end = "\n" if done == total else ""
        print(f"\r[{bar}] {done} of {total} simulations", end=end, file=sys.stderr, flush=True)


def _results(
    traces: Sequence[Path], policies: Sequence[str], answers: Sequence[Outcome | float]
) -> list[Result]:
    results = []
    left = iter(answers)
    for trace in traces:
        optimum = next(left)
        assert isinstance(optimum, float)
        outcomes = {}
        for policy in policies:
            outcome = next(left)
            assert isinstance(outcome, Outcome)
            outcomes[policy] = outcome
        results.append(Result(trace, optimum, outcomes))
    return results


# -- output ---------------------------------------------------------------------------------------
def _document(
    results: Sequence[Result], policies: Sequence[str], prices: PriceList
) -> dict[str, Any]:
    return {
        "prices": prices.version(),
        "patience": prices.patience,
        "traces": [
            {
                "trace": _name(result.trace),
                "optimum": result.optimum,
                "policies": [_record(result, policy) for policy in policies],
            }
            for result in results
        ],
        "summary": [
            {"policy": policy, "ratio_mean": mean, "ratio_worst": worst}
            for policy, mean, worst in _summary(results, policies)
        ],
    }


def _record(result: Result, policy: str) -> dict[str, Any]:
    outcome = result.outcomes[policy]
    return {
        "policy": policy,
        "cost": outcome.costs.total,
        "ratio": result.ratio(policy),
        "costs": asdict(outcome.costs),
        "moves": outcome.moves,
        "moved_gb": outcome.moved_gb,
        "reads": outcome.reads,
        "read_shares": outcome.read_shares(),
        "waiting_mean_s": outcome.waiting_mean_s,
        "waiting_p99_s": outcome.waiting_p99_s,
        "left_out": outcome.left_out,
    }


def _name(trace: Path) -> str:
    return "this store's own history" if trace.suffix == SAVED_SUFFIX else str(trace)


def _summary(results: Sequence[Result], policies: Sequence[str]) -> list[tuple[str, float, float]]:
    """By policy: the geometric mean of the ratios, and the worst."""
    ratios = {policy: [result.ratio(policy) for result in results] for policy in policies}
    return [(policy, geometric_mean(all_), max(all_)) for policy, all_ in ratios.items()]


def _text(results: Sequence[Result], policies: Sequence[str], prices: PriceList) -> str:
    lines = [f"price list {prices.version()}, {prices.patience}; costs in $"]
    for result in results:
        lines += [
            "",
            f"{_name(result.trace)}: optimum {result.optimum:.4g}",
            *_table(result, policies),
        ]
        left_out = next(iter(result.outcomes.values())).left_out
        if left_out:
            requests = wording.count(left_out, "request")
            lines.append(f"  left out: {requests} for keys that were not there")
    if len(results) > 1:
        lines += ["", f"all {len(results)} traces     mean ×  worst ×"]
        lines += [
            f"  {policy:<12} {mean:9.3f} {worst:8.3f}"
            for policy, mean, worst in _summary(results, policies)
        ]
    return "\n".join(lines) + "\n"


def _table(result: Result, policies: Sequence[str]) -> list[str]:
    """One line a policy. Its first line names the columns."""
    heads = "".join(f"{name:>11}" for name in COMPONENTS)
    rows = [
        f"  {'policy':<12}{'total':>11}{'× opt':>7}{heads}{'moves':>9}{'moved':>10}"
        f"  reads hot/warm/cold   wait mean/p99"
    ]
    for policy in policies:
        outcome = result.outcomes[policy]
        costs = "".join(f"{getattr(outcome.costs, name):>11.4g}" for name in COMPONENTS)
        shares = "/".join(f"{share:.0%}" for share in outcome.read_shares().values())
        waits = f"{outcome.waiting_mean_s:.3g} s/{outcome.waiting_p99_s:.3g} s"
        rows.append(
            f"  {policy:<12}{outcome.costs.total:>11.4g}{result.ratio(policy):>7.3f}{costs}"
            f"{outcome.moves:>9}{wording.size(outcome.moved_gb):>10}  {shares:>19} {waits:>15}"
        )
    return rows


def _chart(results: Sequence[Result], policies: Sequence[str]) -> str:
    """Component by component, the mean over the traces in multiples of the optimum."""
    bars = []
    for policy in policies:
        parts = {
            name: fmean(
                getattr(result.outcomes[policy].costs, name) / (result.optimum or 1.0)
                for result in results
            )
            for name in COMPONENTS
        }
        bars.append((policy, parts))
    traces = wording.count(len(results), "trace")
    return draw_chart(f"Cost by policy, in multiples of the optimum ({traces})", bars)
