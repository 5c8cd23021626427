"""Commands on users and access keys, under `/_stratum/api/users`; for the root only.

Arguments come as JSON in a body whose SHA-256 is signed: a secret in a query would end up in the
logs of proxies.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

from quart import Response, jsonify, request
from quart_trio import QuartTrio

from stratum.adapters.s3.errors import S3Error
from stratum.adapters.s3.signature import signatures_equal
from stratum.adapters.web.control import operator
from stratum.adapters.web.front import Access
from stratum.app.identities import Identities, Issued
from stratum.domain.identity import AccessKey, Account
from stratum.domain.names import Caller
from stratum.ports import NowMs

USERS_PATH = "/_stratum/api/users"
KEYS_PATH = "/_stratum/api/keys"


def add_identity_commands(
    app: QuartTrio, identities: Identities, access: Access, now_ms: NowMs
) -> None:
    """Add the commands to the control plane."""

    async def called() -> tuple[Caller, dict[str, Any]]:
        caller, who = operator(access, now_ms() // 1000)
        body = await request.get_data()
        assert isinstance(body, bytes)
        if not signatures_equal(hashlib.sha256(body).hexdigest(), who.payload_sha256 or ""):
            raise S3Error("XAmzContentSHA256Mismatch")
        return caller, _arguments(body)

    @app.get(USERS_PATH)
    async def users() -> Response:
        operator(access, now_ms() // 1000)
        return jsonify(list_users(identities))

    @app.post(USERS_PATH)
    async def add_user() -> Response:
        caller, given = await called()
        issued = await identities.add_user(
            caller,
            given.get("name", ""),
            given.get("email", ""),
            _pair(given),
            (given.get("id", ""), given.get("account", "")),
        )
        return jsonify(issued_document(issued))

    @app.delete(USERS_PATH)
    async def remove_user() -> Response:
        caller, given = await called()
        return jsonify(
            account_document(await identities.remove_user(caller, given.get("name", "")))
        )

    @app.post(KEYS_PATH)
    async def add_key() -> Response:
        caller, given = await called()
        issued = await identities.add_key(caller, given.get("name", ""), _pair(given))
        return jsonify(issued_document(issued))

    @app.delete(KEYS_PATH)
    async def remove_key() -> Response:
        caller, given = await called()
        removed = given.get("access_key_id", "")
        account = await identities.remove_key(caller, given.get("name", ""), removed)
        return jsonify({**account_document(account), "access_key_id": removed})


def list_users(identities: Identities) -> list[dict[str, object]]:
    """All users with their access keys, without secrets."""
    directory = identities.directory
    return [
        {
            **account_document(account),
            "access_keys": [_key_document(key) for key in directory.keys_of(account)],
        }
        for account in directory.accounts()
    ]


def issued_document(issued: Issued) -> dict[str, object]:
    """A new key with its user: the one time the secret is shown."""
    return {
        **account_document(issued.account),
        "access_key_id": issued.key.id,
        "secret_access_key": issued.key.secret,
    }


def account_document(account: Account) -> dict[str, object]:
    return {
        "name": account.name,
        "id": account.id,
        "account": account.number,
        "email": account.email,
        "created_at_ms": account.created_at_ms,
    }


def _key_document(key: AccessKey) -> dict[str, object]:
    return {"access_key_id": key.id, "created_at_ms": key.created_at_ms}


def _arguments(body: bytes) -> dict[str, Any]:
    try:
        given = json.loads(body or b"{}")
    except ValueError:
        given = None
    if not isinstance(given, dict) or not all(isinstance(v, str) for v in given.values()):
        raise S3Error("InvalidArgument", "The body is a JSON object of texts")
    return given


def _pair(given: dict[str, str]) -> tuple[str, str] | None:
    """Id and secret of a key the user brings along, if any."""
    if "access_key_id" not in given and "secret_access_key" not in given:
        return None
    try:
        return given["access_key_id"], given["secret_access_key"]
    except KeyError:
        raise S3Error(
            "InvalidArgument", "access_key_id and secret_access_key belong together"
        ) from None
