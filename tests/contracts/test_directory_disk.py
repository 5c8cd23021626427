"""What only a directory does: layout, durability, group commit, lost and full disks."""

import errno
import gc
import json
import os
import resource
import threading
from pathlib import Path

import pytest
import trio

from stratum.adapters.disk import DirectoryDisk
from stratum.adapters.disk_io import GroupSync
from stratum.domain.errors import DiskFailed, ShardNotFound
from tests.support.disk_files import AsOrdinaryUser, SyncLog, content, mode, open_descriptors

NAME = "0192f0c1a2b37c4d8e5f60718293a4b5"
OTHER = "0192f0c1a2b37c4d8e5f60718293a4ff"


@pytest.fixture
def sync_log():
    return SyncLog()


@pytest.fixture
async def disk(tmp_path, sync_log):
    disk = DirectoryDisk(tmp_path / "disk0", sync=sync_log, packed_max_bytes=0)
    await disk.label({"disk": "d0"})
    sync_log.paths.clear()
    return disk


@pytest.fixture(autouse=True)
def no_descriptor_leaks():
    """Whatever a test does, afterwards as many files are open as before."""
    gc.collect()  # what earlier tests left to the collector is not ours
    before = open_descriptors()
    yield
    gc.collect()
    assert open_descriptors() == before


# -- layout and durability ------------------------------------------------------------------------
async def test_a_replaced_shard_is_synced_in_both_folders(disk, sync_log, tmp_path):
    await disk.create(OTHER).seal([b"new"])
    sync_log.paths.clear()
    await disk.replace(OTHER, NAME)
    root = tmp_path / "disk0"
    assert sync_log.paths == [str(root / "shards" / NAME[-2:]), str(root / "staged")]
    await disk.create(OTHER).seal([b"newer"])
    sync_log.fail = lambda path: path.endswith(NAME[-2:])
    with pytest.raises(DiskFailed):
        await disk.replace(OTHER, NAME)


async def test_layout_and_modes(disk, tmp_path):
    await disk.create(NAME).seal([b"x"])
    staged = tmp_path / "disk0" / "staged" / NAME
    assert mode(staged) == 0o600
    await disk.publish(NAME)
    assert (tmp_path / "disk0" / "shards" / "b5" / NAME).read_bytes() == b"x"
    assert json.loads((tmp_path / "disk0" / "label.json").read_text()) == {"disk": "d0"}
    assert len(os.listdir(tmp_path / "disk0" / "shards")) == 256
    for folder in ("", "staged", "shards", "shards/00", "shards/ff"):
        assert mode(tmp_path / "disk0" / folder) == 0o700


async def test_a_label_is_the_last_thing_made_durable(tmp_path, sync_log):
    disk = DirectoryDisk(tmp_path / "a" / "b" / "disk0", sync=sync_log)
    await disk.label({"disk": "d0"})
    made = [str(Path(path).relative_to(tmp_path)) for path in sync_log.paths]
    root = "a/b/disk0"
    assert made[:3] == [".", "a", "a/b"]
    assert made[-3:] == [f"{root}/shards", f"{root}/label.json.tmp", root]
    assert os.listdir(tmp_path / root) != []
    assert not (tmp_path / root / "label.json.tmp").exists()


async def test_a_seal_syncs_the_file_and_then_the_directory(disk, sync_log):
    writer = disk.create(NAME)
    await writer.append([b"x" * 100_000])
    assert sync_log.paths == []
    await writer.seal([b"y"])
    staged = os.path.join(disk.path, "staged")
    assert sync_log.paths == [os.path.join(staged, NAME), staged]
    await disk.publish(NAME)
    await disk.delete(NAME)
    assert len(sync_log.paths) == 2


