"""What the store owes its clients: a dictionary, and what may be as well.

A request that is under way when the process dies may have happened or not; so may one that was
answered with an error of the kind "something failed". Until the key is read again, either is right.
What was acknowledged, and what was read once, must be from then on.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

Content = tuple[str, int, str]
"""(SHA-256, length, the metadata's mark) of an object."""


def content_of(body: bytes, mark: str) -> Content:
    return hashlib.sha256(body).hexdigest(), len(body), mark


class Broken(AssertionError):
    """The store broke a promise."""


@dataclass
class Key:
    """One key of a bucket without versioning. None: there is no object."""

    possible: set[Content | None] = field(default_factory=lambda: {None})

    def begin(self, new: Content | None) -> None:
        """A request that would make it `new` is under way."""
        self.possible = self.possible | {new}

    def acknowledged(self, new: Content | None) -> None:
        self.possible = {new}

    def refused(self, before: set[Content | None]) -> None:
        """It certainly did not happen."""
        self.possible = set(before)

    def read(self, found: Content | None, name: str) -> None:
        if found not in self.possible:
            raise Broken(f"{name} is {found}, not one of {self.possible}")
        self.possible = {found}


@dataclass
class Versions:
    """All versions of one key of a bucket with versioning, by id."""

    known: dict[str, Content] = field(default_factory=dict)
    """Acknowledged or read, and not deleted."""
    maybe: list[Content] = field(default_factory=list)
    """Written without an answer: each may be there once, under an id nobody knows."""
    doubtful: set[str] = field(default_factory=set)
    """Deleted without an answer."""

    def check(self, found: dict[str, Content], name: str) -> None:
        for version_id, content in self.known.items():
            if version_id in found:
                if found[version_id] != content:
                    raise Broken(f"{name}?{version_id} is {found[version_id]}, not {content}")
            elif version_id not in self.doubtful:
                raise Broken(f"{name}?{version_id} is lost")
        left = list(self.maybe)
        for version_id, content in found.items():
            if version_id not in self.known:
                if content not in left:
                    raise Broken(f"{name}?{version_id} came from nowhere: {content}")
                left.remove(content)
        self.known, self.maybe, self.doubtful = dict(found), [], set()


@dataclass
class Counter:
    """A key that clients change by compare-and-swap: no two may win against one value."""

    won: dict[str, str] = field(default_factory=dict)
    """ETag replaced → ETag of the request that replaced it, acknowledged."""

    def swapped(self, old: str, new: str) -> None:
        if old in self.won:
            raise Broken(f"both {self.won[old]} and {new} replaced {old}")
        self.won[old] = new


@dataclass
class Model:
    keys: dict[str, Key] = field(default_factory=dict)
    versions: dict[str, Versions] = field(default_factory=dict)
    counter: Counter = field(default_factory=Counter)
    acknowledged: int = 0
    """Writes that were answered with success."""

    def key(self, name: str) -> Key:
        return self.keys.setdefault(name, Key())

    def of(self, name: str) -> Versions:
        return self.versions.setdefault(name, Versions())
