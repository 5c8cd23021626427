"""Where segments are, against the plain way of finding them."""

from hypothesis import given
from hypothesis import strategies as st

from stratum.domain.ranges import Span
from stratum.domain.sealing import TAG_BYTES, Segments, reads_of


def cut(sizes, segment_size):
    """Each stored segment as (part, number, plain start in the whole, plain stop, stored span)."""
    plain = stored = 0
    segments = []
    for part, size in enumerate(sizes):
        for number in range(max(1, -(-size // segment_size))):
            length = min(segment_size, size - number * segment_size)
            sealed = Span(stored, stored + length + TAG_BYTES)
            segments.append((part, number, plain, plain + length, sealed))
            plain += length
            stored = sealed.stop
    return segments


def test_an_empty_plaintext_is_one_empty_segment():
    assert Segments(0, 100).count == 1
    assert Segments(0, 100).sealed_size_bytes == TAG_BYTES
    assert Segments(100, 100).count == 1
    assert Segments(101, 100).sealed_span(range(1, 2)) == Span(116, 133)


@given(st.lists(st.integers(0, 50), min_size=1, max_size=6), st.integers(1, 12), st.data())
def test_a_range_is_read_from_just_the_segments_that_hold_it(sizes, segment_size, data):
    total = sum(sizes)
    start = data.draw(st.integers(0, total))
    stop = data.draw(st.integers(start, total))
    span, reads = reads_of(sizes, segment_size, Span(start, stop))
    held = [s for s in cut(sizes, segment_size) if max(s[2], start) < min(s[3], stop)]
    if not held:
        assert span.length == 0
        assert not reads
        return
    first, last = held[0][4], held[-1][4]
    read = [s for s in cut(sizes, segment_size) if first.start <= s[4].start <= last.start]
    assert (span.start, span.stop) == (first.start, last.stop)
    assert [(part.index, number) for part in reads for number in part.numbers] == [
        s[:2] for s in read
    ]
    assert sum(part.plain.length for part in reads) == stop - start
