"""This store's own history as a trace: writes and removals from the journal, and the reads it kept.

Each version of an object is an object of its own, so that versioned buckets are right; its name is
`bucket/key`, as the policy in the server sees it. Times are in seconds of the tiering clock. The
trace begins when reads were first kept: what was there already is written at that moment.
"""

from __future__ import annotations

from array import array

import numpy as np

from stratum.adapters.trace_file import Trace
from stratum.domain.events import Recorded, VersionCommitted, VersionRemoved
from stratum.domain.names import VolumeId
from stratum.domain.rules import clock_s
from stratum.domain.simulation import DELETE, GET, PUT
from stratum.ports import Journal, ReadHistory

PAGE_LENGTH = 1000


class _Columns:
    """A trace that is being put together, in any order of time."""

    def __init__(self) -> None:
        self.keys: list[str] = []
        self.numbers_of: dict[VolumeId, int] = {}
        self.times_s, self.numbers = array("q"), array("q")
        self.sizes_bytes, self.operations = array("q"), bytearray()

    def add(self, at_s: float, number: int, operation: int, size_bytes: int = 0) -> None:
        self.times_s.append(int(at_s))
        self.numbers.append(number)
        self.operations.append(operation)
        self.sizes_bytes.append(size_bytes)

    def trace(self, start_s: int, end_s: int) -> Trace:
        """In order of time; in one second what was added first comes first."""
        times = np.array(self.times_s, dtype=np.int64)
        order = np.argsort(times, kind="stable")
        order = order[(times[order] >= start_s) & (times[order] <= end_s)]

        def sorted_(column: array[int]) -> array[int]:
            return array("q", np.array(column, dtype=np.int64)[order].tobytes())

        operations = np.frombuffer(self.operations, dtype=np.uint8)[order]
        return Trace(
            self.keys,
            sorted_(self.times_s),
            sorted_(self.numbers),
            bytearray(operations.tobytes()),
            sorted_(self.sizes_bytes),
        )


async def journal_trace(journal: Journal, history: ReadHistory, day_s: float, now_ms: int) -> Trace:
    """The history up to now. `day_s`: real seconds per day of the tiering clock. Memory: 25 bytes
    a request, and the names."""
    start_s = int(clock_s(await history.since_ms(), day_s))
    end_s = int(clock_s(now_ms, day_s))
    columns = _Columns()
    removed: list[tuple[float, VolumeId]] = []
    after = 0
    while page := await journal.read(after, PAGE_LENGTH):
        after = page[-1].seq
        for recorded in page:
            _take(recorded, columns, removed, day_s, start_s)
    after = 0
    while True:
        after, runs = await history.read(after)
        if not runs:
            break
        for run in runs:
            number = columns.numbers_of.get(run.volume_id)
            if number is not None:
                first_s, last_s = clock_s(run.first_ms, day_s), clock_s(run.last_ms, day_s)
                step_s = (last_s - first_s) / (run.reads - 1) if run.reads > 1 else 0.0
                for each in range(run.reads):
                    columns.add(first_s + each * step_s, number, GET)
    for at_s, volume_id in removed:
        columns.add(at_s, columns.numbers_of[volume_id], DELETE)
    return columns.trace(start_s, end_s)


def _take(
    recorded: Recorded,
    columns: _Columns,
    removed: list[tuple[float, VolumeId]],
    day_s: float,
    start_s: int,
) -> None:
    event = recorded.event
    at_s = clock_s(recorded.at_ms, day_s)
    if isinstance(event, VersionCommitted):
        number = columns.numbers_of[event.volume_id] = len(columns.keys)
        columns.keys.append(f"{event.bucket}/{event.key}")
        columns.add(max(at_s, start_s), number, PUT, event.size_bytes)
    elif isinstance(event, VersionRemoved) and event.volume_id in columns.numbers_of:
        removed.append((max(at_s, start_s), event.volume_id))
