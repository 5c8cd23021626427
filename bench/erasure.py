"""Where coding should run: on the event loop or in a worker process. Prints two tables.

    python bench/erasure.py [--seconds S]

CPU is the time of the event loop's thread, what other requests have to wait for; wall is what the
request itself waits. Medians. Decoding elsewhere is measured as it would have to be done, copies
and all, without verification; the store rebuilds inline. The crossover is where handing over
costs the loop less than coding; `stratum.adapters.workers.OFFLOAD_MIN_BYTES` is set from it.
Copying the stripe once is the limit that memory sets; reedsolo is what defines the code.
"""

import argparse
import os
import platform
import statistics
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import numpy as np
import reedsolo
import trio

from stratum.adapters import stripe_jobs
from stratum.adapters.reed_solomon import ReedSolomon
from stratum.adapters.stripe_codec import InlineCodec, PooledBuffer
from stratum.adapters.stripe_jobs import Slot
from stratum.adapters.workers import OFFLOAD_MIN_BYTES, ParallelCodec, open_codec

KIB = 1024
SIZES_BYTES = tuple(16 * KIB << n for n in range(9))
REEDSOLO_BYTES = 4 * KIB
EXTENT = "0" * 32
LOST = (0, 2)
ROUNDS_MIN = 15

Work = Callable[[], Awaitable[object]]


@dataclass(frozen=True)
class Cost:
    """Median microseconds of one call."""

    cpu_us: float
    wall_us: float

    def __str__(self) -> str:
        return f"{self.cpu_us:8.0f} {self.wall_us:8.0f}"


async def measure(work: Work, seconds: float) -> Cost:
    """Repeat for a while, at least ROUNDS_MIN times."""
    cpu, wall = [], []
    for _ in range(3):
        await work()
    end = time.perf_counter() + seconds
    while len(wall) < ROUNDS_MIN or time.perf_counter() < end:
        wall_start, cpu_start = time.perf_counter_ns(), time.thread_time_ns()
        await work()
        cpu.append(time.thread_time_ns() - cpu_start)
        wall.append(time.perf_counter_ns() - wall_start)
    return Cost(statistics.median(cpu) / 1000, statistics.median(wall) / 1000)


def crossover(sizes: list[int], inline: list[Cost], offloaded: list[Cost]) -> str:
    """Where the two CPU lines cross, interpolated between sizes."""
    gains = [here.cpu_us - there.cpu_us for here, there in zip(inline, offloaded, strict=True)]
    for position in range(len(sizes) - 1, 0, -1):
        before, after = gains[position - 1], gains[position]
        if before <= 0 < after:
            share = -before / (after - before)
            size = sizes[position - 1] + share * (sizes[position] - sizes[position - 1])
            return f"{size / KIB:.0f} KiB"
    return "outside the sizes measured"


def rebuild(slot: Slot, length: int, missing: tuple[int, ...]) -> None:
    """What a worker would do to rebuild cells in shared memory."""
    cells = stripe_jobs.stripe_memory(slot).cells(length)
    left = [None if index in missing else cell for index, cell in enumerate(cells)]
    rebuilt = stripe_jobs.kernel().reconstruct(left)
    for index in missing:
        cells[index][:] = rebuilt[index]


async def rebuild_elsewhere(codec: ParallelCodec, buffer: PooledBuffer, left, length: int):
    """Copy what was read into shared memory, have the rest rebuilt, copy that out."""
    cells = buffer.memory.cells(length)
    for target, cell in zip(cells, left, strict=True):
        if cell is not None:
            target[:] = cell
    assert await codec.workers.run(rebuild, buffer.slot, length, LOST)
    return [bytes(cells[index]) for index in LOST]


def frames_of(pairs) -> list[bytes]:
    return [bytes(checksum) + bytes(cell) for checksum, cell in pairs]


def row(size: int, *columns: object) -> None:
    print(f"{size // KIB:>6} KiB |", " | ".join(str(column) for column in columns))


def speed(size: int, microseconds: float) -> str:
    return f"{size / microseconds:7.0f}"


