"""The contract of ShardStore, passed by every implementation."""

import itertools
import os

import pytest
import trio

from stratum.adapters.disk import DirectoryDisk
from stratum.adapters.memory_disk import MemoryDisk
from stratum.domain.errors import DiskFailed, ShardNotFound
from stratum.ports import ShardStore

NAME = "0192f0c1a2b37c4d8e5f60718293a4b5"
OTHER = "0192f0c1a2b37c4d8e5f60718293a4ff"
LABEL = {"disk": "d0", "store": "s0"}


KINDS = {
    "memory": lambda path: MemoryDisk(),
    "files": lambda path: DirectoryDisk(path, packed_max_bytes=0),
    "packed": DirectoryDisk,
}


@pytest.fixture(params=KINDS)
def unlabelled(request, tmp_path):
    return KINDS[request.param](tmp_path / "disk0")


@pytest.fixture
async def disk(unlabelled):
    await unlabelled.label(LABEL)
    return unlabelled


async def store(disk: ShardStore, name: str, *parts: bytes) -> None:
    await disk.create(name).seal(parts)


async def content(disk: ShardStore, name: str) -> bytes:
    reader = await disk.open(name)
    try:
        return bytes(await reader.read_at(0, reader.size()))
    finally:
        reader.close()


async def published(disk: ShardStore) -> list[str]:
    return sorted([name async for name in disk.names()])


async def test_a_sealed_shard_is_staged_and_readable(disk):
    await store(disk, NAME, b"hello ", b"", bytearray(b"wor"), memoryview(b"ld"))
    assert list(await disk.staged()) == [NAME]
    assert await published(disk) == []
    assert await content(disk, NAME) == b"hello world"


async def test_appends_and_the_seal_follow_one_another(disk):
    writer = disk.create(NAME)
    await writer.append([b"1", b"2"])
    await writer.append([])
    await writer.append([b"3"])
    await writer.seal([b"4"])
    assert await content(disk, NAME) == b"1234"


@pytest.mark.parametrize("old", ["published", "staged", "nothing", "both"])
async def test_replace_takes_the_place_of_whatever_is_there(disk, old):
    if old != "nothing":
        await store(disk, NAME, b"old")
    if old in ("published", "both"):
        await disk.publish(NAME)
    if old == "both":
        try:
            await store(disk, NAME, b"older")
        except DiskFailed:  # where it may not even come to that
            assert await content(disk, NAME) == b"old"
    await store(disk, f"rebuilt-{NAME}", b"newer")
    before = None if old == "nothing" else await disk.open(NAME)
    await disk.replace(f"rebuilt-{NAME}", NAME)
    assert await content(disk, NAME) == b"newer"
    assert await published(disk) == [NAME]
    assert await disk.staged() == []
    if before is not None:
        assert bytes(await before.read_at(0, 9)) == b"old"  # readers keep what they opened
        before.close()


async def test_replace_needs_a_staged_shard(disk):
    await store(disk, NAME, b"old")
    with pytest.raises(ShardNotFound):
        await disk.replace(OTHER, NAME)
    assert await content(disk, NAME) == b"old"


async def test_an_empty_shard(disk):
    await store(disk, NAME)
    reader = await disk.open(NAME)
    assert reader.size() == 0
    assert bytes(await reader.read_at(0, 10)) == b""
    reader.close()


async def test_more_parts_than_one_system_call_takes(disk):
    parts = [bytes([number % 251]) * (number % 7) for number in range(3000)]
    await store(disk, NAME, *parts)
    assert await content(disk, NAME) == b"".join(parts)


async def test_publish_moves_and_is_idempotent(disk):
    await store(disk, NAME, b"x")
    await disk.publish(NAME)
    await disk.publish(NAME)
    assert list(await disk.staged()) == []
    assert await published(disk) == [NAME]
    assert await content(disk, NAME) == b"x"


async def test_many_publish_at_once_and_only_the_missing_one_fails(disk):
    names = [f"{number:030x}{number:02x}" for number in range(20)]
    for name in names:
        await store(disk, name, name.encode())
    failed = []

    async def publish(name):
        try:
            await disk.publish(name)
        except ShardNotFound:
            failed.append(name)

    async with trio.open_nursery() as nursery:
        for name in [*names[:10], OTHER, *names[10:]]:
            nursery.start_soon(publish, name)
    assert failed == [OTHER]
    assert await published(disk) == names


async def test_a_reader_survives_the_publish(disk):
    await store(disk, NAME, b"abcdef")
    reader = await disk.open(NAME)
    await disk.publish(NAME)
    assert bytes(await reader.read_at(2, 3)) == b"cde"
    reader.close()


async def test_reads_at_any_place(disk):
    data = os.urandom(10_000)
    await store(disk, NAME, data)
    reader = await disk.open(NAME)
    assert reader.size() == 10_000
    for start, length in itertools.product((0, 1, 4095, 9_999, 10_000, 20_000), (0, 1, 4096)):
        assert bytes(await reader.read_at(start, length)) == data[start : start + length]
    reader.close()


async def test_a_closed_reader_says_so(disk):
    await store(disk, NAME, b"abc")
    reader = await disk.open(NAME)
    reader.close()
    reader.close()
    with pytest.raises(DiskFailed):
        await reader.read_at(0, 1)


