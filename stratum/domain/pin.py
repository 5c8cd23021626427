"""Pins: the tier somebody fixed for all keys under a prefix. Of several, the longest wins."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from stratum.domain import wording
from stratum.domain.names import BucketName, Tier, object_key


@dataclass(frozen=True)
class Pin:
    """As it is in force."""

    bucket: BucketName
    prefix: str
    """Of keys; empty for the whole bucket."""
    tier: Tier
    by: str
    """Who set it."""
    at_ms: int
    seq: int
    """Journal position of the `TierPinned` event."""
    why: str = ""
    """The reason in their words, or empty."""
    storage_class: str = ""
    """If it is one version that is fixed, by its storage class."""
    until_ms: int = 0
    """If that version is restored: until when (Unix ms)."""

    @property
    def url(self) -> str:
        return f"s3://{self.bucket}/{self.prefix}"

    def describe(self) -> str:
        """`pinned to hot by root since 2026-11-23 09:30:00 UTC (s3://films/a/): the reason`."""
        if self.storage_class:
            restored = f" and restored until {wording.moment(self.until_ms)}"
            return f"stored as {self.storage_class}{restored if self.until_ms else ''}"
        reason = f": {self.why}" if self.why else ""
        since = wording.moment(self.at_ms)
        return f"pinned to {self.tier} by {self.by} since {since} ({self.url}){reason}"


def pin_prefix(text: str) -> str:
    """Parse a prefix of keys, which may be empty; raise InvalidKey or KeyTooLong."""
    return object_key(text) if text else ""


def longest_pin(key: bytes, at_or_below: Callable[[bytes], Pin | None]) -> Pin | None:
    """The pin with the longest prefix of `key`, all as UTF-8.

    `at_or_below` gives the pin of the greatest prefix that is not greater than some bytes: one
    look-up in an index. If that isn't a prefix of the key, no prefix longer than what it has in
    common with the key is pinned, because such a one would lie between the two. So each look-up
    asks for fewer bytes, and without pins nearby there is one.
    """
    sought = key
    while (pin := at_or_below(sought)) is not None:
        prefix = pin.prefix.encode()
        if key.startswith(prefix):
            return pin
        sought = sought[: _common_length(sought, prefix)]
    return None


def _common_length(one: bytes, other: bytes) -> int:
    for at, (left, right) in enumerate(zip(one, other, strict=False)):
        if left != right:
            return at
    return min(len(one), len(other))
