"""Keeping which volumes were read when, for a while, so that policies can be tried on it.

Reads of a volume within an hour are one run. Runs are written in batches: a crash loses those of
the last minutes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from stratum.domain.access import ReadRun
from stratum.domain.names import VolumeId
from stratum.domain.rules import Reads
from stratum.ports import NowMs, ReadHistory

WRITE_S = 600.0
RUNS_PER_BATCH = 2000
"""More of them are written at once."""
FORGET_S = 3600.0
HISTORY_MAX_BYTES = 2**30
"""A larger history loses its oldest tenth, whatever its age: some 50 million runs of reads."""
MS_PER_S = 1000


class ReadKeeper:
    def __init__(
        self, history: ReadHistory, now_ms: NowMs, *, keep_s: float, session_ms: float
    ) -> None:
        """`keep_s`: how long runs are kept; 0: none are noted."""
        self._history = history
        self._now_ms = now_ms
        self._keep_s = keep_s
        self._session_ms = session_ms
        self._runs: dict[VolumeId, list[ReadRun]] = {}
        self._count = 0
        self._written_ms = self._forgot_ms = now_ms()

    def note(self, volume_id: VolumeId, reads: Sequence[Reads]) -> None:
        """Note runs of reads of a volume, oldest first."""
        if not self._keep_s:
            return
        runs = self._runs.setdefault(volume_id, [])
        for first_ms, last_ms, number in reads:
            if runs and last_ms - runs[-1].first_ms <= self._session_ms:
                before = runs[-1]
                runs[-1] = replace(before, last_ms=last_ms, reads=before.reads + number)
            else:
                runs.append(ReadRun(volume_id, first_ms, last_ms, number))
                self._count += 1

    async def keep(self, *, all_: bool = False) -> None:
        """Write what is noted if it is time for it, and forget what is too old."""
        now_ms = self._now_ms()
        late = now_ms - self._written_ms >= WRITE_S * MS_PER_S
        if self._count and (all_ or late or self._count >= RUNS_PER_BATCH):
            runs = [run for each in self._runs.values() for run in each]
            await self._history.append(runs)
            self._runs, self._count, self._written_ms = {}, 0, now_ms
        if now_ms - self._forgot_ms >= FORGET_S * MS_PER_S:
            self._forgot_ms = now_ms
            before_ms = now_ms - round(self._keep_s * MS_PER_S)
            await self._history.forget(before_ms, HISTORY_MAX_BYTES)
