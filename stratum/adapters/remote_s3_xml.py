"""The three XML answers of S3 that a client of ours reads."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import unquote
from xml.parsers import expat

DEPTH_MAX = 8

Leaf = tuple[str, str]
"""Path of an element without namespaces, such as `Error/Code`, and its text."""


@dataclass(frozen=True)
class Listing:
    """One page of ListObjectsV2. `next_token` is empty on the last one."""

    keys: tuple[str, ...]
    next_token: str


def parse_leaves(document: bytes) -> list[Leaf]:
    """The elements without children, in order. Raise ValueError.

    The caller bounds the document's size. A document type is refused, and with it all entities.
    """
    path: list[str] = []
    text: list[str] = []
    leaves: list[Leaf] = []
    deepest = 0

    def start(name: str, _attributes: object) -> None:
        nonlocal deepest
        path.append(name.rpartition("}")[2])
        if len(path) > DEPTH_MAX:
            raise ValueError("nested too deeply")
        deepest = len(path)
        text.clear()

    def end(_name: str) -> None:
        if len(path) == deepest:
            leaves.append(("/".join(path), "".join(text)))
        path.pop()

    def refuse(*_: object) -> None:
        raise ValueError("a document type is not accepted")

    parser = expat.ParserCreate(namespace_separator="}")
    parser.buffer_text = True
    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.CharacterDataHandler = text.append
    parser.StartDoctypeDeclHandler = refuse
    try:
        parser.Parse(document, True)
    except expat.ExpatError as error:
        raise ValueError(f"not XML: {error}") from error
    return leaves


def parse_error(document: bytes) -> tuple[str, str] | None:
    """Code and message of an error document; None if it is not one."""
    try:
        leaves = dict(parse_leaves(document))
    except ValueError:
        return None
    code = leaves.get("Error/Code")
    return (code, leaves.get("Error/Message", "")) if code else None


def parse_upload_id(document: bytes) -> str:
    """The UploadId of CreateMultipartUpload's answer. Raise ValueError."""
    upload_id = dict(parse_leaves(document)).get("InitiateMultipartUploadResult/UploadId")
    if not upload_id:
        raise ValueError("no UploadId in the answer")
    return upload_id


def parse_listing(document: bytes) -> Listing:
    """A page of ListObjectsV2, asked for with encoding-type=url or not. Raise ValueError."""
    keys: list[str] = []
    single: dict[str, str] = {}
    for path, text in parse_leaves(document):
        if path == "ListBucketResult/Contents/Key":
            keys.append(text)
        else:
            single[path.removeprefix("ListBucketResult/")] = text
    if "IsTruncated" not in single:
        raise ValueError("no IsTruncated in the answer")
    truncated = single["IsTruncated"] == "true"
    next_token = single.get("NextContinuationToken", "")
    if truncated and not next_token:
        raise ValueError("the list goes on, but there is no NextContinuationToken")
    if single.get("EncodingType") == "url":
        keys = [unquote(key, errors="strict") for key in keys]
    return Listing(tuple(keys), next_token if truncated else "")


def render_parts(etags: list[str]) -> bytes:
    """The body of CompleteMultipartUpload; part numbers count from 1."""
    parts = "".join(
        f"<Part><PartNumber>{number}</PartNumber><ETag>{_escape(etag)}</ETag></Part>"
        for number, etag in enumerate(etags, 1)
    )
    namespace = "http://s3.amazonaws.com/doc/2006-03-01/"
    return (
        f'<CompleteMultipartUpload xmlns="{namespace}">{parts}</CompleteMultipartUpload>'.encode()
    )


def _escape(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
