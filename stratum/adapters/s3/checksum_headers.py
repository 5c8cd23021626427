"""Checksum headers: what the client states, announces for the trailer, or wants to hear.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity-upload.html. Since
2025 SDKs state a CRC by default; a header for an algorithm we do not know is refused, because
ignoring it would promise a check that nobody makes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from stratum.adapters.s3.errors import S3Error
from stratum.adapters.s3.request import Headers
from stratum.domain.checksums import (
    Checksum,
    ChecksumAlgorithm,
    ChecksumType,
    multipart_type,
    parse_checksum,
)
from stratum.domain.errors import InvalidArgument

PREFIX = "x-amz-checksum-"
ALGORITHMS_BY_HEADER = {f"{PREFIX}{name.lower()}": name for name in ChecksumAlgorithm}

_NOT_VALUES = (f"{PREFIX}algorithm", f"{PREFIX}mode", f"{PREFIX}type")
_SIZE = re.compile("[0-9]{1,18}").fullmatch


@dataclass(frozen=True)
class PayloadChecksum:
    """The checksum a body comes with. `stated` is None when it follows in the trailer."""

    algorithm: ChecksumAlgorithm
    stated: Checksum | None


def payload_checksum(headers: Headers) -> PayloadChecksum | None:
    """The checksum of the request's body, stated in a header or announced in x-amz-trailer.

    Raises S3Error InvalidRequest for two of them, an unknown algorithm, or an
    x-amz-sdk-checksum-algorithm without the checksum; BadDigest for a value that is none.
    """
    stated = stated_checksum(headers)
    trailing = [
        name.strip().lower() for name in headers.get("x-amz-trailer", "").split(",") if name.strip()
    ]
    if len(trailing) + (stated is not None) > 1:
        raise _several()
    found = PayloadChecksum(stated.algorithm, stated) if stated is not None else None
    if trailing:
        algorithm = ALGORITHMS_BY_HEADER.get(trailing[0])
        if algorithm is None:
            raise S3Error(
                "InvalidRequest", "The value specified in the x-amz-trailer header is not supported"
            )
        found = PayloadChecksum(algorithm, None)
    announced = headers.get("x-amz-sdk-checksum-algorithm")
    if announced and found is None:
        raise S3Error(
            "InvalidRequest",
            "x-amz-sdk-checksum-algorithm specified, but no corresponding x-amz-checksum-* or"
            " x-amz-trailer headers were found.",
        )
    if announced and found is not None and announced.upper() != found.algorithm:
        raise S3Error("InvalidRequest", "Value for x-amz-sdk-checksum-algorithm header is invalid.")
    return found


def stated_checksum(headers: Headers) -> Checksum | None:
    """The one `x-amz-checksum-ALGORITHM` header: of a body, or of the object to be completed.

    Raises S3Error InvalidRequest for several or an unknown algorithm, BadDigest.
    """
    found: Checksum | None = None
    for name, value in headers.items():
        if not name.startswith(PREFIX) or name in _NOT_VALUES:
            continue
        algorithm = ALGORITHMS_BY_HEADER.get(name)
        if algorithm is None:
            raise S3Error(
                "InvalidRequest",
                f"The algorithm type you specified in {name} header is invalid.",
            )
        if found is not None:
            raise _several()
        found = parse_checksum(algorithm, value)
    return found


def trailing_checksum(trailers: Mapping[str, str], algorithm: ChecksumAlgorithm) -> Checksum:
    """The checksum in a decoded trailer; raise MalformedTrailerError or BadDigest."""
    value = trailers.get(f"{PREFIX}{algorithm.lower()}")
    if value is None:
        raise S3Error("MalformedTrailerError")
    return parse_checksum(algorithm, value)


def requested_algorithm(headers: Headers) -> ChecksumAlgorithm | None:
    """x-amz-checksum-algorithm of a new upload or a copy; raise InvalidRequest."""
    text = headers.get(f"{PREFIX}algorithm")
    if not text:
        return None
    try:
        return ChecksumAlgorithm(text.upper())
    except ValueError:
        raise S3Error(
            "InvalidRequest",
            "Checksum algorithm provided is unsupported. Please try again with any of the valid"
            f" types: [{', '.join(ChecksumAlgorithm)}]",
        ) from None


def requested_type(headers: Headers) -> ChecksumType | None:
    """x-amz-checksum-type; raise InvalidRequest."""
    text = headers.get(f"{PREFIX}type")
    if not text:
        return None
    try:
        return ChecksumType(text.upper())
    except ValueError:
        raise S3Error(
            "InvalidRequest", "Value for x-amz-checksum-type header is invalid."
        ) from None


def upload_checksum(headers: Headers) -> tuple[ChecksumAlgorithm, ChecksumType] | None:
    """What a new multipart upload shall keep; raise InvalidRequest for pairs that do not exist."""
    algorithm, asked = requested_algorithm(headers), requested_type(headers)
    if algorithm is None:
        if asked is not None:
            raise S3Error(
                "InvalidRequest",
                "The x-amz-checksum-type header can only be used with the x-amz-checksum-algorithm"
                " header.",
            )
        return None
    try:
        return algorithm, multipart_type(algorithm, asked)
    except InvalidArgument as error:
        raise S3Error("InvalidRequest", str(error)) from None


def object_size(headers: Headers) -> int | None:
    """x-amz-mp-object-size: the size in bytes a completed object must have; InvalidRequest."""
    text = headers.get("x-amz-mp-object-size")
    if text is None:
        return None
    if not _SIZE(text):
        raise S3Error("InvalidRequest", "Value for x-amz-mp-object-size header is invalid.")
    return int(text)


def wants_checksums(headers: Headers) -> bool:
    """Whether a reader wants the checksum headers; raise InvalidArgument."""
    mode = headers.get(f"{PREFIX}mode")
    if mode is not None and mode.upper() != "ENABLED":
        raise InvalidArgument(
            "Value for x-amz-checksum-mode header is invalid.", f"{PREFIX}mode", mode[:100]
        )
    return mode is not None


def checksum_headers(checksums: Iterable[Checksum]) -> dict[str, str]:
    """The response headers for an object's or a part's checksums."""
    headers: dict[str, str] = {}
    for checksum in checksums:
        headers[f"{PREFIX}{checksum.algorithm.lower()}"] = checksum.value
        headers[f"{PREFIX}type"] = checksum.type
    return headers


def _several() -> S3Error:
    return S3Error(
        "InvalidRequest",
        "Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed.",
    )
