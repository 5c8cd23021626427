"""`stratum scrub` and `stratum disk replace`: reading all shards, and writing lost ones again."""

from __future__ import annotations

import argparse
import json
import os
import sys
from dataclasses import asdict, replace
from pathlib import Path

import trio

from stratum import compose
from stratum.adapters.admin_client import follow_server, server_url
from stratum.adapters.identity import root_credentials, uuid7_source
from stratum.app.config import Config
from stratum.app.replacement import begin_replacement, end_replacement
from stratum.app.scrubber import Place, Progress, Scrubber, ShardFinding
from stratum.app.status import counted, human_bytes
from stratum.compose_disks import open_disks
from stratum.domain.errors import InvalidArgument, Unavailable

EXIT_FINDINGS = 1


def add_parsers(
    subparsers: argparse._SubParsersAction[argparse.ArgumentParser],
    listing: argparse.ArgumentParser,
) -> None:
    """`scrub` and `disk`."""
    scrub = subparsers.add_parser(
        "scrub", parents=[listing], help="read and verify every shard; with --repair mend them"
    )
    scrub.add_argument(
        "--repair", action="store_true", help="write missing and corrupt shards again"
    )
    scrub.set_defaults(run=run_scrub)
    disk = subparsers.add_parser("disk", help="replace a disk")
    actions = disk.add_subparsers(dest="action", required=True, metavar="ACTION")
    replacement = actions.add_parser(
        "replace", parents=[listing], help="put an empty disk in the place of another"
    )
    replacement.add_argument("old", metavar="OLD", help="its directory, as configured")
    replacement.add_argument("new", metavar="NEW", help="an empty directory; may be the same path")
    replacement.set_defaults(run=run_replace)


async def run_scrub(config: Config, options: argparse.Namespace) -> int:
    """Verifying reads beside a running server; repairing is left to it, if there is one."""
    output = _Output(options.format)
    if options.repair and server_url(config.data):
        root = root_credentials(config.data, os.environ, create=False)

        def follow() -> None:
            path, parameters = "/_stratum/api/scrub", {"repair": "true"}
            for document in follow_server(
                config.data, root, config.region, "POST", path, parameters
            ):
                if "kind" in document:
                    output.show(ShardFinding(**document))
                else:
                    output.show(Progress(**document))

        await trio.to_thread.run_sync(follow, abandon_on_cancel=True)
    else:
        async with compose.open_scrubber(config, repair=options.repair) as (_, scrubber):
            await _follow(scrubber, output, repair=options.repair)
    return output.end()


async def run_replace(config: Config, options: argparse.Namespace) -> int:
    """Needs the journal for itself: a running server has the old disk open."""
    if server_url(config.data):
        raise Unavailable("The server is running: stop it to replace a disk")
    old, new = _absolute(options.old), _absolute(options.new)
    place = _place_of(config, old, new)
    if not _is_usable(new):
        raise InvalidArgument(f"{new} is not empty")
    paths = list(config.disks[place.tier])
    paths[place.index] = new
    changed = replace(config, disks={**config.disks, place.tier: tuple(paths)})
    output = _Output(options.format)
    async with compose.open_scrubber(changed, repair=True) as (journal, scrubber):
        disk = open_disks(changed, own=True)[place.tier][place.index]
        new_id = uuid7_source(compose.now_ms)
        await begin_replacement(journal, disk, place.tier, place.index, new_id)
        await _follow(scrubber, output, repair=True, only=place)
        if not output.left:
            await end_replacement(disk)
    if new != _absolute(config.disks[place.tier][place.index]) and options.format == "text":
        print(f"in tiers.{place.tier}.disks of the configuration, write {new} instead of {old}")
    return output.end()


def _place_of(config: Config, old: Path, new: Path) -> Place:
    """Where OLD is configured; or NEW, if the configuration names it already."""
    found = {
        _absolute(path): Place(tier, index)
        for tier, paths in config.disks.items()
        for index, path in enumerate(paths)
    }
    if old in found:
        if new != old and new in found:
            raise InvalidArgument(f"{new} is a disk of this store already")
        return found[old]
    if new in found:
        return found[new]
    raise InvalidArgument(f"{old} is no disk of this store: it has {', '.join(map(str, found))}")


def _absolute(path: str | Path) -> Path:
    return Path(os.path.abspath(path))


def _is_usable(new: Path) -> bool:
    """Empty, or labelled: then the label says whether it is the one we began with."""
    return (new / "label.json").exists() or not any(each.is_file() for each in new.rglob("*"))


async def _follow(
    scrubber: Scrubber, output: _Output, *, repair: bool, only: Place | None = None
) -> None:
    async with scrubber.run(repair=repair, only=only) as steps:
        async for step in steps:
            output.show(step)


class _Output:
    """Prints findings as they come, and progress where there is a terminal."""

    def __init__(self, form: str) -> None:
        self._json = form == "json"
        self._found = self.left = 0
        self._last = Progress(0, 0, 0)
        self._shows_progress = sys.stderr.isatty()

    def show(self, step: ShardFinding | Progress) -> None:
        if isinstance(step, Progress):
            self._last = step
            if self._shows_progress:
                size = human_bytes(step.read_bytes)
                line = f"\r{step.volumes} of {step.volumes_total} volumes, {size} read"
                print(line, end="", file=sys.stderr, flush=True)
            return
        self._found += 1
        self.left += not step.repaired
        if self._json:
            print(json.dumps(asdict(step), ensure_ascii=False), flush=True)
        else:
            done = " (repaired)" if step.repaired else ""
            print(f"{step.kind}: {step.subject}: {step.detail}{done}", flush=True)

    def end(self) -> int:
        """The last line; returns the exit code."""
        if self._shows_progress:
            print(file=sys.stderr)
        if not self._json:
            volumes = counted(self._last.volumes, "volume")
            size = human_bytes(self._last.read_bytes)
            repaired = self._found - self.left
            print(f"{volumes} looked at, {size} read: {self._found} findings, {repaired} repaired")
        return EXIT_FINDINGS if self.left else 0
