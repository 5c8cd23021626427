"""The failures of MemoryRemote."""

from contextlib import aclosing

import pytest

from stratum.adapters.memory_remote import PIECE_SIZE_BYTES, MemoryRemote
from stratum.domain.errors import RemoteFailed

DATA = bytes(range(256)) * 1024


async def pieces(*data):
    for piece in data:
        yield piece


async def put(remote, name, data):
    async with aclosing(pieces(data)) as body:
        await remote.put(name, len(data), body)


async def get(remote, name, start, stop, into):
    async with remote.read(name, start, stop) as body:
        async for piece in body:
            into += piece
    return bytes(into)


@pytest.fixture
async def remote():
    remote = MemoryRemote()
    await put(remote, "a", DATA)
    return remote


async def test_calls_that_fail_have_no_effect(remote):
    remote.fail_next(5, "SlowDown")
    for call in (
        lambda: put(remote, "b", b"x"),
        lambda: get(remote, "a", 0, 1, bytearray()),
        lambda: remote.size("a"),
        lambda: remote.delete("a"),
    ):
        with pytest.raises(RemoteFailed, match="SlowDown"):
            await call()
    with pytest.raises(RemoteFailed, match="SlowDown"):
        _ = [name async for name in remote.names()]
    assert [name async for name in remote.names()] == ["a"]


async def test_an_answer_that_is_lost(remote):
    remote.lose_next_answers(2)
    with pytest.raises(RemoteFailed):
        await put(remote, "b", b"x")
    with pytest.raises(RemoteFailed):
        await remote.delete("a")
    assert [name async for name in remote.names()] == ["b"]


async def test_a_read_that_breaks_off(remote):
    remote.truncate_next_read(PIECE_SIZE_BYTES + 10)
    received = bytearray()
    with pytest.raises(RemoteFailed, match="broke"):
        await get(remote, "a", 5, len(DATA), received)
    assert received == DATA[5 : 5 + PIECE_SIZE_BYTES + 10]
    assert await get(remote, "a", 0, len(DATA), bytearray()) == DATA


async def test_wrong_bytes_come_without_an_error(remote):
    remote.corrupt("a", 7)
    received = await get(remote, "a", 0, len(DATA), bytearray())
    assert [at for at in range(len(DATA)) if received[at] != DATA[at]] == [7]


async def test_an_object_somebody_deleted(remote):
    remote.lose("a")
    assert await remote.size("a") is None
