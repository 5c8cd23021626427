"""`stratum user` and `stratum key`: who may use the store, and with which keys.

A running server does the work, so that it knows at once; without one the command opens the
identities itself, which keeps servers away meanwhile.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Awaitable, Callable
from typing import Any

import trio

from stratum import compose
from stratum.adapters.admin_client import call_server, server_url
from stratum.adapters.identity import ROOT, root_credentials
from stratum.adapters.journal import open_journal
from stratum.adapters.web.identity_control import (
    KEYS_PATH,
    USERS_PATH,
    account_document,
    issued_document,
    list_users,
)
from stratum.app.config import Config
from stratum.app.identities import Identities
from stratum.domain.errors import InvalidArgument

Alone = Callable[[Identities], Awaitable[Any]]


def add_parsers(
    subparsers: argparse._SubParsersAction[argparse.ArgumentParser],
    listing: argparse.ArgumentParser,
) -> None:
    """`user` and `key`."""
    pair = argparse.ArgumentParser(add_help=False, parents=[listing])
    pair.add_argument("--access-key-id", metavar="K", help="bring your own; needs the secret too")
    pair.add_argument("--secret-access-key", metavar="S")

    user = subparsers.add_parser("user", help="users besides the root")
    actions = user.add_subparsers(dest="action", required=True, metavar="ACTION")
    adding = actions.add_parser("add", parents=[pair], help="a new user with an access key")
    adding.add_argument("name", metavar="NAME")
    adding.add_argument("--email", default="", metavar="E", help="ACLs can grant to it")
    adding.add_argument("--id", default="", metavar="ID", help="of a user that was lost")
    adding.add_argument("--account", default="", metavar="NUMBER", help="of a user that was lost")
    adding.set_defaults(run=add_user)
    actions.add_parser("list", parents=[listing], help="all users and their keys").set_defaults(
        run=show_users
    )
    removing = actions.add_parser("remove", parents=[listing], help="a user who owns no buckets")
    removing.add_argument("name", metavar="NAME")
    removing.set_defaults(run=remove_user)

    key = subparsers.add_parser("key", help="access keys of users")
    actions = key.add_subparsers(dest="action", required=True, metavar="ACTION")
    adding = actions.add_parser("add", parents=[pair], help="another access key for a user")
    adding.add_argument("name", metavar="NAME")
    adding.set_defaults(run=add_key)
    showing = actions.add_parser("list", parents=[listing], help="the access keys of a user")
    showing.add_argument("name", metavar="NAME")
    showing.set_defaults(run=show_keys)
    removing = actions.add_parser("remove", parents=[listing], help="take an access key away")
    removing.add_argument("name", metavar="NAME")
    removing.add_argument("access_key_id", metavar="ACCESS_KEY_ID")
    removing.set_defaults(run=remove_key)


async def add_user(config: Config, options: argparse.Namespace) -> int:
    pair = _pair(options)

    async def alone(identities: Identities) -> Any:
        known = (options.id, options.account)
        issued = await identities.add_user(ROOT, options.name, options.email, pair, known)
        return issued_document(issued)

    given = {
        "name": options.name,
        "email": options.email,
        "id": options.id,
        "account": options.account,
        **_pair_document(pair),
    }
    answer = await _ask(config, "POST", USERS_PATH, given, alone)
    return _say(options, answer, _issued_text(answer))


async def show_users(config: Config, options: argparse.Namespace) -> int:
    users = await _users(config)
    return _say(options, users, "\n".join(_user_text(user) for user in users))


async def remove_user(config: Config, options: argparse.Namespace) -> int:
    async def alone(identities: Identities) -> Any:
        return account_document(await identities.remove_user(ROOT, options.name))

    answer = await _ask(config, "DELETE", USERS_PATH, {"name": options.name}, alone)
    return _say(options, answer, f"removed {answer['name']} with all access keys")


async def add_key(config: Config, options: argparse.Namespace) -> int:
    pair = _pair(options)

    async def alone(identities: Identities) -> Any:
        return issued_document(await identities.add_key(ROOT, options.name, pair))

    given = {"name": options.name, **_pair_document(pair)}
    answer = await _ask(config, "POST", KEYS_PATH, given, alone)
    return _say(options, answer, _issued_text(answer))


async def show_keys(config: Config, options: argparse.Namespace) -> int:
    name = options.name.casefold()
    for user in await _users(config):
        if user["name"].casefold() == name:
            keys = user["access_keys"]
            return _say(options, keys, "\n".join(key["access_key_id"] for key in keys))
    raise InvalidArgument(f"There is no user {options.name!r}")


async def remove_key(config: Config, options: argparse.Namespace) -> int:
    async def alone(identities: Identities) -> Any:
        account = await identities.remove_key(ROOT, options.name, options.access_key_id)
        return {**account_document(account), "access_key_id": options.access_key_id}

    given = {"name": options.name, "access_key_id": options.access_key_id}
    answer = await _ask(config, "DELETE", KEYS_PATH, given, alone)
    return _say(options, answer, f"removed {answer['access_key_id']} of {answer['name']}")


async def _users(config: Config) -> Any:
    async def alone(identities: Identities) -> Any:
        return list_users(identities)

    return await _ask(config, "GET", USERS_PATH, {}, alone)


async def _ask(config: Config, method: str, path: str, given: dict[str, str], alone: Alone) -> Any:
    """Have the running server do it, or without one do it here."""
    running = server_url(config.data) is not None
    root = root_credentials(config.data, os.environ, create=not running)
    if not running:
        # The journal's lock keeps servers away meanwhile.
        async with (
            open_journal(config.journal, compose.now_ms) as journal,
            compose.open_identities_of(config, journal, root) as identities,
        ):
            return await alone(identities)
    body = json.dumps(given).encode() if given else b""
    return await trio.to_thread.run_sync(
        lambda: call_server(config.data, root, config.region, method, path, {}, body)
    )


def _pair(options: argparse.Namespace) -> tuple[str, str] | None:
    if bool(options.access_key_id) != bool(options.secret_access_key):
        raise InvalidArgument("--access-key-id and --secret-access-key belong together")
    return (options.access_key_id, options.secret_access_key) if options.access_key_id else None


def _pair_document(pair: tuple[str, str] | None) -> dict[str, str]:
    return {"access_key_id": pair[0], "secret_access_key": pair[1]} if pair else {}


def _issued_text(issued: dict[str, str]) -> str:
    names = ("name", "id", "access_key_id", "secret_access_key")
    return "\n".join(f"{name:17} {issued[name]}" for name in names)


def _user_text(user: dict[str, Any]) -> str:
    keys = " ".join(key["access_key_id"] for key in user["access_keys"])
    return f"{user['name']:20} {user['id']} {user['account']} {user['email'] or '-':24} {keys}"


def _say(options: argparse.Namespace, answer: Any, text: str) -> int:
    print(json.dumps(answer, indent=2, ensure_ascii=False) if options.format == "json" else text)
    return 0
