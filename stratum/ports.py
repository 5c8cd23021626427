"""What the application needs of the world. Each port has an in-memory and a real implementation
and one contract test suite in `tests/contracts` that both pass.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol, TypeVar

from stratum.domain.access import Access, ReadRun
from stratum.domain.catalog import Catalog
from stratum.domain.directory import Change
from stratum.domain.event_archive import ArchivedRow
from stratum.domain.events import Event, Recorded
from stratum.domain.identity import Identity
from stratum.domain.identity_events import IdentityEvent
from stratum.domain.lifecycle_timer import Timer, Walk
from stratum.domain.names import VolumeId

T = TypeVar("T")
Buffer = bytes | bytearray | memoryview
NowMs = Callable[[], int]
"""Unix time in milliseconds."""
NewId = Callable[[], str]
"""A fresh UUID version 7 as 32 hex digits."""
Decide = Callable[[Catalog], Sequence[Event]]


class ByteSource(Protocol):
    """Bytes to be stored, pulled by whoever stores them."""

    async def read_into(self, buffer: memoryview) -> int:
        """Fill the start of `buffer`; return how many bytes, 0 only at the end. May fill less
        than the whole. Raises what is wrong with the bytes (IncompleteBody, BadDigest …)."""


# -- disks --------------------------------------------------------------------------------------
class ShardWriter(Protocol):
    """A shard being written, invisible until sealed. One task uses it at a time."""

    async def append(self, parts: Sequence[Buffer]) -> None:
        """Write after what is there. Raises DiskFailed; the shard is then lost on this disk."""

    async def seal(self, parts: Sequence[Buffer]) -> None:
        """Write the last parts and make the shard durable, staged under its name: it survives
        power loss and is listed by `staged`. Raises DiskFailed."""

    def begin_seal(self, parts: Sequence[Buffer]) -> Sealing | None:
        """Start to seal without waiting, so that one task may seal many shards. The parts are in
        use until what is returned has returned or raised, as `seal` does. None: nothing has
        happened, use `seal`."""

    async def discard(self) -> None:
        """Forget the shard, sealed or not. Never raises; safe in clean-up (bounded, idempotent)."""


Sealing = Callable[[], Awaitable[None]]
"""Waits until a shard is sealed; raises DiskFailed. May be cancelled and called again, also when it
has ended."""


class ShardReader(Protocol):
    async def read_at(self, offset: int, length: int) -> Buffer:
        """Up to `length` bytes; fewer only at the end. Raises DiskFailed."""

    def read_now(self, offset: int, length: int) -> Buffer | None:
        """The same if all of it is in memory; None: `read_at` may have it."""

    def size(self) -> int:
        """Length of the shard in bytes."""

    def close(self) -> None: ...


@dataclass(frozen=True)
class DiskUsage:
    total_bytes: int
    free_bytes: int
    device: int
    """The operating system's device number: two disks with one device fail together."""


class ShardStore(Protocol):
    """One disk: named shards, staged then published, never changed afterwards, only
    replaced as a whole.

    All methods may raise DiskFailed. A cancelled call may or may not have had its effect.
    """

    path: str

    def create(self, name: str) -> ShardWriter:
        """A new staged shard; nothing touches the disk before its first append or seal."""

    async def publish(self, name: str) -> None:
        """Move a staged shard among the published. Idempotent. Readers find a shard in either
        place, so a crash or a read before this loses nothing. Raises ShardNotFound."""

    def publish_now(self, name: str) -> bool:
        """The same where nothing has to be waited for; False: nothing has happened."""

    async def replace(self, staged: str, name: str) -> None:
        """Make a sealed shard that is staged under one name the published shard of another, in the
        place of whatever is there, published or staged; durable when it returns. Whoever opens
        `name` meanwhile, or after a crash, finds the old or the new. Raises ShardNotFound."""

    async def open(self, name: str) -> ShardReader:
        """Raises ShardNotFound."""

    def open_now(self, name: str) -> ShardReader | None:
        """The same if it takes no waiting; None: `open` may find it."""

    async def delete(self, name: str) -> None:
        """Delete a shard, staged or published; one that isn't there is no error."""

    async def staged(self) -> Sequence[str]:
        """Names sealed (or torn by a crash) and not yet published."""

    def names(self) -> AsyncIterator[str]:
        """All published names in no order: for audits only."""

    async def usage(self) -> DiskUsage: ...

    async def label(self, new: Mapping[str, str] | None = None) -> Mapping[str, str] | None:
        """The disk's identity, None if it has none. With `new`, makes the disk's folders, writes
        the label durably and returns it."""


