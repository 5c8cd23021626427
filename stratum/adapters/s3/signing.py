"""The client's side of Signature Version 4: signing what we send to a remote S3."""

from __future__ import annotations

from collections.abc import Mapping

from stratum.adapters.s3.dates import format_basic_date
from stratum.adapters.s3.request import split_query
from stratum.adapters.s3.signature import (
    ALGORITHM,
    UNSIGNED_PAYLOAD,
    ChunkSigner,
    canonical_path,
    canonical_query,
    canonical_raw_query,
    canonical_request,
    credential_scope,
    sign,
    signing_key,
    string_to_sign,
)


def sign_headers(
    method: str,
    host: str,
    raw_path: bytes,
    raw_query: bytes,
    headers: Mapping[str, str],
    payload_hash: str,
    now_s: int,
    access_key_id: str,
    secret: str,
    region: str,
) -> dict[str, str]:
    """All headers to send: those given (names in lower case) with the signature's added.

    `payload_hash` is the body's SHA-256 in hex or one of `PayloadMode`'s other values; all
    headers given are signed, so leave out what a proxy may change.
    """
    timestamp = format_basic_date(now_s)
    signed = {
        **headers,
        "host": host,
        "x-amz-content-sha256": payload_hash,
        "x-amz-date": timestamp,
    }
    names = ";".join(sorted(signed))
    scope = credential_scope(timestamp[:8], region)
    request = canonical_request(
        method,
        canonical_path(raw_path),
        canonical_raw_query(raw_query),
        signed,
        names,
        payload_hash,
    )
    signature = sign(
        signing_key(secret, timestamp[:8], region), string_to_sign(timestamp, scope, request)
    )
    authorization = (
        f"{ALGORITHM} Credential={access_key_id}/{scope}, SignedHeaders={names},"
        f" Signature={signature}"
    )
    return {**signed, "authorization": authorization}


def presign(
    method: str,
    host: str,
    raw_path: bytes,
    raw_query: bytes,
    headers: Mapping[str, str],
    now_s: int,
    expires_s: int,
    access_key_id: str,
    secret: str,
    region: str,
) -> bytes:
    """The raw query of a presigned URL; whoever uses it must send `headers` as given here."""
    timestamp = format_basic_date(now_s)
    scope = credential_scope(timestamp[:8], region)
    signed = {**headers, "host": host}
    names = ";".join(sorted(signed))
    query = canonical_query(
        [
            *split_query(raw_query),
            (b"X-Amz-Algorithm", ALGORITHM.encode()),
            (b"X-Amz-Credential", f"{access_key_id}/{scope}".encode()),
            (b"X-Amz-Date", timestamp.encode()),
            (b"X-Amz-Expires", str(expires_s).encode()),
            (b"X-Amz-SignedHeaders", names.encode()),
        ]
    )
    payload_hash = headers.get("x-amz-content-sha256", UNSIGNED_PAYLOAD)
    request = canonical_request(
        method, canonical_path(raw_path), query, signed, names, payload_hash
    )
    signature = sign(
        signing_key(secret, timestamp[:8], region), string_to_sign(timestamp, scope, request)
    )
    return f"{query}&X-Amz-Signature={signature}".encode("ascii")


def chunk_signer(
    signed_headers: Mapping[str, str], now_s: int, secret: str, region: str
) -> ChunkSigner:
    """The chain for an aws-chunked body that follows headers made by `sign_headers`."""
    timestamp = format_basic_date(now_s)
    return ChunkSigner(
        signing_key(secret, timestamp[:8], region),
        timestamp,
        credential_scope(timestamp[:8], region),
        signed_headers["authorization"].rpartition("Signature=")[2],
    )
