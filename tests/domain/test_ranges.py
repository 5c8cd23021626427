import pytest

from stratum.domain.errors import InvalidArgument, InvalidRange
from stratum.domain.ranges import (
    ByteRange,
    Span,
    parse_copy_range,
    parse_range,
    resolve_copy_range,
)


@pytest.mark.parametrize(
    ("text", "size", "span"),
    [
        ("bytes=0-0", 10, Span(0, 1)),
        ("bytes=4-7", 10, Span(4, 8)),
        ("bytes=4-", 10, Span(4, 10)),
        ("bytes=4-99", 10, Span(4, 10)),
        ("bytes=-3", 10, Span(7, 10)),
        ("bytes=-99", 10, Span(0, 10)),
        ("bytes=9-9", 10, Span(9, 10)),
        ("Bytes = 1 - 2", 10, Span(1, 3)),
        ("bytes=0-99999999999999999999999999999", 10, Span(0, 10)),
        ("bytes=000-001", 10, Span(0, 2)),
    ],
)
def test_a_range_names_bytes(text, size, span):
    parsed = parse_range(text)
    assert parsed is not None
    assert parsed.resolve(size) == span
    assert span.length == span.stop - span.start


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("bytes=10-", 10),
        ("bytes=10-20", 10),
        ("bytes=-0", 10),
        ("bytes=0-", 0),
        ("bytes=0-0", 0),
        ("bytes=-5", 0),
        ("bytes=99999999999999999999999999-", 10),
    ],
)
def test_a_range_without_a_byte_of_the_object_is_invalid(text, size):
    parsed = parse_range(text)
    assert parsed is not None
    with pytest.raises(InvalidRange) as error:
        parsed.resolve(size)
    assert error.value.size_bytes == size


@pytest.mark.parametrize(
    "text",
    [
        "",
        "bytes",
        "bytes=",
        "bytes=-",
        "bytes=5-4",
        "bytes=a-b",
        "bytes=1-2,4-5",
        "bytes=1--2",
        "bytes=+1-2",
        "bytes=1.0-2",
        "items=1-2",
        "bytes=٣-٤",
    ],
)
def test_what_cannot_be_understood_is_ignored(text):
    assert parse_range(text) is None


def test_a_range_prints_as_it_is_asked_for():
    assert [str(ByteRange(*ends)) for ends in ((1, 2), (1, None), (None, 2))] == [
        "bytes=1-2",
        "bytes=1-",
        "bytes=-2",
    ]


def test_a_copy_range_has_both_ends_within_the_source():
    assert resolve_copy_range(parse_copy_range("bytes=2-4"), 5) == Span(2, 5)
    with pytest.raises(InvalidRange):
        resolve_copy_range(parse_copy_range("bytes=0-5"), 5)
    with pytest.raises(InvalidRange):
        resolve_copy_range(parse_copy_range("bytes=0-0"), 0)


@pytest.mark.parametrize(
    "text",
    [
        "0-2",
        "bytes=0",
        "bytes=hello-world",
        "bytes=0-bar",
        "bytes=hello-",
        "bytes=0-2,3-5",
        "bytes=2-1",
        "bytes=-3",
        "bytes=3-",
        " bytes=0-1",
        "",
    ],
)
def test_a_copy_range_of_another_form_is_refused(text):
    with pytest.raises(InvalidArgument) as error:
        parse_copy_range(text)
    assert error.value.argument == "x-amz-copy-source-range"
