"""The contract of EventArchive, passed by each implementation."""

import itertools
import os

import pytest

from stratum.adapters.directory_archive import DirectoryArchive
from stratum.adapters.disk import DirectoryDisk
from stratum.adapters.master_keys import Keyring, MasterKey
from stratum.adapters.memory_archive import MemoryArchive
from stratum.adapters.memory_remote import MemoryRemote
from stratum.adapters.remote_archive import RemoteArchive
from stratum.adapters.sealed_remote import SealedRemote
from stratum.domain.errors import DiskFailed, RemoteFailed

LABEL = {"disk_id": "d", "tier": "hot", "index": "0"}
MAGIC = b"STRATUMR"


@pytest.fixture(params=["memory", "directory", "remote", "sealed"])
async def reopened(request, tmp_path):
    """Opens the archive, again and again."""
    if request.param == "memory":
        memory = MemoryArchive()
        return lambda: memory
    if request.param == "directory":
        await DirectoryDisk(tmp_path / "disk").label(LABEL)
        return lambda: DirectoryArchive(tmp_path / "disk")
    remote = MemoryRemote()
    if request.param == "sealed":
        keys = Keyring([MasterKey(bytes(32))], "here")
        return lambda: RemoteArchive(SealedRemote(remote, keys), MAGIC)
    return lambda: RemoteArchive(remote, MAGIC)


@pytest.fixture
def archive(reopened):
    return reopened()


async def test_there_is_nothing_at_first(archive):
    assert list(await archive.names()) == []
    assert await archive.read("events-1") == b""


async def test_files_grow(archive, reopened):
    await archive.write_at("b", 0, b"one")
    await archive.write_at("a", 0, b"other")
    await archive.write_at("b", 3, b" two")
    for each in (archive, reopened()):
        assert list(await each.names()) == ["a", "b"]
        assert await each.read("b") == b"one two"
        assert await each.read("a") == b"other"


async def test_what_is_behind_the_offset_is_written_again(archive, reopened):
    await archive.write_at("a", 0, b"one torn")
    await reopened().write_at("a", 3, b", two")
    assert await reopened().read("a") == b"one, two"
    await archive.write_at("a", 0, b"x")
    assert await reopened().read("a") == b"x"


async def test_writing_again_does_no_harm(archive):
    for _ in range(2):
        await archive.write_at("a", 0, b"one")
    for _ in range(2):
        await archive.write_at("a", 3, b" two")
    assert await archive.read("a") == b"one two"


# -- disks --------------------------------------------------------------------------------------
async def test_what_is_written_is_synced_and_so_is_its_name(tmp_path):
    await DirectoryDisk(tmp_path).label(LABEL)
    synced = []
    archive = DirectoryArchive(tmp_path, sync=lambda fd, path: synced.append(path))
    await archive.write_at("a", 0, b"one")
    folder = str(tmp_path / "journal")
    assert synced == [str(tmp_path), f"{folder}/a", folder]
    synced.clear()
    await archive.write_at("a", 3, b"two")
    assert synced == [f"{folder}/a"]
    assert os.stat(f"{folder}/a").st_mode & 0o777 == 0o600


async def test_an_unmounted_mount_point_is_not_filled(tmp_path):
    archive = DirectoryArchive(tmp_path)
    for attempt in (archive.names(), archive.read("a"), archive.write_at("a", 0, b"one")):
        with pytest.raises(DiskFailed, match="taken away"):
            await attempt
    assert list(tmp_path.iterdir()) == []


async def test_a_failing_fsync_is_told(tmp_path):
    await DirectoryDisk(tmp_path).label(LABEL)
    calls = itertools.count()

    def sync(fd, path):
        if next(calls):
            raise OSError(5, "EIO")

    with pytest.raises(DiskFailed):
        await DirectoryArchive(tmp_path, sync=sync).write_at("a", 0, b"one")


# -- remote -------------------------------------------------------------------------------------
async def test_an_object_of_another_maker_is_refused():
    remote = MemoryRemote()

    async def body():
        yield b"something"

    await remote.put("journal/a", 9, body())
    with pytest.raises(RemoteFailed, match="not one of ours"):
        await RemoteArchive(remote, MAGIC).read("a")


class LyingRemote(MemoryRemote):
    """Stores other bytes than it is given, so many times."""

    def __init__(self, lies):
        super().__init__()
        self.lies = lies

    async def put(self, name, size_bytes, body):
        await super().put(name, size_bytes, body)
        if self.lies:
            self.lies -= 1
            self.corrupt(name, size_bytes - 1)


async def test_what_was_put_is_read_back():
    archive = RemoteArchive(LyingRemote(lies=1), MAGIC)
    await archive.write_at("a", 0, b"one")
    assert await archive.read("a") == b"one"
    with pytest.raises(RemoteFailed, match="other bytes"):
        await RemoteArchive(LyingRemote(lies=100), MAGIC).write_at("a", 0, b"one")


async def test_volumes_are_none_of_its_files():
    remote = MemoryRemote()

    async def body():
        yield b"x"

    await remote.put("volumes/ab/cdab", 1, body())
    archive = RemoteArchive(remote, MAGIC)
    await archive.write_at("a", 0, b"")
    assert list(await archive.names()) == ["a"]
