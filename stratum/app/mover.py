"""Carrying out moves: copy, read the copy back and verify, commit, publish.

Until the commit the volume is where it was; from then on it is where the copy is; the old copy is
reclaimed later. Readers see the same bytes all the time. A crash leaves the move pending, and the
next start begins it again under the same copy id.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import trio

from stratum.app.commit import commit
from stratum.app.datapath import DataPath
from stratum.app.pace import Pace, never
from stratum.app.payload import StreamSource
from stratum.domain.errors import Conflict, RemoteFailed, ShardCorrupt, StratumError, Unavailable
from stratum.domain.events import VolumeMoved
from stratum.domain.move import abandon_move, complete_move
from stratum.domain.names import Tier, VolumeId
from stratum.domain.ranges import Span
from stratum.domain.volume import Extent, Location, PendingMove, ShardRecord, Volume
from stratum.ports import Buffer, ByteSource, Journal

BACKOFF_MAX_S = 60.0
MOVE_MIN_BYTES = 256 * 1024
"""What a move counts for at least against the limits on bytes per second: a small one costs six
synced files and two commits, too."""

log = logging.getLogger("stratum.mover")

Crc = Callable[[Buffer, int], int]
"""CRC-64/NVME of some bytes that continue those whose CRC is given (0 to begin with)."""


@dataclass(frozen=True)
class MoveLimits:
    """How much moving there may be. Bytes count once when copied and once when read back."""

    at_once: int = 2
    """Moves carried out at the same time."""
    queue: int = 256
    """Moves under way, waiting or between attempts: the policy waits for room, people are told."""
    attempts: int = 6
    """Then a move is abandoned."""
    backoff_s: float = 1.0
    """Pause after the first failed attempt; it doubles with each, up to BACKOFF_MAX_S."""
    bytes_per_s: float = 200e6
    """While no client is served; 0: as fast as it goes."""
    busy_bytes_per_s: float = 20e6
    """While clients are served; 0: as fast as it goes."""

    def backoff_after(self, attempt: int) -> float:
        """Seconds to wait after so many failed attempts."""
        return min(BACKOFF_MAX_S, self.backoff_s * 2.0 ** (attempt - 1))


DEFAULT_LIMITS = MoveLimits()


class MoveObserver(Protocol):
    """Who counts moves."""

    def moved(self, source: Tier, target: Tier, size_bytes: int) -> None: ...

    def attempt_failed(self, target: Tier) -> None: ...

    def abandoned(self, target: Tier) -> None: ...

    def void(self, target: Tier) -> None:
        """The volume was overwritten or deleted meanwhile."""
        ...

    def declined(self, target: Tier) -> None:
        """A move that was wanted was not begun."""
        ...


class Mover:
    """`track` is told of every volume whose move ended, either way."""

    def __init__(
        self,
        journal: Journal,
        datapath: DataPath,
        crc: Crc,
        track: Callable[[VolumeId], None],
        observer: MoveObserver,
        *,
        limits: MoveLimits = DEFAULT_LIMITS,
        busy: Callable[[], bool] = never,
    ) -> None:
        self._journal = journal
        self._datapath = datapath
        self._crc = crc
        self._track = track
        self._observer = observer
        self._limits = limits
        self._pace = Pace(limits.bytes_per_s, limits.busy_bytes_per_s, busy)
        self._turns = trio.CapacityLimiter(limits.at_once)
        self._slots = trio.Semaphore(limits.queue)
        self._submitted: set[VolumeId] = set()
        self._nursery: trio.Nursery | None = None

    @property
    def queue_length(self) -> int:
        """Moves submitted and not ended."""
        return len(self._submitted)

    def require_room(self, target: Tier) -> None:
        """Raise Unavailable if `submit` would have to wait."""
        if self.queue_length >= self._limits.queue:
            raise Unavailable(
                f"{self._limits.queue} moves are under way or waiting, which is all there may be:"
                " try again later"
            )

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Carry out submitted moves until cancelled, first those the last run left pending."""
        left = self._journal.catalog.pending_moves()
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            task_status.started()
            try:
                for volume in left:
                    await self._submit(volume.id, again=True)
                await trio.sleep_forever()
            finally:
                self._nursery = None

    async def submit(self, volume_id: VolumeId) -> None:
        """Take over a volume whose move was decided. Waits while too many are under way.

        While the mover does not run, the move just stays pending: the next `run` begins with it.
        """
        await self._submit(volume_id, again=False)

    async def _submit(self, volume_id: VolumeId, *, again: bool) -> None:
        nursery = self._nursery
        if nursery is None or volume_id in self._submitted:
            return
        self._submitted.add(volume_id)
        try:
            await self._slots.acquire()
        except trio.Cancelled:
            self._submitted.discard(volume_id)
            raise
        if self._nursery is nursery:
            nursery.start_soon(self._carry_out, volume_id, again)
        else:  # stopped while we waited
            self._submitted.discard(volume_id)
            self._slots.release()

    async def _carry_out(self, volume_id: VolumeId, again: bool) -> None:
        try:
            for attempt in range(self._limits.attempts):
                if attempt:
                    await trio.sleep(self._limits.backoff_after(attempt))
                async with self._turns:
                    # Looked up every time: the last attempt may have been committed after all,
                    # and then its copy must not be touched any more.
                    volume = self._journal.catalog.volume(volume_id)
                    pending = volume.pending if volume else None
                    if volume is None or pending is None:
                        return
                    if again and not attempt:
                        await self._datapath.discard(pending.to, pending.copy_id)
                    failure = await self._attempt(volume, pending)
                if not failure:
                    return
                self._observer.attempt_failed(pending.to)
                if attempt == self._limits.attempts - 1:
                    await self._abandon(volume_id, pending, failure)
        finally:
            self._submitted.discard(volume_id)
            self._slots.release()

    async def _attempt(self, volume: Volume, pending: PendingMove) -> str:
        """Try to move a volume; return what went wrong if trying again may help, else ""."""
        try:
            await self._move(volume, pending)
        except Conflict as error:
            log.info("copy dropped: %s", error)
            self._observer.void(pending.to)
        except StratumError as error:
            log.warning("%s not moved to %s: %s", volume.id, pending.to, error)
            return str(error) or type(error).__name__
        except Exception as error:
            # A defect in one move must not take the store down; the move is given up in the end.
            log.exception("%s not moved to %s", volume.id, pending.to)
            return f"internal error: {error!r}"
        return ""

    async def _move(self, volume: Volume, pending: PendingMove) -> None:
        try:
            await self._pace.spend(max(0, MOVE_MIN_BYTES - 2 * volume.size_bytes))
            target = await self._copy(volume, pending)
            checksum = await self._read_back(volume, target)
        except BaseException:
            await self._datapath.discard(pending.to, pending.copy_id)
            raise
        decide = partial(
            complete_move,
            volume_id=volume.id,
            copy_id=pending.copy_id,
            target=target,
            checksum=checksum,
        )
        await commit(self._journal, self._datapath, decide, target, pending.copy_id, by="system")
        self._track(volume.id)
        self._observer.moved(volume.tier, pending.to, volume.size_bytes)
        log.info("%s moved from %s to %s", volume.id, volume.tier, pending.to)

    async def _copy(self, volume: Volume, pending: PendingMove) -> Location:
        generation = await self._generation(volume.id)

        def describe(extent: Extent) -> ShardRecord:
            return self._record(volume, pending.to, extent, generation)

        stored_size = volume.location.size_bytes
        span = Span(0, stored_size)
        async with self._datapath.read(volume.location, span) as pieces:
            source = _Copied(StreamSource(pieces), self._crc, self._pace)
            target = await self._datapath.stage(
                pending.to, pending.copy_id, stored_size, source, describe
            )
        if source.checksum != volume.checksum:
            raise ShardCorrupt(
                f"The bytes in {volume.tier} have the checksum {source.checksum}, not"
                f" {volume.checksum}"
            )
        return target

    async def _read_back(self, volume: Volume, target: Location) -> str:
        """The checksum of the copy as it can be read; raise if it isn't the volume's."""
        stored_size = volume.location.size_bytes
        crc = length = 0
        async with self._datapath.read(target, Span(0, stored_size)) as pieces:
            async for piece in pieces:
                crc = self._crc(piece, crc)
                length += len(piece)
                await self._pace.spend(len(piece))
        checksum = _hex(crc)
        if length != stored_size or checksum != volume.checksum:
            failure = RemoteFailed if target.tier is Tier.COLD else ShardCorrupt
            raise failure(
                f"The copy in {target.tier} reads back as {length} bytes with the checksum"
                f" {checksum}, not {stored_size} with {volume.checksum}"
            )
        return checksum

    async def _generation(self, volume_id: VolumeId) -> int:
        """How many times the volume was placed: once when written, and by every move."""
        history = await self._journal.history(volume_id)
        return 1 + sum(isinstance(record.event, VolumeMoved) for record in history)

    def _record(self, volume: Volume, tier: Tier, extent: Extent, generation: int) -> ShardRecord:
        version = self._journal.catalog.version_of(volume.id)
        if version is None:
            raise Conflict(f"{volume.id} was overwritten or deleted while it was moved")
        return ShardRecord(
            volume_id=volume.id,
            extent_id=extent.id,
            bucket=volume.bucket,
            key=volume.key,
            version_id=version.version_id,
            size_bytes=volume.size_bytes,
            etag=version.etag,
            checksum=volume.checksum,
            created_at_ms=volume.created_at_ms,
            tier=tier,
            generation=generation,
            metadata=version.metadata,
            checksums=version.checksums,
            parts=version.parts,
            extents=(extent,),
            attributes=version.attributes,
        )

    async def _abandon(self, volume_id: VolumeId, pending: PendingMove, reason: str) -> None:
        """Put on record that a move is given up. A pending move that nobody works on would be
        forgotten until the next start, so this goes on until the journal has it."""
        why = f"{self._limits.attempts} attempts failed; the last one: {reason}"
        decide = partial(abandon_move, volume_id=volume_id, copy_id=pending.copy_id, reason=why)
        while True:
            try:
                await self._journal.transact(decide, by="system")
                break
            except Conflict:  # overwritten or deleted meanwhile
                self._observer.void(pending.to)
                return
            except StratumError as error:
                log.warning("%s stays pending: %s", volume_id, error)
                await trio.sleep(BACKOFF_MAX_S)
        self._track(volume_id)
        self._observer.abandoned(pending.to)
        log.error("move of %s given up: %s", volume_id, why)


class _Copied:
    """A ByteSource that computes the checksum of what passes, not faster than the pace."""

    def __init__(self, source: ByteSource, crc: Crc, pace: Pace) -> None:
        self._source = source
        self._crc = crc
        self._pace = pace
        self._value = 0

    @property
    def checksum(self) -> str:
        return _hex(self._value)

    async def read_into(self, buffer: memoryview) -> int:
        length = await self._source.read_into(buffer)
        if length:
            self._value = self._crc(buffer[:length], self._value)
            await self._pace.spend(length)
        return length


def _hex(crc: int) -> str:
    return f"{crc:016x}"
