import hashlib

import pytest

from stratum.adapters.s3.chunked import (
    CHUNK_LINE_LENGTH_MAX_BYTES,
    TRAILER_LENGTH_MAX_BYTES,
    ChunkedDecoder,
    decoder_for,
)
from stratum.adapters.s3.dates import parse_basic_date
from stratum.adapters.s3.errors import S3Error
from stratum.adapters.s3.request import RequestHead
from stratum.adapters.s3.signature import ChunkSigner, credential_scope, signing_key
from stratum.adapters.s3.sigv4 import PayloadMode, authenticate
from tests.support.aws_chunked import encode
from tests.support.feeding import WAYS, bytewise

CRC32C = "x-amz-checksum-crc32c"
TRAILER = {CRC32C: "sOO8/Q=="}
PAYLOAD = [b"first" * 10, b"second", b"3"]
LENGTH = sum(map(len, PAYLOAD))


def signer():
    return ChunkSigner(b"key", "20130524T000000Z", "scope", "seed")


def decode(body, length=LENGTH, *, feed=lambda data: [data], **kwargs):
    decoder = ChunkedDecoder(length, **kwargs)
    payload = b""
    for piece in feed(body):
        payload += b"".join(decoder.receive_data(piece))
    decoder.finish()
    assert decoder.complete
    return payload, decoder.trailers


def refused(body, length=LENGTH, **kwargs):
    """The error's code; the same whichever way the body comes."""
    codes = set()
    for feed in WAYS:
        with pytest.raises(S3Error) as error:
            decode(body, length, feed=feed, **kwargs)
        codes.add(error.value.code)
    assert len(codes) == 1, codes
    return codes.pop()


KINDS = {
    "unsigned": (lambda: None, {}),
    "unsigned with trailer": (lambda: None, TRAILER),
    "signed": (signer, {}),
    "signed with trailer": (signer, TRAILER),
}


@pytest.mark.parametrize("feed", WAYS)
@pytest.mark.parametrize("kind", KINDS)
def test_bodies_are_decoded_however_they_arrive(kind, feed):
    make_signer, trailers = KINDS[kind]
    body = encode(PAYLOAD, make_signer(), trailers)
    kwargs = {"signer": make_signer(), "trailer_names": trailers.keys()}
    assert decode(body, feed=feed, **kwargs) == (b"".join(PAYLOAD), trailers)
    empty = encode([], make_signer(), trailers)
    kwargs = {"signer": make_signer(), "trailer_names": trailers.keys()}
    assert decode(empty, 0, feed=feed, **kwargs) == (b"", trailers)


@pytest.mark.parametrize("kind", KINDS)
def test_what_follows_the_end_is_an_error(kind):
    make_signer, trailers = KINDS[kind]
    body = encode(PAYLOAD, make_signer(), trailers) + b"tail"
    for feed in WAYS:
        with pytest.raises(S3Error) as error:
            decode(body, feed=feed, signer=make_signer(), trailer_names=trailers.keys())
        assert error.value.code == "InvalidRequest"


@pytest.mark.parametrize("kind", KINDS)
def test_every_truncation_is_noticed(kind):
    make_signer, trailers = KINDS[kind]
    body = encode(PAYLOAD, make_signer(), trailers)
    # Without a trailer the last CRLF may be missing; half of it may not.
    missing_allowed = 2 if not trailers else 0
    for length in range(len(body)):
        decoder = ChunkedDecoder(LENGTH, signer=make_signer(), trailer_names=trailers.keys())
        decoder.receive_data(body[:length])
        if length == len(body) - missing_allowed:
            decoder.finish()
            continue
        with pytest.raises(S3Error) as error:
            decoder.finish()
        assert error.value.code in ("IncompleteBody", "MalformedTrailerError")


@pytest.mark.parametrize("kind", ["signed", "signed with trailer"])
def test_no_bit_of_a_signed_body_can_be_flipped(kind):
    _, trailers = KINDS[kind]
    body = encode(PAYLOAD, signer(), trailers)
    for at in range(len(body) - 2):
        changed = body[:at] + bytes([body[at] ^ 0x01]) + body[at + 1 :]
        with pytest.raises(S3Error):
            decode(changed, signer=signer(), trailer_names=trailers.keys())


