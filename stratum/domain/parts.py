"""Which bytes of a version a reader means: all, a range, or a part of its upload."""

from __future__ import annotations

from stratum.domain.errors import InvalidArgument, InvalidPartNumber
from stratum.domain.ranges import ByteRange, Span
from stratum.domain.volume import ObjectVersion


def resolve(version: ObjectVersion, asked: ByteRange | None, part_number: int | None) -> Span:
    """Which bytes are meant. Raises InvalidRange, InvalidArgument."""
    if part_number is not None:
        if asked is not None:
            raise InvalidArgument("Cannot specify both Range header and partNumber query parameter")
        return _part_span(version, part_number)
    if asked is None:
        return Span(0, version.size_bytes)
    return asked.resolve(version.size_bytes)


def _part_span(version: ObjectVersion, number: int) -> Span:
    begin = 0
    for part in version.parts:
        if part.number == number:
            return Span(begin, begin + part.size_bytes)
        begin += part.size_bytes
    if not version.parts and number == 1:
        return Span(0, version.size_bytes)
    raise InvalidPartNumber("The requested partnumber is not satisfiable")