async def test_shards_that_are_not_there(disk):
    await store(disk, OTHER, b"x")
    with pytest.raises(ShardNotFound):
        await disk.open(NAME)
    with pytest.raises(ShardNotFound):
        await disk.publish(NAME)
    await disk.delete(NAME)
    assert await content(disk, OTHER) == b"x"


async def test_delete_staged_and_published(disk):
    await store(disk, NAME, b"x")
    await store(disk, OTHER, b"y")
    await disk.publish(OTHER)
    for name in (NAME, OTHER, OTHER):
        await disk.delete(name)
    assert list(await disk.staged()) == []
    assert await published(disk) == []
    with pytest.raises(ShardNotFound):
        await disk.open(OTHER)


async def test_create_leaves_no_trace(disk):
    writer = disk.create(NAME)
    assert list(await disk.staged()) == []
    await writer.discard()
    await store(disk, NAME, b"x")
    assert await content(disk, NAME) == b"x"


@pytest.mark.parametrize("stage", ["created", "appended", "sealed"])
async def test_discard_forgets_and_can_be_repeated(disk, stage):
    writer = disk.create(NAME)
    if stage != "created":
        await writer.append([b"x"])
    if stage == "sealed":
        await writer.seal([])
    with trio.CancelScope() as scope:
        scope.cancel()
        await writer.discard()
        await writer.discard()
    assert list(await disk.staged()) == []
    with pytest.raises(DiskFailed):
        await writer.append([b"y"])


async def test_discard_never_takes_away_what_was_published(disk):
    writer = disk.create(NAME)
    await writer.seal([b"x"])
    await disk.publish(NAME)
    await writer.discard()
    assert await content(disk, NAME) == b"x"


async def test_a_name_is_used_once(disk):
    first = disk.create(NAME)
    await first.append([b"first"])
    second = disk.create(NAME)
    with pytest.raises(DiskFailed, match="EEXIST"):
        await second.seal([b"second"])
    await second.discard()
    await first.seal([])
    assert await content(disk, NAME) == b"first"


async def test_sealing_may_begin_without_waiting(disk):
    await disk.staged()  # a disk must have been used before
    writers = [disk.create(name) for name in (NAME, OTHER)]
    begun = [writer.begin_seal([b"a", b"b"]) for writer in writers]
    for writer, wait in zip(writers, begun, strict=True):
        await (wait() if wait else writer.seal([b"ab"]))
        with pytest.raises(DiskFailed):
            await writer.seal([b"more"])
    assert await content(disk, NAME) == await content(disk, OTHER) == b"ab"
    await writers[0].discard()
    assert list(await disk.staged()) == [OTHER]
    if not disk.publish_now(OTHER):
        await disk.publish(OTHER)
    assert await published(disk) == [OTHER]
    assert not disk.publish_now(NAME)


async def test_a_sealed_writer_takes_no_more(disk):
    writer = disk.create(NAME)
    await writer.seal([b"x"])
    with pytest.raises(DiskFailed):
        await writer.append([b"y"])
    with pytest.raises(DiskFailed):
        await writer.seal([b"y"])
    assert await content(disk, NAME) == b"x"


async def test_writers_do_not_mix(disk):
    names = [f"{number:032x}" for number in range(12)]

    async def write(name):
        writer = disk.create(name)
        for piece in range(5):
            await writer.append([name.encode(), bytes([piece])])
        await writer.seal([b"end"])
        await disk.publish(name)

    async with trio.open_nursery() as nursery:
        for name in names:
            nursery.start_soon(write, name)
    assert await published(disk) == names
    for name in names:
        expected = b"".join(name.encode() + bytes([piece]) for piece in range(5))
        assert await content(disk, name) == expected + b"end"


async def test_open_always_finds_a_shard_that_is_being_published(disk):
    names = [f"{number:032x}" for number in range(50)]
    for name in names:
        await store(disk, name, name.encode())
    async with trio.open_nursery() as nursery:
        for name in names:
            nursery.start_soon(disk.publish, name)
            nursery.start_soon(content, disk, name)
    assert await published(disk) == names


async def test_delete_wins_over_a_publish_under_way(disk):
    names = [f"{number:032x}" for number in range(50)]
    for name in names:
        await store(disk, name, b"x")

    async def publish(name):
        try:
            await disk.publish(name)
        except ShardNotFound:
            return

    async with trio.open_nursery() as nursery:
        for name in names:
            nursery.start_soon(publish, name)
            nursery.start_soon(disk.delete, name)
    assert await published(disk) == []
    assert list(await disk.staged()) == []


async def test_usage(disk):
    usage = await disk.usage()
    assert 0 < usage.free_bytes <= usage.total_bytes
    assert usage.device == (await disk.usage()).device


async def test_a_label_is_kept_and_can_be_replaced(unlabelled):
    assert await unlabelled.label() is None
    assert await unlabelled.label(LABEL) == LABEL
    assert await unlabelled.label() == LABEL
    await store(unlabelled, NAME, b"x")
    assert await unlabelled.label({"disk": "d1"}) == {"disk": "d1"}
    assert await unlabelled.label() == {"disk": "d1"}
    assert await content(unlabelled, NAME) == b"x"


async def test_cancelled_calls_leave_the_disk_usable(disk):
    with trio.CancelScope() as scope:
        scope.cancel()
        await disk.create(NAME).seal([b"x"])
    with trio.CancelScope() as scope:
        scope.cancel()
        await disk.publish(NAME)
    await disk.delete(NAME)
    await store(disk, NAME, b"again")
    assert await content(disk, NAME) == b"again"
