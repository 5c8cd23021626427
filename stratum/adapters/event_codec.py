"""Events and their envelope to journal rows and back.

A row is a topic and a state: msgpack of `[at_ms, by, event]`. Topics come from a closed registry;
a row can never name code to be imported.
"""

from __future__ import annotations

from typing import Any

from stratum.adapters.positional import PositionalCodec
from stratum.domain import events
from stratum.domain.errors import JournalCorrupt
from stratum.domain.events import Event

_CODECS: dict[str, PositionalCodec[tuple[int, str, Any]]] = {
    event.TOPIC: PositionalCodec(tuple[int, str, event])  # type: ignore[valid-type]
    for event in events.ALL
}


def encode_event(event: Event, at_ms: int, by: str) -> bytes:
    """The state of an event's row.

    Raises TypeError if a field does not have its declared type: such a row could not be read.
    """
    return _CODECS[event.TOPIC].encode((at_ms, by, event))


def decode_event(topic: str, state: bytes) -> tuple[int, str, Event]:
    """(at_ms, by, event) of a row; raises JournalCorrupt for an unknown topic or garbage."""
    codec = _CODECS.get(topic)
    if codec is None:
        raise JournalCorrupt(f"The journal has an event of unknown topic {topic[:80]!r}")
    try:
        return codec.decode(state)
    except ValueError as error:
        raise JournalCorrupt(f"An event of topic {topic} cannot be read: {error}") from error
