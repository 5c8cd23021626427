"""Coding in worker processes (trio-parallel), where that spares the event loop something.

A large stripe is received into shared memory, so that a worker codes it where it lies and nothing
is pickled but its place. Handing over costs the loop 60-90 µs, so small stripes are coded where
they are. So are degraded reads: what was read would have to be copied into shared memory and the
result out again, which costs the loop as much as rebuilding two cells of a 1 MiB stripe.

Workers are an optimisation and never a dependency: with none, or when one dies, hangs or can't
start, the stripe is coded on the loop.
"""

from __future__ import annotations

import logging
import os
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

import trio
import trio_parallel

from stratum.adapters import stripe_jobs
from stratum.adapters.stripe_codec import BUFFERS_DEFAULT, InlineCodec, PooledBuffer
from stratum.adapters.stripe_jobs import SharedMemory, Slot
from stratum.domain.stripes import STRIPE_SIZE_BYTES, check_stripe_size
from stratum.ports import Buffer

WORKERS_DEFAULT = 1
"""One worker codes 3 GB/s, several times what one process can hash or send; each is 35 MiB."""
OFFLOAD_MIN_BYTES = 768 * 1024
"""Shorter stripes are coded on the event loop: see `bench/erasure.py`."""
IDLE_TIMEOUT_S = 60.0
JOB_TIMEOUT_S = 10.0
"""A worker that takes longer than this, and it is thousands of times too long, is killed."""
RESTART_PAUSE_S = 30.0
"""After a worker could not be started, coding stays on the loop for this long."""
SHUTDOWN_GRACE_S = 5.0

_log = logging.getLogger(__name__)


class ParallelCodec(InlineCodec):
    """Codes large stripes in worker processes. Made by `open_codec`."""

    def __init__(
        self,
        memory: SharedMemory,
        workers: Workers,
        stripe_size_bytes: int,
        buffers: int,
        offload_min_bytes: int,
    ) -> None:
        super().__init__(stripe_size_bytes, buffers)
        self.workers = workers
        self._memory = memory
        self._offload_min_bytes = offload_min_bytes

    async def _encode(
        self, buffer: PooledBuffer, extent: bytes, stripe: int, length: int
    ) -> Sequence[tuple[Buffer, Buffer]]:
        slot = buffer.slot
        if slot and length >= self._offload_min_bytes and self.workers.ready(slot):
            if await self.workers.run(stripe_jobs.encode, slot, extent, stripe, length):
                self.counts.offloaded += 1
                return buffer.memory.frames(length)
            self.counts.fallbacks += 1
        return await super()._encode(buffer, extent, stripe, length)

    def _make_buffer(self, number: int) -> PooledBuffer:
        try:
            slot, memory = self._memory.slot(number)
        except OSError as error:
            _log.warning("no shared memory for a buffer, coding its stripes inline: %s", error)
            return super()._make_buffer(number)
        return PooledBuffer(memory, slot)