# -- remote tier --------------------------------------------------------------------------------
class RemoteStore(Protocol):
    """A place far away that keeps whole objects. Raises RemoteFailed on any trouble."""

    def describe(self) -> str:
        """Endpoint and bucket, for status; never a secret."""

    async def put(self, name: str, size_bytes: int, body: AsyncIterator[Buffer]) -> None:
        """Store exactly `size_bytes` bytes under `name`, whole or not at all, replacing."""

    def read(
        self, name: str, start: int, stop: int
    ) -> AbstractAsyncContextManager[AsyncIterator[Buffer]]:
        """Bytes [start, stop) in pieces, exactly as many, or RemoteFailed."""

    async def size(self, name: str) -> int | None:
        """Length in bytes, None if there is no such object."""

    async def delete(self, name: str) -> None:
        """Idempotent."""

    def names(self) -> AsyncIterator[str]:
        """All names under our prefix: for audits only."""


# -- erasure code -------------------------------------------------------------------------------
class StripeBuffer(Protocol):
    """A pooled buffer for one stripe."""

    @property
    def data(self) -> memoryview:
        """Writable, `stripe_size_bytes` long."""


class Codec(Protocol):
    """Turns stripes into cells and back; the erasure profile is 4 data and 2 parity cells."""

    def stripe_buffer(
        self, length_max: int | None = None
    ) -> AbstractAsyncContextManager[StripeBuffer]:
        """A free buffer of the pool; waits until one is free (that bounds memory). Small ones
        (`length_max` bytes of data at most) have a pool of their own."""

    async def encode(
        self, buffer: StripeBuffer, extent_id: str, stripe: int, length: int
    ) -> Sequence[tuple[Buffer, Buffer]]:
        """Six (16-byte checksum, cell) pairs for the first `length` bytes of the buffer, valid
        until the buffer is released."""

    def checksum(self, extent_id: str, stripe: int, index: int, cell: Buffer) -> bytes:
        """The 16-byte checksum of a cell, bound to its place."""

    async def verify(
        self, extent_id: str, stripe: int, length: int, cells: Sequence[Buffer | None]
    ) -> frozenset[int]:
        """Indices of those of six framed cells (None where missing) that are corrupt."""

    async def decode(
        self, extent_id: str, stripe: int, length: int, cells: Sequence[Buffer | None]
    ) -> tuple[Sequence[memoryview], frozenset[int]]:
        """From six framed cells (checksum and cell as read; None where missing): the stripe's
        `length` bytes in pieces, and the indices of cells that are corrupt. Four data cells are
        enough when they are good. Raises InsufficientShards."""


# -- journal ------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Head:
    """The end of the journal. `digest` is the hash chain's last link (32 bytes)."""

    seq: int
    digest: bytes
    at_ms: int = 0


class Journal(Protocol):
    """The append-only truth, with the catalog it adds up to, changed in one transaction."""

    @property
    def catalog(self) -> Catalog:
        """For point look-ups in microseconds; sees every acknowledged transaction."""

    async def transact(self, decide: Decide, *, by: str) -> Sequence[Recorded]:
        """Call `decide` on the exact current state and append the events it returns, atomically.

        Returns when they are durable. If `decide` raises, nothing is appended and the error is
        raised here. `decide` must be quick and must not block or keep the view. Cancellation: the
        outcome is awaited (shielded), so the caller never loses an acknowledged commit.
        """

    async def query(self, question: Callable[[Catalog], T]) -> T:
        """Run a longer question (a listing, totals) on one consistent view, off the event loop."""

    async def read(self, after_seq: int = 0, limit: int = 1000) -> Sequence[Recorded]:
        """Events in journal order."""

    async def rows(self, after_seq: int, limit: int) -> Sequence[ArchivedRow]:
        """Events in journal order as they are stored, with the links of the hash chain. May return
        fewer than `limit` before the end, to bound memory; none only at the end."""

    async def history(self, stream: str) -> Sequence[Recorded]:
        """All events of one stream, oldest first."""

    async def head(self) -> Head: ...

    async def check_chain(self) -> Head:
        """Verify the hash chain from the first event; raises JournalCorrupt naming the event."""


