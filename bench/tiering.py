"""The table of docs/tiering.md: every policy on every trace of a directory, at three price lists.

    make bench-tiering TRACES=DIRECTORY

TRACES holds Parquet or CSV files as `stratum simulate` takes them. Prints Markdown: per price list
one row a trace, cost in multiples of the optimum, then the geometric mean and the worst.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

LISTS = ("self-hosted", "s3-list-prices", "cloud-volumes")
MEAN_MAX, WORST_MAX = 1.20, 1.42
"""What the hazard table promises at the default prices."""


def simulated(traces: list[Path], prices: str) -> dict:
    """What `stratum simulate --format json` says."""
    named = [argument for trace in traces for argument in ("--trace", str(trace))]
    with tempfile.TemporaryDirectory() as data:
        command = [sys.executable, "-m", "stratum", "simulate", "--data", data, *named]
        ended = subprocess.run(
            [*command, "--prices", prices, "--format", "json"],
            stdout=subprocess.PIPE,
            check=True,
        )
    return json.loads(ended.stdout)


def table(document: dict) -> str:
    """Markdown: multiples of the optimum."""
    names = [each["policy"] for each in document["summary"]]
    lines = ["| trace | " + " | ".join(f"`{name}`" for name in names) + " |"]
    lines.append("|---|" + "---:|" * len(names))
    for trace in document["traces"]:
        ratios = [f"{each['ratio']:.2f}" for each in trace["policies"]]
        lines.append(f"| {Path(trace['trace']).stem} | " + " | ".join(ratios) + " |")
    for label, key in (("geometric mean", "ratio_mean"), ("worst", "ratio_worst")):
        cells = [f"**{each[key]:.2f}**" for each in document["summary"]]
        lines.append(f"| **{label}** | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def verdict(document: dict) -> str:
    """How the hazard table compares, in one line."""
    summary = {each["policy"]: each for each in document["summary"]}
    hazard, idle = summary["hazard"], summary["idle-30-90"]
    saved = 1 - hazard["ratio_mean"] / idle["ratio_mean"]
    dearer = [
        Path(trace["trace"]).stem
        for trace in document["traces"]
        for costs in [{each["policy"]: each["cost"] for each in trace["policies"]}]
        if costs["hazard"] > costs["break-even"]
    ]
    than = f"dearer than break-even on {', '.join(dearer)}" if dearer else "never dearer than it"
    return (
        f"hazard: {hazard['ratio_mean']:.3f} on the mean, {hazard['ratio_worst']:.3f} at worst;"
        f" {saved:.0%} cheaper than idle-30-90 on the mean; {than}"
    )


def main() -> int:
    """Ends with 1 if the default prices don't give what is promised."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("traces", type=Path)
    folder = parser.parse_args().traces
    traces = sorted(path for path in folder.glob("*") if path.suffix in (".parquet", ".csv"))
    if not traces:
        print(f"{folder}: no *.parquet or *.csv", file=sys.stderr)
        return 2
    kept = True
    for prices in LISTS:
        document = simulated(traces, prices)
        print(f"### {prices}\n\n{table(document)}\n\n{verdict(document)}\n", flush=True)
        if prices == LISTS[0]:
            (hazard,) = (each for each in document["summary"] if each["policy"] == "hazard")
            kept = hazard["ratio_mean"] <= MEAN_MAX and hazard["ratio_worst"] <= WORST_MAX
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
