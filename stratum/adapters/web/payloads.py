"""What a request says about its body, and the body as a byte source."""

from __future__ import annotations

from dataclasses import replace

from stratum.adapters.s3 import checksum_headers
from stratum.adapters.s3 import headers as s3_headers
from stratum.adapters.s3.chunked import decoder_for
from stratum.adapters.s3.digests import new_hasher
from stratum.adapters.s3.errors import S3Error
from stratum.adapters.web.body import ChunkedBody
from stratum.adapters.web.messages import S3Request
from stratum.app.payload import Payload, Stated
from stratum.domain.checksums import Checksum, ChecksumAlgorithm
from stratum.domain.errors import EntityTooLarge
from stratum.ports import ByteSource

DOCUMENT_BUFFER_BYTES = 64 * 1024


def stated_payload(
    request: S3Request, algorithm: ChecksumAlgorithm | None = None
) -> tuple[ByteSource, Stated]:
    """The body and what the client promises about it; `algorithm` is computed in any case.

    Raises S3Error: MissingContentLength, InvalidDigest, InvalidRequest; BadDigest.
    """
    headers, authentication = request.head.headers, request.authentication
    promised = checksum_headers.payload_checksum(headers)
    if promised and algorithm and promised.algorithm is not algorithm:
        raise S3Error(
            "InvalidRequest",
            f"Checksum Type mismatch occurred, expected checksum Type: {algorithm.lower()}, actual"
            f" checksum Type: {promised.algorithm.lower()}",
        )
    source: ByteSource = request.body
    size = s3_headers.content_length(headers)
    trailers: dict[str, str] = {}
    decoder = decoder_for(authentication.payload_mode, authentication.chunk_signer, headers)
    if decoder is not None:
        source = ChunkedBody(request.body, decoder)
        size, trailers = decoder.decoded_length, decoder.trailers
    elif size is None and "transfer-encoding" not in headers:
        raise S3Error("MissingContentLength")

    def trailer() -> Checksum | None:
        if promised is None or promised.stated is not None:
            return None
        return checksum_headers.trailing_checksum(trailers, promised.algorithm)

    return source, Stated(
        size_bytes=size,
        md5=s3_headers.content_md5(headers),
        sha256_hex=authentication.payload_sha256,
        checksum=promised.stated if promised else None,
        algorithm=promised.algorithm if promised else algorithm,
        trailer=trailer,
    )


async def document(
    request: S3Request, size_max_bytes: int, *, checksum_is_the_objects: bool = False
) -> bytes:
    """A whole XML body, verified like any payload. In a completion the x-amz-checksum headers
    (`checksum_is_the_objects`) speak of the object to be, not of this document.

    Raises S3Error MalformedXML if it is too large, and what Payload raises.
    """
    source, stated = stated_payload(request)
    if checksum_is_the_objects:
        stated = replace(stated, checksum=None, algorithm=None)
    received = bytearray()
    buffer = memoryview(bytearray(DOCUMENT_BUFFER_BYTES))
    try:
        payload = Payload(source, stated, new_hasher, size_max_bytes)
        while length := await payload.read_into(buffer):
            received += buffer[:length]
    except EntityTooLarge:
        raise S3Error("MalformedXML", f"The document exceeds {size_max_bytes} bytes") from None
    return bytes(received)
