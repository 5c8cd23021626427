"""Events made ready to be appended: numbered, dated, encoded and linked."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from stratum.adapters.event_codec import encode_event
from stratum.domain.events import Event, Recorded, UploadStarted, VersionCommitted
from stratum.domain.hash_chain import GENESIS_DIGEST, link
from stratum.ports import Head

GENESIS = Head(0, GENESIS_DIGEST)

OPENING = (VersionCommitted, UploadStarted)
"""Events that begin their stream: ids are never used twice."""


class Link(NamedTuple):
    """An event ready to be appended."""

    recorded: Recorded
    state: bytes
    digest: bytes


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
