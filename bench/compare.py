"""Stratum and its peers side by side. Prints a table, and with --write puts it into
docs/performance.md.

    python -m bench.compare [--seconds S] [--rounds N] [--write]
                            [--endpoint NAME=HOST:PORT,KEY_ID,SECRET[,PID]]

All servers run at once and are loaded one after the other, again and again, in turns, so that
whatever else the machine does hits all of them. Ratios are to be trusted more than figures.
"""

from __future__ import annotations

import argparse
import os
import platform
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from bench.load import Endpoint, Sample, Scenario, fill, run
from bench.servers import PEERS, stratum, tool

KIB, MIB = 1024, 1024 * 1024
SCENARIOS = (
    Scenario("HEAD", 4 * KIB, 16),
    Scenario("GET", 4 * KIB, 16),
    Scenario("GET", 4 * KIB, 1),
    Scenario("PUT", 4 * KIB, 16),
    Scenario("PUT", 4 * KIB, 1),
    Scenario("GET", MIB, 4),
    Scenario("PUT", MIB, 4),
)
DOCUMENT = Path(__file__).parents[1] / "docs" / "performance.md"
BEGIN, END = "<!-- table begins -->\n", "<!-- table ends -->\n"


def compare(
    endpoints: Sequence[Endpoint], seconds: float, rounds: int
) -> dict[Scenario, dict[str, Sample]]:
    """Every scenario on every endpoint, in turns."""
    for endpoint in endpoints:
        fill(endpoint, sorted({scenario.size_bytes for scenario in SCENARIOS}))
    found = {s: {e.name: Sample() for e in endpoints} for s in SCENARIOS}
    for number in range(rounds):
        for scenario in SCENARIOS:
            for endpoint in endpoints[:: 1 if number % 2 else -1]:
                found[scenario][endpoint.name] += run(endpoint, scenario, seconds)
    return found


def table(found: dict[Scenario, dict[str, Sample]]) -> str:
    """Markdown; the ratio is the CPU per request over Stratum's."""
    lines = [
        "| request × connections | server | requests/s | CPU µs each | CPU ÷ Stratum's | p50 ms |"
        " p99 ms | MiB resident | errors |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for scenario, samples in found.items():
        ours = next(iter(samples.values())).cpu_us
        for name, sample in samples.items():
            ratio = f"{sample.cpu_us / ours:.2f}" if ours else "–"
            lines.append(
                f"| {scenario} | {name} | {sample.rate:,.0f} | {sample.cpu_us:,.0f} | {ratio} |"
                f" {sample.percentile_ms(0.5):.1f} | {sample.percentile_ms(0.99):.1f} |"
                f" {sample.rss_bytes >> 20} | {sample.errors} |"
            )
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--seconds", type=float, default=3.0, help="of each scenario and round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--endpoint", action="append", default=[], metavar="NAME=HOST:PORT,ID,SECRET"
    )
    parser.add_argument("--write", action="store_true", help="put the table into the documentation")
    options = parser.parse_args()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="stratum-bench-")))
        endpoints = []
        for name, start in {"stratum": stratum, **PEERS}.items():
            if name in PEERS and tool(name) is None:
                print(f"{name} is not installed: left out")
                continue
            (folder / name).mkdir()
            endpoints.append(stack.enter_context(start(folder / name)))
        endpoints += [_given(text) for text in options.endpoint]
        found = compare(endpoints, options.seconds, options.rounds)
    machine = (
        f"{os.cpu_count()} cores, {platform.machine()}, Linux {platform.release()},"
        f" Python {platform.python_version()}; load average {os.getloadavg()[1]:.1f} meanwhile."
        f" {options.rounds} rounds of {options.seconds:g} s.\n\n"
    )
    text = machine + table(found)
    print(text)
    if options.write:
        document = DOCUMENT.read_text()
        head, _, rest = document.partition(BEGIN)
        DOCUMENT.write_text(head + BEGIN + text + END + rest.partition(END)[2])


def _given(text: str) -> Endpoint:
    name, _, rest = text.partition("=")
    address, key_id, secret, *pid = rest.split(",")
    host, _, port = address.rpartition(":")
    return Endpoint(name, host, int(port), key_id, secret, pids=tuple(map(int, pid)))


if __name__ == "__main__":
    main()
