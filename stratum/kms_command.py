"""`stratum kms`: the keys of server-side encryption. They are in a file that the command changes
by itself; a running server notices."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence

from stratum.adapters.key_file import NamedKey
from stratum.app.config import Config
from stratum.compose import now_ms
from stratum.compose_encryption import open_key_file


def add_parsers(
    subparsers: argparse._SubParsersAction[argparse.ArgumentParser],
    listing: argparse.ArgumentParser,
) -> None:
    """Add `kms` with its actions."""
    kms = subparsers.add_parser("kms", help="keys of server-side encryption (SSE-KMS, SSE-S3)")
    actions = kms.add_subparsers(dest="action", required=True, metavar="ACTION")
    adding = actions.add_parser("add", parents=[listing], help="make new keys")
    adding.add_argument("names", nargs="+", metavar="NAME")
    adding.set_defaults(run=add)
    rotating = actions.add_parser(
        "rotate", parents=[listing], help="give a key a new version; older objects stay readable"
    )
    rotating.add_argument("name", metavar="NAME")
    rotating.set_defaults(run=rotate)
    actions.add_parser(
        "list", parents=[listing], help="all keys, without their secrets"
    ).set_defaults(run=show)


async def add(config: Config, options: argparse.Namespace) -> int:
    keys = open_key_file(config, now_ms)
    _print([keys.add(name) for name in options.names], options.format)
    return 0


async def rotate(config: Config, options: argparse.Namespace) -> int:
    _print([open_key_file(config, now_ms).rotate(options.name)], options.format)
    return 0


async def show(config: Config, options: argparse.Namespace) -> int:
    _print(open_key_file(config, now_ms).all_keys(), options.format)
    return 0


def _print(keys: Sequence[NamedKey], form: str) -> None:
    if form == "json":
        print(json.dumps([_document(key) for key in keys], indent=2, ensure_ascii=False))
        return
    for key in keys:
        count = len(key.versions)
        versions = f"{count} version{'s' if count > 1 else ''}"
        print(
            f"{key.name:30} {versions:12} newest {key.versions[0].short_id}  since {key.created_at}"
        )


def _document(key: NamedKey) -> dict[str, object]:
    """`versions` are ids, the newest first; they tell nothing of the secrets."""
    versions = [version.id.hex() for version in key.versions]
    return {"name": key.name, "created_at": key.created_at, "versions": versions}
