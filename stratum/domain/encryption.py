"""Server-side encryption: what a client may ask for, what a bucket asks for, what is stored.

Rules: https://docs.aws.amazon.com/AmazonS3/latest/userguide/serv-side-encryption.html. No
cryptography here: adapters make and wrap the keys. The text of errors is Amazon's.
"""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass, field, replace
from enum import StrEnum

from stratum.domain.errors import AccessDenied, InvalidArgument, InvalidRequest

STORE_KEY = "stratum/sse-s3"
"""The key of SSE-S3. Clients can't name it."""
SEGMENT_SIZE_BYTES = 64 * 1024 - 16
"""Plaintext per segment. With its tag it has 64 KiB, so that a stripe holds whole segments."""


class SseMethod(StrEnum):
    """Who keeps the key that wraps the object's own: this store, its keyring by name, the client.

    The first two are the values of x-amz-server-side-encryption.
    """

    S3 = "AES256"
    KMS = "aws:kms"
    CUSTOMER = "SSE-C"


@dataclass(frozen=True)
class CustomerKey:
    """A key the client brings with every request: 256 bits, never stored, never shown."""

    secret: bytes = field(repr=False)

    @property
    def md5(self) -> str:
        """Base64 of its MD5, as x-amz-server-side-encryption-customer-key-md5 has it."""
        digest = hashlib.md5(self.secret, usedforsecurity=False).digest()
        return base64.b64encode(digest).decode("ascii")


@dataclass(frozen=True)
class EncryptionWish:
    """What a request that writes asks for. `method` None: whatever the bucket says."""

    method: SseMethod | None = None
    key_id: str = ""
    """Of SSE-KMS; empty for the default key."""
    context: str = ""
    """Of SSE-KMS: base64 of a JSON object of strings, to which the object is bound."""
    customer_key: CustomerKey | None = None


NO_WISH = EncryptionWish()


@dataclass(frozen=True)
class EncryptionConfiguration:
    """What a bucket encrypts by default (PutBucketEncryption)."""

    method: SseMethod
    key_id: str = ""
    bucket_key: bool = False
    """As configured. Keys are local here: there are no requests to save, so it changes nothing."""
    blocks_customer_keys: bool = False
    """Refuse SSE-C (`BlockedEncryptionTypes`)."""


@dataclass(frozen=True)
class Encryption:
    """How a version or an upload is encrypted: all that is stored about it."""

    method: SseMethod
    wrapped_key: str
    """Base64 of the data key, encrypted with the key that `method` says."""
    master_id: str = ""
    """16 bytes in hexadecimal: which of our keys wrapped it. Empty with a client's key, of which
    nothing is stored: it fits if it unwraps the data key."""
    key_id: str = ""
    """Name of the key, with SSE-KMS."""
    context: str = ""
    segment_size_bytes: int = SEGMENT_SIZE_BYTES


def wanted_encryption(
    wish: EncryptionWish, default: EncryptionConfiguration | None, kms_default_key: str
) -> EncryptionWish | None:
    """What a write is encrypted with; None if not at all. A request's wish counts, else the
    bucket's default; SSE-KMS without a key id means `kms_default_key`.

    Raises AccessDenied for a client's key where the bucket refuses those, InvalidArgument for
    SSE-KMS without any key id.
    """
    if wish.method is None:
        if default is None:
            return None
        wish = replace(wish, method=default.method, key_id=default.key_id)
    if wish.method is SseMethod.CUSTOMER and default is not None and default.blocks_customer_keys:
        raise AccessDenied(
            "The bucket does not accept server-side encryption with customer-provided keys (SSE-C)"
        )
    if wish.method is SseMethod.KMS and not wish.key_id:
        if not kms_default_key:
            raise InvalidArgument(
                "Server Side Encryption with AWS KMS managed key requires a key id: this server has"
                " no default key",
                "x-amz-server-side-encryption-aws-kms-key-id",
            )
        wish = replace(wish, key_id=kms_default_key)
    return wish


def needs_customer_key(encryption: Encryption | None) -> bool:
    """Whether only the client can open it."""
    return encryption is not None and encryption.method is SseMethod.CUSTOMER


def check_key_given(encryption: Encryption | None, customer_key: CustomerKey | None) -> None:
    """A client's key comes with a read exactly if the object needs one. Raises InvalidRequest."""
    needed = needs_customer_key(encryption)
    if needed and customer_key is None:
        raise InvalidRequest(
            "The object was stored using a form of Server Side Encryption. The correct parameters"
            " must be provided to retrieve the object."
        )
    if customer_key is not None and not needed:
        raise InvalidRequest("The encryption parameters are not applicable to this object.")


def check_part_key_given(encryption: Encryption | None, customer_key: CustomerKey | None) -> None:
    """Every part comes with the key the upload was started with. Raises InvalidRequest."""
    needed = needs_customer_key(encryption)
    if needed and customer_key is None:
        raise InvalidRequest(
            "The multipart upload initiate requested encryption. Subsequent part requests must"
            " include the appropriate encryption parameters."
        )
    if customer_key is not None and not needed:
        raise InvalidRequest(
            "The multipart upload initiate did not request encryption. Subsequent part requests"
            " must not include encryption parameters."
        )


def updatable(encryption: Encryption | None) -> Encryption:
    """An encryption whose key can be wrapped with another one; raise InvalidRequest.

    https://docs.aws.amazon.com/AmazonS3/latest/API/API_UpdateObjectEncryption.html
    """
    if encryption is None:
        raise InvalidRequest("The object is not encrypted; copy it onto itself to encrypt it")
    if encryption.method is SseMethod.CUSTOMER:
        raise InvalidRequest(
            "The object is encrypted with a customer-provided key, which cannot be updated"
        )
    return encryption


def hides_md5(encryption: Encryption | None) -> bool:
    """Whether the ETag is something else than the MD5 of the plaintext, as on Amazon S3:
    https://docs.aws.amazon.com/AmazonS3/latest/API/API_Object.html"""
    return encryption is not None and encryption.method is not SseMethod.S3
