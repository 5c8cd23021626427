"""Sets of tags as XML and as the header of a PUT.

https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutObjectTagging.html
"""

from __future__ import annotations

from collections.abc import Mapping

from stratum.adapters.s3.errors import S3Error
from stratum.adapters.s3.request import Headers, split_query
from stratum.adapters.s3.xml_requests import Element, parse_document
from stratum.adapters.s3.xml_responses import document, element
from stratum.domain.errors import InvalidArgument
from stratum.domain.tags import OBJECT_TAGS_MAX, parse_tags

TAGGING_HEADER = "x-amz-tagging"
TAGGING_DIRECTIVE_HEADER = "x-amz-tagging-directive"


def parse_tagging(body: bytes, count_max: int) -> dict[str, str]:
    """Parse Tagging; raise MalformedXML or InvalidTag."""
    root = parse_document(body, "Tagging")
    tag_set = root.only("TagSet")
    if tag_set is None:
        raise S3Error("MalformedXML")
    return parse_tags((parse_tag(tag) for tag in tag_set.all("Tag")), count_max)


def parse_tag(tag: Element) -> tuple[str, str]:
    """Parse one Tag, not yet checked; raise MalformedXML."""
    key, value = tag.one("Key"), tag.one("Value")
    if key is None or value is None:
        raise S3Error("MalformedXML")
    return key, value


def render_tagging(tags: Mapping[str, str]) -> bytes:
    """Tagging."""
    rows = "".join(render_tag(key, value) for key, value in tags.items())
    return document("Tagging", f"<TagSet>{rows}</TagSet>")


def render_tag(key: str, value: str) -> str:
    """One Tag."""
    return f"<Tag>{element('Key', key)}{element('Value', value)}</Tag>"


def object_tags(headers: Headers) -> dict[str, str]:
    """The tags in x-amz-tagging, `name=value&name=value` percent-encoded; none without it.

    Raises InvalidArgument, InvalidTag.
    """
    text = headers.get(TAGGING_HEADER)
    if not text:
        return {}
    try:
        pairs = [
            (key.decode(), value.decode()) for key, value in split_query(text.encode("latin-1"))
        ]
    except (S3Error, UnicodeError):
        pairs = [("", "")]
    if any(not key for key, _ in pairs) or len({key for key, _ in pairs}) < len(pairs):
        raise InvalidArgument(
            "The header 'x-amz-tagging' shall be encoded as UTF-8 then URLEncoded URL query"
            " parameters without tag name duplicates.",
            TAGGING_HEADER,
            text[:100],
        )
    return parse_tags(pairs, OBJECT_TAGS_MAX)


def replaces_tags(headers: Headers) -> bool:
    """Whether a copy takes its tags from the request; raise InvalidArgument."""
    directive = headers.get(TAGGING_DIRECTIVE_HEADER, "COPY")
    if directive not in ("COPY", "REPLACE"):
        raise InvalidArgument(
            "Unknown tagging directive.", TAGGING_DIRECTIVE_HEADER, directive[:100]
        )
    return directive == "REPLACE"
