"""What packing small shards adds to a disk: group commit, restarts, torn ends, compaction."""

import errno
import gc
import os
import resource
import sqlite3
import threading
from contextlib import suppress

import pytest
import trio

from stratum.adapters import packed_shards, segment_log
from stratum.adapters.disk import DirectoryDisk
from stratum.adapters.segment_compactor import SegmentCompactor
from stratum.domain.errors import DiskFailed, ShardNotFound
from tests.support.disk_files import BlockingSync, SyncLog, content, mode, open_descriptors
from tests.support.shards import packed_shards as packed_on

NAMES = [f"{number:030x}{number % 256:02x}" for number in range(300)]
LABEL = {"disk_id": "d0"}


class Machine:
    """A disk and the processes that open it, one after the other."""

    def __init__(self, root):
        self.root = root
        self.sync = SyncLog()

    @property
    def path(self):
        return self.root / "disk0"

    @property
    def segments(self):
        return sorted(self.path.glob("segments/*.seg"))

    def open(self, **options):
        options = {"sync": self.sync, "index_folder": self.root / "indexes", **options}
        return DirectoryDisk(self.path, **options)

    def observe(self):
        return DirectoryDisk(self.path, index_folder=self.root / "indexes", observer=True)


@pytest.fixture
def machine(tmp_path):
    return Machine(tmp_path)


@pytest.fixture
async def disk(machine):
    disk = machine.open()
    await disk.label(LABEL)
    await disk.staged()  # loaded
    machine.sync.paths.clear()
    return disk


@pytest.fixture(autouse=True)
def no_descriptor_leaks():
    gc.collect()
    before = open_descriptors()
    yield
    gc.collect()
    assert open_descriptors() == before


@pytest.fixture(autouse=True)
def closed_indexes(monkeypatch, no_descriptor_leaks):
    """A process that ends closes its files."""
    opened = []

    class Remembered(packed_shards.PackedShards):
        def __init__(self, *args, **options):
            super().__init__(*args, **options)
            opened.append(self)

    monkeypatch.setattr("stratum.adapters.disk.PackedShards", Remembered)
    yield
    for packed in opened:
        packed._forget()


async def store(disk, name, data=b"", *, publish=True):
    await disk.create(name).seal([data or name.encode()])
    if publish:
        await disk.publish(name)


async def state(disk):
    """Names of published and of staged shards."""
    return sorted([name async for name in disk.names()]), sorted(await disk.staged())


async def assert_holds(disk, *names):
    for name in names:
        assert await content(disk, name) == name.encode()


# -- writing --------------------------------------------------------------------------------------
async def test_small_shards_share_a_file_and_large_ones_have_their_own(disk, machine):
    await store(disk, NAMES[1])
    await store(disk, NAMES[2], b"x" * 100_000)
    writer = disk.create(NAMES[3])  # grows beyond the limit piece by piece
    for _ in range(3):
        await writer.append([b"y" * 30_000])
    await writer.seal([b"z"])
    assert [path.name for path in machine.segments] == ["00000001.seg"]
    assert mode(machine.segments[0]) == 0o600
    assert list(packed_on(machine.path)) == [NAMES[1]]
    assert await state(disk) == ([NAMES[1], NAMES[2]], [NAMES[3]])
    assert await content(disk, NAMES[3]) == b"y" * 90_000 + b"z"


async def test_the_first_seal_syncs_segment_and_folder_and_later_ones_the_segment(disk, machine):
    await store(disk, NAMES[1])
    segment, folder = str(machine.segments[0]), str(machine.path / "segments")
    assert machine.sync.paths == [segment, folder]
    await store(disk, NAMES[2])
    await disk.delete(NAMES[1])
    assert machine.sync.paths == [segment, folder, segment]


async def test_seals_that_come_while_the_disk_is_busy_share_one_fsync(machine, disk):
    await store(disk, NAMES[0])
    sync = BlockingSync()
    machine.sync = count = SyncLog()
    busy = machine.open(sync=lambda fd, path: (count(fd, path), sync(fd, path)))
    await busy.staged()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(store, busy, NAMES[1])
        await trio.to_thread.run_sync(sync.entered.wait, 10)
        for name in NAMES[2:100]:
            nursery.start_soon(store, busy, name)
        await trio.testing.wait_all_tasks_blocked()
        sync.go_on.set()
    assert len(count.paths) == 2
    await assert_holds(busy, *NAMES[:100])


