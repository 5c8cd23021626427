"""The keyring of server-side encryption: named keys in one file that only its owner can read.

Each key has versions, the newest first: it wraps, the others only open what they wrapped. The
file is the truth; a running server notices when the command line changes it. Key material is
never part of a message or a `repr`.
"""

from __future__ import annotations

import base64
import fcntl
import logging
import os
import re
import tomllib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from stratum.adapters.durable_file import write_durably
from stratum.adapters.master_keys import (
    KEY_BYTES,
    Keyring,
    MasterKey,
    RandomBytes,
    parse_key,
)
from stratum.domain.errors import Conflict, InvalidArgument, InvalidConfig, NoSuchKmsKey
from stratum.ports import NowMs

MARKER = "encryption-keys-made"
"""Beside the journal since there are keys: a key file that is missing then was lost."""
KEYS_MAX = 10_000
NAME_LENGTH_MAX = 256

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9/_.-]*").fullmatch
_EXPLAINED = """\
# Objects with server-side encryption (SSE-S3, SSE-KMS) can be read with these keys only: without
# this file they are lost. Keep a copy of it elsewhere, not beside the data.
# Versions are 32 bytes each in base64, the newest first: that one encrypts, the others are for
# reading what they encrypted. Use `stratum kms add` and `stratum kms rotate` to change it.
"""

log = logging.getLogger("stratum.keys")


@dataclass(frozen=True)
class NamedKey:
    """A key with all its versions. `created_at` is ISO 8601."""

    name: str
    created_at: str
    versions: tuple[MasterKey, ...] = field(repr=False)


