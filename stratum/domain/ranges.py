"""Byte ranges: one contiguous piece of an object (RFC 9110 §14, as far as S3 goes).

S3 answers a single range; a list of ranges, another unit or a malformed value is ignored and
the whole object sent, which RFC 9110 §14.2 allows.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from stratum.domain.errors import InvalidArgument, InvalidRange

OFFSET_DIGITS_MAX = 19
"""Longer numbers are beyond any object; cut here so that int() never sees thousands of digits."""

_RANGE = re.compile(r"\s*bytes\s*=\s*([0-9]*)\s*-\s*([0-9]*)\s*", re.IGNORECASE).fullmatch
_COPY_RANGE = re.compile(r"bytes=([0-9]+)-([0-9]+)").fullmatch


@dataclass(frozen=True)
class Span:
    """Bytes [start, stop) of an object: resolved, within its size."""

    start: int
    stop: int

    @property
    def length(self) -> int:
        """Number of bytes."""
        return self.stop - self.start


@dataclass(frozen=True)
class ByteRange:
    """What was asked: from `first` to `last` inclusive, either end possibly open.

    `first` None: the last `last` bytes of the object (a suffix range).
    """

    first: int | None
    last: int | None

    def __str__(self) -> str:
        first = "" if self.first is None else self.first
        last = "" if self.last is None else self.last
        return f"bytes={first}-{last}"

    def resolve(self, size_bytes: int) -> Span:
        """The bytes meant in an object of this size; raise InvalidRange (416) if there are none."""
        if self.first is None:
            length = self.last or 0
            span = Span(max(0, size_bytes - length), size_bytes)
        else:
            stop = size_bytes if self.last is None else min(self.last + 1, size_bytes)
            span = Span(self.first, stop)
        if span.length <= 0:
            raise InvalidRange(size_bytes, str(self))
        return span


def parse_range(text: str) -> ByteRange | None:
    """Parse a Range field value; None if it is to be ignored."""
    match = _RANGE(text)
    if match is None or not any(match.groups()):
        return None
    first, last = (_offset(digits) if digits else None for digits in match.groups())
    if first is not None and last is not None and last < first:
        return None
    return ByteRange(first, last)


def parse_copy_range(text: str) -> ByteRange:
    """Parse x-amz-copy-source-range, only `bytes=first-last`; raise InvalidArgument.

    https://docs.aws.amazon.com/AmazonS3/latest/API/API_UploadPartCopy.html
    """
    match = _COPY_RANGE(text)
    if match is None or _offset(match[2]) < _offset(match[1]):
        raise InvalidArgument(
            "The x-amz-copy-source-range value must be of the form bytes=first-last where first"
            " and last are the zero-based offsets of the first and last bytes to copy",
            "x-amz-copy-source-range",
            text[:100],
        )
    return ByteRange(_offset(match[1]), _offset(match[2]))


def resolve_copy_range(asked: ByteRange, size_bytes: int) -> Span:
    """The bytes to copy. Unlike a read, a copy that ends beyond the object is InvalidRange."""
    if asked.first is None or asked.last is None or asked.last >= size_bytes:
        raise InvalidRange(size_bytes, str(asked))
    return Span(asked.first, asked.last + 1)


def _offset(digits: str) -> int:
    significant = digits.lstrip("0") or "0"
    if len(significant) > OFFSET_DIGITS_MAX:
        return int("9" * OFFSET_DIGITS_MAX)
    return int(significant)
