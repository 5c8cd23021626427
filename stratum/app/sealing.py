"""Bytes encrypted on their way to the data path, and decrypted on their way back.

What the data path gets is a stream of sealed segments, so that ranges can be read and nothing
behind it (moves, scrubs, audits) needs a key. What was hashed for the client is the plaintext;
the volume's own checksum is that of the stored bytes.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Protocol

from stratum.app.payload import NewHasher, Payload
from stratum.app.sealed_streams import Cipher, OpenedPieces, SealedPayload, StagingPool
from stratum.domain.checksums import ChecksumAlgorithm
from stratum.domain.encryption import (
    SEGMENT_SIZE_BYTES,
    CustomerKey,
    Encryption,
    EncryptionConfiguration,
    EncryptionWish,
    hides_md5,
    wanted_encryption,
)
from stratum.domain.names import BucketName, ObjectKey
from stratum.domain.ranges import Span
from stratum.domain.sealing import PartRead, Segments, reads_of
from stratum.ports import Buffer


class DataKey(Protocol):
    """The key of one version or upload, unwrapped."""

    def cipher(self, salt: str, segment_size_bytes: int) -> Cipher:
        """For the plaintext that `salt` names among those of this key: never for two of them."""
        ...

    def hidden(self, md5_hex: str, salt: str) -> str:
        """32 hexadecimal digits in the place of an MD5, which don't tell what it was."""
        ...


class ObjectKeys(Protocol):
    """Makes data keys and wraps them, with our own keys or the client's."""

    def make(
        self, wish: EncryptionWish, bucket: BucketName, key: ObjectKey
    ) -> tuple[Encryption, DataKey]:
        """A new data key, wrapped as `wish` says. Raises NoSuchKmsKey."""
        ...

    def unwrap(
        self,
        encryption: Encryption,
        bucket: BucketName,
        key: ObjectKey,
        customer_key: CustomerKey | None,
    ) -> DataKey:
        """Raises InvalidRequest for another key of the client than it was wrapped with,
        NoSuchKmsKey, SealBroken."""
        ...


class Sealed:
    """How one version or upload is encrypted, with its data key."""

    def __init__(
        self, encryption: Encryption, data_key: DataKey, new_hasher: NewHasher, pool: StagingPool
    ) -> None:
        self.encryption = encryption
        self._data_key = data_key
        self._new_hasher = new_hasher
        self._pool = pool

    def payload(self, plain: Payload, size_bytes: int | None, salt: str = "") -> SealedPayload:
        """What is stored of a body of `size_bytes`, or of unknown size."""
        segment_size = self.encryption.segment_size_bytes

        def hide(md5: str) -> str:
            return self._data_key.hidden(md5, salt) if hides_md5(self.encryption) else md5

        return SealedPayload(
            plain,
            size_bytes,
            self._data_key.cipher(salt, segment_size),
            segment_size,
            self._new_hasher(ChecksumAlgorithm.CRC64NVME.value),
            self._pool,
            hide,
        )

    def stored_size(self, size_bytes: int | None) -> int | None:
        """Bytes that are stored of a plaintext, as far as its size is known."""
        if size_bytes is None:
            return None
        return Segments(size_bytes, self.encryption.segment_size_bytes).sealed_size_bytes

    def reads(
        self, parts: Sequence[tuple[int, str]], wanted: Span
    ) -> tuple[Span, Sequence[PartRead]]:
        """See `domain.sealing.reads_of`; `parts` are sizes and salts."""
        sizes = [size for size, _ in parts]
        return reads_of(sizes, self.encryption.segment_size_bytes, wanted)

    def opened(
        self, pieces: AsyncIterator[Buffer], parts: Sequence[tuple[int, str]], wanted: Span
    ) -> OpenedPieces:
        """The plaintext in `wanted`; `pieces` are the stored bytes that `reads` tells."""
        _, reads = self.reads(parts, wanted)
        size = self.encryption.segment_size_bytes

        def cipher_of(index: int) -> Cipher:
            return self._data_key.cipher(parts[index][1], size)

        return OpenedPieces(pieces, reads, cipher_of, self._pool)


class Sealing:
    """Which encryption a request gets. `server_default` is for buckets without their own."""

    def __init__(
        self,
        keys: ObjectKeys,
        new_hasher: NewHasher,
        server_default: EncryptionConfiguration | None,
        kms_default_key: str,
    ) -> None:
        self._keys = keys
        self._new_hasher = new_hasher
        self._server_default = server_default
        self._kms_default_key = kms_default_key
        self._pool = StagingPool(SEGMENT_SIZE_BYTES)

    def default_of(self, own: EncryptionConfiguration | None) -> EncryptionConfiguration | None:
        """What is in force in a bucket with this configuration of its own."""
        return own or self._server_default

    def begin(
        self,
        own_default: EncryptionConfiguration | None,
        wish: EncryptionWish,
        bucket: BucketName,
        key: ObjectKey,
    ) -> Sealed | None:
        """A new data key for what is about to be written; None if it is not to be encrypted.

        Raises AccessDenied, InvalidArgument, NoSuchKmsKey.
        """
        wanted = wanted_encryption(wish, self.default_of(own_default), self._kms_default_key)
        if wanted is None:
            return None
        return Sealed(*self._keys.make(wanted, bucket, key), self._new_hasher, self._pool)

    def resume(
        self,
        encryption: Encryption | None,
        bucket: BucketName,
        key: ObjectKey,
        customer_key: CustomerKey | None,
    ) -> Sealed | None:
        """For what is there already. Raises what ObjectKeys.unwrap raises."""
        if encryption is None:
            return None
        data_key = self._keys.unwrap(encryption, bucket, key, customer_key)
        return Sealed(encryption, data_key, self._new_hasher, self._pool)
