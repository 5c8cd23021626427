"""The shards on a disk as tests read, spoil and lose them, in files of their own or packed."""

import os
from dataclasses import dataclass
from pathlib import Path

from stratum.adapters.segment_format import RECORD_HEADER_BYTES, SegmentScan
from stratum.adapters.segment_index import SegmentIndex


@dataclass(frozen=True)
class PackedShard:
    """A shard inside a segment, with as much of Path as tests use."""

    segment: Path
    name: str
    start: int
    length: int

    def read_bytes(self) -> bytes:
        with self.segment.open("rb") as file:
            return os.pread(file.fileno(), self.length, self.start)

    def write_bytes(self, content: bytes) -> None:
        """In its place, so no longer than it is; what is left of it becomes zeros."""
        assert len(content) <= self.length
        with self.segment.open("r+b") as file:
            os.pwrite(file.fileno(), content.ljust(self.length, b"\0"), self.start)

    def unlink(self) -> None:
        """Not even the header of its record is left."""
        begin = self.start - RECORD_HEADER_BYTES - len(self.name)
        with self.segment.open("r+b") as file:
            os.pwrite(file.fileno(), bytes(self.start + self.length - begin), begin)


def packed_shards(disk: Path) -> dict[str, PackedShard]:
    """The packed shards of a disk by name, read from the segments alone."""
    index = SegmentIndex(None, "")
    segments = {int(path.stem): path for path in sorted(disk.glob("segments/*.seg"))}
    for number, path in segments.items():
        content = path.read_bytes()
        scan = SegmentScan(
            lambda at, length, content=content: content[at : at + length], number, len(content)
        )
        for record in scan:
            index.apply(record)
    found = {}
    for number, path in segments.items():
        for name, entry in index.entries_in(number):
            found[name] = PackedShard(path, name, entry.start, entry.length)
    index.close()
    return found


def shard_files(disk: Path) -> dict[str, Path]:
    """The shards of a disk that are files of their own, by name."""
    return {path.name: path for path in disk.rglob("?" * 32) if path.is_file()}


def all_shards(disk: Path) -> dict[str, Path | PackedShard]:
    """The shards of a disk by name."""
    return {**packed_shards(disk), **shard_files(disk)}
