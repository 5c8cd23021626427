from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stratum.domain import stripes
from stratum.domain.errors import InvalidConfig, ShardCorrupt
from stratum.domain.names import ExtentId
from stratum.domain.stripes import ErasureProfile, Preamble, StripePart

STEP = stripes.STRIPE_SIZE_STEP_BYTES
EXTENT = ExtentId("0192f0a1b2c3d4e5f60718293a4b5c6d")

sizes = st.integers(0, 5000) | st.integers(0, 2**45)
stripe_sizes = st.integers(1, 8).map(lambda n: n * STEP) | st.just(stripes.STRIPE_SIZE_BYTES)
small_extents = st.tuples(st.integers(0, 5000), st.integers(1, 8).map(lambda n: n * STEP))


def flips(raw):
    """Every way to have one bit wrong."""
    for bit in range(len(raw) * 8):
        changed = bytearray(raw)
        changed[bit // 8] ^= 1 << bit % 8
        yield changed


# -- geometry -----------------------------------------------------------------------------------
def test_a_mebibyte_stripe_has_cells_of_a_quarter():
    assert stripes.stripe_count(5 * 2**20 + 1) == 6
    assert stripes.cell_length(2**20) == 2**18
    assert stripes.frame_offset(0) == 64
    assert stripes.frame_offset(3) == 64 + 3 * (16 + 2**18)


@pytest.mark.parametrize(("length", "cell"), [(0, 0), (1, 1), (4, 1), (5, 2), (4095, 1024)])
def test_cells_of_a_short_stripe_are_a_quarter_rounded_up(length, cell):
    assert stripes.cell_length(length) == cell


def test_an_empty_extent_is_a_shard_of_preamble_record_and_tail():
    assert stripes.stripe_count(0) == 0
    assert stripes.shard_length(0, record_length=10) == 64 + 10 + 32


@given(sizes, stripe_sizes)
def test_the_number_of_stripes_is_what_covers_the_extent(size, stripe_size):
    count = stripes.stripe_count(size, stripe_size)
    assert count * stripe_size >= size
    assert count == 0 or stripes.stripe_length(size, count - 1, stripe_size) > 0
    assert stripes.stripe_length(size, count, stripe_size) == 0


@given(small_extents)
def test_frames_lie_one_after_the_other_up_to_the_record(extent):
    size, stripe_size = extent
    position, total = stripes.PREAMBLE_BYTES, 0
    for stripe in range(stripes.stripe_count(size, stripe_size)):
        length = stripes.stripe_length(size, stripe, stripe_size)
        assert stripes.frame_offset(stripe, stripe_size) == position
        position += stripes.frame_length(length)
        total += length
    assert total == size
    assert stripes.record_offset(size, stripe_size) == position


@given(small_extents, st.data())
def test_a_range_is_covered_exactly_once_and_in_order(extent, data):
    size, stripe_size = extent
    start = data.draw(st.integers(0, size))
    stop = data.draw(st.integers(start, size))
    position = start
    for part in stripes.stripes_of_range(start, stop, stripe_size):
        assert part.length > 0
        assert part.stop <= stripes.stripe_length(size, part.stripe, stripe_size)
        assert part.stripe * stripe_size + part.start == position
        position += part.length
    assert position == stop


def test_a_range_within_two_stripes():
    assert list(stripes.stripes_of_range(1000, 1100, 1024)) == [
        StripePart(0, 1000, 1024),
        StripePart(1, 0, 76),
    ]


# -- configuration ------------------------------------------------------------------------------
def test_four_and_two_is_the_profile_there_is():
    assert ErasureProfile().shards == 6
    with pytest.raises(InvalidConfig, match=r"8\+3 is not supported"):
        ErasureProfile(8, 3)


@pytest.mark.parametrize("size", [0, -STEP, STEP - 1, STEP + 64, 2**26 + STEP])
def test_a_stripe_size_that_does_not_divide_is_refused(size):
    with pytest.raises(InvalidConfig):
        stripes.check_stripe_size(size)


# -- preamble -----------------------------------------------------------------------------------
preambles = st.builds(
    Preamble,
    extent_id=st.binary(min_size=16, max_size=16).map(lambda raw: ExtentId(raw.hex())),
    index=st.integers(0, 5),
    stripe_size_bytes=stripe_sizes,
    flags=st.integers(0, 2**16 - 1),
)


@given(preambles, st.binary(max_size=40))
def test_a_preamble_is_read_as_it_was_written_whatever_follows(preamble, rest):
    raw = stripes.pack_preamble(preamble)
    assert len(raw) == stripes.PREAMBLE_BYTES
    assert stripes.parse_preamble(raw + rest) == preamble
    assert stripes.parse_preamble(memoryview(raw + rest)) == preamble


def test_any_flipped_bit_in_the_preamble_is_noticed():
    for changed in flips(stripes.pack_preamble(Preamble(EXTENT, 3))):
        with pytest.raises(ShardCorrupt):
            stripes.parse_preamble(changed)


@pytest.mark.parametrize("length", [0, 7, 60, 63])
def test_a_file_too_short_for_a_preamble_is_corrupt(length):
    with pytest.raises(ShardCorrupt):
        stripes.parse_preamble(stripes.pack_preamble(Preamble(EXTENT, 3))[:length])


def test_an_index_no_shard_can_have_is_corrupt():
    with pytest.raises(ShardCorrupt, match="index 6"):
        stripes.parse_preamble(stripes.pack_preamble(Preamble(EXTENT, 6)))


def test_a_stripe_size_no_shard_can_have_is_corrupt():
    with pytest.raises(ShardCorrupt, match="stripe size 100"):
        stripes.parse_preamble(stripes.pack_preamble(Preamble(EXTENT, 0, stripe_size_bytes=100)))


def test_a_newer_format_is_refused_by_name(monkeypatch):
    monkeypatch.setattr(stripes, "FORMAT_VERSION", 2)
    raw = stripes.pack_preamble(Preamble(EXTENT, 0))
    monkeypatch.undo()
    with pytest.raises(ShardCorrupt, match="shard format 2"):
        stripes.parse_preamble(raw)


# -- trailer ------------------------------------------------------------------------------------
@given(st.binary(max_size=500), sizes, stripe_sizes)
def test_the_record_is_found_from_the_end_of_the_file(record, size, stripe_size):
    trailer = stripes.pack_trailer(record, size)
    tail = stripes.parse_tail(trailer[-stripes.TAIL_BYTES :])
    assert tail.size_bytes == size
    length = stripes.record_offset(size, stripe_size) + len(trailer)
    assert length == stripes.shard_length(size, len(record), stripe_size)
    assert tail.check_shard(length, stripe_size) == stripes.record_offset(size, stripe_size)
    assert tail.check_record(trailer[: tail.record_length]) == record


def test_any_flipped_bit_in_the_tail_is_noticed():
    for changed in flips(stripes.pack_trailer(b"record", 12345)[-stripes.TAIL_BYTES :]):
        with pytest.raises(ShardCorrupt):
            stripes.parse_tail(changed)


@given(st.binary(min_size=1, max_size=300), st.data())
def test_a_changed_record_is_noticed(record, data):
    tail = stripes.parse_tail(stripes.pack_trailer(record, 1)[-stripes.TAIL_BYTES :])
    bit = data.draw(st.integers(0, len(record) * 8 - 1))
    changed = bytearray(record)
    changed[bit // 8] ^= 1 << bit % 8
    for wrong in (changed, record[:-1], record + b"\0"):
        with pytest.raises(ShardCorrupt):
            tail.check_record(wrong)


@pytest.mark.parametrize("raw", [b"", b"STRATEND", bytes(32), bytes(33)])
def test_a_file_that_was_not_written_to_the_end_has_no_tail(raw):
    with pytest.raises(ShardCorrupt, match="does not end like a shard"):
        stripes.parse_tail(raw)


@pytest.mark.parametrize("difference", [-1, 1])
def test_a_shard_of_another_length_than_its_tail_says_is_corrupt(difference):
    tail = stripes.parse_tail(stripes.pack_trailer(b"record", 12345)[-stripes.TAIL_BYTES :])
    length = stripes.shard_length(12345, len(b"record")) + difference
    with pytest.raises(ShardCorrupt):
        tail.check_shard(length)


def test_a_record_longer_than_any_is_not_read(monkeypatch):
    monkeypatch.setattr(stripes, "RECORD_LENGTH_MAX_BYTES", 2000)
    raw = stripes.pack_trailer(bytes(1001), 1)[-stripes.TAIL_BYTES :]
    monkeypatch.setattr(stripes, "RECORD_LENGTH_MAX_BYTES", 1000)
    with pytest.raises(ShardCorrupt, match="1001 bytes"):
        stripes.parse_tail(raw)


def test_preambles_of_two_shards_differ():
    one = Preamble(EXTENT, 0)
    assert stripes.pack_preamble(one) != stripes.pack_preamble(replace(one, index=1))