@pytest.mark.parametrize("what", [NAME, "staged"])
async def test_a_failed_fsync_fails_the_seal(disk, sync_log, what):
    sync_log.fail = lambda path: path.endswith(what)
    writer = disk.create(NAME)
    with pytest.raises(DiskFailed, match=r"staged.*EIO"):
        await writer.seal([b"x"])
    await writer.discard()
    sync_log.fail = lambda path: False
    assert await disk.staged() == []
    await disk.create(NAME).seal([b"again"])


async def test_what_was_not_sealed_is_found_after_a_restart(disk, tmp_path):
    writer = disk.create(NAME)
    await writer.append([b"torn"])
    restarted = DirectoryDisk(tmp_path / "disk0")
    assert await restarted.staged() == [NAME]
    await restarted.delete(NAME)
    assert await restarted.staged() == []
    await writer.discard()


async def test_a_publish_that_the_power_cut_undid(disk):
    await disk.create(NAME).seal([b"x"])
    await disk.publish(NAME)
    os.rename(f"{disk.path}/shards/b5/{NAME}", f"{disk.path}/staged/{NAME}")
    assert await content(disk, NAME) == b"x"
    await disk.publish(NAME)
    assert [name async for name in disk.names()] == [NAME]


async def test_foreign_files_are_not_shards(disk, tmp_path):
    for path in ("staged/.hidden", "shards/b5/README.md", "shards/b5/Upper0Aff"):
        (tmp_path / "disk0" / path).touch()
    assert await disk.staged() == []
    assert [name async for name in disk.names()] == []


@pytest.mark.parametrize("name", ["", "ab", "../../etc/passwd", "a/b5", "x" * 30, "A5B5", ".aab5"])
async def test_names_that_could_leave_the_directory(disk, name):
    for call in (disk.publish, disk.open, disk.delete):
        with pytest.raises(ValueError):
            await call(name)
    with pytest.raises(ValueError):
        disk.create(name)


@pytest.mark.parametrize("text", [b"", b"[]", b'{"a": 1}', b"\xff", b"{" * 100_000])
async def test_a_broken_label(disk, tmp_path, text):
    (tmp_path / "disk0" / "label.json").write_bytes(text)
    with pytest.raises(DiskFailed, match="not a label"):
        await disk.label()


# -- group commit ---------------------------------------------------------------------------------
async def test_seals_at_the_same_time_share_directory_fsyncs(tmp_path):
    seals = 16
    lock = threading.Lock()
    all_written = threading.Event()
    files: dict[str, int] = {}
    directory: list[tuple[int, int]] = []
    clock = 0

    def tick():
        nonlocal clock
        with lock:
            clock += 1
            return clock

    def sync(_fd, path):
        if path.endswith("staged"):
            start = tick()
            assert all_written.wait(10)
            directory.append((start, tick()))
            return
        files[os.path.basename(path)] = tick()
        if len(files) == seals:
            all_written.set()

    disk = DirectoryDisk(tmp_path / "disk0", packed_max_bytes=0)
    await disk.label({"disk": "d0"})
    disk = DirectoryDisk(tmp_path / "disk0", write_threads=seals, sync=sync, packed_max_bytes=0)
    returned = {}

    async def seal(name):
        await disk.create(name).seal([b"x"])
        returned[name] = tick()

    async with trio.open_nursery() as nursery:
        for number in range(seals):
            nursery.start_soon(seal, f"{number:032x}")
    for name, written in files.items():
        assert any(written < start and end < returned[name] for start, end in directory)
    assert len(directory) <= seals // 2


def test_a_failed_round_fails_all_its_waiters_and_not_the_next(tmp_path):
    outcomes = []
    first_started = threading.Event()
    go_on = threading.Event()
    rounds = 0

    def sync(_fd, _path):
        nonlocal rounds
        rounds += 1
        if rounds == 1:
            first_started.set()
            assert go_on.wait(10)
            raise OSError(errno.EIO, "injected")

    group = GroupSync(str(tmp_path), sync)

    def call(who):
        try:
            group()
        except OSError as error:
            outcomes.append((who, error.errno))
        else:
            outcomes.append((who, 0))

    first = threading.Thread(target=call, args=("first",))
    first.start()
    assert first_started.wait(10)
    later = [threading.Thread(target=call, args=("later",)) for _ in range(5)]
    for thread in later:
        thread.start()
    go_on.set()
    for thread in (first, *later):
        thread.join(10)
    assert sorted(outcomes) == [("first", errno.EIO)] + [("later", 0)] * 5


