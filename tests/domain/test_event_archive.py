import pytest
from hypothesis import given
from hypothesis import strategies as st

from stratum.domain.event_archive import (
    HEADER_BYTES,
    ArchivedRow,
    is_segment,
    pack_frame,
    pack_header,
    parse_segment,
    segment_name,
)
from stratum.domain.hash_chain import GENESIS_DIGEST, first_broken, link


def rows_from(first_seq, count, previous=GENESIS_DIGEST):
    rows = []
    for seq in range(first_seq, first_seq + count):
        stream, version, topic, state = f"strëam/{seq}", seq, "Happened.1", b"\x00state" * seq
        previous = link(previous, stream, version, topic, state)
        rows.append(ArchivedRow(seq, stream, version, topic, state, previous))
    return rows


def test_a_segment_is_read_as_it_was_written():
    rows = rows_from(7, 5, bytes(range(32)))
    data = pack_header(7, bytes(range(32))) + pack_frame(rows[:2]) + pack_frame(rows[2:])
    segment = parse_segment(data)
    assert segment.rows == tuple(rows)
    assert (segment.first_seq, segment.previous) == (7, bytes(range(32)))
    assert (segment.last_seq, segment.digest) == (11, rows[-1].digest)
    assert segment.length == len(data)


def test_a_segment_without_frames_ends_before_its_first_event():
    segment = parse_segment(pack_header(4, bytes(32)))
    assert (segment.last_seq, segment.digest, segment.length) == (3, bytes(32), HEADER_BYTES)


def test_whatever_a_crash_leaves_of_the_last_frame_is_not_there():
    rows = rows_from(1, 4)
    begin = pack_header(1, GENESIS_DIGEST) + pack_frame(rows[:2])
    torn = pack_frame(rows[2:])
    for length in range(len(torn)):
        segment = parse_segment(begin + torn[:length])
        assert segment.rows == tuple(rows[:2])
        assert segment.length == len(begin)


@given(st.data())
def test_a_changed_byte_ends_the_segment_before_it(data):
    rows = rows_from(1, 3)
    whole = bytearray(pack_header(1, GENESIS_DIGEST))
    ends = [len(whole)]
    for row in rows:
        whole += pack_frame([row])
        ends.append(len(whole))
    place = data.draw(st.integers(0, len(whole) - 1))
    whole[place] ^= data.draw(st.integers(1, 255))
    segment = parse_segment(bytes(whole))
    if place < HEADER_BYTES:
        assert segment is None
    else:
        kept = sum(end <= place for end in ends) - 1
        assert segment.rows == tuple(rows[:kept])


@given(st.binary(max_size=300))
def test_garbage_is_no_segment(data):
    assert parse_segment(data) is None


@pytest.mark.parametrize("count", [0, 1 << 20])
def test_lengths_that_lie_are_found_out(count):
    head = pack_header(1, GENESIS_DIGEST)
    assert parse_segment(head + count.to_bytes(4, "little") * 3 + b"x" * 64).rows == ()


def test_names_sort_by_number():
    names = [segment_name(seq) for seq in (1, 9, 10, 123_456)]
    assert names == sorted(names)
    assert all(map(is_segment, names))
    assert not any(map(is_segment, ["anchors", "events-", "events-1", segment_name(1) + ".new"]))


def test_the_chain_tells_the_first_event_that_does_not_follow():
    rows = rows_from(1, 4)
    assert first_broken(GENESIS_DIGEST, rows) is None
    assert first_broken(bytes([1] * 32), rows) == 1
    assert first_broken(GENESIS_DIGEST, [*rows[:2], rows[3]]) == 4
