"""The key that signs anchors: Ed25519, in a file only its owner can read.

Who has the key can sign other anchors; who has only the journal cannot. So it may be kept apart
from the metadata (`metadata.anchor_key`). It is made at the first start and never replaced.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from stratum.adapters.durable_file import write_durably
from stratum.domain.errors import InvalidConfig

log = logging.getLogger("stratum.keys")


@dataclass(frozen=True)
class AnchorKey:
    """`public` are the 32 bytes that anchors name as their key."""

    private: Ed25519PrivateKey = field(repr=False)
    is_new: bool = False

    @property
    def public(self) -> bytes:
        return self.private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)

    def sign(self, message: bytes) -> bytes:
        """64 bytes."""
        return self.private.sign(message)


def verify_signature(public: bytes, message: bytes, signature: bytes) -> bool:
    """Whether the signature is that of the key's owner."""
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


def open_anchor_key(path: Path, *, create: bool) -> AnchorKey | None:
    """The key in a file (PKCS #8, PEM); made if there is none and `create`, else None.

    Raises InvalidConfig if the file can't be read or written, or is not such a key.
    """
    if path.exists():
        return _read(path)
    if not create:
        return None
    key = Ed25519PrivateKey.generate()
    text = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    write_durably(path, text)
    return AnchorKey(key, is_new=True)


def _read(path: Path) -> AnchorKey:
    try:
        if path.stat().st_mode & 0o077:
            log.warning("%s can be read by others than its owner: chmod 600", path)
        key = load_pem_private_key(path.read_bytes(), password=None)
    except (OSError, ValueError, TypeError) as error:
        raise InvalidConfig(f"{path} can't be read: {error}") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise InvalidConfig(f"{path}: not an Ed25519 key")
    return AnchorKey(key)
