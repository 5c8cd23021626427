import pytest

from stratum.adapters.s3.errors import translate
from stratum.adapters.s3.xml_tagging import (
    object_tags,
    parse_tagging,
    render_tagging,
    replaces_tags,
)
from stratum.domain.tags import OBJECT_TAGS_MAX


def code(function, *arguments):
    with pytest.raises(Exception) as error:
        function(*arguments)
    return translate(error.value).code


def test_what_is_rendered_is_parsed_again():
    tags = {"a": "", "b c": "1/2", "ä": "+"}
    assert parse_tagging(render_tagging(tags), OBJECT_TAGS_MAX) == tags
    assert parse_tagging(render_tagging({}), OBJECT_TAGS_MAX) == {}


TAG = "<Tag><Key>a</Key><Value>b</Value></Tag>"


@pytest.mark.parametrize(
    ("content", "refusal"),
    [
        ("", "MalformedXML"),
        ("<TagSet/><TagSet/>", "MalformedXML"),
        ("<TagSet><Tag><Key>a</Key></Tag></TagSet>", "MalformedXML"),
        ("<TagSet><Tag><Value>a</Value></Tag></TagSet>", "MalformedXML"),
        (f"<TagSet>{TAG}{TAG}</TagSet>", "InvalidTag"),
        ("<TagSet><Tag><Key/><Value/></Tag></TagSet>", "InvalidTag"),
    ],
)
def test_refused_documents(content, refusal):
    body = f"<Tagging>{content}</Tagging>".encode()
    assert code(parse_tagging, body, OBJECT_TAGS_MAX) == refusal


@pytest.mark.parametrize(
    ("text", "tags"),
    [
        ("", {}),
        ("foo=bar&bar", {"bar": "", "foo": "bar"}),
        ("a%20b=c%2Bd", {"a b": "c+d"}),
        ("a+b=1", {"a b": "1"}),
        ("a=b=c", {"a": "b=c"}),
        ("%C3%A4=1", {"ä": "1"}),
    ],
)
def test_the_header(text, tags):
    assert object_tags({"x-amz-tagging": text}) == tags


@pytest.mark.parametrize(
    ("text", "refusal"),
    [
        ("=a", "InvalidArgument"),
        ("a=1&a=2", "InvalidArgument"),
        ("a=%C3", "InvalidArgument"),
        ("a=%zz", "InvalidArgument"),
        ("a=%0A", "InvalidTag"),
        ("&".join(f"k{number}=" for number in range(OBJECT_TAGS_MAX + 1)), "InvalidTag"),
    ],
)
def test_refused_headers(text, refusal):
    assert code(object_tags, {"x-amz-tagging": text}) == refusal


def test_the_directive_of_a_copy():
    assert not replaces_tags({})
    assert not replaces_tags({"x-amz-tagging-directive": "COPY"})
    assert replaces_tags({"x-amz-tagging-directive": "REPLACE"})
    assert code(replaces_tags, {"x-amz-tagging-directive": "replace"}) == "InvalidArgument"
