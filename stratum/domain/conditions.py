"""Conditional requests: which version of a representation the caller wants to meet.

RFC 9110 §13 decides the order and the comparisons; where Amazon S3 documents a combination
(GetObject: "If-Match true and If-Unmodified-Since false: 200"; "If-None-Match false and
If-Modified-Since true: 304") it is the order of §13.2.2. Entity tags are kept without their
quotes; clients of S3 often send them without, too.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from stratum.domain.errors import NoSuchKey, NotModified, PreconditionFailed

# An entity tag as RFC 9110 §8.8.3 writes it, or bare as S3 clients send it.
_ENTITY_TAG = re.compile(r'(W/)?(?:"([^"]*)"|([^",\s]+))')


@dataclass(frozen=True)
class EntityTags:
    """The value of If-Match or If-None-Match: any representation, or one of these."""

    any: bool = False
    strong: frozenset[str] = frozenset()
    weak: frozenset[str] = frozenset()

    @classmethod
    def parse(cls, text: str) -> EntityTags:
        """Parse a field value: `*`, or a comma-separated list of tags, quoted or not."""
        if text.strip() in ("*", '"*"'):
            return cls(any=True)
        strong: set[str] = set()
        weak: set[str] = set()
        for is_weak, quoted, bare in _ENTITY_TAG.findall(text):
            (weak if is_weak else strong).add(quoted or bare)
        return cls(strong=frozenset(strong), weak=frozenset(weak))

    def match_strongly(self, etag: str) -> bool:
        """If-Match: a weak tag never matches (RFC 9110 §13.1.1)."""
        return self.any or etag.strip('"') in self.strong

    def match_weakly(self, etag: str) -> bool:
        """If-None-Match: weak and strong tags match alike (RFC 9110 §13.1.2)."""
        bare = etag.strip('"')
        return self.any or bare in self.strong or bare in self.weak


@dataclass(frozen=True)
class Conditions:
    """What must hold for a request to be carried out. Times are Unix milliseconds."""

    if_match: EntityTags | None = None
    if_none_match: EntityTags | None = None
    if_modified_since_ms: int | None = None
    if_unmodified_since_ms: int | None = None
    if_range: EntityTags | int | None = None
    """The tag, or the date in milliseconds, a Range depends on."""
    if_match_size_bytes: int | None = None
    """Deletions only, as the next one."""
    if_match_modified_ms: int | None = None

    def __bool__(self) -> bool:
        return self != NO_CONDITIONS


NO_CONDITIONS = Conditions()


def check_read(conditions: Conditions, etag: str, modified_at_ms: int) -> None:
    """Raise PreconditionFailed (412) or NotModified (304) unless the object may be sent.

    Dates in HTTP have whole seconds, so the fraction of `modified_at_ms` does not count.
    """
    if conditions.if_match is not None:
        if not conditions.if_match.match_strongly(etag):
            raise PreconditionFailed("If-Match")
    elif conditions.if_unmodified_since_ms is not None and _later(
        modified_at_ms, conditions.if_unmodified_since_ms
    ):
        raise PreconditionFailed("If-Unmodified-Since")
    if conditions.if_none_match is not None:
        if conditions.if_none_match.match_weakly(etag):
            raise NotModified(etag, modified_at_ms)
    elif conditions.if_modified_since_ms is not None and not _later(
        modified_at_ms, conditions.if_modified_since_ms
    ):
        raise NotModified(etag, modified_at_ms)


def range_applies(conditions: Conditions, etag: str, modified_at_ms: int) -> bool:
    """Whether a Range counts (RFC 9110 §13.1.5); if not, the whole object is sent."""
    match conditions.if_range:
        case None:
            return True
        case EntityTags() as tags:
            return tags.match_strongly(etag)
        case date_ms:
            return modified_at_ms // 1000 == date_ms // 1000


def check_copy_source(conditions: Conditions, etag: str, modified_at_ms: int) -> None:
    """As `check_read` for x-amz-copy-source-if-*: what would be 304 is PreconditionFailed too."""
    try:
        check_read(conditions, etag, modified_at_ms)
    except NotModified:
        by_tag = conditions.if_none_match is not None
        failed = "If-None-Match" if by_tag else "If-Modified-Since"
        raise PreconditionFailed(f"x-amz-copy-source-{failed}") from None
    except PreconditionFailed as error:
        raise PreconditionFailed(f"x-amz-copy-source-{error.condition}") from None


def check_write(conditions: Conditions, current_etag: str | None) -> None:
    """Decide a conditional PUT or completion; `current_etag` is None without an object.

    Raises PreconditionFailed, or NoSuchKey for If-Match on a missing object
    (https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html). Dates do
    not guard writes in S3 and are ignored.
    """
    if conditions.if_match is not None:
        if current_etag is None:
            raise NoSuchKey("The specified key does not exist.")
        if not conditions.if_match.match_strongly(current_etag):
            raise PreconditionFailed("If-Match")
    if (
        conditions.if_none_match is not None
        and current_etag is not None
        and conditions.if_none_match.match_weakly(current_etag)
    ):
        raise PreconditionFailed("If-None-Match")


def check_delete(conditions: Conditions, etag: str, size_bytes: int, modified_at_ms: int) -> None:
    """Decide a conditional DELETE of something that is there; what isn't there is deleted whatever
    the conditions (https://docs.aws.amazon.com/AmazonS3/latest/API/API_DeleteObject.html). A delete
    marker has no entity tag, so that only `*` matches it. Raises PreconditionFailed.

    Amazon knows the size and the date for directory buckets only; the date has whole seconds.
    """
    if conditions.if_match is not None and not conditions.if_match.match_strongly(etag):
        raise PreconditionFailed("If-Match")
    if conditions.if_match_size_bytes not in (None, size_bytes):
        raise PreconditionFailed("x-amz-if-match-size")
    date_ms = conditions.if_match_modified_ms
    if date_ms is not None and date_ms // 1000 != modified_at_ms // 1000:
        raise PreconditionFailed("x-amz-if-match-last-modified-time")


def _later(modified_at_ms: int, than_ms: int) -> bool:
    return modified_at_ms // 1000 > than_ms // 1000