def test_signed_chunks_cannot_be_reordered_dropped_or_repeated():
    first, second = b"a" * 10, b"b" * 10
    chain = signer()
    one, two, last = (
        f"{len(data):x};chunk-signature={chain.sign_chunk(hashlib.sha256(data).hexdigest())}"
        f"\r\n".encode()
        + (data + b"\r\n" if data else b"")
        for data in (first, second, b"")
    )
    assert decode(one + two + last, 20, signer=signer())[0] == first + second
    for body, length in ((two + one + last, 20), (one + last, 10), (one + one + last, 20)):
        assert refused_signed(body, length) == "SignatureDoesNotMatch"


def refused_signed(body, length=LENGTH, **kwargs):
    codes = set()
    for feed in WAYS:
        with pytest.raises(S3Error) as error:
            decode(body, length, feed=feed, signer=signer(), **kwargs)
        codes.add(error.value.code)
    assert len(codes) == 1
    return codes.pop()


def test_a_chunk_without_a_signature_in_a_signed_body():
    assert refused_signed(encode(PAYLOAD)) == "SignatureDoesNotMatch"
    body = encode(PAYLOAD, signer()).replace(b"chunk-signature", b"other-signature")
    assert refused_signed(body) == "SignatureDoesNotMatch"


def test_a_bad_chunk_raises_before_any_later_payload():
    decoder = ChunkedDecoder(20, signer=signer())
    signature = b"0" * 64
    head = b"a;chunk-signature=" + signature + b"\r\n"
    assert decoder.receive_data(head + b"x" * 9) == [b"x" * 9]
    with pytest.raises(S3Error):
        decoder.receive_data(b"x")


@pytest.mark.parametrize(
    ("trailer", "code"),
    [
        (b"\r\n", "MalformedTrailerError"),
        (b"x-amz-checksum-crc32:AAAAAA==\r\n\r\n", "MalformedTrailerError"),
        (b"x-amz-checksum-crc32c\r\n\r\n", "MalformedTrailerError"),
        (b"x-amz-checksum-crc32c:\x01\r\n\r\n", "MalformedTrailerError"),
        (b"x-amz-checksum-crc32c:a\r\nx-amz-checksum-crc32c:b\r\n\r\n", "MalformedTrailerError"),
        (b"x-amz-checksum-crc32c:a\r\nx-amz-meta-a:b\r\n\r\n", "MalformedTrailerError"),
        (b"x-amz-checksum-crc32c:" + b"a" * TRAILER_LENGTH_MAX_BYTES, "MalformedTrailerError"),
        (b" \r\n" * TRAILER_LENGTH_MAX_BYTES, "MalformedTrailerError"),
        (b"x-amz-checksum-crc32c:a\r\n", "MalformedTrailerError"),
    ],
)
def test_trailers_that_are_not_the_promised_one(trailer, code):
    assert refused(b"0\r\n" + trailer, 0, trailer_names=[CRC32C]) == code


def test_a_trailer_nobody_promised():
    assert refused(b"0\r\nx-amz-checksum-crc32c:a\r\n\r\n", 0) == "MalformedTrailerError"


def test_trailers_as_clients_really_write_them():
    for trailer in (
        b"x-amz-checksum-crc32c:sOO8/Q==\r\n\r\n",
        b"x-amz-checksum-crc32c:sOO8/Q==\n\r\n\r\n",
        b"X-Amz-Checksum-CRC32C: sOO8/Q== \r\n\r\n",
    ):
        for feed in WAYS:
            assert decode(b"0\r\n" + trailer, 0, feed=feed, trailer_names=[CRC32C])[1] == TRAILER


