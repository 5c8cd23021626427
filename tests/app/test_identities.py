"""Users and keys as the application keeps them: durable, in force, on record."""

import pytest
import trio

from stratum.adapters.identity_store import MemoryIdentityStore
from stratum.adapters.memory_journal import MemoryJournal
from stratum.adapters.session_tokens import TokenSealer
from stratum.app.buckets import Buckets
from stratum.app.identities import open_identities
from stratum.domain.directory import Change
from stratum.domain.errors import (
    AccessDenied,
    Conflict,
    InvalidArgument,
    NoSuchUser,
    Unavailable,
)
from stratum.domain.identity import AccessKey, Account
from stratum.domain.identity_events import (
    AccessKeyAdded,
    AccessKeyRemoved,
    UserAdded,
    UserRemoved,
)
from stratum.domain.names import BucketName, Caller

ROOT = Account("0" * 64, "000000000000", "root")
OPERATOR = Caller(ROOT.id, "root")
FIXED = [ROOT, AccessKey("ROOTKEY", "root-secret", ROOT.id)]
NOW_MS = 1_700_000_000_000


class CountingMint:
    def __init__(self) -> None:
        self._count = 0

    def _next(self) -> int:
        self._count += 1
        return self._count

    def canonical_id(self) -> str:
        return f"{self._next():064x}"

    def account_number(self) -> str:
        return f"{self._next():012}"

    def access_key_id(self, prefix: str = "AK") -> str:
        return f"{prefix}{self._next()}"

    def entity_id(self, prefix: str) -> str:
        return self.access_key_id(prefix)

    def secret(self) -> str:
        return f"secret-{self._next()}"


class DeafJournal(MemoryJournal):
    """Takes nothing."""

    async def transact(self, decide, *, by):
        await trio.lowlevel.checkpoint()
        raise Unavailable("stopping")


async def opened(store, journal):
    return await open_identities(store, journal, FIXED, CountingMint(), lambda: NOW_MS, TokenSealer)


async def recorded(journal):
    return [(each.by, each.event) for each in await journal.read()]


async def test_a_user_signs_as_soon_as_it_is_added_and_after_a_restart():
    store, journal = MemoryIdentityStore(), MemoryJournal(lambda: NOW_MS)
    identities = await opened(store, journal)
    issued = await identities.add_user(OPERATOR, "alice", "alice@example.com")
    for each in (identities, await opened(store, journal)):
        assert each.secret_for(issued.key.id) == issued.key.secret
        assert each.principal_of(issued.key.id).account == Caller(issued.account.id, "alice")
    assert await recorded(journal) == [
        (
            "root",
            UserAdded(issued.account.id, "alice", "alice@example.com", issued.account.number),
        ),
        ("root", AccessKeyAdded(issued.account.id, issued.key.id)),
    ]


async def test_keys_come_and_go():
    journal = MemoryJournal(lambda: NOW_MS)
    identities = await opened(MemoryIdentityStore(), journal)
    first = await identities.add_user(OPERATOR, "alice", pair=("my-own-key", "my-own-secret"))
    assert (first.key.id, first.key.secret) == ("my-own-key", "my-own-secret")
    second = await identities.add_key(OPERATOR, "ALICE")
    await identities.remove_key(OPERATOR, "alice", "my-own-key")
    assert identities.secret_for("my-own-key") is None
    with pytest.raises(AccessDenied):
        identities.principal_of("my-own-key")
    assert identities.secret_for(second.key.id) == second.key.secret
    with pytest.raises(NoSuchUser):
        await identities.add_key(OPERATOR, "nobody")
    last = (await journal.read())[-1]
    assert last.event == AccessKeyRemoved(first.account.id, "my-own-key")


async def test_a_user_with_buckets_stays():
    journal = MemoryJournal(lambda: NOW_MS)
    identities = await opened(MemoryIdentityStore(), journal)
    issued = await identities.add_user(OPERATOR, "alice")
    alice = identities.principal_of(issued.key.id).account
    buckets = Buckets(journal, "us-east-1")
    await buckets.create(alice, BucketName("photos"))
    with pytest.raises(Conflict, match="photos"):
        await identities.remove_user(OPERATOR, "alice")
    await buckets.delete(alice, BucketName("photos"))
    await identities.remove_user(OPERATOR, "alice")
    assert identities.secret_for(issued.key.id) is None
    assert (await journal.read())[-1].event == UserRemoved(alice.id, "alice")


async def test_of_many_who_want_a_name_one_gets_it():
    identities = await opened(MemoryIdentityStore(), MemoryJournal(lambda: NOW_MS))
    refused = []

    async def add():
        try:
            await identities.add_user(OPERATOR, "alice")
        except Conflict:
            refused.append(1)

    async with trio.open_nursery() as nursery:
        for _ in range(10):
            nursery.start_soon(add)
    assert len(refused) == 9


async def test_what_a_crash_left_unreported_goes_on_record_at_the_next_start():
    store, journal = MemoryIdentityStore(), MemoryJournal(lambda: NOW_MS)
    event = UserAdded("a" * 64, "alice")
    await store.apply(Change(events=(event,)), by="root")
    await opened(store, journal)
    assert await recorded(journal) == [("root", event)]
    await opened(store, journal)
    assert len(await journal.read()) == 1


async def test_a_journal_that_fails_delays_the_record_and_not_the_change():
    store = MemoryIdentityStore()
    identities = await opened(store, DeafJournal(lambda: NOW_MS))
    issued = await identities.add_user(OPERATOR, "alice")
    assert identities.secret_for(issued.key.id) == issued.key.secret
    journal = MemoryJournal(lambda: NOW_MS)
    await opened(store, journal)
    assert [type(each.event) for each in await journal.read()] == [UserAdded, AccessKeyAdded]


async def test_a_user_that_was_lost_comes_back_as_who_it_was():
    journal = MemoryJournal(lambda: NOW_MS)
    identities = await opened(MemoryIdentityStore(), journal)
    lost = await identities.add_user(OPERATOR, "alice")
    again = await opened(MemoryIdentityStore(), journal)  # the file is gone, the journal is not
    (added,) = [e.event for e in await journal.read() if isinstance(e.event, UserAdded)]
    known = (added.user_id, added.account)
    found = await again.add_user(OPERATOR, added.name, added.email, known=known)
    assert (found.account.id, found.account.number) == (lost.account.id, lost.account.number)
    assert again.secret_for(lost.key.id) is None
    for wrong in (("x" * 64, ""), ("", "12"), ("A" * 64, "")):
        with pytest.raises(InvalidArgument):
            await again.add_user(OPERATOR, "bob", known=wrong)
    with pytest.raises(Conflict):
        await again.add_user(OPERATOR, "bob", known=known)
