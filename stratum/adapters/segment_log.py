"""Appends records to the segments of one disk, many with one fsync (group commit).

What is handed over while the disk is busy waits for it, and is then written together: one write
and one fdatasync for all, in one worker thread. Two disks never wait for each other. Segments are
opened anew for every batch: a descriptor kept open would go on serving a disk that was taken away.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Sequence
from contextlib import suppress

import outcome
import trio

from stratum.adapters.disk_io import FILE_MODE, SyncFile, disk_failed, sync_directory, write_all
from stratum.adapters.segment_format import (
    ALIGNMENT_BYTES,
    NOWHERE,
    RECORD_HEADER_BYTES,
    Kind,
    Place,
    Record,
    checksum_of,
    next_offset,
    pack_record_header,
    pack_segment_header,
)
from stratum.domain.errors import DiskFailed
from stratum.ports import Buffer, Sealing

SEGMENT_SIZE_MAX_BYTES = 128 * 1024 * 1024
"""A segment that has grown beyond this is followed by another."""
BATCH_RECORDS_MAX = 256
BATCH_BYTES_MAX = 16 * 1024 * 1024
LAZY_RECORDS_MAX = 1024
"""So many records may wait for the next batch; more are written without waiting for one."""

_PADDING = bytes(ALIGNMENT_BYTES)
log = logging.getLogger("stratum.disk")


def segment_path(folder: str, number: int) -> str:
    """The file of a segment."""
    return f"{folder}/{number:08d}.seg"


class Append:
    """A record to be written; afterwards `record` says where it is."""

    __slots__ = ("call", "is_applied", "length", "parts", "record", "synced")

    def __init__(
        self,
        kind: Kind,
        name: str,
        parts: Sequence[Buffer] = (),
        *,
        flags: int = 0,
        target: Place = NOWHERE,
        synced: bool = False,
    ) -> None:
        self.parts = parts
        self.length = sum(map(len, parts))
        self.synced = synced
        """Whether it must survive a power cut."""
        payload = b"".join(parts) if kind is not Kind.SHARD else b""
        self.record = Record(kind, flags, name, NOWHERE, self.length, 0, target, payload)
        self.call: _Call | None = None
        self.is_applied = False
        """Whether it was applied to the index when it was handed over."""


class _Call:
    """A task that waits for records, and how many are not yet written."""

    __slots__ = ("error", "left", "task")

    def __init__(self, left: int) -> None:
        self.task: trio.lowlevel.Task | None = None
        self.left = left
        self.error: DiskFailed | None = None


class SegmentLog:
    """`applied(append)` is called on the event loop for each record that was written, in order,
    before whoever waits for it goes on.

    `end` is where to go on writing, `last` the highest number in use. Made and used in one Trio
    run, by its event loop only; `sync` and file system calls happen in threads.
    """

    def __init__(
        self,
        folder: str,
        end: tuple[Place, int] | None,
        last: int,
        sync: SyncFile,
        sync_folder: SyncFile,
        applied: Callable[[Append], None],
        *,
        segment_size_max_bytes: int = SEGMENT_SIZE_MAX_BYTES,
    ) -> None:
        """`end` comes with the salt of that segment; None begins a new segment."""
        self._folder = folder
        self._end = end
        self._last = last
        self._sync = sync
        self._sync_folder = sync_folder
        self._applied = applied
        self._segment_size_max_bytes = segment_size_max_bytes
        self._queue: list[Append] = []
        self._lazy: list[Append] = []
        self._busy = False
        self.durable = end[0] if end else NOWHERE
        """Everything before this place is durable."""

    @property
    def current(self) -> int:
        """The number of the segment that is written to; 0 before the first record."""
        return self._end[0].segment if self._end else 0

    def later(self, append: Append) -> None:
        """Write it with the next batch, whenever that is."""
        self._lazy.append(append)
        if len(self._lazy) >= LAZY_RECORDS_MAX:
            self._start()

    async def write(self, *appends: Append) -> None:
        """Returns when all are written, and durable if they must be. Raises DiskFailed. A
        cancellation waits for that: the thread reads the caller's buffers."""
        with trio.CancelScope(shield=True):
            await self.begin(*appends)()

    def begin(self, *appends: Append) -> Sealing:
        """The same without waiting; what is returned waits."""
        call = _Call(len(appends))
        for append in appends:
            append.call = call
        self._queue += appends
        if not self._busy:
            # Not at once: what else this turn of the loop hands over may share the batch.
            trio.lowlevel.current_trio_token().run_sync_soon(self._start, idempotent=True)

        def abort(_: object) -> trio.lowlevel.Abort:
            call.task = None
            return trio.lowlevel.Abort.SUCCEEDED

        async def wait() -> None:
            if call.left:
                assert call.task is None, "one task waits for a shard"
                call.task = trio.lowlevel.current_task()
                await trio.lowlevel.wait_task_rescheduled(abort)
            if call.error is not None:
                raise call.error

        return wait

    async def write_lazy(self) -> None:
        """Write what waits for a batch, durably."""
        if self._lazy:
            last = self._lazy.pop()
            last.synced = True
            await self.write(last)

    def _start(self) -> None:
        if self._busy or not (self._queue or self._lazy):
            return
        batch, self._lazy = self._lazy, []
        size = 0
        taken = 0
        for append in self._queue[:BATCH_RECORDS_MAX]:
            if taken and size + append.length > BATCH_BYTES_MAX:
                break
            size += append.length
            taken += 1
        batch += self._queue[:taken]
        del self._queue[:taken]
        self._busy = True
        token = trio.lowlevel.current_trio_token()

        def deliver(result: outcome.Outcome[None]) -> None:
            with suppress(trio.RunFinishedError):
                token.run_sync_soon(self._finish, batch, result)

        try:
            trio.lowlevel.start_thread_soon(lambda: self._write_blocking(batch), deliver)
        except RuntimeError as error:  # no thread can be started
            deliver(outcome.Error(error))

    def _finish(self, batch: Sequence[Append], result: outcome.Outcome[None]) -> None:
        self._busy = False
        failure: DiskFailed | None = None
        try:
            result.unwrap()
        except OSError as error:
            failure = disk_failed(error, self._folder)
        except Exception as error:
            log.exception("%s: a batch was not written", self._folder)
            failure = DiskFailed(f"{self._folder}: {error!r}")
        if failure is None and self._end and any(each.synced for each in batch):
            self.durable = self._end[0]
        for append in batch:
            if failure is None:
                self._applied(append)
            if call := append.call:
                call.error = call.error or failure
                call.left -= 1
                if not call.left and call.task is not None:
                    trio.lowlevel.reschedule(call.task)
        if self._queue:
            self._start()

    # -- in a worker thread, one at a time ------------------------------------------------------
    def _write_blocking(self, batch: Sequence[Append]) -> None:
        if self._end is None or self._end[0].start >= self._segment_size_max_bytes:
            self._write_new(batch)
        else:
            (number, start), salt = self._end
            path = segment_path(self._folder, number)
            try:
                fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
            except FileNotFoundError:
                if not os.path.isdir(self._folder):
                    raise
                self._write_new(batch)
                return
            try:
                self._write_at(fd, path, start, salt, batch)
            finally:
                os.close(fd)

    def _write_new(self, batch: Sequence[Append]) -> None:
        self._last += 1
        number, salt = self._last, int.from_bytes(os.urandom(4), "little")
        path = segment_path(self._folder, number)
        head = pack_segment_header(number, salt)
        flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC
        fd = os.open(path, flags, FILE_MODE)
        try:
            write_all(fd, [head])
            self._end = Place(number, len(head)), salt
            self._write_at(fd, path, len(head), salt, batch)
            sync_directory(self._folder, self._sync_folder)
        except BaseException:
            self._end = None
            with suppress(OSError):
                os.unlink(path)
            raise
        finally:
            os.close(fd)

    def _write_at(self, fd: int, path: str, start: int, salt: int, batch: Sequence[Append]) -> None:
        number = self.current
        parts: list[Buffer] = []
        offset = start
        for append in batch:
            place = Place(number, offset + RECORD_HEADER_BYTES + len(append.record.name))
            append.record = append.record._replace(place=place, checksum=checksum_of(append.parts))
            parts.append(pack_record_header(append.record, offset, salt))
            parts += append.parts
            end = place.start + append.length
            offset = next_offset(end)
            parts.append(_PADDING[: offset - end])
        try:
            os.lseek(fd, start, os.SEEK_SET)
            write_all(fd, parts)
        except OSError:
            try:
                os.ftruncate(fd, start)  # a full disk has room again, and nothing is torn
            except OSError:
                self._end = None
            raise
        if any(append.synced for append in batch):
            try:
                self._sync(fd, path)
            except OSError:
                # The kernel has forgotten what it could not write. Nothing more goes there.
                self._end = None
                raise
        self._end = Place(number, offset), salt