class Workers:
    """Up to `limit` worker processes, started when there is work and stopped when idle.

    Starting one takes a third of a second; nobody waits for that. Not ready means: do it
    yourself this time.
    """

    def __init__(self, context: trio_parallel.WorkerContext, limit: int) -> None:
        self.context = context
        self._limit = limit
        self._jobs = trio.CapacityLimiter(1)
        self._starts = trio.CapacityLimiter(1)
        self._starting = False
        self._next_start_at = -1.0

    def ready(self, slot: Slot) -> bool:
        """Whether a job would find a running worker. Starts one in the background if there is
        none, or another if all are busy; `slot` is any shared memory, to try opening it."""
        idle, alive = self._count()
        if alive < self._limit and not idle and not self._starting:
            self._start(slot)
        # As many jobs at a time as there are workers: trio-parallel would start more by itself
        # and make the job wait for it.
        self._jobs.total_tokens = max(1, alive)
        return alive > 0

    async def run(self, job: Callable[..., None], *args: object) -> bool:
        """Run a job that may be repeated; False if the worker failed and it has to be.

        Not cancellable: the job uses memory that the caller would give to somebody else.
        """
        with trio.move_on_after(JOB_TIMEOUT_S, shield=True):
            try:
                await self.context.run_sync(job, *args, kill_on_cancel=True, limiter=self._jobs)
            except trio_parallel.BrokenWorkerError as error:
                _log.warning("a coding worker died, coding inline: %s", error)
                return False
            except Exception:
                _log.warning("a coding worker failed, coding inline", exc_info=True)
                return False
            return True
        _log.warning("a coding worker did not answer in %s s, coding inline", JOB_TIMEOUT_S)
        return False

    async def warm(self, slot: Slot) -> bool:
        """Start a worker and wait for it; False if that failed."""
        self._starting = True
        try:
            with trio.move_on_after(JOB_TIMEOUT_S, shield=True):
                await self.context.run_sync(
                    stripe_jobs.warm_up, slot, kill_on_cancel=True, limiter=self._starts
                )
                return True
            _log.warning("a coding worker did not start in %s s", JOB_TIMEOUT_S)
        except Exception:
            # Whatever it is (no memory, no /proc, a daemonic process that may not have children),
            # there is another way to do the work, and the log says why it was taken.
            _log.warning("no coding worker could be started, coding inline", exc_info=True)
        finally:
            self._starting = False
        self._next_start_at = trio.current_time() + RESTART_PAUSE_S
        return False

    def _count(self) -> tuple[int, int]:
        """Workers that are idle, and all that have started."""
        now = self.context.statistics()
        return now.idle_workers, now.idle_workers + now.running_workers - self._starting

    def _start(self, slot: Slot) -> None:
        if trio.current_time() >= self._next_start_at:
            self._starting = True
            trio.lowlevel.spawn_system_task(self.warm, slot)


@asynccontextmanager
async def open_codec(
    *,
    workers: int = WORKERS_DEFAULT,
    buffers: int = BUFFERS_DEFAULT,
    stripe_size_bytes: int = STRIPE_SIZE_BYTES,
    offload_min_bytes: int = OFFLOAD_MIN_BYTES,
    idle_timeout_s: float = IDLE_TIMEOUT_S,
) -> AsyncIterator[InlineCodec]:
    """The codec with up to `workers` processes (never more than cores), or none with 0.

    All processes and shared memory are gone when it is left. Raises InvalidConfig for a stripe
    size that can't be used.
    """
    workers = min(workers, _cores())
    memory = _shared_memory(buffers, stripe_size_bytes) if workers > 0 else None
    if memory is None:
        yield InlineCodec(stripe_size_bytes, buffers)
        return
    try:
        async with _worker_context(idle_timeout_s) as context:
            group = Workers(context, workers)
            yield ParallelCodec(memory, group, stripe_size_bytes, buffers, offload_min_bytes)
    finally:
        memory.close()


@asynccontextmanager
async def _worker_context(idle_timeout_s: float) -> AsyncIterator[trio_parallel.WorkerContext]:
    opened = trio_parallel.open_worker_context(idle_timeout_s, grace_period=SHUTDOWN_GRACE_S)
    context = await opened.__aenter__()
    try:
        yield context
    finally:
        # A worker that was killed while idle is reported here, when it no longer matters.
        try:
            await opened.__aexit__(None, None, None)
        except trio_parallel.BrokenWorkerError as error:
            _log.warning("a coding worker did not end cleanly: %s", error)


def _shared_memory(buffers: int, stripe_size_bytes: int) -> SharedMemory | None:
    check_stripe_size(stripe_size_bytes)
    try:
        return SharedMemory(buffers, stripe_size_bytes)
    except OSError as error:
        _log.warning("no shared memory, coding inline: %s", error)
        return None


def _cores() -> int:
    """Cores this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
