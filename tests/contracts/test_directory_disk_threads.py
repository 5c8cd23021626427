"""How a directory disk reads, uses threads, and behaves when cancelled."""

import gc
import os
import threading

import pytest
import trio

from stratum.adapters import disk_shards
from stratum.adapters.disk import DirectoryDisk
from stratum.adapters.disk_io import CachedOpen
from tests.support.disk_files import BlockingSync, content, open_descriptors

NAME = "0192f0c1a2b37c4d8e5f60718293a4b5"
OTHER = "0192f0c1a2b37c4d8e5f60718293a4ff"


@pytest.fixture
async def disk(tmp_path):
    disk = DirectoryDisk(tmp_path / "disk0", packed_max_bytes=0)
    await disk.label({"disk": "d0"})
    return disk


@pytest.fixture(autouse=True)
def no_descriptor_leaks():
    """Whatever a test does, afterwards as many files are open as before."""
    gc.collect()  # what earlier tests left to the collector is not ours
    before = open_descriptors()
    yield
    gc.collect()
    assert open_descriptors() == before


# -- reading --------------------------------------------------------------------------------------
async def test_reads_what_is_not_in_the_page_cache(disk):
    data = os.urandom(3_000_000)
    await disk.create(NAME).seal([data])
    reader = await disk.open(NAME)
    fd = os.open(os.path.join(disk.path, "staged", NAME), os.O_RDONLY)
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
    os.close(fd)
    assert bytes(await reader.read_at(1_000_001, 1_500_000)) == data[1_000_001:2_500_001]
    assert bytes(await reader.read_at(0, 3_000_000)) == data
    reader.close()


async def test_file_systems_that_cannot_read_without_waiting(disk, monkeypatch):
    monkeypatch.setattr(disk_shards, "_RWF_NOWAIT", 1 << 30)  # the kernel: EOPNOTSUPP
    await disk.create(NAME).seal([b"abcdef"])
    reader = await disk.open(NAME)
    assert bytes(await reader.read_at(0, 3)) == b"abc"
    assert not disk._workers.nowait_reads
    assert bytes(await reader.read_at(3, 9)) == b"def"
    reader.close()


async def test_a_shard_cut_short_under_a_reader(disk):
    await disk.create(NAME).seal([b"x" * 10_000])
    reader = await disk.open(NAME)
    os.truncate(os.path.join(disk.path, "staged", NAME), 100)
    assert bytes(await reader.read_at(0, 10_000)) == b"x" * 100
    reader.close()


def test_cached_open(tmp_path):
    (tmp_path / "file").write_bytes(b"x")
    open_cached = CachedOpen()
    fd = open_cached(str(tmp_path / "file"))
    if fd is None:
        pytest.skip("this kernel has no openat2 with RESOLVE_CACHED")
    assert os.pread(fd, 1, 0) == b"x"
    assert not os.get_inheritable(fd)
    os.close(fd)
    assert open_cached(str(tmp_path / "missing")) is None
    assert open_cached._supported


def test_cached_open_on_a_kernel_without_it(tmp_path):
    class OldKernel(CachedOpen):
        _OPENAT2 = 0xFFFF

    (tmp_path / "file").write_bytes(b"x")
    open_cached = OldKernel()
    assert open_cached(str(tmp_path / "file")) is None
    assert not open_cached._supported


# -- threads and cancellation ---------------------------------------------------------------------
@pytest.fixture
async def slow_disk(tmp_path):
    await DirectoryDisk(tmp_path / "slow0").label({"disk": "d0"})
    sync = BlockingSync()
    yield DirectoryDisk(tmp_path / "slow0", write_threads=1, sync=sync, packed_max_bytes=0), sync
    sync.go_on.set()


async def test_a_cancelled_seal_waits_for_its_thread(slow_disk):
    disk, sync = slow_disk
    writer = disk.create(NAME)
    with trio.CancelScope() as scope:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(writer.seal, [b"x"])
            await trio.to_thread.run_sync(sync.entered.wait, 10)
            scope.cancel()
            sync.go_on.set()
    assert await content(disk, NAME) == b"x"
    await writer.discard()
    assert await disk.staged() == []


async def test_a_discard_does_not_wait_forever_for_a_hanging_disk(slow_disk, monkeypatch):
    monkeypatch.setattr(disk_shards, "DISCARD_LIMIT_S", 0.02)
    disk, sync = slow_disk
    writer = disk.create(OTHER)
    await writer.append([b"y"])
    async with trio.open_nursery() as nursery:
        nursery.start_soon(disk.create(NAME).seal, [b"x"])
        await trio.to_thread.run_sync(sync.entered.wait, 10)
        await writer.discard()
        assert sorted(await disk.staged()) == [NAME, OTHER]
        sync.go_on.set()


async def test_a_hanging_disk_delays_no_read_and_no_other_disk(slow_disk, disk):
    slow, sync = slow_disk
    await disk.create(OTHER).seal([b"z"])
    async with trio.open_nursery() as nursery:
        nursery.start_soon(slow.create(NAME).seal, [b"x"])
        await trio.to_thread.run_sync(sync.entered.wait, 10)
        assert await content(slow, NAME) == b"x"
        assert await content(disk, OTHER) == b"z"
        sync.go_on.set()


async def test_a_reader_closed_during_a_read_keeps_its_file_until_then(disk, monkeypatch):
    entered, go_on = threading.Event(), threading.Event()

    def slow_read(fd, buffer, offset):
        entered.set()
        assert go_on.wait(10)
        return os.preadv(fd, [buffer], offset)

    monkeypatch.setattr(disk_shards, "read_all", slow_read)
    await disk.create(NAME).seal([b"mine"])
    reader = await disk.open(NAME)
    disk._workers.nowait_reads = False
    pieces = []

    async def read():
        pieces.append(bytes(await reader.read_at(0, 4)))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(read)
        await trio.to_thread.run_sync(entered.wait, 10)
        reader.close()
        go_on.set()
    assert pieces == [b"mine"]


async def test_dropped_writers_and_readers_are_reported_and_closed(disk):
    writer = disk.create(NAME)
    await writer.append([b"x"])
    with pytest.warns(ResourceWarning, match="neither sealed nor discarded"):
        del writer
    reader = await disk.open(NAME)
    with pytest.warns(ResourceWarning, match="not closed"):
        del reader
