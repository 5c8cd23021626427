import base64
import email.header

import pytest

from stratum.adapters.s3.errors import S3Error
from stratum.adapters.s3.metadata import (
    USER_METADATA_MAX_BYTES,
    metadata_headers,
    object_metadata,
    response_overrides,
)
from stratum.domain.errors import InvalidArgument, MetadataTooLarge
from stratum.domain.volume import Metadata


def on_the_wire(text):
    return text.encode().decode("latin-1")


def test_what_a_client_says_comes_back():
    headers = {
        "content-type": "text/plain",
        "cache-control": "no-cache",
        "content-disposition": 'attachment; filename="a"',
        "content-language": "de",
        "expires": "Sun, 06 Nov 1994 08:49:37 GMT",
        "x-amz-meta-colour": "blue",
        "x-amz-meta-empty": "",
        "content-length": "5",
        "x-amz-acl": "private",
    }
    metadata = object_metadata(headers)
    assert metadata.user == {"colour": "blue", "empty": ""}
    assert metadata_headers(metadata) == {
        name: value
        for name, value in headers.items()
        if name not in ("content-length", "x-amz-acl")
    }


def test_an_object_always_has_a_type():
    for headers in ({}, {"content-type": ""}):
        metadata = object_metadata(headers)
        assert metadata == Metadata()
        assert metadata_headers(metadata) == {"content-type": "binary/octet-stream"}


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("gzip", "gzip"),
        ("deflate, gzip", "deflate, gzip"),
        ("gzip, aws-chunked", "gzip"),
        ("aws-chunked,gzip", "gzip"),
        ("AWS-Chunked", None),
        ("aws-chunked, aws-chunked", None),
        (",", None),
    ],
)
def test_aws_chunked_is_not_the_objects_encoding(sent, kept):
    assert object_metadata({"content-encoding": sent}).system.get("content-encoding") == kept


def test_text_beyond_ascii():
    metadata = object_metadata(
        {
            "x-amz-meta-utf8": on_the_wire("héllo à \U0001f600"),
            "x-amz-meta-latin1": "h\xe9llo",
            "content-disposition": on_the_wire("filename=é"),
        }
    )
    assert metadata.user == {"utf8": "héllo à \U0001f600", "latin1": "héllo"}
    headers = metadata_headers(metadata)
    ((raw, charset),) = email.header.decode_header(headers["x-amz-meta-utf8"])
    assert raw.decode(charset) == "héllo à \U0001f600"
    assert headers["x-amz-meta-latin1"].isascii()
    assert headers["content-disposition"] == on_the_wire("filename=é")


def test_an_encoded_word_is_kept_as_it_is():
    word = f"=?UTF-8?B?{base64.b64encode('é'.encode()).decode()}?="
    metadata = object_metadata({"x-amz-meta-a": word})
    assert metadata_headers(metadata)["x-amz-meta-a"] == word


def test_how_much_a_client_may_say():
    fits = {"x-amz-meta-a": "v" * (USER_METADATA_MAX_BYTES - 1)}
    assert object_metadata(fits).user
    with pytest.raises(MetadataTooLarge):
        object_metadata(fits | {"x-amz-meta-b": ""})
    with pytest.raises(MetadataTooLarge):
        object_metadata({"x-amz-meta-a": on_the_wire("é" * (USER_METADATA_MAX_BYTES // 2))})


def test_a_reader_may_choose_headers():
    query = {
        "response-content-type": "foo/bar",
        "response-content-disposition": "é",
        "response-cache-control": "",
        "prefix": "x",
    }
    assert response_overrides(query, anonymous=False) == {
        "content-type": "foo/bar",
        "content-disposition": on_the_wire("é"),
        "cache-control": "",
    }
    assert response_overrides({}, anonymous=True) == {}
    with pytest.raises(S3Error) as error:
        response_overrides(query, anonymous=True)
    assert error.value.code == "InvalidRequest"


@pytest.mark.parametrize("value", ["a\r\nSet-Cookie: b", "a\n", "\0", "\x7f"])
def test_a_chosen_header_cannot_become_two(value):
    with pytest.raises(InvalidArgument):
        response_overrides({"response-content-type": value}, anonymous=False)
