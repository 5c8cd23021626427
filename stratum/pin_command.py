"""`stratum tier pin`, `unpin` and `pins`: keys that stay in one tier, whatever the policy says."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Mapping
from dataclasses import asdict

import trio

from stratum.adapters.admin_client import call_server
from stratum.adapters.identity import root_credentials
from stratum.adapters.journal_reader import open_journal_readonly
from stratum.app.config import Config
from stratum.commands import bucket_and_prefix
from stratum.domain.names import bucket_name
from stratum.domain.pin import pin_prefix

PATH = "/_stratum/api/pin"


def add_parsers(
    actions: argparse._SubParsersAction[argparse.ArgumentParser],
    listing: argparse.ArgumentParser,
) -> None:
    """Add the three actions to those of `stratum tier`."""
    setting = actions.add_parser(
        "pin", parents=[listing], help="keep all keys with a prefix in one tier"
    )
    setting.add_argument("url", metavar="s3://BUCKET[/PREFIX]")
    setting.add_argument("tier", choices=("hot", "warm", "cold"))
    setting.add_argument("--why", default="", metavar="TEXT", help="the reason, for the record")
    setting.set_defaults(run=pin)
    removing = actions.add_parser("unpin", parents=[listing], help="leave them to the policy again")
    removing.add_argument("url", metavar="s3://BUCKET[/PREFIX]")
    removing.set_defaults(run=unpin)
    actions.add_parser("pins", parents=[listing], help="all pins").set_defaults(run=pins)


async def pin(config: Config, options: argparse.Namespace) -> int:
    bucket, prefix = _target(options.url)
    parameters = {"bucket": bucket, "prefix": prefix, "tier": options.tier, "why": options.why}
    answer = await _call(config, "POST", parameters)
    said = f"pinned s3://{bucket}/{prefix} to {options.tier}; what lies elsewhere moves there"
    print(json.dumps(answer, indent=2) if options.format == "json" else said)
    return 0


async def unpin(config: Config, options: argparse.Namespace) -> int:
    bucket, prefix = _target(options.url)
    answer = await _call(config, "DELETE", {"bucket": bucket, "prefix": prefix})
    said = f"s3://{bucket}/{prefix} is no longer pinned"
    print(json.dumps(answer, indent=2) if options.format == "json" else said)
    return 0


async def pins(config: Config, options: argparse.Namespace) -> int:
    """Reads the catalog beside a running server, or without one."""
    async with open_journal_readonly(config.journal) as journal:
        found = await journal.query(lambda catalog: catalog.pins())
    if options.format == "json":
        print(json.dumps([asdict(each) for each in found], indent=2, ensure_ascii=False))
    else:
        for each in found:
            print(each.describe())
    return 0


def _target(url: str) -> tuple[str, str]:
    bucket, prefix = bucket_and_prefix(url)
    return bucket_name(bucket), pin_prefix(prefix)


async def _call(config: Config, method: str, parameters: Mapping[str, str]) -> object:
    root = root_credentials(config.data, os.environ, create=False)
    answer: object = await trio.to_thread.run_sync(
        lambda: call_server(config.data, root, config.region, method, PATH, parameters)
    )
    return answer
