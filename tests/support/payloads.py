"""Bytes that are cheap to make, differ everywhere and are the same in every run."""

import hashlib
from pathlib import Path

STAMP_SIZE_BYTES = 32


def payload(size_bytes: int, seed: int = 0) -> bytes:
    """Incompressible bytes; no two seeds give the same, no two stripes of one are the same."""
    return hashlib.shake_128(f"payload {seed}".encode()).digest(size_bytes)


def write_payload_file(path: Path, size_bytes: int, seed: int = 0, unit_bytes: int = 1 << 20):
    """A large file: one random unit over and over, each stamped with its number."""
    unit = bytearray(payload(unit_bytes, seed))
    with path.open("wb") as file:
        for index in range(-(-size_bytes // unit_bytes)):
            unit[:STAMP_SIZE_BYTES] = index.to_bytes(STAMP_SIZE_BYTES)
            file.write(unit[: min(unit_bytes, size_bytes - index * unit_bytes)])


def file_digest(path: Path) -> str:
    """SHA-256 in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
