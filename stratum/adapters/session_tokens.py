"""Session tokens: sessions sealed with AES-256-GCM, so that nobody has to keep them.

A token is base64url of `version ‖ nonce ‖ ciphertext and tag`; inside is the session as JSON,
its secret included. Whoever alters a byte, or was never given a token, has none.
"""

from __future__ import annotations

import base64
import os

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from stratum.domain.identity import Session, TokenKey

VERSION = b"\x01"
NONCE_LENGTH_BYTES = 12
TOKEN_LENGTH_MAX = 16 * 1024


class TokenSealer:
    """Implements `app.identities.Sealer`."""

    def __init__(self, key: TokenKey) -> None:
        self._cipher = AESGCM(bytes.fromhex(key.secret))

    def seal(self, session: Session) -> str:
        nonce = os.urandom(NONCE_LENGTH_BYTES)
        sealed = self._cipher.encrypt(nonce, msgspec.json.encode(session), VERSION)
        return base64.urlsafe_b64encode(VERSION + nonce + sealed).decode("ascii")

    def open(self, token: str) -> Session | None:
        if len(token) > TOKEN_LENGTH_MAX:
            return None
        try:
            raw = base64.b64decode(token.encode("ascii"), altchars=b"-_", validate=True)
            nonce = raw[1 : 1 + NONCE_LENGTH_BYTES]
            if raw[:1] != VERSION or len(nonce) != NONCE_LENGTH_BYTES:
                return None
            plain = self._cipher.decrypt(nonce, raw[1 + NONCE_LENGTH_BYTES :], VERSION)
            return msgspec.json.decode(plain, type=Session)
        except (ValueError, InvalidTag, msgspec.MsgspecError):
            return None
