import pytest

from stratum.adapters.s3.queries import (
    BUCKETS_PAGE_MAX,
    buckets_query,
    objects_query,
    part_number,
    parts_query,
    uploads_query,
)
from stratum.domain.errors import InvalidArgument
from stratum.domain.listing import ListRequest, Position, encode_token


def test_version_1():
    query = {"prefix": "p/", "delimiter": "/", "marker": "p/k", "max-keys": "7"}
    found = objects_query(query | {"encoding-type": "url", "continuation-token": "ignored"})
    assert found.version == 1
    assert found.request == ListRequest("p/", "/", Position("p/k"), 7)
    assert (found.marker, found.token, found.url_encoded) == ("p/k", None, True)
    assert found.fetch_owner


def test_version_2():
    found = objects_query({"list-type": "2", "start-after": "a", "marker": "ignored"})
    assert found.version == 2
    assert found.request == ListRequest(after=Position("a"))
    assert (found.marker, found.fetch_owner, found.url_encoded) == ("a", False, False)
    assert objects_query({"list-type": "2", "fetch-owner": "true"}).fetch_owner


def test_a_token_goes_before_start_after():
    position = Position("dir/", is_prefix=True)
    query = {"list-type": "2", "start-after": "a", "continuation-token": encode_token(position)}
    found = objects_query(query)
    assert found.request.after == position
    assert (found.marker, found.token) == ("a", query["continuation-token"])


def test_empty_parameters_are_none():
    names = ("prefix", "delimiter", "marker", "max-keys", "encoding-type")
    found = objects_query(dict.fromkeys(names, ""))
    assert found.request == ListRequest()
    assert found.marker == ""
    found = objects_query({"list-type": "2", "continuation-token": "", "start-after": ""})
    assert found.request.after is None
    assert (found.token, found.marker) == ("", "")


@pytest.mark.parametrize(
    ("text", "length"), [("0", 0), ("1", 1), ("1000", 1000), ("1001", 1000), ("2147483647", 1000)]
)
def test_a_page_has_at_most_a_thousand_entries(text, length):
    assert objects_query({"max-keys": text}).request.max_keys == length
    assert uploads_query({"max-uploads": text}).request.max_keys == length
    assert parts_query({"max-parts": text}).max_parts == length


@pytest.mark.parametrize("text", ["blah", "-1", "1.5", "٣", "2147483648", "9" * 5000, " 1"])
@pytest.mark.parametrize(
    ("parse", "name"),
    [
        (objects_query, "max-keys"),
        (uploads_query, "max-uploads"),
        (parts_query, "max-parts"),
        (parts_query, "part-number-marker"),
        (buckets_query, "max-buckets"),
        (part_number, "partNumber"),
    ],
)
def test_numbers_that_are_none(parse, name, text):
    with pytest.raises(InvalidArgument) as error:
        parse({name: text})
    assert error.value.argument == name


@pytest.mark.parametrize(
    "query",
    [
        {"encoding-type": "base64"},
        {"list-type": "2", "continuation-token": "forged"},
    ],
)
def test_other_values_that_are_refused(query):
    with pytest.raises(InvalidArgument):
        objects_query(query)


def test_uploads():
    found = uploads_query({"key-marker": "k", "upload-id-marker": "u", "prefix": "p"})
    assert found.request == ListRequest(prefix="p", after=Position("k", within="u"))
    assert uploads_query({"key-marker": "k"}).request.after == Position("k")
    # Without a key an upload id says nothing.
    assert uploads_query({"upload-id-marker": "u"}).request.after is None


def test_parts():
    assert parts_query({}).after == 0
    assert parts_query({"part-number-marker": "17"}).after == 17
    assert part_number({}) is None
    assert part_number({"partNumber": "10000"}) == 10000
    for text in ("0", "10001", ""):
        with pytest.raises(InvalidArgument):
            part_number({"partNumber": text})


def test_buckets():
    assert buckets_query({}).max_buckets == BUCKETS_PAGE_MAX
    found = buckets_query(
        {
            "prefix": "p",
            "max-buckets": "5",
            "continuation-token": encode_token(Position("b")),
            "bucket-region": "eu-west-1",
        }
    )
    assert (found.prefix, found.after, found.max_buckets) == ("p", "b", 5)
    assert found.region == "eu-west-1"
    for text in ("0", "10001"):
        with pytest.raises(InvalidArgument):
            buckets_query({"max-buckets": text})
