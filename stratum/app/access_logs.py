"""Access logs: lines gathered in memory and delivered as objects, in batches.

Best effort, as Amazon's: what was not delivered when the process dies is lost, and so is what does
not fit while the store refuses deliveries. Both are bounded and logged.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field

import trio

from stratum.app.objects import Objects
from stratum.app.payload import BytesSource, Stated
from stratum.domain.bucket_logging import DAY_MS, LogFile, PartitionSource
from stratum.domain.errors import StratumError
from stratum.domain.names import BucketName, Caller, object_key
from stratum.domain.volume import Metadata
from stratum.ports import Journal, NowMs

BUFFER_MAX_BYTES = 16 * 1024**2
"""All lines waiting together."""
DELIVER_MIN_BYTES = 4 * 1024**2
"""With that many for one object it is delivered before its time."""
STOP_LIMIT_S = 10.0
"""How long the last delivery may hold up a shutdown."""

LOG_DELIVERY = Caller(
    "3272ee65a908a7677109fedda345db8d9554ba26398b2ca10581de88777e2b61", "s3-log-service"
)
"""Who writes log objects: Amazon's account for it, by id and name."""

log = logging.getLogger("stratum.access_logs")


@dataclass
class _Waiting:
    lines: list[bytes] = field(default_factory=list)
    size_bytes: int = 0


NameKey = Callable[[LogFile, int], str]
"""A unique key for a log object delivered at a time (Unix ms)."""


class AccessLogs:
    def __init__(
        self,
        journal: Journal,
        objects: Objects,
        name_key: NameKey,
        now_ms: NowMs,
        *,
        interval_s: float,
    ) -> None:
        self._journal = journal
        self._objects = objects
        self._name_key = name_key
        self._now_ms = now_ms
        self._interval_s = interval_s
        self._waiting: dict[LogFile, _Waiting] = {}
        self._size_bytes = 0
        self._full = trio.Event()
        self.lost = 0
        """Lines that were given up."""

    def file_for(self, name: BucketName, at_ms: int) -> LogFile | None:
        """Where a request to a bucket is logged; None if it is not."""
        bucket = self._journal.catalog.bucket(name)
        if bucket is None or bucket.settings.logging is None:
            return None
        configuration = bucket.settings.logging
        by_event = configuration.partition is PartitionSource.EVENT_TIME
        return LogFile(name, bucket.owner.id, configuration, at_ms // DAY_MS if by_event else None)

    def add(self, file: LogFile, line: bytes) -> None:
        """Note one line."""
        if self._size_bytes + len(line) > BUFFER_MAX_BYTES:
            self._lose(file, 1, "too many lines are waiting")
            return
        waiting = self._waiting.setdefault(file, _Waiting())
        waiting.lines.append(line)
        waiting.size_bytes += len(line)
        self._size_bytes += len(line)
        if waiting.size_bytes >= DELIVER_MIN_BYTES:
            self._full.set()

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Deliver every `interval_s` until cancelled, and once more then."""
        task_status.started()
        try:
            while True:
                with trio.move_on_after(self._interval_s):
                    await self._full.wait()
                await self.flush()
        finally:
            with trio.move_on_after(STOP_LIMIT_S, shield=True):
                await self.flush()

    async def flush(self) -> None:
        """Deliver all that waits."""
        self._full = trio.Event()
        for file in list(self._waiting):
            waiting = self._waiting.pop(file)
            try:
                await self._deliver(file, b"".join(waiting.lines))
            except StratumError as error:
                self._lose(file, len(waiting.lines), str(error))
            except trio.Cancelled:
                self._waiting[file] = waiting  # the last flush delivers them
                raise
            self._size_bytes -= waiting.size_bytes

    async def _deliver(self, file: LogFile, content: bytes) -> None:
        """Raises NoSuchBucket when the target is gone, InsufficientDisks."""
        target = file.configuration.target_bucket
        await self._objects.put(
            LOG_DELIVERY,
            target,
            object_key(self._name_key(file, self._now_ms())),
            BytesSource(content),
            Stated(size_bytes=len(content)),
            Metadata({"content-type": "text/plain"}),
        )

    def _lose(self, file: LogFile, count: int, why: str) -> None:
        self.lost += count
        log.warning("%d lines of the access log of %s were given up: %s", count, file.bucket, why)
