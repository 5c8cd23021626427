"""What only the journal in SQLite promises: durability, grouping, one writer, many readers."""

import resource
import signal
import sqlite3
import subprocess
import sys
import threading
from contextlib import asynccontextmanager, closing
from functools import partial
from pathlib import Path

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from stratum.adapters import journal_writer
from stratum.adapters.catalog import SqliteCatalog
from stratum.adapters.journal import open_journal
from stratum.adapters.journal_reader import open_journal_readonly
from stratum.adapters.rebuild import opened_catalog
from stratum.adapters.sqlite_connection import meaning_of
from stratum.domain.errors import (
    Conflict,
    DiskFailed,
    InvalidArgument,
    JournalCorrupt,
    Unavailable,
)
from stratum.domain.names import Tier
from tests.support.histories import KINDS, History, answers, committed, volume_id


@pytest.fixture
def path(tmp_path):
    return tmp_path / "metadata" / "journal.db"


@asynccontextmanager
async def opened(path, now_ms=lambda: 1_000):
    async with open_journal(path, now_ms) as journal:
        yield journal


def say(*events):
    return lambda catalog: events


async def put(journal, number):
    return await journal.transact(say(committed(number, f"k{number}")), by="root")


async def fill(journal, count=10):
    for number in range(1, count + 1):
        await put(journal, number)


def raw(path):
    return closing(sqlite3.connect(path, isolation_level=None))


# -- grouping -----------------------------------------------------------------------------------
async def test_decisions_that_wait_together_share_a_transaction(path):
    async with opened(path) as journal:
        async with trio.open_nursery() as nursery:
            for number in range(200):
                nursery.start_soon(put, journal, number)
        assert (await journal.head()).seq == 200
        assert journal.transactions <= 3


async def test_a_transaction_ends_when_it_has_enough_bytes(path, monkeypatch):
    monkeypatch.setattr(journal_writer, "BATCH_SIZE_MAX_BYTES", 600)
    async with opened(path) as journal:
        async with trio.open_nursery() as nursery:
            for number in range(30):
                nursery.start_soon(put, journal, number)
        assert (await journal.check_chain()).seq == 30
        assert 6 <= journal.transactions <= 15


async def test_a_query_sees_one_state_while_others_commit(path):
    looked, committed_more = threading.Event(), threading.Event()

    def question(catalog):
        before = catalog.totals()[Tier.HOT].volumes
        looked.set()
        assert committed_more.wait(10)
        return before, catalog.totals()[Tier.HOT].volumes

    async with opened(path) as journal:
        await put(journal, 1)
        result = None

        async def ask():
            nonlocal result
            result = await journal.query(question)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask)
            await trio.to_thread.run_sync(looked.wait, 10)
            await put(journal, 2)
            assert journal.catalog.totals()[Tier.HOT].volumes == 2
            committed_more.set()
        assert result == (1, 1)


# -- failures -----------------------------------------------------------------------------------
async def test_a_commit_that_fails_fails_its_callers_and_not_the_journal(path):
    errors = []

    async def attempt(journal, number):
        try:
            await put(journal, number)
        except DiskFailed as error:
            errors.append(error)

    async with opened(path) as journal:
        await fill(journal, 3)
        head = await journal.head()
        limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        size = path.with_name("journal.db-wal").stat().st_size
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))  # a disk that is full
        try:
            async with trio.open_nursery() as nursery:
                for number in range(10, 20):
                    nursery.start_soon(attempt, journal, number)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        assert len(errors) == 10
        assert await journal.head() == head
        assert journal.catalog.version("alpha", "k10") is None
        (recorded,) = await put(journal, 10)
        assert recorded.seq == head.seq + 1
        await journal.check_chain()
    async with opened(path) as journal:
        assert (await journal.check_chain()).seq == head.seq + 1


