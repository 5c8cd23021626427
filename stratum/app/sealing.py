"""Bytes encrypted on their way to the data path, and decrypted on their way back.

What the data path gets is a stream of sealed segments, so that ranges can be read and nothing
behind it (moves, scrubs, audits) needs a key. What was hashed for the client is the plaintext;
the volume's own checksum is that of the stored bytes.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from stratum.app.payload import NewHasher, Payload
from stratum.app.sealed_streams import Cipher, OpenedPieces, SealedPayload, StagingPool
from stratum.domain.attributes import VersionAttributes
from stratum.domain.checksums import Checksum, ChecksumAlgorithm, encode_digest
from stratum.domain.encryption import (
    SEGMENT_SIZE_BYTES,
    CustomerKey,
    Encryption,
    EncryptionConfiguration,
    EncryptionWish,
    check_key_given,
    check_part_key_given,
    hides_md5,
    needs_customer_key,
    updatable,
    wanted_encryption,
)
from stratum.domain.names import BucketName, ObjectKey
from stratum.domain.ranges import Span
from stratum.domain.sealing import Segments, reads_of
from stratum.domain.upload import Assembly
from stratum.domain.volume import CompletedPart, ObjectVersion, Part, Upload
from stratum.ports import Buffer


class DataKey(Protocol):
    """The key of one version or upload, unwrapped."""

    def cipher(self, salt: str, segment_size_bytes: int) -> Cipher:
        """For the plaintext that `salt` names among those of this key: never for two of them."""
        ...

    def hidden(self, md5_hex: str) -> str:
        """32 hexadecimal digits in the place of an MD5, which don't tell what it was. A part that
        is sent again has the same, so a client may name it by either answer."""
        ...

    def masked(self, digest: bytes, name: str) -> bytes:
        """A digest of up to 32 bytes as it is stored under a name; twice gives it back."""
        ...


class ObjectKeys(Protocol):
    """Makes data keys and wraps them, with our own keys or the client's."""

    def make(
        self, wish: EncryptionWish, bucket: BucketName, key: ObjectKey
    ) -> tuple[Encryption, DataKey]:
        """A new data key, wrapped as `wish` says. Raises NoSuchKmsKey."""
        ...

    def rewrap(
        self, encryption: Encryption, wish: EncryptionWish, bucket: BucketName, key: ObjectKey
    ) -> Encryption:
        """The same data key, wrapped as `wish` says. Raises NoSuchKmsKey, SealBroken."""
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


@dataclass(frozen=True)
class Incoming:
    """A body on its way to the data path: what is stored of it, and how long that is if known."""

    payload: Payload | SealedPayload
    stored_size_bytes: int | None
    sealed: Sealed | None
    salt: str

    def described(self, attributes: VersionAttributes) -> VersionAttributes:
        """The attributes with how this body is encrypted."""
        encryption = self.sealed.encryption if self.sealed else None
        if encryption == attributes.encryption:
            return attributes
        return replace(attributes, encryption=encryption)

    @property
    def kept_checksums(self) -> tuple[Checksum, ...]:
        """The checksums as they are recorded."""
        checksums = self.payload.checksums
        return self.sealed.masked(checksums, self.salt) if self.sealed else checksums


@dataclass(frozen=True)
class ReadPlan:
    """Which stored bytes make up a range of a version, and how to open them."""

    stored: Span
    opened: Callable[[AsyncIterator[Buffer]], OpenedPieces]


class Sealed:
    """How one version or upload is encrypted, with its data key."""

    def __init__(
        self, encryption: Encryption, data_key: DataKey, new_hasher: NewHasher, pool: StagingPool
    ) -> None:
        self.encryption = encryption
        self._data_key = data_key
        self._new_hasher = new_hasher
        self._pool = pool

    def incoming(self, plain: Payload, size_bytes: int | None, salt: str) -> Incoming:
        segment_size = self.encryption.segment_size_bytes

        def hide(md5: str) -> str:
            return self._data_key.hidden(md5) if hides_md5(self.encryption) else md5

        payload = SealedPayload(
            plain,
            size_bytes,
            self._data_key.cipher(salt, segment_size),
            segment_size,
            self._new_hasher(ChecksumAlgorithm.CRC64NVME.value),
            self._pool,
            hide,
        )
        stored = None
        if size_bytes is not None:
            stored = Segments(size_bytes, segment_size).sealed_size_bytes
        return Incoming(payload, stored, self, salt)

    def plan(self, version: ObjectVersion, wanted: Span) -> ReadPlan:
        """How to read a range of a version."""
        segment_size = self.encryption.segment_size_bytes
        parts = [(part.size_bytes, part.salt) for part in version.parts]
        parts = parts or [(version.size_bytes, "")]
        stored, reads = reads_of([size for size, _ in parts], segment_size, wanted)

        def cipher_of(index: int) -> Cipher:
            return self._data_key.cipher(parts[index][1], segment_size)

        def opened(pieces: AsyncIterator[Buffer]) -> OpenedPieces:
            return OpenedPieces(pieces, reads, cipher_of, self._pool)

        return ReadPlan(stored, opened)

    def masked(self, checksums: Iterable[Checksum], salt: str = "") -> tuple[Checksum, ...]:
        """Checksums as they are recorded, or recorded ones as they are: those of short objects
        would tell what is in them."""

        def mask(checksum: Checksum) -> Checksum:
            digest = self._data_key.masked(checksum.digest, f"{salt}/{checksum.algorithm}")
            _, dash, count = checksum.value.partition("-")
            return replace(checksum, value=encode_digest(digest) + dash + count)

        return tuple(mask(checksum) for checksum in checksums)

    def revealed(self, version: ObjectVersion) -> ObjectVersion:
        """A version with its checksums, and those of its parts, as they are."""

        def reveal(part: CompletedPart) -> CompletedPart:
            if part.checksum is None:
                return part
            (checksum,) = self.masked((part.checksum,), part.salt)
            return replace(part, checksum=checksum)

        parts = tuple(reveal(part) for part in version.parts)
        return replace(version, checksums=self.masked(version.checksums), parts=parts)


