"""Data keys of server-side encryption: made, wrapped with the key that the method says, unwrapped.

docs/storage-format.md describes what is stored, for somebody without this program.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
from dataclasses import replace
from typing import Protocol

from stratum.adapters.master_keys import KEY_BYTES, Keyring, MasterKey, RandomBytes
from stratum.adapters.segment_cipher import SegmentCipher, unwrap_key, wrap_key
from stratum.domain.encryption import STORE_KEY, CustomerKey, Encryption, EncryptionWish, SseMethod
from stratum.domain.errors import InvalidRequest, NoSuchKmsKey, SealBroken
from stratum.domain.names import BucketName, ObjectKey

RESERVED_PREFIX = "stratum/"
"""Keys with such names are the store's own."""

_CUSTOMER_LABEL = b"stratum/sse-c/wrap"
_PART_LABEL = b"stratum/sse/part/"
_ETAG_LABEL = b"stratum/sse/etag/"
_CHECKSUM_LABEL = b"stratum/sse/checksum/"


class NamedKeys(Protocol):
    """Keys of ours by name; see `key_file.KeyFile`."""

    def ring(self, name: str) -> Keyring | None:
        """Raises InvalidConfig."""
        ...

    def ring_or_new(self, name: str) -> Keyring:
        """Raises InvalidConfig."""
        ...


class UnwrappedKey:
    """A data key, 256 bits. Implements `app.sealing.DataKey`."""

    def __init__(self, secret: bytes) -> None:
        self.secret = secret

    def __repr__(self) -> str:
        return "UnwrappedKey()"

    def cipher(self, salt: str, segment_size_bytes: int) -> SegmentCipher:
        """The data key itself for the one plaintext without a salt, else one derived from it."""
        secret = self._derived(_PART_LABEL + salt.encode()) if salt else self.secret
        return SegmentCipher(secret, segment_size_bytes)

    def hidden(self, md5_hex: str) -> str:
        """The first half of an HMAC-SHA-256 of the MD5."""
        return self._derived(_ETAG_LABEL + md5_hex.encode())[:16].hex()

    def masked(self, digest: bytes, name: str) -> bytes:
        """The digest XOR the beginning of an HMAC-SHA-256 of the name."""
        mask = self._derived(_CHECKSUM_LABEL + name.encode())
        return bytes(a ^ b for a, b in zip(digest, mask, strict=False))

    def _derived(self, label: bytes) -> bytes:
        return hmac.digest(self.secret, label, hashlib.sha256)


class WrappingKeys:
    """Implements `app.sealing.ObjectKeys` over a key file and the keys of clients.

    `default_key` is the KMS key that is made when it is first needed; others must be there.
    """

    def __init__(self, keys: NamedKeys, default_key: str, random_bytes: RandomBytes) -> None:
        self._keys = keys
        self._default_key = default_key
        self._random_bytes = random_bytes

    def make(
        self, wish: EncryptionWish, bucket: BucketName, key: ObjectKey
    ) -> tuple[Encryption, UnwrappedKey]:
        """Raises NoSuchKmsKey, InvalidConfig if the keys can't be read."""
        made = UnwrappedKey(self._random_bytes(KEY_BYTES))
        return self._wrapped(made, wish, bucket, key), made

    def rewrap(
        self, encryption: Encryption, wish: EncryptionWish, bucket: BucketName, key: ObjectKey
    ) -> Encryption:
        """The same data key, wrapped as `wish` says. Raises NoSuchKmsKey, SealBroken."""
        data_key = self.unwrap(encryption, bucket, key, None)
        updated = self._wrapped(data_key, wish, bucket, key)
        return replace(updated, segment_size_bytes=encryption.segment_size_bytes)

    def unwrap(
        self,
        encryption: Encryption,
        bucket: BucketName,
        key: ObjectKey,
        customer_key: CustomerKey | None,
    ) -> UnwrappedKey:
        """Raises InvalidRequest, NoSuchKmsKey, SealBroken."""
        own = encryption
        bound_to = _bound_to(own.method, own.key_id, own.context, bucket, key)
        try:
            wrapped = base64.b64decode(own.wrapped_key, validate=True)
        except binascii.Error:
            raise SealBroken("the wrapped key is not base64") from None
        if own.method is SseMethod.CUSTOMER:
            assert customer_key is not None, "checked before"
            try:
                return UnwrappedKey(unwrap_key(_customer_master(customer_key), wrapped, bound_to))
            except SealBroken:
                raise InvalidRequest(
                    "The provided encryption parameters did not match the ones used originally."
                ) from None
        return UnwrappedKey(unwrap_key(self._master_of(own), wrapped, bound_to))

    def _wrapped(
        self, data_key: UnwrappedKey, wish: EncryptionWish, bucket: BucketName, key: ObjectKey
    ) -> Encryption:
        assert wish.method is not None, "it has been decided what to encrypt with"
        name = key_name(wish.key_id) if wish.method is SseMethod.KMS else ""
        master = self._master_for(wish, name)
        bound_to = _bound_to(wish.method, name, wish.context, bucket, key)
        wrapped = wrap_key(master, data_key.secret, bound_to, self._random_bytes)
        return Encryption(
            wish.method,
            base64.b64encode(wrapped).decode("ascii"),
            "" if wish.method is SseMethod.CUSTOMER else master.id.hex(),
            name,
            wish.context,
        )

    def _master_for(self, wish: EncryptionWish, name: str) -> MasterKey:
        if wish.method is SseMethod.CUSTOMER:
            assert wish.customer_key is not None, "parsed with the method"
            return _customer_master(wish.customer_key)
        if wish.method is SseMethod.S3:
            return _newest(self._keys.ring_or_new(STORE_KEY))
        if name.startswith(RESERVED_PREFIX):
            raise _no_such_key(name)
        if name == self._default_key:
            return _newest(self._keys.ring_or_new(name))
        ring = self._keys.ring(name)
        if ring is None:
            raise _no_such_key(name)
        return _newest(ring)

    def _master_of(self, encryption: Encryption) -> MasterKey:
        name = encryption.key_id or STORE_KEY
        ring = self._keys.ring(name)
        master = ring.find(bytes.fromhex(encryption.master_id)) if ring else None
        if master is not None:
            return master
        if encryption.method is SseMethod.KMS:
            raise NoSuchKmsKey(
                f"Key '{name}' does not exist any more, or not in the version that is needed"
            )
        raise SealBroken(
            f"encrypted with version {encryption.master_id[:8]} of {name}, which is not there"
        )


def key_name(key_id: str) -> str:
    """The name of a key given as name, `alias/NAME` or as an ARN with either."""
    if key_id.startswith("arn:"):
        _, slash, name = key_id.rpartition(":")[2].partition("/")
        return name if slash else key_id
    return key_id.removeprefix("alias/")


def _newest(ring: Keyring) -> MasterKey:
    assert ring.newest is not None, "a key has a version"
    return ring.newest


def _customer_master(customer_key: CustomerKey) -> MasterKey:
    """Derived, so that nothing the client does with its key can meet what we do with it."""
    return MasterKey(hmac.digest(customer_key.secret, _CUSTOMER_LABEL, hashlib.sha256))


def _bound_to(
    method: SseMethod, key_id: str, context: str, bucket: BucketName, key: ObjectKey
) -> bytes:
    """What a wrapped key vouches for, as JSON without spaces."""
    fields = [method.value, key_id, context, bucket, key]
    return json.dumps(fields, ensure_ascii=False, separators=(",", ":")).encode()


def _no_such_key(name: str) -> NoSuchKmsKey:
    return NoSuchKmsKey(f"Key '{name[:100]}' does not exist")