async def encode_table(
    inline: InlineCodec, parallel: ParallelCodec, buffers: tuple[PooledBuffer, PooledBuffer], s
) -> None:
    print("\nencode + 6 checksums |   inline, us     |   offloaded, us   |     MB/s of user data")
    print("           |      cpu     wall |      cpu     wall |  inline offload  memcpy")
    costs: tuple[list[Cost], list[Cost]] = ([], [])
    for size in SIZES_BYTES:
        pair = []
        for codec, buffer in zip((inline, parallel), buffers, strict=True):

            async def work(codec=codec, buffer=buffer, size=size):
                await codec.encode(buffer, EXTENT, 0, size)

            pair.append(await measure(work, s))
        source, target = (np.frombuffer(buffer.data, np.uint8)[:size] for buffer in buffers)

        async def copy(source=source, target=target):
            np.copyto(target, source)

        copied = await measure(copy, s / 4)
        costs[0].append(pair[0])
        costs[1].append(pair[1])
        speeds = " ".join(speed(size, cost.wall_us) for cost in (*pair, copied))
        row(size, *pair, speeds)
    print("crossover:", crossover(list(SIZES_BYTES), *costs))


async def decode_table(
    inline: InlineCodec, parallel: ParallelCodec, buffers: tuple[PooledBuffer, PooledBuffer], s
) -> None:
    print(
        "\ndecode: verified |  4 cells |   1 lost |    2 lost inline  |  2 lost offloaded |", end=""
    )
    print("  2 lost in thread |    MB/s, 2 lost")
    print("           | wall, us | wall, us |      cpu     wall |      cpu     wall |", end="")
    print("      cpu     wall |  inline offload")
    kernel = ReedSolomon()
    costs: tuple[list[Cost], list[Cost]] = ([], [])
    for size in SIZES_BYTES:
        frames = frames_of(await inline.encode(buffers[0], EXTENT, 0, size))
        left = {
            lost: [None if index in lost else frame for index, frame in enumerate(frames)]
            for lost in ((4, 5), LOST[:1], LOST)
        }
        cells = [frame and frame[16:] for frame in left[LOST]]

        def decoding(lost, left=left, size=size):
            return lambda: inline.decode(EXTENT, 0, size, left[lost])

        async def in_worker(cells=cells, size=size):
            await rebuild_elsewhere(parallel, buffers[1], cells, size)

        async def in_thread(cells=cells):
            await trio.to_thread.run_sync(kernel.reconstruct, cells)

        whole = await measure(decoding((4, 5)), s)
        one = await measure(decoding(LOST[:1]), s)
        here = await measure(decoding(LOST), s)
        there = await measure(in_worker, s)
        thread = await measure(in_thread, s)
        costs[0].append(here)
        costs[1].append(there)
        speeds = f"{speed(size, here.wall_us)} {speed(size, there.wall_us)}"
        row(size, f"{whole.wall_us:8.0f}", f"{one.wall_us:8.0f}", here, there, thread, speeds)
    print("crossover:", crossover(list(SIZES_BYTES), *costs))


async def reedsolo_speed(seconds: float) -> None:
    oracle = reedsolo.RSCodec(2, nsize=6)
    data = os.urandom(REEDSOLO_BYTES)
    words = [bytes(oracle.encode(data[n : n + 4])) for n in range(0, len(data), 4)]

    async def encode() -> None:
        oracle.encode(data)

    async def decode() -> None:
        for word in words:
            oracle.decode(word, erase_pos=list(LOST), only_erasures=True)

    encoded, decoded = await measure(encode, seconds), await measure(decode, seconds)
    print(
        f"reedsolo itself: encode {REEDSOLO_BYTES / encoded.wall_us:.2f} MB/s,"
        f" decode with 2 lost {REEDSOLO_BYTES / decoded.wall_us:.2f} MB/s"
    )


async def main(seconds: float) -> None:
    print(
        f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}", end=""
    )
    print(f", numpy {np.__version__}, load {os.getloadavg()[0]:.1f}")
    await reedsolo_speed(seconds)
    largest = SIZES_BYTES[-1]
    inline = InlineCodec(largest)
    async with open_codec(
        workers=1, buffers=2, stripe_size_bytes=largest, offload_min_bytes=0
    ) as parallel:
        assert isinstance(parallel, ParallelCodec), "this system has no shared memory"
        async with inline.stripe_buffer() as one, parallel.stripe_buffer() as two:
            assert await parallel.workers.warm(two.slot), "no worker could be started"
            one.data[:] = two.data[:] = os.urandom(largest)
            await encode_table(inline, parallel, (one, two), seconds)
            await decode_table(inline, parallel, (one, two), seconds)
        assert not parallel.counts.fallbacks, "the worker failed while it was measured"
    print(f"\nOFFLOAD_MIN_BYTES is {OFFLOAD_MIN_BYTES // KIB} KiB")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=0.5, help="time for each figure")
    trio.run(main, parser.parse_args().seconds)
