"""Where the segments of encrypted bytes are: arithmetic only, no cryptography.

Plaintext is cut into segments of one size; each is stored with a tag after it. The last one may be
shorter, and an empty plaintext is one empty segment, which says that it is empty.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from stratum.domain.ranges import Span

TAG_BYTES = 16
"""What a segment is longer by when it is sealed: the tag of AES-GCM."""


@dataclass(frozen=True)
class Segments:
    """The segments of a plaintext of `size_bytes`."""

    size_bytes: int
    segment_size_bytes: int

    @property
    def count(self) -> int:
        """At least one."""
        return max(1, -(-self.size_bytes // self.segment_size_bytes))

    @property
    def sealed_size_bytes(self) -> int:
        """Bytes of all segments with their tags."""
        return self.size_bytes + self.count * TAG_BYTES

    def holding(self, plain: Span) -> range:
        """The numbers of the segments that hold a range of the plaintext which is not empty."""
        return range(
            plain.start // self.segment_size_bytes, -(-plain.stop // self.segment_size_bytes)
        )

    def sealed_span(self, numbers: range) -> Span:
        """Where consecutive segments are, counted from the beginning of the first one."""
        step = self.segment_size_bytes + TAG_BYTES
        return Span(numbers.start * step, min(numbers.stop * step, self.sealed_size_bytes))


@dataclass(frozen=True)
class PartRead:
    """What to read of one of the parts that a volume's bytes are sealed in.

    `numbers` are its segments, `plain` the bytes wanted of its plaintext.
    """

    index: int
    segments: Segments
    numbers: range
    plain: Span


def reads_of(
    part_sizes: Sequence[int], segment_size_bytes: int, wanted: Span
) -> tuple[Span, Sequence[PartRead]]:
    """Where the segments of a range are in the stored bytes, and what to take of each part.

    The parts, of these plaintext sizes, are sealed one by one and stored one after the other, so
    the segments of a range that is not empty are one span of the stored bytes. An empty part in
    between has its segment there, too.
    """
    reads: list[PartRead] = []
    start = stop = 0
    for index, segments, plain, sealed_at in _overlaps(part_sizes, segment_size_bytes, wanted):
        numbers = segments.holding(plain) or range(1)
        sealed = segments.sealed_span(numbers)
        if not reads:
            start = sealed_at + sealed.start
        stop = sealed_at + sealed.stop
        reads.append(PartRead(index, segments, numbers, plain))
    return Span(start, stop), reads


def _overlaps(
    part_sizes: Sequence[int], segment_size_bytes: int, wanted: Span
) -> Iterator[tuple[int, Segments, Span, int]]:
    begin = sealed_at = 0
    for index, size in enumerate(part_sizes):
        segments = Segments(size, segment_size_bytes)
        low, high = max(wanted.start, begin), min(wanted.stop, begin + size)
        is_between = not size and wanted.start < begin < wanted.stop
        if low < high or is_between:
            yield index, segments, Span(low - begin, high - begin), sealed_at
        begin += size
        sealed_at += segments.sealed_size_bytes