class KeyFile:
    """The keys in `path`. Nothing is read before the first question, and again when it changed.

    `marker_folder` is the folder of the journal.
    """

    def __init__(
        self, path: Path, marker_folder: Path, random_bytes: RandomBytes, now_ms: NowMs
    ) -> None:
        self.path = path
        self._marker = marker_folder / MARKER
        self._random_bytes = random_bytes
        self._now_ms = now_ms
        self._seen: tuple[int, int, int] | None = None
        self._keys: dict[str, NamedKey] = {}
        self._rings: dict[str, Keyring] = {}

    def all_keys(self) -> Sequence[NamedKey]:
        """All keys, by name. Raises InvalidConfig if the file can't be read or was lost."""
        self._refresh()
        return [self._keys[name] for name in sorted(self._keys)]

    def prepare(self, names: Sequence[str]) -> None:
        """Make those of these keys that are not there. Raises InvalidConfig, also if the file was
        lost, InvalidArgument for a name that can't be one."""
        self._refresh()
        for name in names:
            self.ring_or_new(name)

    def ring(self, name: str) -> Keyring | None:
        """The versions of a key; None if there is no such key. Raises InvalidConfig."""
        self._refresh()
        return self._rings.get(name)

    def add(self, name: str) -> NamedKey:
        """Make a new key. Raises InvalidArgument for a name that can't be one, Conflict if it
        exists, InvalidConfig."""
        check_key_name(name)
        with self._locked() as keys:
            if name in keys:
                raise Conflict(
                    f"there is a key {name} already: rotate it, if that is what you want"
                )
            if len(keys) >= KEYS_MAX:
                raise Conflict(f"there are {KEYS_MAX} keys already")
            keys[name] = NamedKey(name, self._now(), (self._new(),))
            return keys[name]

    def rotate(self, name: str) -> NamedKey:
        """Give a key a new version. Raises NoSuchKmsKey, InvalidConfig."""
        with self._locked() as keys:
            old = keys.get(name)
            if old is None:
                raise NoSuchKmsKey(f"Key {name!r} does not exist")
            keys[name] = NamedKey(name, old.created_at, (self._new(), *old.versions))
            return keys[name]

    def ring_or_new(self, name: str) -> Keyring:
        """The versions of a key, which is made if there is none. Raises InvalidConfig."""
        ring = self.ring(name)
        if ring is None:
            with suppress(Conflict):  # another process was faster
                self.add(name)
            ring = self.ring(name)
            assert ring is not None
            log.warning(
                "the encryption key %s was made in %s: keep a copy of that file elsewhere, without"
                " it what is encrypted is lost",
                name,
                self.path,
            )
        return ring

    # -- the file -------------------------------------------------------------------------------
    def _refresh(self) -> None:
        stamp = self._stamp()
        if stamp is not None and stamp == self._seen:
            return
        if stamp is None and self._marker.exists():
            raise InvalidConfig(
                f"There are encrypted objects, but their keys are not in {self.path}. Put the file"
                f" back. If it is lost for good, so are those objects: remove {self._marker} to go"
                " on without them."
            )
        self._keys = {} if stamp is None else _read(self.path)
        where = str(self.path)
        self._rings = {key.name: Keyring(key.versions, where) for key in self._keys.values()}
        self._seen = stamp

    def _stamp(self) -> tuple[int, int, int] | None:
        try:
            found = os.stat(self.path)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise InvalidConfig(f"{self.path} can't be read: {error}") from error
        return found.st_ino, found.st_mtime_ns, found.st_size

    @contextmanager
    def _locked(self) -> Iterator[dict[str, NamedKey]]:
        """The keys as they are, to be changed; written at the end. One process at a time."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            handle = os.open(
                self.path.with_name(f"{self.path.name}.lock"), os.O_RDWR | os.O_CREAT, 0o600
            )
        except OSError as error:
            raise InvalidConfig(f"{self.path} can't be written: {error}") from error
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            self._refresh()
            keys = dict(self._keys)
            yield keys
            write_durably(self.path, _written(keys.values()))
            if not self._marker.exists():
                write_durably(self._marker, f"keys are in {self.path}\n")
        finally:
            os.close(handle)

    def _new(self) -> MasterKey:
        return MasterKey(self._random_bytes(KEY_BYTES))

    def _now(self) -> str:
        at = datetime.fromtimestamp(self._now_ms() // 1000, UTC)
        return at.strftime("%Y-%m-%dT%H:%M:%SZ")


def check_key_name(name: str) -> str:
    """Return a name a key may have; raise InvalidArgument."""
    if not _NAME(name) or len(name) > NAME_LENGTH_MAX:
        raise InvalidArgument(
            f"a key's name is letters, digits and / _ . -, at most {NAME_LENGTH_MAX}: {name!r}"
        )
    return name


def _written(keys: Iterable[NamedKey]) -> str:
    tables = []
    for key in keys:
        secrets = "".join(
            f'    "{base64.b64encode(version.secret).decode()}",\n' for version in key.versions
        )
        tables.append(
            f'\n[[key]]\nname = "{key.name}"\ncreated_at = "{key.created_at}"\n'
            f"versions = [\n{secrets}]\n"
        )
    return _EXPLAINED + "".join(tables)


def _read(path: Path) -> dict[str, NamedKey]:
    try:
        if path.stat().st_mode & 0o077:
            log.warning("%s can be read by others than its owner: chmod 600", path)
        tables = tomllib.loads(path.read_text()).get("key", [])
        keys = [
            NamedKey(
                check_key_name(table["name"]),
                str(table.get("created_at", "")),
                tuple(parse_key(text, str(path)) for text in table["versions"]),
            )
            for table in tables
        ]
    except (OSError, ValueError, KeyError, TypeError, AttributeError, InvalidArgument) as error:
        # Not the text of the error: a parser might quote a line of the file.
        raise InvalidConfig(f"{path} can't be read: {type(error).__name__}") from None
    if not all(key.versions for key in keys) or len({key.name for key in keys}) != len(keys):
        raise InvalidConfig(f"{path}: every key has versions and a name of its own")
    return {key.name: key for key in keys}
