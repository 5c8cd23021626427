"""The contract of LifecycleTimers, passed by those in memory and those in SQLite."""

import sqlite3
from contextlib import closing
from dataclasses import replace

import pytest

from stratum.adapters.lifecycle_timers import MemoryLifecycleTimers, open_lifecycle_timers
from stratum.domain.errors import DiskFailed
from stratum.domain.lifecycle_timer import Timer, Walk
from stratum.domain.names import BucketName, ObjectKey

BUCKET = BucketName("films")


def timer(key, due_at_ms, upload_id=""):
    return Timer(BUCKET, ObjectKey(key), due_at_ms, upload_id)


@pytest.fixture(params=["memory", "sqlite"])
async def timers(request, tmp_path):
    if request.param == "memory":
        yield MemoryLifecycleTimers()
    else:
        async with open_lifecycle_timers(tmp_path / "lifecycle.db") as timers:
            yield timers


async def test_due_timers_come_earliest_first(timers):
    await timers.record([timer("b", 300), timer("a", 200), timer("a", 100, "u"), timer("c", 400)])
    assert await timers.due(300, 10) == [timer("a", 100, "u"), timer("a", 200), timer("b", 300)]
    assert await timers.due(300, 1) == [timer("a", 100, "u")]
    assert await timers.due(99, 10) == []


async def test_timers_are_replaced_and_removed(timers):
    await timers.record([timer("a", 100), timer("b", 100), timer("ä/\x01", 50)])
    await timers.record([timer("a", 300), timer("b", 0), timer("never set", 0)])
    assert await timers.due(999, 10) == [timer("ä/\x01", 50), timer("a", 300)]


async def test_an_earlier_timer_is_kept(timers):
    await timers.record([timer("a", 100), timer("b", 100)])
    await timers.record(earlier=[timer("a", 50), timer("b", 200), timer("c", 70), timer("b", 0)])
    assert await timers.due(999, 10) == [timer("a", 50), timer("c", 70), timer("b", 100)]


async def test_the_next_timer(timers):
    assert await timers.next_due_ms() is None
    await timers.record([timer("a", 300), timer("b", 200)])
    assert await timers.next_due_ms() == 200


async def test_a_bucket_has_one_walk_and_the_last_change_counts(timers):
    first, other = Walk(BUCKET, 7), Walk(BucketName("books"), 8, "k", "u", uploads=True)
    await timers.record(walks=[other, first])
    assert await timers.walks() == [first, other]
    further = replace(first, after_key="k")
    await timers.record(walks=[further])
    assert await timers.walks() == [further, other]
    again = Walk(BUCKET, 9)
    await timers.record(walks=[again])
    await timers.record(done=[further, other])
    assert await timers.walks() == [again]
    await timers.record(done=[again])
    assert await timers.walks() == []


async def test_the_position(timers):
    assert await timers.position() is None
    await timers.record(position=12)
    await timers.record([timer("a", 1)])
    assert await timers.position() == 12


# -- the file -----------------------------------------------------------------------------------
async def test_everything_is_there_after_reopening(tmp_path):
    path = tmp_path / "lifecycle.db"
    async with open_lifecycle_timers(path) as timers:
        await timers.record([timer("a", 1)], walks=[Walk(BUCKET, 1)], position=5)
    async with open_lifecycle_timers(path) as timers:
        assert await timers.due(9, 9) == [timer("a", 1)]
        assert await timers.walks() == [Walk(BUCKET, 1)]
        assert await timers.position() == 5


async def test_a_transaction_that_fails_leaves_nothing(tmp_path):
    path = tmp_path / "lifecycle.db"
    async with open_lifecycle_timers(path) as timers:
        with pytest.raises(DiskFailed):
            await timers.record([timer("a", 1), replace(timer("b", 1), due_at_ms="soon")])
        await timers.record([timer("c", 1)])
        assert await timers.due(9, 9) == [timer("c", 1)]


async def test_a_file_with_other_tables_is_emptied(tmp_path):
    path = tmp_path / "lifecycle.db"
    async with open_lifecycle_timers(path) as timers:
        await timers.record([timer("a", 1)], position=5)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version=99")
    async with open_lifecycle_timers(path) as timers:
        assert await timers.position() is None
        assert await timers.due(9, 9) == []