# -- lost, full and read-only disks ---------------------------------------------------------------
async def expect_failed(disk):
    """Every operation of a disk that is away says so and leaves nothing behind."""
    writer = disk.create(OTHER)
    for call in (
        lambda: writer.seal([b"x"]),
        lambda: disk.publish(NAME),
        lambda: disk.open(NAME),
        lambda: disk.delete(NAME),
        disk.staged,
        disk.usage,
    ):
        with pytest.raises(DiskFailed):
            await call()
    with pytest.raises(DiskFailed):
        async for _ in disk.names():
            pass
    await writer.discard()


async def test_a_disk_taken_away_and_put_back(disk, tmp_path):
    await disk.create(NAME).seal([b"x"])
    await disk.publish(NAME)
    reader = await disk.open(NAME)
    (tmp_path / "disk0").rename(tmp_path / "away")
    await expect_failed(disk)
    assert not (tmp_path / "disk0").exists()
    assert bytes(await reader.read_at(0, 1)) == b"x"
    reader.close()
    # An unmounted disk leaves the empty mount point.
    (tmp_path / "disk0").mkdir()
    await expect_failed(disk)
    assert await disk.label() is None
    assert os.listdir(disk.path) == []
    (tmp_path / "disk0").rmdir()
    (tmp_path / "away").rename(tmp_path / "disk0")
    assert await content(disk, NAME) == b"x"
    await disk.create(OTHER).seal([b"y"])


async def test_one_folder_missing_is_a_failed_disk_and_not_a_missing_shard(disk, tmp_path):
    folder = tmp_path / "disk0" / "shards" / "b5"
    folder.rmdir()
    with pytest.raises(DiskFailed, match="taken away"):
        await disk.open(NAME)
    await disk.create(NAME).seal([b"x"])
    with pytest.raises(DiskFailed):
        await disk.publish(NAME)
    assert not folder.exists()
    with pytest.raises(ShardNotFound):
        await disk.open(OTHER)


async def test_a_file_where_the_disk_should_be(tmp_path):
    (tmp_path / "disk0").write_text("not a directory")
    disk = DirectoryDisk(tmp_path / "disk0")
    with pytest.raises(DiskFailed, match="ENOTDIR"):
        await disk.label()
    with pytest.raises(DiskFailed):
        await disk.label({"disk": "d0"})
    with pytest.raises(DiskFailed, match="ENOTDIR"):
        await disk.create(NAME).seal([b"x"])


async def test_a_full_disk(disk):
    """A file size limit stands in for a full disk: the write is short, the next one refused."""
    writer = disk.create(NAME)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (5000, hard))
    try:
        with pytest.raises(DiskFailed, match=f"{NAME}.*EFBIG"):
            await writer.append([b"x" * 4000, b"y" * 4000])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    with pytest.raises(DiskFailed, match="lost"):
        await writer.seal([])
    await writer.discard()
    assert await disk.staged() == []


async def test_a_read_only_disk(disk):
    await disk.create(NAME).seal([b"x"])
    await disk.publish(NAME)
    for folder in ("staged", "shards/b5"):
        os.chmod(os.path.join(disk.path, folder), 0o500)
    with AsOrdinaryUser(disk.path):
        with pytest.raises(DiskFailed, match="EACCES"):
            await disk.create(OTHER).seal([b"y"])
        with pytest.raises(DiskFailed, match="EACCES"):
            await disk.delete(NAME)
        assert await content(disk, NAME) == b"x"
    for folder in ("staged", "shards/b5"):
        os.chmod(os.path.join(disk.path, folder), 0o700)
