"""The command line: arguments in, exit code out. 0 good, 1 findings, 2 usage or not reachable."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import trio

from stratum import (
    __version__,
    commands,
    kms_command,
    pin_command,
    recover_command,
    scrub_command,
    simulate_command,
    undo_command,
    user_command,
)
from stratum.app.config import Config, load_config
from stratum.domain.errors import StratumError

EXIT_USAGE = 2
EXIT_INTERRUPTED = 130
DATA_DEFAULT = "stratum-data"


def run(arguments: Sequence[str]) -> int:
    """Run one command and return its exit code."""
    parser = make_parser()
    options = parser.parse_args(arguments)
    logging.basicConfig(
        level=logging.INFO if options.command == "serve" else logging.ERROR,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
        stream=sys.stderr,
    )
    try:
        code = int(trio.run(options.run, _config(options), options))
        sys.stdout.flush()
        return code
    except BrokenPipeError:
        # Whoever read our output has seen enough. Python would complain at exit once more.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (StratumError, OSError, BaseExceptionGroup, KeyboardInterrupt) as raised:
        error = _innermost(raised)
        if isinstance(error, KeyboardInterrupt):
            return EXIT_INTERRUPTED
        if not isinstance(error, StratumError | OSError):
            raise
        print(f"stratum: {error}", file=sys.stderr)
        return error.exit_code if isinstance(error, StratumError) else EXIT_USAGE


def _innermost(error: BaseException) -> BaseException:
    """Nurseries wrap what their tasks raise, one group for each."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def _config(options: argparse.Namespace) -> Config:
    data = Path(options.data or os.environ.get("STRATUM_DATA", DATA_DEFAULT))
    file = options.config or os.environ.get("STRATUM_CONFIG")
    flags = {"server.listen": options.listen} if getattr(options, "listen", None) else {}
    return load_config(data, Path(file) if file else None, os.environ, flags)


def make_parser() -> argparse.ArgumentParser:
    """All commands with their help."""
    parser = argparse.ArgumentParser(
        prog="stratum", description="Self-hosted S3 object store that tiers by itself."
    )
    parser.add_argument("--version", action="version", version=f"stratum {__version__}")
    subparsers = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--data", metavar="DIR", help=f"data directory (default {DATA_DEFAULT})")
    common.add_argument(
        "--config", metavar="FILE", help="configuration file (default DIR/stratum.toml)"
    )
    listing = argparse.ArgumentParser(add_help=False, parents=[common])
    listing.add_argument("--format", choices=("text", "json"), default="text")

    serve = subparsers.add_parser("serve", parents=[common], help="run the server")
    serve.add_argument("--listen", metavar="HOST:PORT", help="address of the S3 endpoint")
    serve.set_defaults(run=commands.serve)

    status = subparsers.add_parser(
        "status", parents=[listing], help="tiers, disks, redundancy, moves and journal"
    )
    status.set_defaults(run=commands.status)

    explain = subparsers.add_parser(
        "explain", parents=[listing], help="why an object is in its tier, and what comes next"
    )
    explain.add_argument("url", metavar="s3://BUCKET/KEY")
    explain.add_argument("--version-id", metavar="ID")
    explain.set_defaults(run=commands.explain)

    _add_audit(subparsers, listing)
    _add_replay(subparsers, listing)
    simulate_command.add_parser(subparsers, listing)
    scrub_command.add_parsers(subparsers, listing)
    recover_command.add_parser(subparsers, listing)

    tier = subparsers.add_parser("tier", help="move objects by hand, pin them to tiers")
    actions = tier.add_subparsers(dest="action", required=True, metavar="ACTION")
    move = actions.add_parser("move", parents=[listing], help="move an object to a tier")
    move.add_argument("url", metavar="s3://BUCKET/KEY")
    move.add_argument("--to", required=True, choices=("hot", "warm", "cold"))
    move.set_defaults(run=commands.tier_move)
    pin_command.add_parsers(actions, listing)
    undo_command.add_parser(actions, listing)
    user_command.add_parsers(subparsers, listing)
    kms_command.add_parsers(subparsers, listing)
    return parser


def _add_audit(
    subparsers: argparse._SubParsersAction[argparse.ArgumentParser],
    listing: argparse.ArgumentParser,
) -> None:
    audit = subparsers.add_parser(
        "audit", parents=[listing], help="the events, oldest first; or verify everything"
    )
    audit.add_argument("url", nargs="?", default="", metavar="s3://BUCKET[/PREFIX]")
    audit.add_argument("--since", metavar="TIME", help="ISO 8601, or Unix seconds")
    audit.add_argument("--until", metavar="TIME")
    audit.add_argument("--type", default="", metavar="NAME", help="for example TierDecided")
    audit.add_argument(
        "--verify",
        action="store_true",
        help="check the hash chain, journal against catalog, catalog against disks and remote",
    )
    audit.add_argument(
        "--anchor-key", metavar="HEX", help="with --verify: trust anchors of this public key only"
    )
    audit.set_defaults(run=commands.audit)


def _add_replay(
    subparsers: argparse._SubParsersAction[argparse.ArgumentParser],
    listing: argparse.ArgumentParser,
) -> None:
    replay = subparsers.add_parser(
        "replay", parents=[listing], help="the state at a time, rebuilt from events alone"
    )
    point = replay.add_mutually_exclusive_group()
    point.add_argument("--at", metavar="TIME", help="ISO 8601, or Unix seconds")
    point.add_argument("--seq", type=int, metavar="N", help="after event number N")
    replay.add_argument("--out", metavar="FILE", help="write the state as a SQLite database")
    replay.add_argument(
        "--verify", action="store_true", help="compare the rebuilt state with the live catalog"
    )
    replay.add_argument(
        "--decisions",
        action="store_true",
        help="derive every tier decision again from its record and compare bit for bit",
    )
    replay.set_defaults(run=commands.replay)
