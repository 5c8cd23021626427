"""A hazard table as bytes, to be kept through restarts.

    b"stratum-hazard.1\n", the length of the header (4 bytes, big-endian), a header in JSON, then
    zlib of the counts: COUNTS_PER_CELL floats of 8 bytes, little-endian, for each cell

A table with other bins, or of another version, is not read: the policy then starts from the prior.
"""

from __future__ import annotations

import json
import sys
import zlib
from array import array

from stratum.domain.hazard import BIN_STARTS_S, CELLS_MAX, COUNTS_PER_CELL, HazardTable, TableState

MAGIC = b"stratum-hazard.1\n"
COMPRESSION = 1
"""The fastest: most counts are 0."""
COUNTS_MAX_BYTES = 8 * COUNTS_PER_CELL * (CELLS_MAX + 1)


def encode_table(state: TableState) -> bytes:
    """Quick enough for a thread, too slow for an event loop: 0.1 s for a full table."""
    header = json.dumps(
        {
            "bins": BIN_STARTS_S,
            "parents": state.parents,
            "numbers": state.numbers,
            "templates": state.templates,
            "began_s": state.began_s,
            "counted": state.counted,
        },
        separators=(",", ":"),
    ).encode()
    counts = array("d", state.counts)
    if sys.byteorder == "big":
        counts.byteswap()
    body = zlib.compress(counts.tobytes(), COMPRESSION)
    return b"".join((MAGIC, len(header).to_bytes(4, "big"), header, body))


def decode_table(data: bytes) -> HazardTable:
    """Raises ValueError for anything that isn't a table with these bins."""
    if not data.startswith(MAGIC):
        raise ValueError("not a hazard table of this version")
    start = len(MAGIC) + 4
    end = start + int.from_bytes(data[len(MAGIC) : start], "big")
    try:
        header = json.loads(data[start:end])
        if header["bins"] != list(BIN_STARTS_S):
            raise ValueError("other bins")
        counts = array("d")
        counts.frombytes(zlib.decompressobj().decompress(data[end:], COUNTS_MAX_BYTES))
        if sys.byteorder == "big":
            counts.byteswap()
        return HazardTable.restored(
            TableState(
                parents=[int(parent) for parent in header["parents"]],
                numbers=[int(number) for number in header["numbers"]],
                templates=[str(text) for text in header["templates"]],
                counts=counts,
                began_s=None if header["began_s"] is None else float(header["began_s"]),
                counted=float(header["counted"]),
            )
        )
    except (KeyError, TypeError, ValueError, zlib.error) as error:
        raise ValueError(f"a damaged hazard table: {error!r}") from None
