"""GetObjectAttributes: what is asked for in headers, and the document that answers.

https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObjectAttributes.html. The parts of an object
are listed whether or not they have checksums of their own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from stratum.adapters.s3.request import Headers
from stratum.adapters.s3.xml_responses import document, element, render_checksums
from stratum.domain.errors import InvalidArgument
from stratum.domain.upload import PART_NUMBER_MAX
from stratum.domain.volume import CompletedPart, ObjectVersion

ATTRIBUTES_HEADER = "x-amz-object-attributes"
MAX_PARTS_HEADER = "x-amz-max-parts"
MARKER_HEADER = "x-amz-part-number-marker"
PARTS_MAX = 1000
ATTRIBUTES = ("ETag", "Checksum", "ObjectParts", "StorageClass", "ObjectSize")


@dataclass(frozen=True)
class AttributesQuery:
    """Which attributes, and which page of parts: up to `max_parts` numbers above `after`."""

    wanted: frozenset[str]
    max_parts: int = PARTS_MAX
    after: int = 0


def attributes_query(headers: Headers) -> AttributesQuery:
    """Parse the headers; raise InvalidArgument."""
    text = headers.get(ATTRIBUTES_HEADER, "")
    wanted = frozenset(name.strip() for name in text.split(",") if name.strip())
    if not wanted or not wanted <= set(ATTRIBUTES):
        raise InvalidArgument("Invalid attribute name specified.", ATTRIBUTES_HEADER, text[:100])
    return AttributesQuery(
        wanted,
        min(_number(headers, MAX_PARTS_HEADER, PARTS_MAX), PARTS_MAX),
        _number(headers, MARKER_HEADER, 0),
    )


def render_attributes(version: ObjectVersion, query: AttributesQuery, storage_class: str) -> bytes:
    """GetObjectAttributesResponse; here, the entity tag has no quotes."""
    content = {
        "ETag": element("ETag", version.etag),
        "Checksum": f"<Checksum>{checksums}</Checksum>"
        if (checksums := render_checksums(version.checksums, with_type=True))
        else "",
        "ObjectParts": _render_parts(version.parts, query) if version.parts else "",
        "StorageClass": element("StorageClass", storage_class),
        "ObjectSize": element("ObjectSize", version.size_bytes),
    }
    rows = (content[name] for name in ATTRIBUTES if name in query.wanted)
    return document("GetObjectAttributesResponse", *rows)


def _render_parts(parts: Sequence[CompletedPart], query: AttributesQuery) -> str:
    following = [part for part in parts if part.number > query.after]
    page = following[: query.max_parts]
    last = page[-1].number if page else query.after
    rows = "".join(
        "<Part>"
        f"{render_checksums([part.checksum] if part.checksum else [], with_type=False)}"
        f"{element('PartNumber', part.number)}{element('Size', part.size_bytes)}</Part>"
        for part in page
    )
    return (
        "<ObjectParts>"
        f"{element('IsTruncated', 'true' if len(following) > len(page) else 'false')}"
        f"{element('MaxParts', query.max_parts)}{element('NextPartNumberMarker', last)}"
        f"{element('PartNumberMarker', query.after)}{rows}{element('PartsCount', len(parts))}"
        "</ObjectParts>"
    )


def _number(headers: Headers, name: str, default: int) -> int:
    text = headers.get(name)
    if text is None:
        return default
    if not (text.isascii() and text.isdecimal() and int(text[:10]) <= PART_NUMBER_MAX):
        raise InvalidArgument(f"{name} is not a number of parts", name, text[:100])
    return int(text)
