import pytest

from stratum.domain.errors import InvalidTag
from stratum.domain.tags import (
    BUCKET_TAGS_MAX,
    OBJECT_TAGS_MAX,
    TAG_KEY_LENGTH_MAX,
    TAG_VALUE_LENGTH_MAX,
    parse_tags,
)


def numbered(count):
    return [(f"k{number}", "") for number in range(count)]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("k", ""),
        ("k" * TAG_KEY_LENGTH_MAX, "v" * TAG_VALUE_LENGTH_MAX),
        ("a b", "_.:/=+-@"),
        ("größe", "日本 ٣"),
        ("awsome", "aws:"),
    ],
)
def test_what_a_tag_may_be(key, value):
    assert parse_tags([(key, value)], OBJECT_TAGS_MAX) == {key: value}


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("", "v"),
        ("k" * (TAG_KEY_LENGTH_MAX + 1), "v"),
        ("k", "v" * (TAG_VALUE_LENGTH_MAX + 1)),
        ("k\n", ""),
        ("k", "<b>"),
        ("k", "a&b"),
        ("aws:k", "v"),
        ("AWS:k", "v"),
        ("k", "\U0001f600"),
    ],
)
def test_what_a_tag_may_not_be(key, value):
    with pytest.raises(InvalidTag):
        parse_tags([(key, value)], OBJECT_TAGS_MAX)


def test_tags_come_back_ordered_by_key():
    assert list(parse_tags([("b", "1"), ("a", "2")], OBJECT_TAGS_MAX)) == ["a", "b"]


def test_a_key_counts_once():
    with pytest.raises(InvalidTag, match="same key") as error:
        parse_tags([("a", "1"), ("a", "1")], OBJECT_TAGS_MAX)
    assert error.value.key == "a"


@pytest.mark.parametrize("most", [OBJECT_TAGS_MAX, BUCKET_TAGS_MAX])
def test_how_many_there_may_be(most):
    assert len(parse_tags(numbered(most), most)) == most
    with pytest.raises(InvalidTag, match=str(most)):
        parse_tags(numbered(most + 1), most)
