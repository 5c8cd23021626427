"""The master keys of the cold tier: they wrap the data key of every sealed object.

They lie outside the journal, in DATA or in the environment. Whoever has one can read what was
sealed with it; without it nobody can. Key material is never part of a message or a `repr`.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import logging
import os
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from stratum.adapters.durable_file import write_durably
from stratum.domain.errors import InvalidConfig

KEY_BYTES = 32
KEY_ID_BYTES = 16
FILE = "cold-master-key.toml"
VARIABLE = "STRATUM_COLD_MASTER_KEY"
PLAIN_FILE = "cold-not-encrypted"
"""There since the server first ran without encryption: some of what is in cold may be plain. That
is not left to the remote to say."""

RandomBytes = Callable[[int], bytes]

_ID_LABEL = b"stratum/cold-master-key/id"
_EXPLAINED = """\
# Data in the cold tier is encrypted with these keys: 32 bytes each, in base64, the newest first.
# Without them it is lost. Keep a copy of this file elsewhere, not in the cold tier.
# The first key encrypts; the others are for reading what they encrypted. Never remove one that
# is still in use.
"""

_PLAIN_EXPLAINED = """\
The server has run with tiers.cold.encrypt = false. While this file is here it also reads objects
in the cold tier that are not encrypted. Delete it once there are none.
"""

log = logging.getLogger("stratum.keys")


@dataclass(frozen=True)
class MasterKey:
    """256 bits. `id` names the key in the header of what it wrapped and tells nothing of it."""

    secret: bytes = field(repr=False)

    def __post_init__(self) -> None:
        assert len(self.secret) == KEY_BYTES

    @property
    def id(self) -> bytes:
        return hmac.digest(self.secret, _ID_LABEL, hashlib.sha256)[:KEY_ID_BYTES]

    @property
    def short_id(self) -> str:
        """For people."""
        return self.id.hex()[:8]


class Keyring:
    """Master keys, the newest first. `where` says for people where they are looked for."""

    def __init__(self, keys: Sequence[MasterKey], where: str) -> None:
        self.newest = keys[0] if keys else None
        self.where = where
        self._keys = {key.id: key for key in keys}

    def find(self, key_id: bytes) -> MasterKey | None:
        return self._keys.get(key_id)


def load_keyring(data: Path, environ: Mapping[str, str]) -> Keyring:
    """The keys of the environment, then those of the file; it may be that there are none.

    Raises InvalidConfig for what is no key and for a file that can't be read.
    """
    texts = [text.strip() for text in environ.get(VARIABLE, "").split(",") if text.strip()]
    keys = [parse_key(text, VARIABLE) for text in texts]
    path = data / FILE
    if path.exists():
        keys += _read(path)
    return Keyring(keys, f"{VARIABLE} or {path}" if texts else str(path))


def has_plain_copies(data: Path) -> bool:
    """Whether the cold tier may hold objects that are not encrypted."""
    return (data / PLAIN_FILE).exists()


def prepare_keys(
    data: Path,
    environ: Mapping[str, str],
    *,
    sealing: bool,
    in_use: bool,
    random_bytes: RandomBytes = os.urandom,
) -> str:
    """Make the master key if there is none yet; return what the operator must know.

    `in_use`: there are volumes in cold. Then a key that is not there has been lost or mislaid, and
    a new one in its place would hide that: InvalidConfig. One process at a time calls this, the
    one that holds the journal's lock.
    """
    if not sealing:
        if not has_plain_copies(data):
            write_durably(data / PLAIN_FILE, _PLAIN_EXPLAINED)
        return "data in the cold tier is not encrypted: tiers.cold.encrypt is false"
    keys = load_keyring(data, environ)
    is_new = keys.newest is None
    if is_new:
        if in_use and not has_plain_copies(data):
            raise InvalidConfig(
                f"There is data in the cold tier, but its master key is not in {keys.where}. Put"
                f" the file back, or set {VARIABLE}. If the key is lost for good, so is that data:"
                ' write a new key into the file (keys = ["…"], 32 bytes in base64) to go on'
                " without it."
            )
        key = base64.b64encode(random_bytes(KEY_BYTES)).decode()
        write_durably(data / FILE, f'{_EXPLAINED}keys = [\n    "{key}",\n]\n')
        keys = load_keyring(data, environ)
    assert keys.newest is not None
    place = VARIABLE if environ.get(VARIABLE) else data / FILE
    return (
        f"data in the cold tier is encrypted with the master key in {place}"
        f" (id {keys.newest.short_id}{', made just now' if is_new else ''}): keep a copy"
        " elsewhere, without it that data is lost"
    )


def _read(path: Path) -> list[MasterKey]:
    try:
        if path.stat().st_mode & 0o077:
            log.warning("%s can be read by others than its owner: chmod 600", path)
        texts = tomllib.loads(path.read_text())["keys"]
    except (OSError, ValueError, KeyError) as error:
        raise InvalidConfig(f"{path} can't be read: {error}") from error
    if not isinstance(texts, list) or not texts or not all(isinstance(text, str) for text in texts):
        raise InvalidConfig(f"{path}: `keys` is not a list of texts")
    return [parse_key(text, str(path)) for text in texts]


def parse_key(text: str, where: str) -> MasterKey:
    """A key in hexadecimal or base64, of either alphabet. What was given is never repeated."""
    try:
        if len(text) == 2 * KEY_BYTES:
            secret = bytes.fromhex(text)
        else:
            secret = base64.b64decode(text.replace("-", "+").replace("_", "/"), validate=True)
    except (binascii.Error, ValueError):
        secret = b""
    if len(secret) != KEY_BYTES:
        raise InvalidConfig(f"{where}: a key is {KEY_BYTES} bytes in hexadecimal or base64")
    return MasterKey(secret)