def test_a_trailer_signature_that_is_missing_or_wrong():
    body = encode(PAYLOAD, signer(), TRAILER)
    start = body.index(b"x-amz-trailer-signature")
    names = {"trailer_names": TRAILER.keys()}
    assert refused_signed(body[:start] + b"\r\n", **names) == "MalformedTrailerError"
    wrong = body[:start] + b"x-amz-trailer-signature:" + b"0" * 64 + b"\r\n\r\n"
    assert refused_signed(wrong, **names) == "SignatureDoesNotMatch"
    other = body.replace(b"sOO8/Q==", b"AAAAAA==")
    assert refused_signed(other, **names) == "SignatureDoesNotMatch"
    late = body[:-2] + b"x-amz-checksum-crc32c:late\r\n\r\n"
    assert refused_signed(late, **names) == "MalformedTrailerError"


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "IncompleteBody"),
        (b"5\r\nabc", "IncompleteBody"),
        (b"0\r\n\r\n", "IncompleteBody"),
        (b"4\r\nabcd\r\n0\r\n\r\n", "IncompleteBody"),
        (b"6\r\nabcdef\r\n0\r\n\r\n", "InvalidChunkSizeError"),
        (b"5\r\nabcde\r\n1\r\nf\r\n0\r\n\r\n", "InvalidChunkSizeError"),
        (b"ffffffffffffffff\r\n", "InvalidChunkSizeError"),
        (b"11111111111111111\r\n", "InvalidRequest"),
        (b"5\r\nabcdefg\r\n", "InvalidRequest"),
        (b"5\nabcde\r\n0\r\n\r\n", "InvalidRequest"),
        (b"5\r\nabcde\n0\r\n\r\n", "InvalidRequest"),
        (b"-5\r\nabcde\r\n0\r\n\r\n", "InvalidRequest"),
        (b"0x5\r\nabcde\r\n0\r\n\r\n", "InvalidRequest"),
        (b" 5\r\nabcde\r\n0\r\n\r\n", "InvalidRequest"),
        (b"\r\n", "InvalidRequest"),
        (b"5;" + b"x" * CHUNK_LINE_LENGTH_MAX_BYTES + b"\r\n", "InvalidRequest"),
        (b"x" * 1000, "InvalidRequest"),
    ],
)
def test_bodies_that_are_not_chunked_right(body, code):
    assert refused(body, 5) == code


def test_chunk_extensions_mean_nothing_in_an_unsigned_body():
    assert decode(b"5;chunk-signature=whatever\r\nabcde\r\n0;a\r\n\r\n", 5)[0] == b"abcde"


def test_payload_is_not_copied():
    buffer = bytearray(b"400\r\n" + b"x" * 1024 + b"\r\n0\r\n\r\n")
    decoder = ChunkedDecoder(1024)
    (piece,) = decoder.receive_data(memoryview(buffer))
    buffer[5:8] = b"new"
    assert piece[:3] == b"new"


# -- Amazon's examples --------------------------------------------------------------------------
SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
TIMESTAMP = "20130524T000000Z"
SCOPE = credential_scope("20130524", "us-east-1")
KEY = signing_key(SECRET, "20130524", "us-east-1")
CHUNKS = [b"a" * 65536, b"a" * 1024]


def example_body(signatures, trailer=b""):
    one, two, last = (f";chunk-signature={signature}\r\n".encode() for signature in signatures)
    return (
        (b"10000" + one + CHUNKS[0] + b"\r\n")
        + (b"400" + two + CHUNKS[1] + b"\r\n")
        + (b"0" + last + trailer + b"\r\n")
    )


def example_head(signature, signed, headers):
    authorization = (
        f"AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/{SCOPE},SignedHeaders={signed}"
        f",Signature={signature}"
    )
    common = {
        "host": "s3.amazonaws.com",
        "x-amz-date": TIMESTAMP,
        "x-amz-storage-class": "REDUCED_REDUNDANCY",
        "content-encoding": "aws-chunked",
        "x-amz-decoded-content-length": "66560",
        "content-length": "66824",
        "authorization": authorization,
    }
    return RequestHead("PUT", b"/examplebucket/chunkObject.txt", b"", common | headers)


def authenticated(head):
    now_s = parse_basic_date(TIMESTAMP)
    return authenticate(head, now_s, {"AKIAIOSFODNN7EXAMPLE": SECRET}.get, "us-east-1")


