"""Tags: words that people put on objects and buckets, to find, bill, protect and expire them by.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-tagging.html and
https://docs.aws.amazon.com/awsaccountbilling/latest/aboutv2/tag-restrictions.html
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable

from stratum.domain.errors import InvalidTag

OBJECT_TAGS_MAX = 10
BUCKET_TAGS_MAX = 50
TAG_KEY_LENGTH_MAX = 128
"""In characters, as the next one."""
TAG_VALUE_LENGTH_MAX = 256
RESERVED_PREFIX = "aws:"

_SIGNS = frozenset("_.:/=+-@")
_CATEGORIES = ("L", "N", "Z")
"""Letters, numbers and blanks of all scripts."""


def parse_tags(pairs: Iterable[tuple[str, str]], count_max: int) -> dict[str, str]:
    """A set of tags, ordered by key. Raises InvalidTag: too many, the same key twice, too long,
    a character tags can't have, or a key that is reserved."""
    tags: dict[str, str] = {}
    for key, value in pairs:
        if key in tags:
            raise InvalidTag("Cannot provide multiple Tags with the same key", key)
        check_tag(key, value)
        tags[key] = value
        if len(tags) > count_max:
            what = "Object" if count_max == OBJECT_TAGS_MAX else "Bucket"
            raise InvalidTag(f"{what} tags cannot be greater than {count_max}")
    return dict(sorted(tags.items()))


def check_tag(key: str, value: str) -> None:
    """Raises InvalidTag."""
    if not 1 <= len(key) <= TAG_KEY_LENGTH_MAX or not _is_clean(key):
        raise InvalidTag("The TagKey you have provided is invalid", key)
    if len(value) > TAG_VALUE_LENGTH_MAX or not _is_clean(value):
        raise InvalidTag("The TagValue you have provided is invalid", key, value)
    if key.lower().startswith(RESERVED_PREFIX):
        raise InvalidTag("System tags cannot be added/updated by requester", key)


def _is_clean(text: str) -> bool:
    return all(
        character in _SIGNS or unicodedata.category(character)[0] in _CATEGORIES
        for character in text
    )
