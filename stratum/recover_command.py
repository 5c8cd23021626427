"""`stratum recover`: the journal made again after the metadata directory was lost."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from datetime import UTC, datetime

import trio

from stratum.adapters.admin_client import server_url
from stratum.app.config import Config
from stratum.app.recover import Report
from stratum.app.status import counted
from stratum.compose_recover import recover_store
from stratum.domain.errors import Unavailable

EXIT_FINDINGS = 1
PROGRESS_INTERVAL_S = 0.2


def add_parser(
    subparsers: argparse._SubParsersAction[argparse.ArgumentParser],
    listing: argparse.ArgumentParser,
) -> None:
    """`recover`."""
    recover = subparsers.add_parser(
        "recover", parents=[listing], help="make the journal again after the metadata was lost"
    )
    recover.add_argument(
        "--replace", action="store_true", help="also if there is a journal; it is kept beside"
    )
    recover.set_defaults(run=run_recover)


async def run_recover(config: Config, options: argparse.Namespace) -> int:
    """Exit code 1 if an object could not be brought back."""
    if server_url(config.data):
        raise Unavailable("The server is running: stop it to recover its journal")
    progress = _Progress()
    report = await recover_store(config, replace=options.replace, progress=progress, warn=_warn)
    progress.end()
    if options.format == "json":
        print(json.dumps(asdict(report), indent=2, ensure_ascii=False))
    else:
        print("\n".join(_lines(report)))
    return EXIT_FINDINGS if report.unreadable else 0


def _lines(report: Report) -> list[str]:
    """For people."""
    lines = []
    if report.restored_seq:
        at = datetime.fromtimestamp(report.restored_at_ms / 1000, UTC).isoformat("T", "seconds")
        lines.append(f"{counted(report.restored_seq, 'event')} up to {at} from {report.source}")
        lines.append(
            "what happened after that and left no shard (deletions, settings, tags, decisions) is"
            " not known any more"
        )
    else:
        lines.append("no copy of the journal was found: its history up to now is lost")
    lines.append(
        f"newer than that, found on the disks: {counted(report.versions, 'version')},"
        f" {counted(report.parts, 'part')} of uploads, {counted(report.moves, 'move')};"
        f" {report.dropped} copies not taken"
    )
    lines += [f"did not answer: {place}" for place in report.absent]
    lines.append(f"{counted(report.objects, 'object version')} in the catalog")
    if report.unreadable:
        lines.append(f"! {report.unreadable} of them have too few shards to be read:")
        lines += [f"  {name}" for name in report.unreadable_names]
    return lines


class _Progress:
    """One line on the terminal, where there is one."""

    def __init__(self) -> None:
        self._shown_at = 0.0
        self._is_on = sys.stderr.isatty()

    def __call__(self, what: str, done: int) -> None:
        now = trio.current_time()
        if self._is_on and now >= self._shown_at + PROGRESS_INTERVAL_S:
            self._shown_at = now
            print(f"\r\x1b[K{what}: {done}", end="", file=sys.stderr, flush=True)

    def end(self) -> None:
        if self._is_on:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)


def _warn(text: str) -> None:
    print(text, file=sys.stderr)
