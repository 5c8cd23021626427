"""Decoding bodies sent in `Content-Encoding: aws-chunked`, sans-IO.

Theory of operation. A body is a row of chunks, then a chunk of size 0, then trailing headers:

    chunk    = hex-size [";chunk-signature=" 64hex] CRLF data CRLF      (size > 0)
    last     = "0" [";chunk-signature=" 64hex] CRLF
    body     = *chunk last *(name ":" value CRLF) ["x-amz-trailer-signature:" 64hex CRLF] CRLF

Three of the five states wait for a line (SIZE, DATA_END, TRAILER), DATA passes bytes on, END has
seen everything. Payload is handed out as views of the caller's own buffers and never copied; only
lines that straddle two buffers are put together.

A chunk's signature stands in front of its data but can only be checked behind it. Payload is
therefore handed out *before* it is known to be genuine: whoever uses this must not commit anything
until `finish` has returned. A bad chunk raises at its end at the latest, before any later data.

Sources: https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming.html and
sigv4-streaming-trailers.html. Senders differ in details: the CRLF at the very end may be missing
where no trailer is expected, or be there twice, and trailer lines may end in a bare LF. Amazon's
minimum of 8 KiB for all chunks but the last is not enforced: nothing depends on it, and SDKs that
read from pipes break it.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection
from enum import Enum, auto

from stratum.adapters.s3.errors import S3Error
from stratum.adapters.s3.request import Headers
from stratum.adapters.s3.signature import ChunkSigner, signatures_equal
from stratum.adapters.s3.sigv4 import PayloadMode
from stratum.domain.checksums import ChecksumAlgorithm

CHUNK_LINE_LENGTH_MAX_BYTES = 256
"""A size of 16 digits and a signature need 98."""
TRAILER_LENGTH_MAX_BYTES = 4096
TRAILER_SIGNATURE = "x-amz-trailer-signature"
TRAILER_NAMES = frozenset(f"x-amz-checksum-{name.lower()}" for name in ChecksumAlgorithm)

_TRAILER_MODES = (PayloadMode.STREAMING_SIGNED_TRAILER, PayloadMode.STREAMING_UNSIGNED_TRAILER)
_DECODED_LENGTH = re.compile("[0-9]{1,18}").fullmatch

_CHUNK_LINE = re.compile(rb"([0-9a-fA-F]{1,16})(?:;([^\r\n]*))?").fullmatch
_CHUNK_SIGNATURE = re.compile(rb"chunk-signature=([0-9a-f]{64})").fullmatch
_TRAILER_LINE = re.compile(rb"([!-9;-~]+):[ \t]*([\t -~]*?)[ \t]*").fullmatch

Buffer = bytes | bytearray | memoryview


class _State(Enum):
    SIZE = auto()
    DATA = auto()
    DATA_END = auto()
    TRAILER = auto()
    END = auto()


class ChunkedDecoder:
    """Decodes one body. Feed it with `receive_data`, then call `finish`.

    `decoded_length` is x-amz-decoded-content-length. With `signer`, every chunk (and the trailer,
    if `trailer_names` is not empty) must be signed. `trailer_names` are the names in x-amz-trailer:
    exactly these must trail.
    """

    def __init__(
        self,
        decoded_length: int,
        *,
        signer: ChunkSigner | None = None,
        trailer_names: Collection[str] = (),
    ) -> None:
        self.trailers: dict[str, str] = {}
        self.decoded_length = decoded_length
        self._remaining = decoded_length
        self._signer = signer
        self._trailer_names = frozenset(trailer_names)
        self._state = _State.SIZE
        self._chunk_remaining = 0
        self._chunk_signature = ""
        self._chunk_sha256 = hashlib.sha256()
        self._line = bytearray()
        self._trailer_length = 0
        self._trailer_signature: str | None = None

    @property
    def complete(self) -> bool:
        """Whether the body has ended; more data would be an error."""
        return self._state is _State.END

    def receive_data(self, data: Buffer) -> list[memoryview]:
        """Take the next bytes of the body; return the payload in them, as views of `data`.

        The views are valid as long as the caller leaves its buffer alone. Raises S3Error:
        IncompleteBody, SignatureDoesNotMatch, InvalidChunkSizeError, InvalidRequest,
        MalformedTrailerError. After an error the decoder is of no further use.
        """
        view = memoryview(data)
        payload: list[memoryview] = []
        at = 0
        while at < len(view):
            if self._state is _State.DATA:
                piece = view[at : at + self._chunk_remaining]
                at += len(piece)
                self._chunk_remaining -= len(piece)
                if self._signer is not None:
                    self._chunk_sha256.update(piece)
                payload.append(piece)
                if self._chunk_remaining == 0:
                    self._check_chunk()
                    self._state = _State.DATA_END
            elif self._state is _State.END:
                self._line += view[at : at + 3]
                at += 3
                if not b"\r\n".startswith(self._line):
                    raise S3Error("InvalidRequest", "The body continues after its last chunk")
            else:
                at = self._receive_line(view, at)
        return payload

    def finish(self) -> None:
        """The body has ended: raise IncompleteBody or MalformedTrailerError unless it is whole."""
        if self._state is _State.TRAILER and not self._trailer_names and not self._line:
            self._state = _State.END
        if self._state is _State.TRAILER:
            raise S3Error("MalformedTrailerError")
        if self._state is not _State.END or self._remaining:
            raise S3Error("IncompleteBody")

    def _receive_line(self, view: memoryview, at: int) -> int:
        """Move on by one line, or by all there is if it does not end here."""
        in_trailer = self._state is _State.TRAILER
        limit = TRAILER_LENGTH_MAX_BYTES if in_trailer else CHUNK_LINE_LENGTH_MAX_BYTES
        head = bytes(view[at : at + limit + 1 - len(self._line)])
        end = head.find(b"\n")
        self._line += head if end < 0 else head[: end + 1]
        if len(self._line) > limit:
            raise S3Error("MalformedTrailerError" if in_trailer else "InvalidRequest")
        if end < 0:
            return at + len(head)
        line = bytes(self._line)
        self._line.clear()
        if in_trailer:
            self._receive_trailer_line(line)
        elif not line.endswith(b"\r\n"):
            raise S3Error("InvalidRequest", "A line of the chunked body does not end in CRLF")
        elif self._state is _State.SIZE:
            self._begin_chunk(line[:-2])
        elif line == b"\r\n":
            self._state = _State.SIZE
        else:
            raise S3Error("InvalidRequest", "A chunk of the body is longer than its size")
        return at + end + 1

    def _begin_chunk(self, line: bytes) -> None:
        match = _CHUNK_LINE(line)
        if match is None:
            raise S3Error("InvalidRequest", "A chunk of the body has a malformed header")
        if self._signer is not None:
            signature = _CHUNK_SIGNATURE(match[2] or b"")
            if signature is None:
                raise S3Error("SignatureDoesNotMatch", "A chunk of the body is not signed")
            self._chunk_signature = signature[1].decode("ascii")
            self._chunk_sha256 = hashlib.sha256()
        size = int(match[1], 16)
        if size > self._remaining:
            raise S3Error(
                "InvalidChunkSizeError",
                "The chunks of the body exceed x-amz-decoded-content-length",
            )
        self._remaining -= size
        self._chunk_remaining = size
        if size:
            self._state = _State.DATA
            return
        self._check_chunk()
        if self._remaining:
            raise S3Error(
                "IncompleteBody",
                "The chunks of the body have fewer bytes than x-amz-decoded-content-length",
            )
        self._state = _State.TRAILER

    def _check_chunk(self) -> None:
        if self._signer is None:
            return
        expected = self._signer.sign_chunk(self._chunk_sha256.hexdigest())
        if not signatures_equal(expected, self._chunk_signature):
            raise S3Error("SignatureDoesNotMatch")

    def _receive_trailer_line(self, line: bytes) -> None:
        self._trailer_length += len(line)
        if self._trailer_length > TRAILER_LENGTH_MAX_BYTES:
            raise S3Error("MalformedTrailerError")
        text = line.rstrip(b"\r\n")
        if not text:
            # Amazon's own example has an empty line in front of the trailer's signature.
            unsigned = self._signer is None or self._trailer_signature is not None
            if unsigned or not self._trailer_names:
                self._end_trailer()
            return
        match = _TRAILER_LINE(text)
        if match is None:
            raise S3Error("MalformedTrailerError")
        name, value = match[1].decode("ascii").lower(), match[2].decode("ascii")
        if name == TRAILER_SIGNATURE and self._signer is not None:
            if self._trailer_signature is not None:
                raise S3Error("MalformedTrailerError")
            self._trailer_signature = value
        elif name not in self._trailer_names or name in self.trailers:
            raise S3Error("MalformedTrailerError")
        elif self._trailer_signature is not None:
            raise S3Error("MalformedTrailerError", "A trailing header follows the signature")
        else:
            self.trailers[name] = value

    def _end_trailer(self) -> None:
        if self.trailers.keys() != self._trailer_names:
            raise S3Error("MalformedTrailerError")
        if self._signer is not None and self._trailer_names:
            lines = "".join(f"{name}:{value}\n" for name, value in self.trailers.items())
            expected = self._signer.sign_trailer(hashlib.sha256(lines.encode()).hexdigest())
            if not signatures_equal(expected, self._trailer_signature or ""):
                raise S3Error("SignatureDoesNotMatch")
        self._state = _State.END


def decoder_for(
    mode: PayloadMode, signer: ChunkSigner | None, headers: Headers
) -> ChunkedDecoder | None:
    """The decoder an authenticated request's body needs; None if the body is sent as it is.

    Raises S3Error: MissingContentLength without x-amz-decoded-content-length, InvalidArgument if
    it is not a number, InvalidRequest for trailers that are not checksums.
    """
    if mode in (PayloadMode.SIGNED, PayloadMode.UNSIGNED):
        return None
    length = headers.get("x-amz-decoded-content-length")
    if not length:
        raise S3Error("MissingContentLength")
    if not _DECODED_LENGTH(length):
        raise S3Error(
            "InvalidArgument",
            "x-amz-decoded-content-length is not a length",
            fields={"ArgumentName": "x-amz-decoded-content-length", "ArgumentValue": length[:100]},
        )
    names = {name.strip().lower() for name in headers.get("x-amz-trailer", "").split(",")} - {""}
    if names and (mode not in _TRAILER_MODES or len(names) > 1 or not names <= TRAILER_NAMES):
        raise S3Error(
            "InvalidRequest", "The value specified in the x-amz-trailer header is not supported"
        )
    return ChunkedDecoder(int(length), signer=signer, trailer_names=names)
