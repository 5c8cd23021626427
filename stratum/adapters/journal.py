"""The journal in SQLite, with its catalog, written by one task.

Callers' decisions queue up; the writer takes all that wait (at most 256), carries them out in one
transaction, and a single fsync in a worker thread makes them all durable. Under load that is
twenty thousand commits a second instead of two hundred.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager, suppress
from pathlib import Path

import trio
from eventsourcing.persistence import PersistenceError

from stratum.adapters.journal_reader import JournalReader, reading_connections
from stratum.adapters.journal_writer import JournalWriter, Request
from stratum.adapters.sqlite_connection import JournalDatastore, checkpoint, meaning_of
from stratum.domain.errors import DiskFailed, Overloaded, Unavailable
from stratum.domain.events import Recorded
from stratum.ports import Decide, NowMs

BATCH_LENGTH_MAX = 256
QUEUE_LENGTH_MAX = 1024
"""Decisions waiting for the writer; more callers wait for a place."""
QUEUE_WAIT_S = 5.0
"""How long they do; then they are refused with SlowDown, and nothing was done."""


class SqliteJournal(JournalReader):
    """Implements Journal. Made by `open_journal`."""

    caching = True

    def __init__(
        self,
        inline: sqlite3.Connection,
        datastore: JournalDatastore,
        writer: JournalWriter,
        queue: trio.MemorySendChannel[Request],
    ) -> None:
        super().__init__(inline, datastore)
        self._writer = writer
        self._queue = queue

    @property
    def transactions(self) -> int:
        """Durable transactions with events in them since the journal was opened."""
        return self._writer.transactions

    async def transact(self, decide: Decide, *, by: str) -> Sequence[Recorded]:
        """As the port says; `decide` runs in the writer's task. Also raises Unavailable (the
        journal is closed or locked), Overloaded, DiskFailed (nothing was appended), Conflict (an
        id is taken).
        """
        request = Request(decide, by)
        try:
            await trio.lowlevel.checkpoint_if_cancelled()
            try:
                self._queue.send_nowait(request)
            except trio.WouldBlock:
                await self._wait_for_place(request)
        except (trio.ClosedResourceError, trio.BrokenResourceError):
            raise Unavailable("The journal is closed") from None
        with trio.CancelScope(shield=True):
            await request.done.wait()
        if request.error is not None:
            raise request.error
        return request.recorded

    async def _wait_for_place(self, request: Request) -> None:
        with trio.move_on_after(QUEUE_WAIT_S) as waiting:
            await self._queue.send(request)
        if waiting.cancelled_caught:
            raise Overloaded("The journal's queue is full")

    def committed(self, request: Request) -> None:
        """Called before a caller has its answer: nobody may see anything as it was before."""
        if isinstance(request.error, DiskFailed):
            self._catalog.forget()  # the transaction may have been committed or not
        elif request.recorded:
            self._catalog.forget([each.event for each in request.recorded])


@asynccontextmanager
async def open_journal(path: Path, now_ms: NowMs) -> AsyncIterator[SqliteJournal]:
    """Open the journal for writing, making it and its folder if need be; one program at a time.

    At the end what is queued is still committed, and
    everything is moved from the write-ahead log into the database file. Raises Unavailable if
    another program has it open or the folder can't be made, JournalCorrupt, DiskFailed.
    """
    with ExitStack() as stack:
        try:
            _make_folder(path.parent)
            stack.enter_context(exclusive(path.with_name(path.name + ".writer")))
        except OSError as error:
            raise Unavailable(f"The journal {path} cannot be opened: {error}") from error
        datastore = JournalDatastore(path, read_only=False)
        stack.callback(datastore.close)
        writer = JournalWriter(datastore, now_ms)
        try:
            await trio.to_thread.run_sync(writer.prepare)
        except (PersistenceError, sqlite3.Error) as error:
            raise meaning_of(error) from error
        send, receive = trio.open_memory_channel[Request](QUEUE_LENGTH_MAX)
        failure: BaseException | None = None
        try:
            with reading_connections(path) as (inline, readers):
                async with trio.open_nursery() as nursery, send:
                    journal = SqliteJournal(inline, readers, writer, send)
                    nursery.start_soon(_write, writer, receive, journal.committed)
                    yield journal
        except BaseExceptionGroup as group:
            if len(group.exceptions) > 1:
                raise
            failure = group.exceptions[0]  # the block's own error, as it was raised
        finally:
            with trio.CancelScope(shield=True):
                await trio.to_thread.run_sync(checkpoint, datastore)
        if failure is not None:
            raise failure


async def _write(
    writer: JournalWriter,
    receive: trio.MemoryReceiveChannel[Request],
    committed: Callable[[Request], None],
) -> None:
    """The writer task: runs until the sending side is closed and the queue is empty."""
    waiting: list[Request] = []
    # Callers wait shielded for their answer, so this must outlive their cancellation.
    with trio.CancelScope(shield=True):
        try:
            async for first in receive:
                waiting.append(first)
                # Who is about to come may share the transaction: a commit costs more than a turn.
                await trio.lowlevel.cancel_shielded_checkpoint()
                while waiting:
                    _take(receive, waiting)
                    answered = await writer.run(waiting)
                    for request in waiting[:answered]:
                        committed(request)
                        request.done.set()
                    del waiting[:answered]
        finally:
            with suppress(trio.WouldBlock, trio.EndOfChannel):
                while True:
                    waiting.append(receive.receive_nowait())
            receive.close()
            for request in waiting:
                request.fail(Unavailable("The journal's writer has stopped"))
                request.done.set()


def _take(receive: trio.MemoryReceiveChannel[Request], waiting: list[Request]) -> None:
    """Fill up the batch with what has queued up."""
    while len(waiting) < BATCH_LENGTH_MAX:
        try:
            waiting.append(receive.receive_nowait())
        except (trio.WouldBlock, trio.EndOfChannel):
            return


def _make_folder(folder: Path) -> None:
    """Make a folder durably: a journal in a folder that a power cut takes away is lost."""
    if folder.is_dir():
        return
    _make_folder(folder.parent)
    folder.mkdir(exist_ok=True)
    parent = os.open(folder.parent, os.O_RDONLY)
    try:
        os.fsync(parent)
    finally:
        os.close(parent)


@contextmanager
def exclusive(lock: Path) -> Iterator[None]:
    """Hold the lock that the one writing program has. Raises Unavailable or OSError.

    The kernel lets go of it when the process ends, however it ends. The file stays.
    """
    handle = os.open(lock, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(handle, 20).decode(errors="replace").strip() or "unknown"
            raise Unavailable(
                f"Another server (process {holder}) has the journal open: {lock} is locked"
            ) from None
        os.ftruncate(handle, 0)
        os.pwrite(handle, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(handle)
