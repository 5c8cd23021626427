"""The hash chain over the journal's events.

h(n) = SHA-256(h(n-1) ‖ len(stream) ‖ stream ‖ version ‖ len(topic) ‖ topic ‖ state), h(0) = 32 zero
bytes; lengths have four bytes, the version eight, both big-endian. Altering, removing, adding or
reordering events breaks the chain from there on. Replacing the whole journal does not: anchors,
signed and kept elsewhere, find that (`domain/anchor.py`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from stratum.domain.event_archive import ArchivedRow

GENESIS_DIGEST = bytes(32)


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


def first_broken(previous: bytes, rows: Iterable[ArchivedRow]) -> int | None:
    """Number of the first of these rows that does not follow the digest before it; None if the
    chain holds."""
    for row in rows:
        if link(previous, row.stream, row.version, row.topic, row.state) != row.digest:
            return row.seq
        previous = row.digest
    return None