def incoming(
    plain: Payload, size_bytes: int | None, sealed: Sealed | None, salt: str = ""
) -> Incoming:
    """What is stored of a body of `size_bytes`, or of unknown size."""
    if sealed is None:
        return Incoming(plain, size_bytes, None, salt)
    return sealed.incoming(plain, size_bytes, salt)


def shown_parts(upload: Upload, parts: Sequence[Part], sealed: Sealed | None) -> Sequence[Part]:
    """Recorded parts with their checksums as they are; without any where nobody can tell."""
    if upload.attributes.encryption is None:
        return parts
    if sealed is None:
        return [replace(part, checksums=()) for part in parts]
    return [replace(part, checksums=sealed.masked(part.checksums, part.salt)) for part in parts]


def recorded_assembly(
    upload: Upload, shown: Assembly, parts: Sequence[Part], sealed: Sealed | None
) -> Assembly:
    """What is recorded of an assembly of shown parts; `parts` are the recorded ones."""
    if upload.attributes.encryption is None:
        return shown
    by_number = {part.number: part for part in parts}
    kept = tuple(by_number[part.number] for part in shown.parts)
    checksums = sealed.masked(shown.checksums) if sealed else ()
    return replace(shown, parts=kept, checksums=checksums)


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

    def updated(self, version: ObjectVersion, wish: EncryptionWish) -> Encryption:
        """A version's encryption with its data key wrapped anew: its bytes stay as they are.

        Raises InvalidRequest if it is not encrypted with a key of ours; NoSuchKmsKey, SealBroken.
        """
        old = updatable(version.attributes.encryption)
        return self._keys.rewrap(old, wish, version.bucket, version.key)

    def of_version(self, version: ObjectVersion, customer_key: CustomerKey | None) -> Sealed | None:
        """For a version that is to be read. Raises InvalidRequest unless a client's key comes
        where it is needed and is the right one; NoSuchKmsKey, SealBroken."""
        encryption = version.attributes.encryption
        if encryption is None and customer_key is None:
            return None
        check_key_given(encryption, customer_key)
        return self._resumed(encryption, version.bucket, version.key, customer_key)

    def of_upload(self, upload: Upload, customer_key: CustomerKey | None) -> Sealed | None:
        """For a part that is to be stored. Raises what `of_version` raises."""
        encryption = upload.attributes.encryption
        check_part_key_given(encryption, customer_key)
        return self._resumed(encryption, upload.bucket, upload.key, customer_key)

    def of_completion(
        self, upload: Upload, parts: Sequence[Part], customer_key: CustomerKey | None
    ) -> Sealed | None:
        """For parts that are to be joined. A client's key may be left out if it stated no
        checksums, which only its key can tell: https://docs.aws.amazon.com/AmazonS3/latest/API/
        API_CompleteMultipartUpload.html. Raises what `of_version` raises."""
        by_default = ChecksumAlgorithm.CRC64NVME
        stated = upload.checksum_algorithm is not None or any(
            checksum.algorithm is not by_default for part in parts for checksum in part.checksums
        )
        return (self.of_upload if stated else self.of_listing)(upload, customer_key)

    def of_listing(self, upload: Upload, customer_key: CustomerKey | None) -> Sealed | None:
        """For parts that are to be listed; None also without a client's key that is needed.
        Raises what `of_version` raises."""
        if customer_key is None and needs_customer_key(upload.attributes.encryption):
            return None
        return self.of_upload(upload, customer_key)

    def _resumed(
        self,
        encryption: Encryption | None,
        bucket: BucketName,
        key: ObjectKey,
        customer_key: CustomerKey | None,
    ) -> Sealed | None:
        if encryption is None:
            return None
        data_key = self._keys.unwrap(encryption, bucket, key, customer_key)
        return Sealed(encryption, data_key, self._new_hasher, self._pool)
