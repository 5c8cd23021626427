"""The contract of IdentityStore, passed by the one in memory and the one in SQLite."""

import sqlite3
import stat
from contextlib import closing

import pytest

from stratum.adapters.identity_store import MemoryIdentityStore, open_identity_store
from stratum.domain.directory import Change
from stratum.domain.errors import DiskFailed, JournalCorrupt
from stratum.domain.identity import AccessKey, Account
from stratum.domain.identity_events import AccessKeyAdded, UserAdded

ALICE = Account("a" * 64, "111111111111", "alice", "alice@example.com", 5)
KEY = AccessKey("AKALICE", "secret-of-alice", ALICE.id, 6)
ADDED = UserAdded(ALICE.id, "alice", "alice@example.com")
KEY_ADDED = AccessKeyAdded(ALICE.id, "AKALICE")


@pytest.fixture(params=["memory", "sqlite"])
async def store(request, tmp_path):
    if request.param == "memory":
        yield MemoryIdentityStore()
    else:
        async with open_identity_store(tmp_path / "identities.db") as store:
            yield store


async def test_identities_are_put_replaced_and_removed(store):
    assert await store.load() == []
    await store.apply(Change(put=(ALICE, KEY)), by="root")
    replaced = Account(ALICE.id, ALICE.number, "alice", "alice@example.org", 5)
    await store.apply(Change(put=(replaced,)), by="root")
    assert set(await store.load()) == {replaced, KEY}
    await store.apply(Change(removed=(KEY,)), by="root")
    assert await store.load() == [replaced]


async def test_what_is_to_be_reported_waits_in_order_until_it_is(store):
    await store.apply(Change(events=(ADDED, KEY_ADDED)), by="root")
    await store.apply(Change(events=(KEY_ADDED,)), by="bob")
    waiting = await store.unreported()
    assert [(each.by, each.event) for each in waiting] == [
        ("root", ADDED),
        ("root", KEY_ADDED),
        ("bob", KEY_ADDED),
    ]
    await store.reported(waiting[1].number)
    assert await store.unreported() == [waiting[2]]
    await store.reported(waiting[2].number)
    await store.apply(Change(events=(ADDED,)), by="root")
    (again,) = await store.unreported()
    assert again.number > waiting[2].number


async def test_the_file_is_private_and_keeps_everything(tmp_path):
    path = tmp_path / "identities.db"
    async with open_identity_store(path) as store:
        await store.apply(Change(put=(ALICE, KEY), events=(ADDED,)), by="root")
        modes = {stat.S_IMODE(file.stat().st_mode) for file in tmp_path.iterdir()}
        assert modes == {0o600}
    async with open_identity_store(path) as store:
        assert set(await store.load()) == {ALICE, KEY}
        assert [each.event for each in await store.unreported()] == [ADDED]


async def test_a_removed_secret_is_not_left_in_the_file(tmp_path):
    path = tmp_path / "identities.db"
    async with open_identity_store(path) as store:
        await store.apply(Change(put=(ALICE, KEY)), by="root")
        await store.apply(Change(removed=(KEY,)), by="root")
    assert b"secret-of-alice" not in path.read_bytes()


async def test_a_file_of_another_kind_is_refused(tmp_path):
    path = tmp_path / "identities.db"
    path.write_bytes(b"not a database " * 100)
    with pytest.raises(JournalCorrupt):
        async with open_identity_store(path):
            pass


async def test_an_identity_that_cannot_be_read_is_an_error_not_a_missing_user(tmp_path):
    path = tmp_path / "identities.db"
    async with open_identity_store(path) as store:
        await store.apply(Change(put=(ALICE,)), by="root")
    with closing(sqlite3.connect(path)) as raw, raw:
        raw.execute("UPDATE identities SET document='{}'")
    async with open_identity_store(path) as store:
        with pytest.raises(DiskFailed):
            await store.load()