@pytest.mark.parametrize("feed", [WAYS[0], WAYS[2]])
def test_amazons_chunked_upload(feed):
    # https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming.html
    head = example_head(
        "4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9",
        "content-encoding;content-length;host;x-amz-content-sha256;x-amz-date;"
        "x-amz-decoded-content-length;x-amz-storage-class",
        {"x-amz-content-sha256": "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"},
    )
    result = authenticated(head)
    assert result.payload_mode is PayloadMode.STREAMING_SIGNED
    body = example_body(
        [
            "ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648",
            "0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497",
            "b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9",
        ]
    )
    assert len(body) == 66824
    decoder = decoder_for(result.payload_mode, result.chunk_signer, head.headers)
    payload = b"".join(b"".join(decoder.receive_data(piece)) for piece in feed(body))
    decoder.finish()
    assert payload == b"".join(CHUNKS)


def test_amazons_chunked_upload_with_a_trailer():
    # https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming-trailers.html
    head = example_head(
        "106e2a8a18243abcf37539882f36619c00e2dfc72633413f02d3b74544bfeb8e",
        "content-encoding;host;x-amz-content-sha256;x-amz-date;x-amz-decoded-content-length;"
        "x-amz-storage-class;x-amz-trailer",
        {
            "x-amz-content-sha256": "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER",
            "x-amz-trailer": CRC32C,
        },
    )
    result = authenticated(head)
    trailer = (
        b"x-amz-checksum-crc32c:sOO8/Q==\r\n"
        b"x-amz-trailer-signature:"
        b"d81f82fc3505edab99d459891051a732e8730629a2e4a59689829ca17fe2e435\r\n"
    )
    signatures = [
        "b474d8862b1487a5145d686f57f013e54db672cee1c953b3010fb58501ef5aa2",
        "1c1344b170168f8e65b41376b44b20fe354e373826ccbbe2c1d40a8cae51e5c7",
        "2ca2aba2005185cf7159c6277faf83795951dd77a3a99e6e65d5c9f85863f992",
    ]
    decoder = decoder_for(result.payload_mode, result.chunk_signer, head.headers)
    payload = b"".join(decoder.receive_data(example_body(signatures, trailer)))
    decoder.finish()
    assert payload == b"".join(CHUNKS)
    assert decoder.trailers == TRAILER


# -- which decoder a request needs ----------------------------------------------------------------
STREAMING = PayloadMode.STREAMING_UNSIGNED_TRAILER


def test_plain_bodies_need_no_decoder():
    for mode in (PayloadMode.SIGNED, PayloadMode.UNSIGNED):
        assert decoder_for(mode, None, {"content-encoding": "aws-chunked"}) is None


@pytest.mark.parametrize(
    ("mode", "headers", "code"),
    [
        (STREAMING, {}, "MissingContentLength"),
        (STREAMING, {"x-amz-decoded-content-length": "x"}, "InvalidArgument"),
        (STREAMING, {"x-amz-decoded-content-length": "-1"}, "InvalidArgument"),
        (STREAMING, {"x-amz-decoded-content-length": "٣"}, "InvalidArgument"),
        (STREAMING, {"x-amz-decoded-content-length": "9" * 19}, "InvalidArgument"),
        (
            STREAMING,
            {"x-amz-decoded-content-length": "1", "x-amz-trailer": "x-amz-meta-a"},
            "InvalidRequest",
        ),
        (
            STREAMING,
            {
                "x-amz-decoded-content-length": "1",
                "x-amz-trailer": "x-amz-checksum-crc32,x-amz-checksum-sha1",
            },
            "InvalidRequest",
        ),
        (
            PayloadMode.STREAMING_SIGNED,
            {"x-amz-decoded-content-length": "1", "x-amz-trailer": CRC32C},
            "InvalidRequest",
        ),
    ],
)
def test_announcements_that_are_refused(mode, headers, code):
    with pytest.raises(S3Error) as error:
        decoder_for(mode, None, headers)
    assert error.value.code == code


def test_an_announced_trailer_must_come():
    headers = {"x-amz-decoded-content-length": "3", "x-amz-trailer": " X-Amz-Checksum-Crc32c "}
    decoder = decoder_for(STREAMING, None, headers)
    for piece in bytewise(encode([b"abc"], None, TRAILER)):
        decoder.receive_data(piece)
    decoder.finish()
    assert decoder.trailers == TRAILER
