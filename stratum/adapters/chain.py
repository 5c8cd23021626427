"""The hash chain over the journal's events.

h(n) = SHA-256(h(n-1) ‖ len(stream) ‖ stream ‖ version ‖ len(topic) ‖ topic ‖ state), h(0) = 32 zero
bytes; lengths have four bytes, the version eight, both big-endian. Altering, removing, adding or
reordering events breaks the chain from there on. Replacing the whole journal does not: compare
its head with one noted elsewhere to find that.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from typing import NamedTuple

from stratum.adapters.event_codec import encode_event
from stratum.domain.events import Event, Recorded, UploadStarted, VersionCommitted
from stratum.ports import Head

GENESIS = Head(0, bytes(32))

OPENING = (VersionCommitted, UploadStarted)
"""Events that begin their stream: ids are never used twice."""


class Link(NamedTuple):
    """An event ready to be appended."""

    recorded: Recorded
    state: bytes
    digest: bytes


def link(previous: bytes, stream: str, version: int, topic: str, state: bytes) -> bytes:
    """The chain's digest at an event, from the one before it."""
    # Lengths go before texts, so that bytes cannot be shifted from one field to the next.
    id_bytes, topic_bytes = stream.encode(), topic.encode()
    return hashlib.sha256(
        b"%b%b%b%b%b%b%b"
        % (
            previous,
            len(id_bytes).to_bytes(4, "big"),
            id_bytes,
            version.to_bytes(8, "big"),
            len(topic_bytes).to_bytes(4, "big"),
            topic_bytes,
            state,
        )
    ).digest()


def chain_events(
    events: Sequence[Event], head: Head, at_ms: int, by: str, last_version: Callable[[str], int]
) -> list[Link]:
    """Number, date, encode and link the events that follow `head`.

    `last_version(stream)` is the number of events a stream has; it is not asked for streams that
    their event opens, so whoever appends refuses a (stream, version) that is taken. Raises
    TypeError for an event that could not be read again.
    """
    links: list[Link] = []
    versions: dict[str, int] = {}
    digest = head.digest
    for seq, event in enumerate(events, head.seq + 1):
        stream = event.stream
        if isinstance(event, OPENING):
            version = 1
        else:
            version = (versions.get(stream) or last_version(stream)) + 1
        versions[stream] = version
        state = encode_event(event, at_ms, by)
        digest = link(digest, stream, version, event.TOPIC, state)
        links.append(Link(Recorded(seq, stream, version, at_ms, by, event), state, digest))
    return links
