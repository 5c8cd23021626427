"""Stripes to code, and what comes out as it would be on disk."""

import random

import reedsolo

from stratum.adapters.workers import ParallelCodec

EXTENT = "0192f0a1b2c3d4e5f60718293a4b5c6d"
STRIPE_SIZE_BYTES = 8192

ORACLE = reedsolo.RSCodec(2, nsize=6)
"""Defines the code."""


async def started(codec):
    assert isinstance(codec, ParallelCodec)
    async with codec.stripe_buffer() as buffer:
        assert await codec.workers.warm(buffer.slot)


def content(length, seed=0):
    return random.Random(seed).randbytes(length)


async def encoded(codec, data, stripe=0, extent=EXTENT):
    """Six frames as they would be on disk."""
    async with codec.stripe_buffer() as buffer:
        buffer.data[: len(data)] = data
        pairs = await codec.encode(buffer, extent, stripe, len(data))
        return [bytes(checksum) + bytes(cell) for checksum, cell in pairs]


async def decoded(codec, cells, length, stripe=0, extent=EXTENT):
    pieces, corrupt = await codec.decode(extent, stripe, length, cells)
    return b"".join(pieces), corrupt


def without(cells, lost):
    return [None if index in lost else cell for index, cell in enumerate(cells)]


def columns(frames):
    """The codeword at every offset of the cells."""
    return list(map(bytes, zip(*(frame[16:] for frame in frames), strict=True)))
