"""A body on its way in: counted, hashed in order, and verified when it ends.

Every object gets an MD5 (its ETag) and a CRC-64/NVME (what moves and audits verify against);
what the client asked for or signed comes on top. Hashing leaves the event loop for anything big:
hashlib and awscrt release the interpreter lock, and their state can't cross processes.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

import trio

from stratum.app.together import together
from stratum.domain.checksums import Checksum, ChecksumAlgorithm, encode_digest
from stratum.domain.errors import BadDigest, ContentMismatch, EntityTooLarge, IncompleteBody
from stratum.ports import Buffer, ByteSource

HASH_OFFLOAD_MIN_BYTES = 128 * 1024
"""Below this a thread hop costs more than hashing on the spot."""

MD5 = "MD5"


class Hasher(Protocol):
    def update(self, data: Buffer) -> None: ...

    def digest(self) -> bytes:
        """Big-endian, as S3 encodes it."""
        ...


NewHasher = Callable[[str], Hasher]
"""A fresh hasher for `MD5` or the name of a ChecksumAlgorithm."""


@dataclass(frozen=True)
class Stated:
    """What the client says of its bytes before it has sent them."""

    size_bytes: int | None = None
    md5: bytes | None = None
    sha256_hex: str | None = None
    """Of the payload, as signed."""
    checksum: Checksum | None = None
    algorithm: ChecksumAlgorithm | None = None
    """A checksum to compute and store, whether or not its value is known yet."""
    trailer: Callable[[], Checksum | None] = field(default=lambda: None)
    """Asked when the body has ended: the checksum that came after it."""


class Payload:
    """A ByteSource around another one. Its results are there once it has returned 0."""

    def __init__(
        self, source: ByteSource, stated: Stated, new_hasher: NewHasher, size_max_bytes: int
    ) -> None:
        self._source = source
        self._stated = stated
        self._size_max_bytes = size_max_bytes
        names = {MD5, ChecksumAlgorithm.CRC64NVME.value}
        if stated.sha256_hex:
            names.add(ChecksumAlgorithm.SHA256.value)
        if stated.algorithm:
            names.add(stated.algorithm.value)
        self._hashers: Mapping[str, Hasher] = {name: new_hasher(name) for name in sorted(names)}
        self._digests: dict[str, bytes] = {}
        self.size_bytes = 0
        if stated.size_bytes is not None and stated.size_bytes > size_max_bytes:
            raise EntityTooLarge(self._too_large())

    async def read_into(self, buffer: memoryview) -> int:
        """Fill `buffer`; less only at the end, where what was stated is verified.

        Raises IncompleteBody, EntityTooLarge, BadDigest, ContentMismatch.
        """
        if self._digests:
            return 0
        filled, ended = 0, False
        while filled < len(buffer):
            length = await self._source.read_into(buffer[filled:])
            if not length:
                ended = True
                break
            filled += length
        if filled:
            self.size_bytes += filled
            if self.size_bytes > self._size_max_bytes:
                raise EntityTooLarge(self._too_large())
            self._check_not_longer()
            await self._hash(buffer[:filled])
        if ended:
            self._digests = {name: hasher.digest() for name, hasher in self._hashers.items()}
            self._verify()
        return filled

    @property
    def etag(self) -> str:
        return self._digests[MD5].hex()

    @property
    def crc64(self) -> str:
        return self._digests[ChecksumAlgorithm.CRC64NVME].hex()

    @property
    def checksums(self) -> tuple[Checksum, ...]:
        """What is stored with the object: the algorithm asked for, CRC-64/NVME by default, as
        Amazon S3 does."""
        algorithm = self._stated.algorithm or ChecksumAlgorithm.CRC64NVME
        return (self._checksum(algorithm),)

    def _checksum(self, algorithm: ChecksumAlgorithm) -> Checksum:
        return Checksum(algorithm, encode_digest(self._digests[algorithm.value]))

    async def _hash(self, data: memoryview) -> None:
        if len(data) < HASH_OFFLOAD_MIN_BYTES:
            for hasher in self._hashers.values():
                hasher.update(data)
            return

        def rest() -> None:
            for name, hasher in self._hashers.items():
                if name != MD5:
                    hasher.update(data)

        # MD5 takes longer than all others together: give it a thread of its own.
        await together(
            lambda: trio.to_thread.run_sync(self._hashers[MD5].update, data),
            lambda: trio.to_thread.run_sync(rest),
        )

    def _check_not_longer(self) -> None:
        """At once: whoever reads into a buffer that is now full need not come back for more."""
        if self._stated.size_bytes is not None and self.size_bytes > self._stated.size_bytes:
            raise self._wrong_size()

    def _wrong_size(self) -> IncompleteBody:
        return IncompleteBody(
            f"You did not provide the number of bytes specified: {self.size_bytes} of"
            f" {self._stated.size_bytes} arrived"
        )

    def _verify(self) -> None:
        stated = self._stated
        if stated.size_bytes is not None and self.size_bytes != stated.size_bytes:
            raise self._wrong_size()
        if stated.sha256_hex and self._digests["SHA256"].hex() != stated.sha256_hex:
            raise ContentMismatch(
                "The provided 'x-amz-content-sha256' header does not match what was computed."
            )
        if stated.md5 is not None and self._digests[MD5] != stated.md5:
            raise BadDigest("The Content-MD5 you specified did not match what we received.")
        for checksum in (stated.checksum, stated.trailer()):
            if checksum and self._checksum(checksum.algorithm).value != checksum.value:
                raise BadDigest(
                    f"The {checksum.algorithm} you specified did not match the calculated checksum."
                )

    def _too_large(self) -> str:
        return (
            f"Your proposed upload exceeds the maximum allowed size of {self._size_max_bytes} bytes"
        )


class StreamSource:
    """A ByteSource over pieces that arrive by iteration."""

    def __init__(self, pieces: AsyncIterator[Buffer]) -> None:
        self._pieces = pieces
        self._rest = memoryview(b"")

    async def read_into(self, buffer: memoryview) -> int:
        while not self._rest:
            piece = await anext(self._pieces, None)
            if piece is None:
                return 0
            self._rest = memoryview(piece)
        length = min(len(self._rest), len(buffer))
        buffer[:length] = self._rest[:length]
        self._rest = self._rest[length:]
        return length


class EmptySource:
    """No bytes at all."""

    async def read_into(self, buffer: memoryview) -> int:
        return 0


class BytesSource:
    """Bytes that are there already."""

    def __init__(self, content: bytes) -> None:
        self._rest = memoryview(content)

    async def read_into(self, buffer: memoryview) -> int:
        length = min(len(self._rest), len(buffer))
        buffer[:length] = self._rest[:length]
        self._rest = self._rest[length:]
        return length
