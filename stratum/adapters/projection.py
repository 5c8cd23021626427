"""What each event does to the catalog's tables.

A pure mapping from events to row changes: live commits, a rebuild and a state in the past all go
through `project`.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable

from stratum.adapters import projection_objects, projection_placements
from stratum.adapters.projection_placements import Projection
from stratum.domain.events import JournalRecovered, Recorded
from stratum.domain.identity_events import IDENTITY_EVENTS

PROJECTIONS: dict[type, Projection] = {
    **projection_objects.PROJECTIONS,
    **projection_placements.PROJECTIONS,
    # The catalog has neither recoveries nor identities: these are for the record only.
    JournalRecovered: lambda _execute, _row, _event: None,
    **dict.fromkeys(IDENTITY_EVENTS, lambda _execute, _row, _event: None),
}


def project(cursor: sqlite3.Cursor, recorded: Iterable[Recorded]) -> None:
    """Change the tables as the events say. Raises sqlite3.Error."""
    execute = cursor.execute
    for row in recorded:
        PROJECTIONS[type(row.event)](execute, row, row.event)
