"""The crash model and the switches of MemoryDisk."""

import pytest

from stratum.adapters.memory_disk import MemoryDisk
from stratum.domain.errors import DiskFailed, ShardNotFound

NAMES = [f"{number:032x}" for number in range(3)]


@pytest.fixture
async def disk():
    """One shard published, one sealed, one being written."""
    disk = MemoryDisk("m0", size_bytes=1000)
    await disk.label({"disk": "m0"})
    await disk.create(NAMES[0]).seal([b"published"])
    await disk.publish(NAMES[0])
    await disk.create(NAMES[1]).seal([b"sealed"])
    await disk.create(NAMES[2]).append([b"unsealed"])
    return disk


async def content(disk, name):
    reader = await disk.open(name)
    return bytes(await reader.read_at(0, reader.size()))


async def test_a_crash_keeps_what_was_sealed(disk):
    after = disk.crash()
    assert await after.staged() == [NAMES[1]]
    assert [name async for name in after.names()] == [NAMES[0]]
    assert await content(after, NAMES[0]) == b"published"
    assert await content(after, NAMES[1]) == b"sealed"
    assert await after.label() == {"disk": "m0"}
    with pytest.raises(ShardNotFound):
        await after.open(NAMES[2])
    with pytest.raises(DiskFailed, match="before the crash"):
        await disk.staged()


async def test_a_crash_may_tear_what_was_not_sealed(disk):
    after = disk.crash(torn_bytes=3)
    assert sorted(await after.staged()) == NAMES[1:]
    assert await content(after, NAMES[2]) == b"uns"


async def test_a_crash_may_undo_a_publish(disk):
    after = disk.crash(undo_publishes=True)
    assert sorted(await after.staged()) == NAMES[:2]
    assert await content(after, NAMES[0]) == b"published"
    await after.publish(NAMES[0])
    assert [name async for name in after.names()] == [NAMES[0]]


async def test_a_failed_disk_fails_everything_and_comes_back_as_it_was(disk):
    reader = await disk.open(NAMES[0])
    writer = disk.create("ff")
    disk.fail()
    for call in (
        lambda: reader.read_at(0, 1),
        lambda: writer.seal([b"x"]),
        lambda: disk.open(NAMES[0]),
        lambda: disk.publish(NAMES[1]),
        lambda: disk.delete(NAMES[0]),
        disk.staged,
        disk.usage,
        disk.label,
    ):
        with pytest.raises(DiskFailed, match="taken away"):
            await call()
    with pytest.raises(DiskFailed):
        _ = [name async for name in disk.names()]
    await writer.discard()
    disk.recover()
    assert await content(disk, NAMES[0]) == b"published"
    assert bytes(await reader.read_at(0, 3)) == b"pub"


async def test_corrupt_changes_one_byte_and_raises_nothing(disk):
    disk.corrupt(NAMES[0], 2)
    assert await content(disk, NAMES[0]) == b"pu" + bytes([ord("b") ^ 0xFF]) + b"lished"
    with pytest.raises(ShardNotFound):
        disk.corrupt("ff", 0)


async def test_a_full_disk_refuses_and_has_room_again(disk):
    writer = disk.create("ff")
    with pytest.raises(DiskFailed, match="ENOSPC"):
        await writer.append([b"x" * 1000])
    await writer.discard()
    used = len(b"published" + b"sealed" + b"unsealed")
    assert (await disk.usage()).free_bytes == 1000 - used
    for name in NAMES:
        await disk.delete(name)
    assert (await disk.usage()).free_bytes == 1000
    await disk.create("ff").seal([b"x" * 1000])


async def test_a_shard_deleted_while_it_is_written_stays_deleted(disk):
    writer = disk.create("ff")
    await writer.append([b"x"])
    await disk.delete("ff")
    await writer.seal([b"y"])
    with pytest.raises(ShardNotFound):
        await disk.open("ff")
