"""A shard being written: into a segment if it turns out small, else into a file of its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import trio

from stratum.adapters.disk_shards import FileShardWriter
from stratum.adapters.packed_shards import PackedShards
from stratum.domain.errors import DiskFailed
from stratum.ports import Buffer, Sealing


class RoutedShardWriter:
    """A ShardWriter. What is appended is held in memory until it is more than `packed_max_bytes`;
    a shard that never is goes into a segment as a whole, when it is sealed."""

    def __init__(
        self,
        name: str,
        packed: PackedShards,
        packed_max_bytes: int,
        make_file: Callable[[], FileShardWriter],
    ) -> None:
        self._name = name
        self._packed = packed
        self._packed_max_bytes = packed_max_bytes
        self._make_file = make_file
        self._held: list[Buffer] = []
        self._size_bytes = 0
        self._file: FileShardWriter | None = None
        self._reserved = False
        self._stored = False
        self._ended = False

    async def append(self, parts: Sequence[Buffer]) -> None:
        self._check_open()
        self._reserve()
        file = self._route(parts)
        if file is None:
            # Copied: what the caller gives is valid until we return.
            self._held += [bytes(part) for part in parts]
        else:
            held, self._held = self._held, []
            await file.append([*held, *parts])

    async def seal(self, parts: Sequence[Buffer]) -> None:
        self._check_open()
        self._reserve()
        file = self._route(parts)
        held, self._held = self._held, []
        self._ended = True
        try:
            if file is not None:
                await file.seal([*held, *parts])
            else:
                await trio.lowlevel.checkpoint_if_cancelled()
                self._stored = True
                await self._packed.store(self._name, [*held, *parts])
        finally:
            self._release()

    def begin_seal(self, parts: Sequence[Buffer]) -> Sealing | None:
        size_bytes = self._size_bytes + sum(map(len, parts))
        is_small = self._file is None and size_bytes <= self._packed_max_bytes
        if self._ended or not is_small or not self._packed.is_ready:
            return None
        try:
            self._reserve()
        except DiskFailed:
            self._ended = False  # `seal` says so
            return None
        self._ended = self._stored = True
        waiting = self._packed.begin_store(self._name, [*self._held, *parts])

        async def wait() -> None:
            try:
                await waiting()
            except DiskFailed:
                self._release()
                raise
            self._release()

        return wait

    async def discard(self) -> None:
        self._ended = True
        self._held.clear()
        in_flight = self._reserved and self._stored
        self._release()
        if self._file is not None:
            await self._file.discard()
        elif self._stored:
            self._packed.discard(self._name, in_flight=in_flight)

    def _route(self, parts: Sequence[Buffer]) -> FileShardWriter | None:
        self._size_bytes += sum(map(len, parts))
        if self._file is None and self._size_bytes > self._packed_max_bytes:
            self._file = self._make_file()
        return self._file

    def _reserve(self) -> None:
        if not self._reserved:
            try:
                self._packed.reserve(self._name)
            except DiskFailed:
                self._ended = True
                raise
            self._reserved = True

    def _release(self) -> None:
        if self._reserved:
            self._reserved = False
            self._packed.release(self._name)

    def _check_open(self) -> None:
        if self._ended:
            raise DiskFailed(f"{self._name}: the shard is sealed, discarded or lost already")