async def test_a_failed_fsync_fails_all_who_share_it_and_nothing_more_goes_there(disk, machine):
    await store(disk, NAMES[0])
    machine.sync.fail = lambda path: path.endswith(".seg")
    failed = []

    async def seal(name):
        writer = disk.create(name)
        try:
            await writer.seal([b"x"])
        except DiskFailed as error:
            failed.append(str(error))
        await writer.discard()

    async with trio.open_nursery() as nursery:
        for name in NAMES[1:5]:
            nursery.start_soon(seal, name)
    assert len(failed) == 4
    assert "EIO" in failed[0]
    machine.sync.fail = lambda path: False
    await store(disk, NAMES[5])
    assert len(machine.segments) == 2
    assert await state(disk) == ([NAMES[0], NAMES[5]], [])
    # What did not get there in time may be there nevertheless: staged, for recovery to settle.
    published, staged = await state(machine.open())
    assert published == [NAMES[0]]
    assert NAMES[5] in staged
    assert set(staged) <= set(NAMES[1:6])


async def test_one_task_seals_on_many_disks_and_learns_what_became_of_each(disk, machine):
    machine.sync.fail = lambda path: path.endswith(".seg")
    writers = [disk.create(name) for name in NAMES[:3]]
    begun = [writer.begin_seal([b"x"]) for writer in writers]
    assert None not in begun
    for wait in begun:
        with pytest.raises(DiskFailed, match="EIO"):
            await wait()
    large = disk.create(NAMES[3])
    assert large.begin_seal([b"x" * 100_000]) is None
    await large.append([b"x" * 100_000])
    assert large.begin_seal([]) is None
    await large.discard()
    first = disk.create(NAMES[4])
    await first.append([b"x"])
    second = disk.create(NAMES[4])
    assert second.begin_seal([b"y"]) is None
    with pytest.raises(DiskFailed, match="EEXIST"):
        await second.seal([b"y"])
    await first.discard()


async def test_a_shard_discarded_while_it_is_written_is_forgotten_when_it_is(machine, disk):
    sync = BlockingSync()
    busy = machine.open(sync=sync)
    await busy.staged()
    writer = busy.create(NAMES[1])
    wait = writer.begin_seal([b"x"])
    await trio.to_thread.run_sync(sync.entered.wait, 10)
    with trio.move_on_after(0.01) as scope:
        await wait()
    assert scope.cancelled_caught
    await writer.discard()
    sync.go_on.set()
    await wait()
    assert await state(busy) == ([], [])
    await store(busy, NAMES[2])
    assert await state(machine.open()) == ([], [NAMES[2]])


