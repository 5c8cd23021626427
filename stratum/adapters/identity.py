"""Ids, secrets, and the root's credentials."""

from __future__ import annotations

import hashlib
import os
import secrets
import threading
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from stratum.adapters.durable_file import write_durably
from stratum.domain.errors import InvalidConfig
from stratum.domain.identity import AccessKey, Account, Identity
from stratum.domain.names import Caller
from stratum.ports import NewId, NowMs

CREDENTIALS_FILE = "root-credentials.toml"
ACCESS_KEY_LENGTH = 20
SECRET_LENGTH_BYTES = 30
_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"

ROOT = Caller(hashlib.sha256(b"stratum root").hexdigest(), "root")
"""The account of whoever runs the server: its canonical id has the form of Amazon's."""
ROOT_ACCOUNT = Account(ROOT.id, "000000000000", ROOT.name)


def uuid7_source(now_ms: NowMs, random_bytes: Callable[[int], bytes] = os.urandom) -> NewId:
    """UUIDs version 7 (RFC 9562 §5.7) as hex, strictly ascending within this source.

    The 12 bits after the time count within a millisecond (§6.2 method 1), so that volumes
    written one after the other are neighbours in every index.
    """
    lock = threading.Lock()
    last_ms, counter = 0, 0

    def new_id() -> str:
        nonlocal last_ms, counter
        with lock:
            at_ms = now_ms()
            if at_ms > last_ms:
                last_ms, counter = at_ms, 0
            else:
                counter += 1
                if counter == 1 << 12:
                    last_ms, counter = last_ms + 1, 0
            high = last_ms << 16 | 0x7 << 12 | counter
        low = int.from_bytes(random_bytes(8)) & (1 << 62) - 1 | 1 << 63
        return f"{high:016x}{low:016x}"

    return new_id


@dataclass(frozen=True)
class RootCredentials:
    access_key_id: str
    secret_access_key: str = field(repr=False)
    path: Path | None = None
    """The file they are kept in; None if they came from the environment."""
    is_new: bool = False

    def identities(self) -> Sequence[Identity]:
        """The root's account and its key."""
        key = AccessKey(self.access_key_id, self.secret_access_key, ROOT_ACCOUNT.id)
        return [ROOT_ACCOUNT, key]


class RandomMint:
    """Implements `app.identities.Mint` with the system's random numbers."""

    def canonical_id(self) -> str:
        return secrets.token_hex(32)

    def account_number(self) -> str:
        return str(10**11 + secrets.randbelow(9 * 10**11))

    def access_key_id(self, prefix: str = "") -> str:
        length = ACCESS_KEY_LENGTH - len(prefix)
        return prefix + "".join(secrets.choice(_ALPHABET) for _ in range(length))

    def entity_id(self, prefix: str) -> str:
        return self.access_key_id(prefix)

    def secret(self) -> str:
        return secrets.token_urlsafe(SECRET_LENGTH_BYTES)


def root_credentials(
    data: Path, environ: Mapping[str, str], *, create: bool = True
) -> RootCredentials:
    """The root's credentials: from the environment, else from DATA, else made and kept there.

    Raises InvalidConfig if one of the two variables is missing, the file is damaged, or there is
    none and `create` is off.
    """
    key, secret = (
        environ.get(f"STRATUM_ROOT_{name}", "") for name in ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY")
    )
    if bool(key) != bool(secret):
        raise InvalidConfig(
            "STRATUM_ROOT_ACCESS_KEY_ID and STRATUM_ROOT_SECRET_ACCESS_KEY belong together"
        )
    if key:
        return RootCredentials(key, secret)
    path = data / CREDENTIALS_FILE
    if path.exists():
        try:
            stored = tomllib.loads(path.read_text())
            return RootCredentials(stored["access_key_id"], stored["secret_access_key"], path)
        except (OSError, ValueError, KeyError) as error:
            raise InvalidConfig(f"{path} can't be read: {error}") from error
    if not create:
        raise InvalidConfig(f"There are no credentials: {path} does not exist")
    key, secret = RandomMint().access_key_id(), RandomMint().secret()
    write_durably(path, f'access_key_id = "{key}"\nsecret_access_key = "{secret}"\n')
    return RootCredentials(key, secret, path, is_new=True)
