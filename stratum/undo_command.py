"""`stratum tier undo`: bring back what a batch of moves took away."""

from __future__ import annotations

import argparse
import json
import os

import trio

from stratum import compose
from stratum.adapters.admin_client import follow_server
from stratum.adapters.identity import root_credentials
from stratum.app.config import Config
from stratum.app.undo import KEPT
from stratum.commands import bucket_and_prefix, time_ms

PATH = "/_stratum/api/undo"


def add_parser(
    actions: argparse._SubParsersAction[argparse.ArgumentParser],
    listing: argparse.ArgumentParser,
) -> None:
    """Add the action to those of `stratum tier`."""
    parser = actions.add_parser(
        "undo", parents=[listing], help="bring back what was moved in a time"
    )
    parser.add_argument("url", nargs="?", default="", metavar="s3://BUCKET[/PREFIX]")
    parser.add_argument("--since", required=True, metavar="TIME", help="ISO 8601, or Unix seconds")
    parser.add_argument("--until", metavar="TIME", help="default now")
    parser.add_argument(
        "--policy", default="", metavar="NAME", help="only its decisions, such as break-even"
    )
    parser.add_argument("--why", default="", metavar="TEXT", help="the reason, for the record")
    parser.add_argument("--dry-run", action="store_true", help="only say what would be done")
    parser.set_defaults(run=undo)


async def undo(config: Config, options: argparse.Namespace) -> int:
    bucket, prefix = bucket_and_prefix(options.url)
    until_ms = time_ms(options.until)
    parameters = {
        "since_ms": str(time_ms(options.since)),
        "until_ms": str(compose.now_ms() + 1 if until_ms is None else until_ms),
        "bucket": bucket,
        "prefix": prefix,
        "policy": options.policy,
        "why": options.why,
        "dry_run": "true" if options.dry_run else "false",
    }
    root = root_credentials(config.data, os.environ, create=False)

    def follow() -> None:
        back = kept = 0
        for step in follow_server(config.data, root, config.region, "POST", PATH, parameters):
            if step["outcome"] == KEPT:
                kept += 1
            else:
                back += 1
            if options.format == "json":
                print(json.dumps(step, ensure_ascii=False), flush=True)
            else:
                reason = f": {step['detail']}" if step["detail"] else ""
                url = f"s3://{step['bucket']}/{step['key']}"
                where = f"{step['source']} → {step['target']}"
                print(f"{url}: {where}, {step['outcome']}{reason}", flush=True)
        if options.format == "text":
            verb = "would move back" if options.dry_run else "move back"
            print(f"{back} {verb}, {kept} kept")

    await trio.to_thread.run_sync(follow, abandon_on_cancel=True)
    return 0
