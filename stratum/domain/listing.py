"""Listing keys page by page, as S3 does, over anything that can seek in byte order.

Keys sort by their UTF-8 bytes. With a delimiter, all keys that share the text up to and including
its first occurrence after the prefix roll up into one common prefix. A page's limit counts keys
and common prefixes alike. Pages resume after the last thing returned: after a key, or past
everything below a common prefix.

`paginate` reads what it returns and one entry more, and seeks past each common prefix instead of
walking it. It serves the in-memory catalog and is the oracle for the SQL one.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

from stratum.domain.errors import InvalidArgument

PAGE_LENGTH_MAX = 1000
TOKEN_LENGTH_MAX_BYTES = 8192
"""A 1,024-byte key, every byte escaped as six in JSON, in base64."""

T = TypeVar("T")


@dataclass(frozen=True)
class Position:
    """Where a listing stopped: after this key, or (`is_prefix`) past all keys that start with it.

    Where a key has several entries (uploads), `within` is the last one's id.
    """

    key: str
    is_prefix: bool = False
    within: str | None = None

    @property
    def lower_bound(self) -> bytes:
        """The least key bytes that may come next."""
        key = self.key.encode()
        if self.is_prefix:
            return after_prefix(key)
        return key if self.within is not None else key + b"\0"


@dataclass(frozen=True)
class ListRequest:
    """One page asked for. No delimiter: no common prefixes. `after` None: from the beginning."""

    prefix: str = ""
    delimiter: str = ""
    after: Position | None = None
    max_keys: int = PAGE_LENGTH_MAX

    def common_prefix(self, key: str) -> str | None:
        """The common prefix a key rolls up into; None if it is listed itself."""
        if not self.delimiter or not key.startswith(self.prefix):
            return None
        at = key.find(self.delimiter, len(self.prefix))
        return None if at < 0 else key[: at + len(self.delimiter)]

    @property
    def start(self) -> Position | None:
        """Where to begin: a start inside a common prefix skips all of that prefix.

        A common prefix is listed only when it sorts after the marker; `a/` does not after `a/b`.
        """
        if self.after is None or self.after.is_prefix:
            return self.after
        rolled_up = self.common_prefix(self.after.key)
        return self.after if rolled_up is None else Position(rolled_up, is_prefix=True)

    @property
    def lower_bound(self) -> bytes:
        """The least key bytes the page may hold."""
        prefix = self.prefix.encode()
        return prefix if self.start is None else max(prefix, self.start.lower_bound)


@dataclass(frozen=True)
class Page(Generic[T]):
    """Entries and common prefixes, each in byte order. `next` is None on the last page."""

    entries: tuple[T, ...]
    common_prefixes: tuple[str, ...]
    next: Position | None

    @property
    def truncated(self) -> bool:
        """Whether there is more."""
        return self.next is not None


def after_prefix(prefix: bytes) -> bytes:
    """The least bytes greater than everything that starts with `prefix` (UTF-8, not empty)."""
    # No byte of UTF-8 is 0xFF, so the last byte can always be incremented.
    return prefix[:-1] + bytes([prefix[-1] + 1])


def paginate(
    seek: Callable[[bytes], Iterator[T]],
    request: ListRequest,
    key_of: Callable[[T], str],
    within_of: Callable[[T], str] | None = None,
) -> Page[T]:
    """List one page. `seek(lower)` iterates entries whose key bytes are >= lower, ascending.

    With `within_of`, entries of one key are told apart by it and come in ascending order of it.
    """
    entries: list[T] = []
    prefixes: list[str] = []
    last: Position | None = None
    start = request.start
    iterator = seek(request.lower_bound) if request.max_keys > 0 else iter(())
    while (entry := next(iterator, None)) is not None:
        key = key_of(entry)
        if not key.startswith(request.prefix):
            break
        within = within_of(entry) if within_of is not None else None
        if _already_listed(start, key, within):
            continue
        if len(entries) + len(prefixes) >= request.max_keys:
            return Page(tuple(entries), tuple(prefixes), last)
        rolled_up = request.common_prefix(key)
        if rolled_up is None:
            entries.append(entry)
            last = Position(key, within=within)
        else:
            prefixes.append(rolled_up)
            last = Position(rolled_up, is_prefix=True)
            iterator = seek(last.lower_bound)
    return Page(tuple(entries), tuple(prefixes), None)


def _already_listed(start: Position | None, key: str, within: str | None) -> bool:
    if start is None or start.within is None or within is None:
        return False
    return key == start.key and within <= start.within


def encode_token(position: Position) -> str:
    """The opaque continuation token of a position."""
    text = json.dumps([position.key, position.is_prefix, position.within])
    return base64.urlsafe_b64encode(text.encode()).decode("ascii").rstrip("=")


def decode_token(token: str) -> Position:
    """The position of a continuation token; raise InvalidArgument if it is not one of ours."""
    try:
        if len(token) > TOKEN_LENGTH_MAX_BYTES:
            raise ValueError
        padded = token.encode("ascii") + b"=" * (-len(token) % 4)
        value = json.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
    except (ValueError, binascii.Error, RecursionError):
        value = None
    match value:
        case [str(key), bool(is_prefix), (str() | None) as within] if _is_utf8(key) and (
            key or not is_prefix
        ):
            return Position(key, is_prefix, within)
        case _:
            raise InvalidArgument(
                "The continuation token provided is incorrect", "continuation-token", token[:100]
            )


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