async def test_the_writer_waits_for_another_programs_lock(path, monkeypatch):
    async with opened(path) as journal:
        with raw(path) as other:
            other.execute("BEGIN IMMEDIATE")
            async with trio.open_nursery() as nursery:
                nursery.start_soon(put, journal, 1)
                await wait_all_tasks_blocked()
                assert (await journal.head()).seq == 0
                other.execute("ROLLBACK")
            assert (await journal.head()).seq == 1
            other.execute("BEGIN IMMEDIATE")
            monkeypatch.setattr(journal_writer, "BUSY_TIMEOUT_S", 0.02)
            with pytest.raises(Unavailable, match="locked"):
                await put(journal, 2)
            other.execute("ROLLBACK")
        await put(journal, 2)


async def test_the_callers_own_error_leaves_the_block_as_it_was_raised(path):
    with pytest.raises(KeyError, match="own"):  # noqa: PT012 - the block is what is tested
        async with opened(path) as journal:
            await put(journal, 1)
            raise KeyError("own")
    async with opened(path) as journal:
        assert (await journal.head()).seq == 1


async def test_what_is_queued_at_the_end_is_committed_and_its_callers_know(path):
    known = []

    async def attempt(journal, number):
        known.extend(await put(journal, number))

    async with opened(path) as journal:
        with trio.CancelScope() as scope:
            async with trio.open_nursery() as nursery:
                for number in range(20):
                    nursery.start_soon(attempt, journal, number)
                await trio.lowlevel.checkpoint()
                scope.cancel()
    with pytest.raises(Unavailable, match="closed"):
        await put(journal, 30)
    async with opened(path) as journal:
        assert await journal.check_chain() == await journal.head()
        assert list(await journal.read()) == sorted(known, key=lambda each: each.seq)


# -- one writer, many readers ---------------------------------------------------------------------
async def test_a_second_server_is_refused(path):
    async with opened(path):
        with pytest.raises(Unavailable, match="has the journal open"):
            async with opened(path):
                pass
    async with opened(path) as journal:
        await put(journal, 1)


