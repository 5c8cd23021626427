"""Names that are valid once they exist: parse, don't validate."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import NewType

from stratum.domain.errors import InvalidBucketName, InvalidKey, KeyTooLong

KEY_LENGTH_MAX_BYTES = 1024

BucketName = NewType("BucketName", str)
ObjectKey = NewType("ObjectKey", str)
VolumeId = NewType("VolumeId", str)
"""32 hexadecimal digits of a UUID version 7: sorts by time of creation."""
ExtentId = NewType("ExtentId", str)
UploadId = NewType("UploadId", str)

# https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html
_BUCKET = re.compile(r"[a-z0-9](?:[a-z0-9.-]{1,61})[a-z0-9]").fullmatch
_IPV4 = re.compile(r"\d+\.\d+\.\d+\.\d+").fullmatch
_RESERVED_PREFIXES = ("xn--", "sthree-", "amzn-s3-demo-")
_RESERVED_SUFFIXES = ("-s3alias", "--ol-s3", ".mrap", "--x-s3", "--table-s3")


class Tier(StrEnum):
    """Where a volume can live, dearest and fastest first."""

    HOT = "hot"
    WARM = "warm"
    COLD = "cold"


@dataclass(frozen=True)
class Caller:
    """Who asks: the canonical id of an account and the name shown for it."""

    id: str
    name: str


def bucket_name(text: str) -> BucketName:
    """Parse a bucket name; raise InvalidBucketName."""
    valid = (
        _BUCKET(text)
        and ".." not in text
        and ".-" not in text
        and "-." not in text
        and not _IPV4(text)
        and not text.startswith(_RESERVED_PREFIXES)
        and not text.endswith(_RESERVED_SUFFIXES)
    )
    if not valid:
        raise InvalidBucketName(f"The specified bucket is not valid: {text[:80]!r}")
    return BucketName(text)


def object_key(text: str) -> ObjectKey:
    """Parse a key; raise InvalidKey or KeyTooLong. `/`, `.` and `..` are ordinary characters."""
    if not text:
        raise InvalidKey("A key has at least one character")
    try:
        length = len(text.encode())
    except UnicodeEncodeError:
        raise InvalidKey("A key is text that UTF-8 can express") from None
    if length > KEY_LENGTH_MAX_BYTES:
        raise KeyTooLong(f"Your key is too long: {length} bytes, at most {KEY_LENGTH_MAX_BYTES}")
    return ObjectKey(text)
