"""Decisions about multipart uploads.

Rules and limits: https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html and
https://docs.aws.amazon.com/AmazonS3/latest/API/API_CompleteMultipartUpload.html.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from stratum.domain.bucket import require_bucket
from stratum.domain.catalog import Catalog, Namespace
from stratum.domain.checksums import (
    Checksum,
    ChecksumAlgorithm,
    ChecksumType,
    composite_checksum,
    composite_etag,
    encode_digest,
    full_object_checksum,
)
from stratum.domain.conditions import NO_CONDITIONS, Conditions
from stratum.domain.errors import (
    BadDigest,
    EntityTooLarge,
    EntityTooSmall,
    InvalidArgument,
    InvalidPart,
    InvalidPartOrder,
    InvalidRequest,
    NoSuchUpload,
)
from stratum.domain.events import (
    Event,
    PartStored,
    UploadAborted,
    UploadCompleted,
    UploadStarted,
    VersionCommitted,
)
from stratum.domain.names import BucketName, ObjectKey, UploadId
from stratum.domain.object import OBJECT_SIZE_MAX_BYTES, commit_version
from stratum.domain.object_lock import check_asked
from stratum.domain.volume import CompletedPart, Part, Upload

PART_NUMBER_MAX = 10_000
PART_SIZE_MIN_BYTES = 5 * 1024**2
PART_SIZE_MAX_BYTES = 5 * 1024**3

Combine = Callable[[ChecksumAlgorithm, int, int, int], int]
"""(algorithm, crc of a, crc of b, length of b) -> crc of a‖b."""
Digest = Callable[[ChecksumAlgorithm, bytes], bytes]


@dataclass(frozen=True)
class NamedPart:
    """One part as the client lists it in a completion."""

    number: int
    etag: str
    checksum: Checksum | None = None


@dataclass(frozen=True)
class Assembly:
    """What a list of parts adds up to."""

    parts: tuple[Part, ...]
    size_bytes: int
    etag: str
    checksum: str
    """CRC-64/NVME of all bytes as they are stored, 16 hex digits."""
    checksums: tuple[Checksum, ...]

    @property
    def completed_parts(self) -> tuple[CompletedPart, ...]:
        return tuple(
            CompletedPart(part.number, part.size_bytes, next(iter(part.checksums), None), part.salt)
            for part in self.parts
        )


def check_part_number(number: int) -> int:
    """Raises InvalidArgument outside 1…10,000."""
    if not 1 <= number <= PART_NUMBER_MAX:
        raise InvalidArgument(
            f"Part number must be an integer between 1 and {PART_NUMBER_MAX}, inclusive",
            "partNumber",
            str(number),
        )
    return number


def require_upload(
    catalog: Namespace, bucket: BucketName, key: ObjectKey, upload_id: UploadId
) -> Upload:
    """The upload in progress for this very key; raises NoSuchBucket or NoSuchUpload."""
    upload = catalog.upload(upload_id)
    if upload is None or (upload.bucket, upload.key) != (bucket, key):
        require_bucket(catalog, bucket)
        raise NoSuchUpload(
            "The specified multipart upload does not exist. The upload ID may be invalid, or the"
            " upload may have been aborted or completed."
        )
    return upload


def start_upload(
    catalog: Catalog, *, started: UploadStarted, now_ms: int
) -> Sequence[UploadStarted]:
    """Raises NoSuchBucket; InvalidRequest and InvalidArgument if the version to be can't be locked
    so."""
    bucket = require_bucket(catalog, started.bucket)
    check_asked(started.attributes.protection, bucket.settings.object_lock, now_ms)
    return [started]


def store_part(
    catalog: Catalog, *, bucket: BucketName, key: ObjectKey, stored: PartStored
) -> Sequence[PartStored]:
    """Raises NoSuchUpload if the upload ended while the part was on its way."""
    require_upload(catalog, bucket, key, stored.upload_id)
    return [stored]


def abort_upload(
    catalog: Catalog, *, bucket: BucketName, key: ObjectKey, upload_id: UploadId
) -> Sequence[UploadAborted]:
    """Raises NoSuchUpload."""
    require_upload(catalog, bucket, key, upload_id)
    return [UploadAborted(upload_id)]


def assemble(
    upload: Upload,
    stored: Sequence[Part],
    named: Sequence[NamedPart],
    combine: Combine,
    digest: Digest,
) -> Assembly:
    """Check the client's list against the stored parts and add it up. Of entries in a row for the
    same part the last counts: a client that sent it again lists both.

    Raises InvalidPartOrder, InvalidPart, EntityTooSmall, EntityTooLarge, InvalidArgument.
    """
    if not named:
        raise InvalidArgument("You must specify at least one part")
    numbers = [part.number for part in named]
    if any(later < earlier for earlier, later in itertools.pairwise(numbers)):
        raise InvalidPartOrder(
            "The list of parts was not in ascending order. The parts list must be specified in"
            " order by part number."
        )
    by_number = {part.number: part for part in stored}
    last = {wanted.number: wanted for wanted in named}
    parts = [_match(by_number.get(number), wanted) for number, wanted in last.items()]
    for part in parts[:-1]:
        if part.size_bytes < PART_SIZE_MIN_BYTES:
            raise EntityTooSmall(
                f"Your proposed upload is smaller than the minimum allowed size: part"
                f" {part.number} has {part.size_bytes} bytes, at least {PART_SIZE_MIN_BYTES}"
                " are required in all but the last"
            )
    size_bytes = sum(part.size_bytes for part in parts)
    if size_bytes > OBJECT_SIZE_MAX_BYTES:
        raise EntityTooLarge(f"An object has at most {OBJECT_SIZE_MAX_BYTES} bytes")
    crc = 0
    for part in parts:
        length = part.location.size_bytes
        crc = combine(ChecksumAlgorithm.CRC64NVME, crc, int(part.checksum, 16), length)
    return Assembly(
        tuple(parts),
        size_bytes,
        composite_etag(bytes.fromhex(part.etag) for part in parts),
        f"{crc:016x}",
        _object_checksum(upload, parts, f"{crc:016x}", combine, digest),
    )


def complete_upload(
    catalog: Catalog,
    *,
    bucket: BucketName,
    key: ObjectKey,
    upload_id: UploadId,
    assembly: Assembly,
    committed: VersionCommitted,
    conditions: Conditions = NO_CONDITIONS,
) -> Sequence[Event]:
    """Turn the parts into the key's current version.

    Raises NoSuchUpload, InvalidPart if a part was replaced meanwhile, PreconditionFailed.
    """
    require_upload(catalog, bucket, key, upload_id)
    stored = {part.number: part.location for part in catalog.parts(upload_id)}
    for part in assembly.parts:
        if stored.get(part.number) != part.location:
            raise InvalidPart(f"Part {part.number} was uploaded again during the completion")
    numbers = tuple(part.number for part in assembly.parts)
    return [
        *commit_version(catalog, committed=committed, conditions=conditions),
        UploadCompleted(upload_id, bucket, key, committed.volume_id, numbers),
    ]


def check_stated(assembly: Assembly, checksum: Checksum | None, size_bytes: int | None) -> None:
    """Compare what the client says of the whole object; raises BadDigest or InvalidRequest."""
    if size_bytes is not None and size_bytes != assembly.size_bytes:
        raise InvalidRequest(
            f"The provided 'x-amz-mp-object-size' header value {size_bytes} does not match what was"
            f" computed: {assembly.size_bytes}"
        )
    if checksum is None:
        return
    own = next((own for own in assembly.checksums if own.algorithm == checksum.algorithm), None)
    if own is None or own.value != checksum.value:
        raise BadDigest(
            f"The {checksum.algorithm} you specified did not match the calculated checksum."
        )


def _match(part: Part | None, wanted: NamedPart) -> Part:
    if part is None or part.etag != wanted.etag:
        raise InvalidPart(
            f"One or more of the specified parts could not be found. The part {wanted.number} may"
            " not have been uploaded, or the specified entity tag may not match the part's."
        )
    if wanted.checksum and not any(own == wanted.checksum for own in part.checksums):
        raise InvalidPart(f"The checksum given for part {wanted.number} is not the part's")
    return part


def _object_checksum(
    upload: Upload, parts: Sequence[Part], crc64: str, combine: Combine, digest: Digest
) -> tuple[Checksum, ...]:
    algorithm, kind = upload.checksum_algorithm, upload.checksum_type
    is_stored_plain = upload.attributes.encryption is None
    if algorithm is None:
        algorithm, kind = ChecksumAlgorithm.CRC64NVME, ChecksumType.FULL_OBJECT
        if not is_stored_plain and not all(_has(algorithm, part) for part in parts):
            return ()
    if kind is ChecksumType.FULL_OBJECT:
        if algorithm is ChecksumAlgorithm.CRC64NVME and is_stored_plain:
            return (crc64_checksum(crc64),)
        pairs = [(_of(algorithm, part), part.size_bytes) for part in parts]
        return (
            full_object_checksum(
                algorithm, pairs, lambda a, b, length: combine(algorithm, a, b, length)
            ),
        )
    own = [_of(algorithm, part) for part in parts]
    return (composite_checksum(algorithm, own, lambda joined: digest(algorithm, joined)),)


def crc64_checksum(crc64: str) -> Checksum:
    """The S3 form of a CRC-64/NVME given as 16 hex digits."""
    return Checksum(ChecksumAlgorithm.CRC64NVME, encode_digest(bytes.fromhex(crc64)))


def _has(algorithm: ChecksumAlgorithm, part: Part) -> bool:
    return any(checksum.algorithm is algorithm for checksum in part.checksums)


def _of(algorithm: ChecksumAlgorithm, part: Part) -> Checksum:
    for checksum in part.checksums:
        if checksum.algorithm is algorithm:
            return checksum
    raise InvalidPart(f"Part {part.number} was uploaded without a {algorithm} checksum")
