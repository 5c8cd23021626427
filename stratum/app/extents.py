"""One extent on the six disks of a tier: writing its shards, and what they say of themselves.

Durability (ADR 3): every shard is staged and synced before the journal commits; publishing needs
no sync. `extent_reader` reads.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial

import trio

from stratum.app.crew import Crew, Round
from stratum.app.together import together
from stratum.domain import stripes
from stratum.domain.errors import (
    DiskFailed,
    DiskFull,
    InsufficientDisks,
    ShardCorrupt,
    StorageFull,
)
from stratum.domain.names import ExtentId
from stratum.domain.stripes import ErasureProfile, Preamble
from stratum.domain.volume import Extent
from stratum.ports import Buffer, Codec, Sealing, ShardStore, ShardWriter, StripeBuffer

CLEANUP_LIMIT_S = 20.0
"""How long throwing away a half-written extent may hold up a request that failed."""

WRITE_PATIENCE_S = 2.0
"""How long a write waits for the slowest disks once a quorum has its shards."""
SEAL_TOGETHER_S = 1.0
"""How long one task waits for all disks of a small extent, before one task for each does."""
WRITE_LIMIT_S = 30.0
"""How long it waits for a quorum."""
DISCARD_PATIENCE_S = 0.5
"""How long throwing away waits for calls under way; those that hang clean up by themselves."""

REBUILT_PREFIX = "rebuilt-"

log = logging.getLogger("stratum.extents")


def rebuilt_name(extent_id: ExtentId) -> str:
    """Under which a shard is staged that is to replace another. Not under its own name: readers
    and recovery would take it for the shard before it is whole."""
    return REBUILT_PREFIX + extent_id


def is_rebuilt(name: str) -> bool:
    """Whether a repair staged it; without that repair it is of no use."""
    return name.startswith(REBUILT_PREFIX)


class ExtentWriter:
    """Six shards being written. A disk that fails is left out as long as `quorum` others work."""

    def __init__(
        self,
        disks: Sequence[ShardStore],
        codec: Codec,
        extent_id: ExtentId,
        profile: ErasureProfile,
        stripe_size_bytes: int,
        quorum: int,
        crew: Crew,
    ) -> None:
        self._crew = crew
        self._round: Round[None] | None = None
        self._codec = codec
        self._id = extent_id
        self._stripe_size_bytes = stripe_size_bytes
        self._quorum = quorum
        self._disks = disks
        self._writers: list[ShardWriter] = [disk.create(extent_id) for disk in disks]
        self._failed: set[int] = set()
        self._pending: list[list[Buffer]] = [
            [stripes.pack_preamble(Preamble(extent_id, index, stripe_size_bytes, profile))]
            for index in range(len(disks))
        ]
        self._profile = profile
        self._stripe = 0
        self._whole: int | None = None
        self.size_bytes = 0

    async def stripe(self, buffer: StripeBuffer, length: int, *, last: bool = False) -> None:
        """Encode the next stripe and, unless it is the last, write it."""
        pairs = await self._codec.encode(buffer, self._id, self._stripe, length)
        for index, pair in enumerate(pairs):
            if index not in self._failed:
                self._pending[index].extend(pair)
        if last and self._stripe == 0 and length <= stripes.WHOLE_COPY_MAX_BYTES:
            self._add_whole(buffer.data[:length])
        self._stripe += 1
        self.size_bytes += length
        if not last:
            await self._each(lambda index: self._writers[index].append(self._take(index)))

    def extent(self) -> Extent:
        """What has been written so far; after `seal`, what is durable."""
        missing = tuple(sorted(self._failed))
        return Extent(self._id, self.size_bytes, self._stripe_size_bytes, missing, self._whole)

    def _add_whole(self, data: Buffer) -> None:
        """All bytes once more in one of the shards, of which nothing is written yet."""
        index = self._whole = stripes.whole_index(self._id)
        if index in self._failed:
            return
        preamble = Preamble(
            self._id, index, self._stripe_size_bytes, self._profile, stripes.FLAG_WHOLE
        )
        checksum = self._codec.checksum(self._id, stripes.WHOLE_STRIPE, index, data)
        self._pending[index][0] = stripes.pack_preamble(preamble)
        self._pending[index].extend((checksum, data))

    async def seal(self, record: bytes) -> Extent:
        """Make the shards durable. Raises InsufficientDisks."""
        trailer = stripes.pack_trailer(record, self.size_bytes)
        for parts in self._pending:
            parts.append(trailer)
        begun = {
            index: self._writers[index].begin_seal(self._pending[index]) for index in self._alive
        }
        waits = {index: wait for index, wait in begun.items() if wait is not None}
        await self._wait_together(waits)

        async def seal(index: int) -> None:
            wait = waits.get(index)
            await (wait() if wait is not None else self._writers[index].seal(self._take(index)))

        rest = [index for index in self._alive if index in waits or begun.get(index) is None]
        if rest:
            await self._each(seal, rest)
        return self.extent()

    async def _wait_together(self, waits: dict[int, Sealing]) -> None:
        """Takes those out of `waits` that are sealed. What fails or takes long stays there."""
        with trio.move_on_after(SEAL_TOGETHER_S):
            for index in list(waits):
                try:
                    await waits[index]()
                except DiskFailed as error:
                    waits[index] = partial(_fail, error)
                else:
                    del waits[index]

    @property
    def _alive(self) -> list[int]:
        return [index for index in range(len(self._writers)) if index not in self._failed]

    async def discard(self) -> None:
        """Throw everything away; never raises, bounded in time, works while being cancelled."""
        current = self._round
        busy = current.under_way if current else []
        later = self._crew.round(
            {index: partial(self._discard_later, current, index) for index in busy if current}
        )
        idle = [w for index, w in enumerate(self._writers) if index not in busy]
        with trio.move_on_after(CLEANUP_LIMIT_S, shield=True):
            await together(*(writer.discard for writer in idle))
        with trio.move_on_after(DISCARD_PATIENCE_S, shield=True):
            await later.until_all()

    async def _discard_later(self, begun: Round[None], index: int) -> None:
        """One task at a time may use a writer: wait for the one that hangs, in a round that may be
        over for all others long before."""
        await begun.ended(index)
        await self._writers[index].discard()

    def _take(self, index: int) -> list[Buffer]:
        parts, self._pending[index] = self._pending[index], []
        return parts

    async def _each(
        self, act: Callable[[int], Awaitable[None]], indices: Sequence[int] | None = None
    ) -> None:
        """Do it on all disks that are still in, or on some, the others having done it. When a
        quorum is done, the others get WRITE_PATIENCE_S; the extent goes on without those that need
        longer."""
        alive = self._alive
        wanted = alive if indices is None else indices
        begun = self._round = self._crew.round({index: partial(act, index) for index in wanted})
        with trio.move_on_after(WRITE_LIMIT_S):
            await begun.until(self._quorum - (len(alive) - len(wanted)))
            with trio.move_on_after(WRITE_PATIENCE_S):
                await begun.until_all()
        full = 0
        for index, result in begun.results.items():
            if not result.done:
                self._give_up(index, "it takes too long")
                self._crew.start(self._discard_later, begun, index)
            elif isinstance(result.error, DiskFailed):
                full += isinstance(result.error, DiskFull)
                self._give_up(index, str(result.error))
                # Nobody refers to what the disk has of it: on a full disk it would only be in
                # the way.
                await self._writers[index].discard()
            elif result.error is not None:
                raise result.error
        left = len(self._writers) - len(self._failed)
        if left < self._quorum:
            if full:
                raise StorageFull(f"{full} of {len(self._writers)} disks are full")
            raise InsufficientDisks(
                f"Only {left} of {len(self._writers)} disks accept data; at least {self._quorum}"
                " are needed"
            )

    def _give_up(self, index: int, reason: str) -> None:
        self._failed.add(index)
        self._pending[index].clear()
        log.warning("shard %d of %s not written: %s", index, self._id, reason)


async def _fail(error: DiskFailed) -> None:
    raise error


@dataclass(frozen=True)
class ShardEnds:
    """What a shard says of itself at its beginning and its end; `size_bytes` is the extent's."""

    preamble: Preamble
    size_bytes: int
    record: bytes


async def read_ends(disk: ShardStore, name: str) -> ShardEnds:
    """Beginning and end of a shard, checked. The cells in between are not read.

    Raises ShardCorrupt (torn, garbage, of another length than it says), ShardNotFound, DiskFailed.
    """
    reader = await disk.open(name)
    try:
        size = reader.size()
        if size < stripes.PREAMBLE_BYTES + stripes.TAIL_BYTES:
            raise ShardCorrupt(f"{size} bytes are too few for a shard")
        preamble = stripes.parse_preamble(await reader.read_at(0, stripes.PREAMBLE_BYTES))
        tail = stripes.parse_tail(
            await reader.read_at(size - stripes.TAIL_BYTES, stripes.TAIL_BYTES)
        )
        offset = tail.check_shard(size, preamble.stripe_size_bytes, preamble.flags)
        record = tail.check_record(await reader.read_at(offset, tail.record_length))
        return ShardEnds(preamble, tail.size_bytes, bytes(record))
    finally:
        reader.close()
