"""The contract of AccessLog, passed by the one in memory and the one in SQLite."""

import sqlite3
from contextlib import closing

import pytest

from stratum.adapters.access_log import (
    ROWS_PER_TRANSACTION_MAX,
    MemoryAccessLog,
    open_access_log,
)
from stratum.domain.access import Access
from stratum.domain.errors import DiskFailed
from tests.support.histories import volume_id


def row(number: int, look_at_ms: int = 0, reads: int = 1) -> Access:
    return Access(volume_id(number), 1000 + number, reads, 1, look_at_ms, 900 + number, number)


@pytest.fixture(params=["memory", "sqlite"])
async def log(request, tmp_path):
    if request.param == "memory":
        yield MemoryAccessLog()
    else:
        async with open_access_log(tmp_path / "access.db") as log:
            yield log


async def test_rows_are_inserted_replaced_and_forgotten(log):
    assert await log.get(volume_id(1)) is None
    await log.put([row(1), row(2)])
    await log.put([row(1, reads=5)])
    assert await log.get(volume_id(1)) == row(1, reads=5)
    assert await log.get(volume_id(2)) == row(2)
    await log.forget([volume_id(1), volume_id(9)])
    assert await log.get(volume_id(1)) is None
    assert await log.get(volume_id(2)) == row(2)
    await log.put([])
    await log.forget([])


async def test_due_rows_come_earliest_first_and_those_without_a_timer_never(log):
    await log.put([row(1, 300), row(2, 100), row(3, 0), row(4, 200), row(5, 100)])
    due = await log.due(200, 10)
    assert [(each.look_at_ms, each.volume_id) for each in due] == [
        (100, volume_id(2)),
        (100, volume_id(5)),
        (200, volume_id(4)),
    ]
    assert await log.due(200, 1) == [row(2, 100)]
    assert await log.due(99, 10) == []


async def test_the_next_timer(log):
    assert await log.next_due_ms() is None
    await log.put([row(1, 300), row(2, 0)])
    assert await log.next_due_ms() == 300
    await log.put([row(1, 0)])
    assert await log.next_due_ms() is None


async def test_the_position_is_kept(log):
    assert await log.position() == 0
    assert await log.position(42) == 42
    assert await log.position() == 42
    assert await log.position(reader="pins") == 0
    await log.position(7, "pins")
    assert (await log.position(), await log.position(reader="pins")) == (42, 7)


async def test_a_flush_larger_than_a_transaction_is_all_there(log):
    rows = [row(number, 1) for number in range(ROWS_PER_TRANSACTION_MAX + 10)]
    await log.put(rows)
    assert list(await log.due(1, 10_000)) == rows


async def test_a_reopened_log_has_what_was_put(tmp_path):
    path = tmp_path / "access.db"
    async with open_access_log(path) as log:
        await log.put([row(1, 7)])
        await log.position(9)
    async with open_access_log(path) as log:
        assert await log.get(volume_id(1)) == row(1, 7)
        assert await log.position() == 9
    assert [each.name for each in tmp_path.iterdir()] == ["access.db"]


async def test_timers_are_found_by_index(tmp_path):
    path = tmp_path / "access.db"
    async with open_access_log(path):
        pass
    with closing(sqlite3.connect(path)) as connection:
        for sql in (
            "SELECT * FROM access WHERE look_at_ms>0 AND look_at_ms<=5 ORDER BY look_at_ms,"
            " volume_id LIMIT 3",
            "SELECT min(look_at_ms) FROM access WHERE look_at_ms>0",
        ):
            ((*_, plan),) = connection.execute(f"EXPLAIN QUERY PLAN {sql}").fetchall()
            assert "USING" in plan
            assert "access_timers" in plan


async def test_a_log_that_cannot_be_opened_says_so(tmp_path):
    with pytest.raises(DiskFailed):
        async with open_access_log(tmp_path / "missing" / "access.db"):
            pass


async def test_a_log_with_other_tables_starts_anew(tmp_path):
    """Counts are disposable; a row that lost a field would make wrong decisions for ever."""
    path = tmp_path / "access.db"
    with closing(sqlite3.connect(path)) as old:
        old.execute("CREATE TABLE access(volume_id TEXT PRIMARY KEY, reads INTEGER)")
        old.execute("INSERT INTO access VALUES ('x', 1)")
        old.commit()
    async with open_access_log(path) as log:
        assert await log.position() == 0
        await log.put([row(1)])
    async with open_access_log(path) as log:
        assert await log.get(volume_id(1)) == row(1)