async def test_a_folder_that_cannot_be_made_is_reported(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(Unavailable, match="cannot be opened"):
        async with opened(tmp_path / "file" / "journal.db"):
            pass


async def test_a_file_that_is_no_database_is_reported(path):
    path.parent.mkdir()
    path.write_bytes(b"not a database, but long enough to look at" * 100)
    with pytest.raises(JournalCorrupt):
        async with opened(path):
            pass


async def test_readers_work_beside_the_writer_and_cannot_write(path):
    async with opened(path) as journal:
        await put(journal, 1)
        async with open_journal_readonly(path) as reader:
            assert reader.catalog.version("alpha", "k1") is not None
            await put(journal, 2)
            assert reader.catalog.version("alpha", "k2") is not None
            assert list(await reader.read()) == list(await journal.read())
            assert await reader.check_chain() == await journal.head()
            assert len(await reader.history(volume_id(1))) == 1
            volumes = await reader.query(lambda catalog: catalog.volumes())
            assert [each.id for each in volumes] == [volume_id(1), volume_id(2)]
            with pytest.raises(Unavailable, match="reading only"):
                await reader.transact(say(committed(3)), by="root")


async def test_a_closed_journal_is_one_file_and_can_be_read(path):
    async with opened(path) as journal:
        await fill(journal)
    assert {each.name for each in path.parent.iterdir()} == {"journal.db", "journal.db.writer"}
    async with open_journal_readonly(path) as reader:
        assert (await reader.check_chain()).seq == 10


async def test_a_journal_that_is_not_there_cannot_be_read(path):
    with pytest.raises(Unavailable, match="cannot be opened"):
        async with open_journal_readonly(path):
            pass
    assert not path.parent.exists()


# -- the chain ----------------------------------------------------------------------------------
def alter(connection, sql, *parameters):
    connection.execute("DROP TRIGGER events_are_not_altered")
    connection.execute("DROP TRIGGER events_are_not_deleted")
    connection.execute(sql, parameters)


def swap(connection):
    alter(connection, "UPDATE stored_events SET rowid=-4 WHERE rowid=4")
    connection.execute("UPDATE stored_events SET rowid=4 WHERE rowid=5")
    connection.execute("UPDATE stored_events SET rowid=5 WHERE rowid=-4")


@pytest.mark.parametrize(
    ("tamper", "message"),
    [
        (
            partial(alter, sql="UPDATE stored_events SET state=state||x'00' WHERE rowid=7"),
            "Event 7 cannot be read",  # || makes a text of it
        ),
        (
            partial(alter, sql="UPDATE stored_events SET state=x'93' WHERE rowid=7"),
            "Event 7 does not have the hash",
        ),
        (
            partial(alter, sql="UPDATE stored_events SET topic='BucketDeleted.1' WHERE rowid=3"),
            "Event 3 does not have the hash",
        ),
        (
            partial(alter, sql="UPDATE stored_events SET originator_version=9 WHERE rowid=2"),
            "Event 2 does not have the hash",
        ),
        (
            partial(alter, sql="UPDATE stored_events SET state='text' WHERE rowid=6"),
            "Event 6 does not have the hash",
        ),
        (
            partial(alter, sql="UPDATE stored_events SET hash=zeroblob(32) WHERE rowid=10"),
            "Event 10 does not have the hash",
        ),
        (partial(alter, sql="DELETE FROM stored_events WHERE rowid=5"), "Event 5 is missing"),
        (partial(alter, sql="DELETE FROM stored_events WHERE rowid=10"), "ends at event 9"),
        (swap, "Event 4 does not have the hash"),
        (
            partial(
                alter,
                sql="INSERT INTO stored_events SELECT 11, 'x', 1, topic, state, hash"
                " FROM stored_events WHERE rowid=10",
            ),
            "Event 11 does not have the hash",
        ),
        (
            partial(alter, sql="UPDATE applied SET digest=zeroblob(32)"),
            "ends at event 10, its catalog at event 10",
        ),
    ],
)
async def test_tampering_is_found(path, tamper, message):
    async with opened(path) as journal:
        await fill(journal)
        await journal.check_chain()
    with raw(path) as connection:
        tamper(connection)
    async with open_journal_readonly(path) as reader:
        with pytest.raises(JournalCorrupt, match=message):
            await reader.check_chain()


async def test_events_cannot_be_changed_without_taking_the_triggers_away(path):
    async with opened(path) as journal:
        await fill(journal, 2)
    with raw(path) as connection:
        for sql in ("UPDATE stored_events SET topic='x'", "DELETE FROM stored_events"):
            with pytest.raises(sqlite3.IntegrityError, match="append-only"):
                connection.execute(sql)


async def test_an_event_that_cannot_be_read_is_reported(path):
    async with opened(path) as journal:
        await fill(journal, 2)
    with raw(path) as connection:
        alter(connection, "UPDATE stored_events SET topic='os:system' WHERE rowid=2")
    async with open_journal_readonly(path) as reader:
        with pytest.raises(JournalCorrupt, match="unknown topic"):
            await reader.read()


# -- rebuilding ---------------------------------------------------------------------------------
async def write_history(journal, history, count):
    for number in range(count):
        kind = KINDS[number % len(KINDS)]
        turn = number + number // len(KINDS)
        decide = partial(history.step, kind=kind, which=turn % 6, other=turn % 5)
        await journal.transact(decide, by="root")


async def test_the_catalog_is_what_the_events_add_up_to(path, tmp_path):
    history = History()
    async with opened(path) as journal:
        await write_history(journal, history, 80)
        assert list(await journal.compare(tmp_path / "scratch.db")) == []
        done = []
        head = await journal.rebuild(tmp_path / "copy.db", progress=done.append)
        assert head == await journal.head()
        assert done[-1] == head.seq
        with opened_catalog(tmp_path / "copy.db") as catalog:
            assert answers(catalog, history) == answers(journal.catalog, history)
        with pytest.raises(InvalidArgument, match="exists"):
            await journal.rebuild(tmp_path / "copy.db")
    with raw(path) as connection:
        connection.execute("UPDATE volumes SET placed_at_ms=placed_at_ms+1")
        (changed,) = connection.execute("SELECT count(*) FROM volumes").fetchone()
    async with open_journal_readonly(path) as reader:
        found = await reader.compare(tmp_path / "scratch2.db")
        assert {each.table for each in found} == {"volumes"}
        assert len(found) == changed > 1
        assert len(await reader.compare(tmp_path / "scratch3.db", limit=1)) == 1


async def test_a_state_in_the_past_by_number_and_by_time(path, tmp_path):
    now = [0]
    states = {}
    async with opened(path, lambda: now[0]) as journal:
        for number in range(1, 6):
            now[0] = number * 100
            await put(journal, number)
            states[number] = await journal.head()
        assert await journal.seq_at(99) == 0
        assert await journal.seq_at(100) == 1
        assert await journal.seq_at(399) == 3
        assert await journal.seq_at(10**15) == 5
        assert await journal.rebuild(tmp_path / "then.db", await journal.seq_at(350)) == states[3]
        with opened_catalog(tmp_path / "then.db") as catalog:
            assert [each.id for each in catalog.volumes()] == [volume_id(n) for n in (1, 2, 3)]
        assert (await journal.rebuild(tmp_path / "begin.db", 0)).seq == 0


async def test_a_catalog_of_another_version_is_made_anew(path):
    history = History()
    async with opened(path) as journal:
        await write_history(journal, history, 50)
        before = answers(journal.catalog, history)
    with raw(path) as connection:
        connection.execute("PRAGMA user_version=0")
        connection.execute("DROP TABLE garbage")
        connection.execute("DELETE FROM objects")
    with pytest.raises(Unavailable, match="another version"):
        async with open_journal_readonly(path):
            pass
    async with opened(path) as journal:
        assert answers(journal.catalog, history) == before
        await journal.check_chain()


# -- crashes ------------------------------------------------------------------------------------
CHILD = """
import sys
import trio
from pathlib import Path
from stratum.adapters.journal import open_journal
from tests.support.histories import committed

async def main(path):
    async with open_journal(path, lambda: 1_000) as journal:
        async def work(worker):
            for number in range(worker, 10**9, 8):
                decide = lambda catalog: [committed(number, f"k{number}")]
                await journal.transact(decide, by="child")
                print(number, flush=True)
        async with trio.open_nursery() as nursery:
            for worker in range(8):
                nursery.start_soon(work, worker)

trio.run(main, Path(sys.argv[1]))
"""


@pytest.mark.slow
async def test_a_killed_writer_loses_nothing_it_acknowledged(path, tmp_path):
    root = Path(__file__).parents[2]
    command = [sys.executable, "-c", CHILD, str(path)]
    with subprocess.Popen(  # noqa: ASYNC220 - nothing else runs meanwhile
        command, cwd=root, stdout=subprocess.PIPE, text=True
    ) as child:
        acknowledged = [int(child.stdout.readline()) for _ in range(400)]
        child.send_signal(signal.SIGKILL)
        acknowledged += [int(line) for line in child.stdout if line.endswith("\n")]
    assert child.returncode == -signal.SIGKILL
    async with open_journal_readonly(path) as reader:  # recovers the log, changing nothing
        head = await reader.check_chain()
    async with opened(path) as journal:
        assert await journal.check_chain() == head
        stored = {each.event.key for each in await journal.read(limit=10**6)}
        assert {f"k{number}" for number in acknowledged} <= stored
        assert len(acknowledged) >= 400
        assert list(await journal.compare(tmp_path / "scratch.db")) == []


async def test_commits_are_synchronous(path):
    """A power cut can't be had here; that every connection asks for FULL can be seen."""
    async with opened(path) as journal:
        with journal._writer._datastore.connection(commit=True) as pooled:
            assert pooled.raw.execute("PRAGMA synchronous").fetchone()[0] == 2
            assert pooled.raw.execute("PRAGMA journal_mode").fetchone()[0] == "wal"


async def test_a_duplicate_id_is_the_recorders_integrity_error(path):
    async with opened(path) as journal:
        await put(journal, 1)
        with pytest.raises(Conflict) as caught:
            await put(journal, 1)
        assert "UNIQUE" in str(caught.value)
        assert isinstance(journal.catalog, SqliteCatalog)


def test_text_that_is_none_means_a_damaged_journal():
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.execute("CREATE TABLE t(topic TEXT)")
        connection.execute("INSERT INTO t VALUES (CAST(x'ff' AS TEXT))")
        with pytest.raises(sqlite3.OperationalError) as caught:
            connection.execute("SELECT topic FROM t").fetchall()
    assert isinstance(meaning_of(caught.value), JournalCorrupt)
