"""The record at the end of every shard: a versioned msgpack document, `[1, record]`."""

from __future__ import annotations

from stratum.adapters.positional import PositionalCodec
from stratum.domain.errors import ShardCorrupt
from stratum.domain.volume import ShardRecord

RECORD_VERSION = 1

_CODEC = PositionalCodec(tuple[int, ShardRecord])


def encode_record(record: ShardRecord) -> bytes:
    """Raises TypeError if a field does not have its declared type."""
    return _CODEC.encode((RECORD_VERSION, record))


def decode_record(data: bytes) -> ShardRecord:
    """Raises ShardCorrupt for anything but a whole record of a version this program knows."""
    try:
        version, record = _CODEC.decode(data)
    except ValueError as error:
        raise ShardCorrupt(f"The record of a shard cannot be read: {error}") from error
    if version != RECORD_VERSION:
        raise ShardCorrupt(f"The record of a shard has version {version}, not {RECORD_VERSION}")
    return record
