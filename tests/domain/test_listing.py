import base64
import bisect
import json
import random

import pytest

from stratum.domain.errors import InvalidArgument
from stratum.domain.listing import (
    ListRequest,
    Position,
    after_prefix,
    decode_token,
    encode_token,
    paginate,
)


class Bucket:
    """Sorted keys that count how many entries were looked at and how often it was sought."""

    def __init__(self, keys):
        self.keys = sorted(keys, key=str.encode)
        self.seeks = 0
        self.reads = 0

    def seek(self, lower):
        self.seeks += 1
        for key in self.keys[bisect.bisect_left(self.keys, lower, key=str.encode) :]:
            self.reads += 1
            yield key

    def page(self, **request):
        return paginate(self.seek, ListRequest(**request), str)


def everything(bucket, **request):
    """All pages put together."""
    entries, prefixes, sizes = [], [], []
    after = None
    while True:
        page = bucket.page(after=after, **request)
        entries += page.entries
        prefixes += page.common_prefixes
        sizes.append(len(page.entries) + len(page.common_prefixes))
        if page.next is None:
            assert not page.truncated
            return entries, prefixes, sizes
        assert page.truncated
        after = decode_token(encode_token(page.next))


def by_definition(keys, prefix, delimiter):
    entries, prefixes = [], set()
    for key in sorted(keys, key=str.encode):
        if key.startswith(prefix):
            at = key.find(delimiter, len(prefix)) if delimiter else -1
            if at < 0:
                entries.append(key)
            else:
                prefixes.add(key[: at + len(delimiter)])
    return entries, sorted(prefixes, key=str.encode)


def test_keys_sort_by_their_bytes():
    # U+FF5E sorts before U+1F600 in UTF-8, after it in UTF-16.
    bucket = Bucket(["\U0001f600", "\uff5e", "a", "B", "ä"])
    assert bucket.page().entries == ("B", "a", "ä", "\uff5e", "\U0001f600")


def test_a_page_counts_keys_and_common_prefixes():
    bucket = Bucket(["asdf", "boo/bar", "boo/baz/xyzzy", "cquux/thud", "cquux/bla"])
    first = bucket.page(delimiter="/", max_keys=1)
    assert (first.entries, first.common_prefixes, first.next) == (("asdf",), (), Position("asdf"))
    second = bucket.page(delimiter="/", max_keys=1, after=first.next)
    assert second.common_prefixes == ("boo/",)
    assert second.next == Position("boo/", is_prefix=True)
    third = bucket.page(delimiter="/", max_keys=1, after=second.next)
    assert (third.common_prefixes, third.truncated) == (("cquux/",), False)


def test_a_marker_inside_a_common_prefix_skips_it():
    bucket = Bucket(["a", "b/1", "b/2", "c"])
    # V1 clients pass the common prefix they got as NextMarker.
    assert bucket.page(delimiter="/", after=Position("b/")).entries == ("c",)
    assert bucket.page(delimiter="/", after=Position("b/1")).common_prefixes == ()
    assert bucket.page(after=Position("b/1")).entries == ("b/2", "c")


def test_markers_outside_the_prefix():
    bucket = Bucket(["a", "m/1", "m/2", "z"])
    assert bucket.page(prefix="m/", after=Position("a")).entries == ("m/1", "m/2")
    assert bucket.page(prefix="m/", after=Position("zz")).entries == ()
    assert bucket.page(prefix="m/", after=Position("m/", is_prefix=True)).entries == ()


def test_no_keys_asked_for_is_no_page_at_all():
    page = Bucket(["a"]).page(max_keys=0)
    assert (page.entries, page.truncated) == ((), False)


def test_the_cost_is_that_of_the_page():
    bucket = Bucket([f"{letter}/{number}" for letter in "abc" for number in range(100)] + ["d"])
    page = bucket.page(delimiter="/")
    assert page.common_prefixes == ("a/", "b/", "c/")
    assert page.entries == ("d",)
    assert bucket.reads == 4
    bucket.reads = 0
    bucket.page(max_keys=5)
    assert bucket.reads == 6


def test_delimiters_may_be_anything():
    keys = ["bar", "baz", "cab", "foo"]
    assert everything(Bucket(keys), delimiter="a") == (["foo"], ["ba", "ca"], [3])
    assert everything(Bucket(["a--b", "a--c", "a-d"]), delimiter="--")[:2] == (["a-d"], ["a--"])
    assert everything(Bucket(["x\n1", "x\n2"]), delimiter="\n")[1] == ["x\n"]


@pytest.mark.parametrize("seed", range(40))
def test_pages_put_together_are_the_listing(seed):
    rng = random.Random(seed)
    alphabet = "ab/é\U0001f600"
    keys = {"".join(rng.choices(alphabet, k=rng.randint(1, 6))) for _ in range(60)}
    bucket = Bucket(keys)
    for _ in range(20):
        prefix = "".join(rng.choices(alphabet, k=rng.randint(0, 2)))
        delimiter = rng.choice(["", "/", "a", "é", "b/"])
        max_keys = rng.randint(1, 7)
        entries, prefixes, sizes = everything(
            bucket, prefix=prefix, delimiter=delimiter, max_keys=max_keys
        )
        assert (entries, prefixes) == by_definition(keys, prefix, delimiter)
        assert all(size == max_keys for size in sizes[:-1])
        assert sizes[-1] <= max_keys


def test_several_entries_of_one_key_are_told_apart():
    uploads = [("a", "1"), ("b", "1"), ("b", "2"), ("b", "3"), ("c", "1")]

    def seek(lower):
        return iter([upload for upload in uploads if upload[0].encode() >= lower])

    def page(after):
        return paginate(
            seek,
            ListRequest(max_keys=2, after=after),
            key_of=lambda upload: upload[0],
            within_of=lambda upload: upload[1],
        )

    first = page(None)
    assert first.next == Position("b", within="1")
    second = page(decode_token(encode_token(first.next)))
    assert second.entries == (("b", "2"), ("b", "3"))
    assert page(second.next).entries == (("c", "1"),)
    assert page(Position("b")).entries == (("c", "1"),)


@pytest.mark.parametrize(
    "position",
    [
        Position("k"),
        Position("a/", True),
        Position("é\n\0\"'", within="id"),
        Position("\U0001f600"),
    ],
)
def test_tokens_come_back(position):
    token = encode_token(position)
    assert token.replace("-", "").replace("_", "").isalnum()
    assert decode_token(token) == position


def forged(value):
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode()


@pytest.mark.parametrize(
    "token",
    [
        "",
        "!",
        "é",
        "abc",
        "a" * 9000,
        forged(["k"]),
        forged(["k", 1, None]),
        forged([1, False, None]),
        forged(["", True, None]),
        forged(["\ud800", False, None]),
        forged({"key": "k"}),
        base64.urlsafe_b64encode(b"[" * 5000).decode(),
    ],
)
def test_other_tokens_are_refused(token):
    with pytest.raises(InvalidArgument) as error:
        decode_token(token)
    assert error.value.argument == "continuation-token"


def test_the_bound_after_a_prefix_is_tight():
    assert after_prefix(b"a/") == b"a0"
    assert after_prefix("é".encode()) == b"\xc3\xaa"
    assert after_prefix("\U0010ffff".encode()) > "\U0010ffff\U0010ffff".encode()