# -- copies of the journal ----------------------------------------------------------------------
class EventArchive(Protocol):
    """A place apart from the journal that keeps a copy of its events: a few files that only grow.

    Methods raise DiskFailed or RemoteFailed. A cancelled call may or may not have had its effect.
    """

    def describe(self) -> str:
        """Where it is, for status; never a secret."""

    async def names(self) -> Sequence[str]:
        """All files, sorted."""

    async def read(self, name: str) -> bytes:
        """All of a file; nothing if there is none."""

    async def write_at(self, name: str, offset: int, data: bytes) -> None:
        """Make a file what it has before `offset`, then `data`, and nothing after; durable when it
        returns. After a crash it is that, or as before, or anything between from `offset` on.
        `offset` is at most the file's length. Repeating it does no harm."""


# -- access log ---------------------------------------------------------------------------------
class AccessLog(Protocol):
    """Access counts and timers. May lose the last flush in a power cut, and nothing else."""

    async def get(self, volume_id: VolumeId) -> Access | None: ...

    async def get_many(self, volume_ids: Sequence[VolumeId]) -> Mapping[VolumeId, Access]:
        """Those rows that there are."""

    async def put(self, rows: Sequence[Access]) -> None:
        """Insert or replace."""

    async def due(self, before_ms: int, limit: int) -> Sequence[Access]:
        """Rows with 0 < look_at_ms <= before_ms, earliest first; uses an index."""

    async def next_due_ms(self) -> int | None: ...

    async def forget(self, volume_ids: Sequence[VolumeId]) -> None: ...

    async def position(self, seq: int | None = None, reader: str = "volumes") -> int:
        """Journal position up to which `reader` has brought the rows; sets it if given.
        `volumes` gives new volumes their rows, `pins` sets the timers of what was pinned."""

    async def learnt(self, state: bytes | None = None) -> bytes | None:
        """What the policy has learnt from all volumes, as it was last given; None before."""


class ReadHistory(Protocol):
    """Which volumes were read when, in batches as they were noted. May lose the last batch in a
    power cut."""

    async def since_ms(self) -> int:
        """From when on it is complete, in Unix ms."""

    async def append(self, runs: Sequence[ReadRun]) -> None:
        """One batch; nothing if it is empty."""

    async def read(self, after: int = 0) -> tuple[int, Sequence[ReadRun]]:
        """The batch after that number, with its own, by volume; the same number and nothing after
        the last."""

    async def forget(self, before_ms: int, bytes_max: int) -> None:
        """Drop batches without a read since then; and some of the oldest while all of them take
        more than so many bytes."""


# -- identities ---------------------------------------------------------------------------------
@dataclass(frozen=True)
class Unreported:
    """A change of identities that isn't in the journal yet."""

    number: int
    by: str
    event: IdentityEvent


class IdentityStore(Protocol):
    """Identities with their secrets; changed only by the program that has the journal's lock."""

    async def load(self) -> Sequence[Identity]:
        """All identities, in no order. Raises DiskFailed."""

    async def apply(self, change: Change, *, by: str) -> None:
        """Make a change durable, and what is to be reported of it, both or neither. Raises
        DiskFailed; cancellation leaves open which."""

    async def unreported(self) -> Sequence[Unreported]:
        """What is to be reported, oldest first."""

    async def reported(self, number: int) -> None:
        """Everything up to a number is in the journal."""


# -- lifecycle timers ---------------------------------------------------------------------------
class LifecycleTimers(Protocol):
    """When lifecycle rules look at which key or upload. May lose the last changes in a power cut,
    all that came after some moment together; all of it can be made anew from the catalog.

    All methods raise DiskFailed or Unavailable.
    """

    async def record(
        self,
        timers: Sequence[Timer] = (),
        *,
        earlier: Sequence[Timer] = (),
        walks: Sequence[Walk] = (),
        done: Sequence[Walk] = (),
        position: int | None = None,
    ) -> None:
        """All of it or nothing: set timers (0 removes), set others unless they are earlier already,
        begin or go on with walks, one per bucket, and end those that are `done` (unless another has
        begun since), set the journal position up to which the timers are complete."""

    async def due(self, before_ms: int, limit: int) -> Sequence[Timer]:
        """Timers that are due at or before a time, earliest first; uses an index."""

    async def next_due_ms(self) -> int | None: ...

    async def walks(self) -> Sequence[Walk]:
        """Walks begun and not done, by `seq`."""

    async def position(self) -> int | None:
        """None: nothing was ever recorded, or it was lost."""
