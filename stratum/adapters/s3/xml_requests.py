"""The XML documents S3 clients send, parsed straight into values.

The parser is expat with everything switched off that a request has no use for: a document type
declaration (and with it every entity) is refused, size, depth and number of elements are bounded.
Namespaces are ignored: clients differ in them. Unknown elements are ignored in documents about
objects, and refused in configurations (`Element.expect`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from xml.parsers import expat

from stratum.adapters.s3.dates import parse_http_date, parse_iso_date
from stratum.adapters.s3.errors import S3Error
from stratum.domain.checksums import Checksum, ChecksumAlgorithm, parse_checksum
from stratum.domain.conditions import NO_CONDITIONS, Conditions, EntityTags
from stratum.domain.settings import Versioning
from stratum.domain.upload import PART_NUMBER_MAX, NamedPart

XML_LENGTH_MAX_BYTES = 4 * 1024**2
"""10,000 parts with a checksum each are about 2.5 MB, 1,000 long keys about 1.5 MB."""
DEPTH_MAX = 10
ELEMENTS_MAX = 100_000
DELETE_KEYS_MAX = 1000

_INTEGER = re.compile("[+-]?[0-9]{1,18}").fullmatch
_CHECKSUM_ELEMENTS = {f"Checksum{name}": name for name in ChecksumAlgorithm}


@dataclass(slots=True)
class Element:
    """An element: its local name, its character data and its children."""

    name: str
    text: str = ""
    children: list[Element] = field(default_factory=list)

    def all(self, name: str) -> Iterator[Element]:
        """The children of that name."""
        return (child for child in self.children if child.name == name)

    def only(self, name: str) -> Element | None:
        """The only child of that name, None without one; raise MalformedXML."""
        found = list(self.all(name))
        if len(found) > 1:
            raise S3Error("MalformedXML")
        return found[0] if found else None

    def one(self, name: str) -> str | None:
        """The text of the only child of that name, None without one; raise MalformedXML."""
        found = self.only(name)
        return None if found is None else found.text

    def integer(self, name: str) -> int | None:
        """The number in the only child of that name, None without one; raise MalformedXML."""
        text = self.one(name)
        if text is None:
            return None
        if not _INTEGER(text.strip()):
            raise S3Error("MalformedXML")
        return int(text)

    def texts(self, name: str) -> tuple[str, ...]:
        """The texts of all children of that name."""
        return tuple(child.text.strip() for child in self.all(name))

    def between(self, name: str, least: int, most: int) -> int | None:
        """The number in the only child of that name; raise MalformedXML beyond the limits."""
        number = self.integer(name)
        if number is not None and not least <= number <= most:
            raise S3Error("MalformedXML")
        return number

    def expect(self, *names: str) -> Element:
        """Itself; raise MalformedXML for a child of another name: in a configuration it would be
        a rule that is not obeyed."""
        if any(child.name not in names for child in self.children):
            raise S3Error("MalformedXML")
        return self


@dataclass(frozen=True)
class DeleteEntry:
    """One object to delete; the key is as sent, not yet checked."""

    key: str
    version_id: str | None = None
    conditions: Conditions = NO_CONDITIONS


@dataclass(frozen=True)
class DeleteRequest:
    """The body of DeleteObjects. `quiet`: only failures are reported."""

    entries: tuple[DeleteEntry, ...]
    quiet: bool


def parse_document(body: bytes, root: str) -> Element:
    """Parse a document with this root element.

    Raises S3Error: MaxMessageLengthExceeded, MalformedXML.
    """
    if len(body) > XML_LENGTH_MAX_BYTES:
        raise S3Error("MaxMessageLengthExceeded")
    builder = _TreeBuilder()
    parser = expat.ParserCreate(namespace_separator=" ")
    parser.buffer_text = True
    parser.SetParamEntityParsing(expat.XML_PARAM_ENTITY_PARSING_NEVER)
    parser.StartElementHandler = builder.start
    parser.EndElementHandler = builder.end
    parser.CharacterDataHandler = builder.text
    parser.StartDoctypeDeclHandler = builder.refuse
    parser.EntityDeclHandler = builder.refuse
    try:
        parser.Parse(body, True)
    except (expat.ExpatError, ValueError, LookupError):
        raise S3Error("MalformedXML") from None
    tree = builder.root
    if tree is None or tree.name != root:
        raise S3Error("MalformedXML")
    return tree


class _TreeBuilder:
    def __init__(self) -> None:
        self.root: Element | None = None
        self._open: list[Element] = []
        self._texts: list[list[str]] = []
        self._count = 0

    def start(self, name: str, _attributes: dict[str, str]) -> None:
        self._count += 1
        if self._count > ELEMENTS_MAX or len(self._open) >= DEPTH_MAX:
            raise S3Error("MalformedXML")
        element = Element(name.rpartition(" ")[2])
        if self._open:
            self._open[-1].children.append(element)
        else:
            self.root = element
        self._open.append(element)
        self._texts.append([])

    def end(self, _name: str) -> None:
        self._open.pop().text = "".join(self._texts.pop())

    def text(self, data: str) -> None:
        self._texts[-1].append(data)

    def refuse(self, *_arguments: object) -> None:
        raise S3Error("MalformedXML", "A document type declaration is not allowed")


def parse_create_bucket(body: bytes) -> str | None:
    """The region in CreateBucketConfiguration; None for an empty body or element.

    Raises S3Error: MalformedXML, NotImplemented for directory buckets and tags.
    """
    if not body.strip():
        return None
    root = parse_document(body, "CreateBucketConfiguration")
    for name in ("Location", "Bucket", "Tags"):
        if any(root.all(name)):
            raise S3Error("NotImplemented", fields={"Element": name})
    return (root.one("LocationConstraint") or "").strip() or None


def parse_versioning(body: bytes) -> Versioning:
    """The status in VersioningConfiguration.

    Raises S3Error: MalformedXML, NotImplemented for MFA delete.
    """
    root = parse_document(body, "VersioningConfiguration")
    if (root.one("MfaDelete") or root.one("MFADelete") or "Disabled").strip() != "Disabled":
        raise S3Error("NotImplemented", fields={"Element": "MfaDelete"})
    try:
        return Versioning((root.one("Status") or "").strip())
    except ValueError:
        raise S3Error("MalformedXML") from None


def parse_delete(body: bytes) -> DeleteRequest:
    """Parse DeleteObjects: 1 to 1,000 keys; raise MissingRequestBodyError or MalformedXML."""
    if not body.strip():
        raise S3Error("MissingRequestBodyError")
    root = parse_document(body, "Delete")
    entries = tuple(_delete_entry(element) for element in root.all("Object"))
    if not 1 <= len(entries) <= DELETE_KEYS_MAX:
        raise S3Error("MalformedXML")
    return DeleteRequest(entries, boolean(root.one("Quiet")))


def parse_complete_upload(body: bytes) -> tuple[NamedPart, ...]:
    """Parse CompleteMultipartUpload: 1 to 10,000 parts in the client's order.

    Raises S3Error MalformedXML; BadDigest for a checksum that is none.
    """
    root = parse_document(body, "CompleteMultipartUpload")
    parts = tuple(_named_part(element) for element in root.all("Part"))
    if not 1 <= len(parts) <= PART_NUMBER_MAX:
        raise S3Error("MalformedXML")
    return parts


def _delete_entry(element: Element) -> DeleteEntry:
    key = element.one("Key")
    if not key:
        raise S3Error("MalformedXML")
    etag = element.one("ETag")
    conditions = Conditions(
        if_match=EntityTags.parse(etag) if etag else None,
        if_match_size_bytes=element.integer("Size"),
        if_match_modified_ms=_modified_ms(element),
    )
    return DeleteEntry(key, element.one("VersionId") or None, conditions)


def _modified_ms(element: Element) -> int | None:
    text = element.one("LastModifiedTime")
    if text is None:
        return None
    unix_s = parse_http_date(text)  # as SDKs send it
    at_ms = parse_iso_date(text) if unix_s is None else unix_s * 1000
    if at_ms is None:
        raise S3Error("MalformedXML")
    return at_ms


def _named_part(element: Element) -> NamedPart:
    number = (element.one("PartNumber") or "").strip()
    etag = (element.one("ETag") or "").strip().strip('"')
    # isdecimal alone would let other scripts' digits through.
    if not (number.isascii() and number.isdecimal() and len(number) <= 5 and etag):
        raise S3Error("MalformedXML")
    if not 1 <= int(number) <= PART_NUMBER_MAX:
        raise S3Error("MalformedXML")
    return NamedPart(int(number), etag, _part_checksum(element))


def _part_checksum(element: Element) -> Checksum | None:
    found = [child for child in element.children if child.name.startswith("Checksum")]
    if not found:
        return None
    algorithm = _CHECKSUM_ELEMENTS.get(found[0].name)
    if len(found) > 1 or algorithm is None:
        raise S3Error("MalformedXML")
    return parse_checksum(algorithm, found[0].text.strip())


def boolean(text: str | None) -> bool:
    """An xs:boolean; nothing is false. Raise MalformedXML."""
    match (text or "false").strip().lower():
        case "true" | "1":
            return True
        case "false" | "0" | "":
            return False
        case _:
            raise S3Error("MalformedXML")