async def test_a_full_disk_leaves_nothing_torn(disk, machine):
    await store(disk, NAMES[1])
    size = machine.segments[0].stat().st_size
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size + 100, hard))
    try:
        with pytest.raises(DiskFailed, match="EFBIG"):
            await store(disk, NAMES[2], b"x" * 4000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert machine.segments[0].stat().st_size == size
    await store(disk, NAMES[3])
    assert len(machine.segments) == 1
    await assert_holds(machine.open(), NAMES[1], NAMES[3])


async def test_a_cancelled_seal_waits_for_the_thread_that_reads_its_buffers(machine, disk):
    sync = BlockingSync()
    busy = machine.open(sync=sync)
    await busy.staged()
    data = bytearray(b"before")
    with trio.CancelScope() as scope:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(store, busy, NAMES[1], data)
            await trio.to_thread.run_sync(sync.entered.wait, 10)
            scope.cancel()
            sync.go_on.set()
    data[:] = b"after!"
    assert await content(busy, NAMES[1]) == b"before"


# -- starting again -------------------------------------------------------------------------------
@pytest.mark.parametrize("index", ["kept", "lost", "garbage", "of another disk", "old"])
@pytest.mark.parametrize("end", ["clean", "killed"])
async def test_everything_is_there_after_a_restart(disk, machine, index, end):
    for name in NAMES[:20]:
        await store(disk, name)
    if index == "old":
        await disk._packed.checkpoint()
    for name in NAMES[20:30]:
        await store(disk, name, publish=False)
    for name in NAMES[:5]:
        await disk.delete(name)
    await disk.create(NAMES[40]).seal([NAMES[7].encode()])
    await disk.replace(NAMES[40], NAMES[7])
    if end == "clean":
        await disk._packed.checkpoint()
    file = machine.root / "indexes" / "d0.db"
    if index == "lost":
        for path in machine.root.glob("indexes/*"):
            path.unlink()
    elif index == "garbage":
        file.write_bytes(os.urandom(10_000))
    elif index == "of another disk":
        with sqlite3.connect(file) as connection:
            connection.execute("UPDATE state SET disk='d1'")
        connection.close()
    after = machine.open()
    assert await state(after) == (NAMES[5:20], NAMES[20:30])
    await assert_holds(after, *NAMES[5:30])
    await store(after, NAMES[50])
    assert len(machine.segments) == 1  # it goes on where the last one ended


async def test_publishing_that_was_not_written_is_undone_and_can_be_repeated(disk, machine):
    await store(disk, NAMES[1])  # its mark waits for the next batch
    after = machine.open()
    assert await state(after) == ([], [NAMES[1]])
    await after.publish(NAMES[1])
    assert await state(after) == ([NAMES[1]], [])


@pytest.mark.parametrize("cut", [1, 7, 40, 60, 100])
async def test_a_torn_end_is_cut_off(disk, machine, cut):
    await store(disk, NAMES[1])
    await store(disk, NAMES[2], publish=False)
    segment = machine.segments[0]
    whole = segment.read_bytes()
    segment.write_bytes(whole[:-cut])
    after = machine.open()
    published, staged = await state(after)
    assert (published, staged) == ([NAMES[1]], [])
    await store(after, NAMES[3])
    await assert_holds(machine.open(), NAMES[1], NAMES[3])
    assert whole.startswith(segment.read_bytes())


@pytest.mark.parametrize("begin", [0, 1, 47, 48])
async def test_damage_in_the_middle_loses_only_what_it_hits(disk, machine, begin):
    for name in NAMES[:5]:
        await store(disk, name, publish=False)
    shard = packed_on(machine.path)[NAMES[2]]
    record = shard.start - 48 - len(NAMES[2])
    with machine.segments[0].open("r+b") as file:
        os.pwrite(file.fileno(), b"\xff\xff", record + begin)
    after = machine.open()
    assert (await state(after))[1] == [NAMES[0], NAMES[1], *NAMES[3:5]]
    await assert_holds(after, NAMES[0], NAMES[1], *NAMES[3:5])


async def test_bytes_of_a_client_are_never_taken_for_a_record(disk, machine):
    await store(disk, NAMES[1])
    whole = machine.segments[0].read_bytes()[32:]
    await store(disk, NAMES[2], whole * 3, publish=False)
    shard = packed_on(machine.path)[NAMES[2]]
    with machine.segments[0].open("r+b") as file:
        os.pwrite(file.fileno(), b"\0", shard.start - 48 - len(NAMES[2]))
    assert await state(machine.open()) == ([NAMES[1]], [])


async def test_a_segment_that_is_lost_takes_its_shards_with_it_and_no_others(disk, machine):
    small = machine.open(segment_size_max_bytes=100)
    for name in NAMES[:4]:
        await store(small, name)
    await small._packed.checkpoint()
    machine.segments[1].unlink()
    with pytest.raises(ShardNotFound):
        await content(small, NAMES[1])
    after = machine.open()
    assert (await state(after))[0] == [NAMES[0], NAMES[2], NAMES[3]]
    await store(after, NAMES[1])
    await assert_holds(after, *NAMES[:4])


async def test_a_store_from_before_packing(disk, machine):
    os.rmdir(machine.path / "segments")
    before = machine.open(packed_max_bytes=0)
    await store(before, NAMES[1])
    os.rmdir(machine.path / "segments")
    assert await state(machine.observe()) == ([NAMES[1]], [])
    after = machine.open()
    await store(after, NAMES[2])
    assert await state(after) == (NAMES[1:3], [])
    await store(after, NAMES[3], b"repaired", publish=False)
    await after.replace(NAMES[3], NAMES[1])
    assert await content(after, NAMES[1]) == b"repaired"
    assert not list(machine.path.glob("shards/*/*"))
    assert NAMES[1] in (await state(machine.open()))[0]


async def test_a_packed_shard_that_a_file_replaces(disk, machine):
    await store(disk, NAMES[1])
    await store(disk, NAMES[2], b"x" * 100_000, publish=False)
    machine.sync.fail = lambda path: path.endswith("/shards/01")
    with pytest.raises(DiskFailed):
        await disk.replace(NAMES[2], NAMES[1])  # cut off between the two
    after = machine.open()
    assert (await state(after))[0] == [NAMES[1]]
    await after.delete(NAMES[1])
    assert await state(after) == ([], [])
    machine.sync.fail = lambda path: False
    await store(after, NAMES[3])
    await store(after, NAMES[4], b"x" * 100_000, publish=False)
    await after.replace(NAMES[4], NAMES[3])
    assert await content(after, NAMES[3]) == b"x" * 100_000
    assert packed_on(machine.path) == {}


# -- lost disks -----------------------------------------------------------------------------------
async def test_a_disk_taken_away_and_put_back(disk, machine):
    await store(disk, NAMES[1])
    machine.path.rename(machine.root / "away")
    for call in (
        lambda: disk.create(NAMES[2]).seal([b"x"]),
        lambda: content(disk, NAMES[1]),
        lambda: disk.delete(NAMES[1]),
    ):
        with pytest.raises(DiskFailed):
            await call()
    machine.path.mkdir()  # an unmounted disk leaves the empty mount point
    with pytest.raises(DiskFailed):
        await store(disk, NAMES[2])
    with pytest.raises(DiskFailed, match="taken away"):
        await content(disk, NAMES[1])
    assert os.listdir(machine.path) == []
    machine.path.rmdir()
    (machine.root / "away").rename(machine.path)
    await assert_holds(disk, NAMES[1])
    await store(disk, NAMES[2])
    await assert_holds(disk, NAMES[2])


async def test_reads_without_the_page_cache(disk, machine):
    await store(disk, NAMES[1], os.urandom(50_000))
    expected = packed_on(machine.path)[NAMES[1]].read_bytes()
    fd = os.open(machine.segments[0], os.O_RDONLY)
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
    os.close(fd)
    assert await content(disk, NAMES[1]) == expected


# -- beside the owner -----------------------------------------------------------------------------
@pytest.mark.parametrize("flushed", [True, False])
async def test_an_observer_sees_what_the_owner_does(disk, machine, flushed):
    disk = machine.open(segment_size_max_bytes=1)
    await store(disk, NAMES[1])
    if flushed:
        await disk._packed.checkpoint()
    observer = machine.observe()
    await assert_holds(observer, NAMES[1])
    await store(disk, NAMES[2])
    await assert_holds(observer, NAMES[2])
    await disk.delete(NAMES[1])
    with pytest.raises(ShardNotFound):
        await observer.open(NAMES[1])
    await disk._packed.checkpoint()
    assert await state(observer) == ([NAMES[2]], [])
    await SegmentCompactor(disk._packed, machine.sync).compact(1)
    await assert_holds(observer, NAMES[2])
    await store(disk, NAMES[3])
    await assert_holds(observer, NAMES[3])


async def test_an_observer_changes_nothing(disk, machine):
    await store(disk, NAMES[1])
    segment = machine.segments[0]
    segment.write_bytes(segment.read_bytes() + b"being written")
    before = segment.read_bytes()
    await assert_holds(machine.observe(), NAMES[1])
    assert segment.read_bytes() == before


# -- compaction -----------------------------------------------------------------------------------
@pytest.fixture
async def sparse(machine, disk):
    """Several segments, the first of which has little left in it."""
    disk = machine.open(segment_size_max_bytes=5_000)
    for name in NAMES[:100]:
        await store(disk, name)
    await store(disk, NAMES[200], publish=False)
    for name in NAMES[:30]:
        await disk.delete(name)
    assert len(machine.segments) > 3
    return disk


async def test_compaction_keeps_what_lives_and_frees_the_rest(sparse, machine):
    compactor = SegmentCompactor(sparse._packed, machine.sync)
    assert sparse._packed.freed.is_set()
    before = sum(path.stat().st_size for path in machine.segments)
    for number in sparse._packed.worth_compacting():
        await compactor.compact(number)
    assert sparse._packed.worth_compacting() == []
    assert not (machine.path / "segments" / "00000001.seg").exists()
    assert sum(path.stat().st_size for path in machine.segments) < before - 4000
    for process in (sparse, machine.open(), machine.open(index_folder=None)):
        assert await state(process) == (NAMES[30:100], [NAMES[200]])
        await assert_holds(process, *NAMES[30:100], NAMES[200])


async def test_the_service_compacts_when_something_was_deleted(machine, disk):
    disk = machine.open(segment_size_max_bytes=5_000)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(disk.run)
        for name in NAMES[:100]:
            await store(disk, name)
        for name in NAMES[:99]:
            await disk.delete(name)
        with trio.fail_after(10):
            while (machine.path / "segments" / "00000001.seg").exists():
                await trio.testing.wait_all_tasks_blocked(0.01)
        nursery.cancel_scope.cancel()
    assert (await state(machine.open(index_folder=None)))[0] == [NAMES[99]]


@pytest.mark.parametrize("number", [1, 2, 3])
async def test_deleted_shards_stay_deleted_whatever_segment_goes(sparse, machine, number):
    """The marks are in other segments than the shards they are about."""
    await SegmentCompactor(sparse._packed, machine.sync).compact(number)
    rebuilt = machine.open(index_folder=None)
    assert await state(rebuilt) == (NAMES[30:100], [NAMES[200]])


@pytest.mark.parametrize("action", ["delete", "publish", "replace"])
async def test_what_happens_during_a_compaction_wins(sparse, machine, action):
    await store(sparse, NAMES[201], b"newer", publish=False)
    segment = sparse._packed.find(NAMES[50]).segment
    names = [NAMES[50], *NAMES[60:70]]

    async def act():
        for name in names:
            if action == "delete":
                await sparse.delete(name)
            elif action == "publish":
                await sparse.publish(NAMES[200])
        if action == "replace":
            await sparse.replace(NAMES[201], NAMES[50])

    async with trio.open_nursery() as nursery:
        nursery.start_soon(SegmentCompactor(sparse._packed, machine.sync).compact, segment)
        nursery.start_soon(act)
    expected = [name for name in NAMES[30:100] if action != "delete" or name not in names]
    for process in (sparse, machine.open(), machine.open(index_folder=None)):
        published, _ = await state(process)
        assert set(expected) <= set(published) <= {*expected, NAMES[200]}
        if action == "replace":
            assert await content(process, NAMES[50]) == b"newer"


@pytest.mark.parametrize("step", range(1, 8))
async def test_a_compaction_may_be_interrupted_anywhere(sparse, machine, step):
    calls = 0

    def fail(_path):
        nonlocal calls
        calls += 1
        return calls >= step

    machine.sync.fail = fail
    with suppress(DiskFailed):
        await SegmentCompactor(sparse._packed, machine.sync).compact(2)
    machine.sync.fail = lambda path: False
    after = machine.open(index_folder=None)
    published, staged = await state(after)
    assert published == NAMES[30:100]
    assert set(staged) <= {NAMES[200]}
    await assert_holds(after, *NAMES[30:100], NAMES[200])


async def test_a_reader_outlives_the_segment(sparse, machine):
    reader = await sparse.open(NAMES[35])
    segment = sparse._packed.find(NAMES[35]).segment
    await SegmentCompactor(sparse._packed, machine.sync).compact(segment)
    assert bytes(await reader.read_at(0, 100)) == NAMES[35].encode()
    reader.close()


# -- the index's file -----------------------------------------------------------------------------
async def test_the_index_is_written_now_and_then_and_answers_meanwhile(machine, disk, monkeypatch):
    monkeypatch.setattr(packed_shards, "FLUSH_ENTRIES", 10)
    monkeypatch.setattr(segment_log, "BATCH_RECORDS_MAX", 7)
    disk = machine.open()
    async with trio.open_nursery() as nursery:
        for name in NAMES[:100]:
            nursery.start_soon(store, disk, name)
    await assert_holds(disk, *NAMES[:100])
    assert (await state(disk))[0] == NAMES[:100]
    await disk._packed.checkpoint()
    with sqlite3.connect(machine.root / "indexes" / "d0.db") as connection:
        assert connection.execute("SELECT count(*) FROM entries").fetchone() == (100,)
    connection.close()
    for path in machine.segments:
        path.chmod(0)  # root may read it, but nothing has to be
    assert (await state(machine.open()))[0] == NAMES[:100]


async def test_an_index_that_cannot_be_written_costs_nothing_but_time(machine, disk, monkeypatch):
    monkeypatch.setattr(packed_shards, "FLUSH_ENTRIES", 5)

    def full(*_):
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr(packed_shards.SegmentIndex, "flush", full)
    disk = machine.open()
    for name in NAMES[:30]:
        await store(disk, name)
    await assert_holds(disk, *NAMES[:30])
    assert (await state(machine.open()))[1] == [NAMES[29]]


async def test_a_thread_that_cannot_be_started_is_a_failed_disk(disk, monkeypatch):
    def refuse(*_, **__):
        raise RuntimeError("can't start new thread")

    await store(disk, NAMES[1])
    with monkeypatch.context() as patch:
        patch.setattr(trio.lowlevel, "start_thread_soon", refuse)
        with pytest.raises(DiskFailed, match="new thread"):
            await store(disk, NAMES[2])
    await store(disk, NAMES[3])
    await assert_holds(disk, NAMES[1], NAMES[3])
    assert threading.active_count() < 20
    assert errno.EIO
