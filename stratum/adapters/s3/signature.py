"""The computations of AWS Signature Version 4, once for both verifying and signing.

https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html. S3 differs from
other services: the path is encoded once and never normalised.

Strings here hold one character per byte (ISO 8859-1), as headers do when they come off the wire.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import quote_from_bytes, unquote_to_bytes

from stratum.adapters.s3.request import split_query

ALGORITHM = "AWS4-HMAC-SHA256"
CHUNK_ALGORITHM = "AWS4-HMAC-SHA256-PAYLOAD"
TRAILER_ALGORITHM = "AWS4-HMAC-SHA256-TRAILER"
SERVICE = "s3"
TERMINATOR = "aws4_request"
EMPTY_SHA256 = hashlib.sha256(b"").hexdigest()
UNSIGNED_PAYLOAD = "UNSIGNED-PAYLOAD"

_PLAIN_PATH = re.compile(rb"[A-Za-z0-9/_.~-]*").fullmatch
# Only ASCII white space: 0x85 and 0xA0 are white space to str.split(), and parts of UTF-8 here.
_SPACES = re.compile("[ \t\n\r\f\v]+")


def canonical_path(raw_path: bytes) -> str:
    """The path, each component decoded and encoded again: `%7e` and `~` sign alike."""
    if _PLAIN_PATH(raw_path):
        return raw_path.decode("ascii")
    return "/".join(
        quote_from_bytes(unquote_to_bytes(component), safe="") for component in raw_path.split(b"/")
    )


def canonical_query(pairs: Iterable[tuple[bytes, bytes]]) -> str:
    """Decoded names and values, encoded and sorted."""
    encoded = sorted(
        (quote_from_bytes(name, safe=""), quote_from_bytes(value, safe="")) for name, value in pairs
    )
    return "&".join(f"{name}={value}" for name, value in encoded)


def canonical_request(
    method: str,
    path: str,
    query: str,
    headers: Mapping[str, str],
    signed_headers: str,
    payload_hash: str,
) -> bytes:
    """The canonical request. `signed_headers` is the `;`-separated list; a missing one is empty."""
    lines = "".join(
        f"{name}:{_canonical_value(headers.get(name, ''))}\n" for name in signed_headers.split(";")
    )
    text = f"{method}\n{path}\n{query}\n{lines}\n{signed_headers}\n{payload_hash}"
    return text.encode("latin-1", "replace")


def _canonical_value(value: str) -> str:
    if value.isascii() and value.isprintable() and "  " not in value:
        return value.strip(" ")
    value = _SPACES.sub(" ", value).strip(" ")
    # botocore signs UTF-8 and sends ISO 8859-1; others sign the UTF-8 they send.
    try:
        value.encode("latin-1").decode("utf-8")
    except UnicodeDecodeError:
        return value.encode("utf-8").decode("latin-1")
    return value


def string_to_sign(timestamp: str, scope: str, request: bytes) -> str:
    """What the signature is computed over; `timestamp` in the form of X-Amz-Date."""
    return f"{ALGORITHM}\n{timestamp}\n{scope}\n{hashlib.sha256(request).hexdigest()}"


def credential_scope(date: str, region: str, service: str = SERVICE) -> str:
    """`20130524/us-east-1/s3/aws4_request`."""
    return f"{date}/{region}/{service}/{TERMINATOR}"


@lru_cache(maxsize=1024)
def signing_key(secret: str, date: str, region: str, service: str = SERVICE) -> bytes:
    """The key of one secret for one day and region; remembered, for it costs four HMACs."""
    key = f"AWS4{secret}".encode()
    for part in (date, region, service, TERMINATOR):
        key = hmac.digest(key, part.encode("utf-8"), "sha256")
    return key


@lru_cache(maxsize=1024)
def _keyed(key: bytes) -> hmac.HMAC:
    """Copied for each text: to begin with the key is dearer than all the rest."""
    return hmac.new(key, digestmod="sha256")


def sign(key: bytes, text: str) -> str:
    """The signature, 64 hex digits."""
    mac = _keyed(key).copy()
    mac.update(text.encode("latin-1", "replace"))
    return mac.hexdigest()


def signatures_equal(expected: str, provided: str) -> bool:
    """Compare in constant time."""
    return hmac.compare_digest(expected.encode(), provided.encode("utf-8", "replace"))


def encode_path(text: str) -> bytes:
    """The raw path of a decoded one, such as `/bucket/key`, as SigV4 clients send it."""
    return quote_from_bytes(text.encode(), safe="/").encode("ascii")


def encode_query(parameters: Mapping[str, str]) -> bytes:
    """The raw query for parameters, in canonical form."""
    pairs = ((name.encode(), value.encode()) for name, value in parameters.items())
    return canonical_query(pairs).encode("ascii")


def canonical_raw_query(raw_query: bytes, without: bytes = b"") -> str:
    """The canonical form of a raw query, leaving out the parameter `without`."""
    if not raw_query:
        return ""
    return canonical_query(pair for pair in split_query(raw_query) if pair[0] != without)


@dataclass
class ChunkSigner:
    """The chain of signatures of an aws-chunked body; each covers the one before.

    https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming.html and
    sigv4-streaming-trailers.html. `previous` begins as the signature of the request's head.
    """

    key: bytes
    timestamp: str
    scope: str
    previous: str

    def sign_chunk(self, chunk_sha256: str) -> str:
        """The signature of the next chunk, which becomes the previous one."""
        self.previous = sign(
            self.key,
            f"{CHUNK_ALGORITHM}\n{self.timestamp}\n{self.scope}\n{self.previous}\n"
            f"{EMPTY_SHA256}\n{chunk_sha256}",
        )
        return self.previous

    def sign_trailer(self, trailer_sha256: str) -> str:
        """The signature of the trailing headers, written `name:value\\n` each."""
        self.previous = sign(
            self.key,
            f"{TRAILER_ALGORITHM}\n{self.timestamp}\n{self.scope}\n{self.previous}\n"
            f"{trailer_sha256}",
        )
        return self.previous
