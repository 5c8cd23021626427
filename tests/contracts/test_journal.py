"""The contract of Journal, passed by the one in memory and the one in SQLite."""

from contextlib import asynccontextmanager
from functools import partial

import pytest
import trio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stratum.adapters.journal import open_journal
from stratum.adapters.memory_journal import MemoryJournal
from stratum.domain.bucket import create_bucket
from stratum.domain.errors import BucketAlreadyOwnedByYou, Conflict
from stratum.domain.events import BucketDeleted, CopiesReclaimed, VersionRemoved
from stratum.domain.hash_chain import GENESIS_DIGEST, first_broken
from stratum.domain.listing import ListRequest
from stratum.domain.names import Caller
from tests.support.histories import KINDS, History, answers, bucket_created, committed, volume_id

OWNER = Caller("owner", "Owner")


class Clock:
    """A clock that stands still until told otherwise."""

    def __init__(self) -> None:
        self.now = 1_000

    def __call__(self) -> int:
        return self.now


class Store:
    """A place that journals are opened on, again and again."""

    def __init__(self, kind: str, folder) -> None:
        self.clock = Clock()
        self._path = folder / "journal.db" if kind == "sqlite" else None
        self._memory = MemoryJournal(self.clock)

    @asynccontextmanager
    async def opened(self):
        if self._path is None:
            self._memory = self._memory.reopened()
            yield self._memory
        else:
            async with open_journal(self._path, self.clock) as journal:
                yield journal


@pytest.fixture(params=["memory", "sqlite"])
def store(request, tmp_path):
    return Store(request.param, tmp_path)


@pytest.fixture
async def journal(store):
    async with store.opened() as journal:
        yield journal


def say(*events):
    return lambda catalog: events


async def test_a_new_journal_is_empty(journal):
    head = await journal.head()
    assert (head.seq, head.digest) == (0, bytes(32))
    assert list(await journal.read()) == []
    assert await journal.check_chain() == head
    assert journal.catalog.buckets() == []


async def test_events_are_numbered_dated_and_attributed(journal, store):
    (first,) = await journal.transact(say(bucket_created()), by="root")
    store.clock.now = 2_000
    rest = await journal.transact(
        say(committed(1), BucketDeleted("alpha"), committed(2, "b")), by="bob"
    )
    everything = [first, *rest]
    assert [each.seq for each in everything] == [1, 2, 3, 4]
    assert [each.stream for each in everything] == [
        "bucket/alpha", volume_id(1), "bucket/alpha", volume_id(2),
    ]  # fmt: skip
    assert [each.version for each in everything] == [1, 1, 2, 1]
    assert [each.at_ms for each in everything] == [1_000, 2_000, 2_000, 2_000]
    assert [each.by for each in everything] == ["root", "bob", "bob", "bob"]
    assert list(await journal.read()) == everything
    assert list(await journal.read(after_seq=1, limit=2)) == everything[1:3]
    assert list(await journal.read(after_seq=4)) == []
    assert list(await journal.history("bucket/alpha")) == [everything[0], everything[2]]
    assert list(await journal.history("nothing")) == []
    assert (await journal.head()).seq == 4


async def test_time_never_goes_back(store):
    async with store.opened() as journal:
        store.clock.now = 5_000
        await journal.transact(say(bucket_created("alpha")), by="root")
        store.clock.now = 4_000
        (recorded,) = await journal.transact(say(bucket_created("beta")), by="root")
        assert recorded.at_ms == 5_000
    async with store.opened() as journal:
        (recorded,) = await journal.transact(say(committed(1)), by="root")
        assert recorded.at_ms == 5_000
        assert (await journal.head()).at_ms == 5_000


async def test_the_catalog_shows_what_was_acknowledged_and_so_does_a_query(journal):
    await journal.transact(say(bucket_created(), committed(1)), by="root")
    assert journal.catalog.version("alpha", "a").volume_id == volume_id(1)
    page = await journal.query(lambda catalog: catalog.list_objects("alpha", ListRequest()))
    assert [entry.key for entry in page.entries] == ["a"]


async def test_a_refused_decision_appends_nothing_and_raises_its_own_error(journal):
    create = partial(create_bucket, name="alpha", owner=OWNER, region="r")
    await journal.transact(create, by="root")
    with pytest.raises(BucketAlreadyOwnedByYou):
        await journal.transact(create, by="root")
    with pytest.raises(ZeroDivisionError):
        await journal.transact(lambda catalog: 1 // 0, by="root")
    assert list(await journal.transact(say(), by="root")) == []
    assert (await journal.head()).seq == 1
    await journal.transact(say(committed(1)), by="root")
    assert (await journal.check_chain()).seq == 2


async def test_a_decision_is_appended_whole_or_not_at_all(journal):
    await journal.transact(say(bucket_created(), committed(1)), by="root")
    for bad, error in (
        (committed(1, "taken"), Conflict),
        (committed(3, size_bytes="many"), TypeError),
    ):
        with pytest.raises(error):
            await journal.transact(say(committed(2, "b"), bad), by="root")
    with pytest.raises(Conflict):
        await journal.transact(say(committed(2, "b"), committed(2, "c")), by="root")
    assert (await journal.head()).seq == 2
    assert journal.catalog.version("alpha", "b") is None
    assert journal.catalog.volume(volume_id(2)) is None
    await journal.transact(say(committed(2, "b")), by="root")
    assert (await journal.check_chain()).seq == 3


async def test_of_two_deciders_at_the_same_time_the_second_sees_the_first(journal):
    create = partial(create_bucket, name="alpha", owner=OWNER, region="r")
    outcomes = []

    async def attempt():
        try:
            outcomes.append(await journal.transact(create, by="root"))
        except BucketAlreadyOwnedByYou as error:
            outcomes.append(error)

    async with trio.open_nursery() as nursery:
        for _ in range(5):
            nursery.start_soon(attempt)
    assert sum(isinstance(each, BucketAlreadyOwnedByYou) for each in outcomes) == 4
    assert (await journal.head()).seq == 1


async def test_failures_among_many_leave_their_neighbours_alone(journal):
    await journal.transact(say(bucket_created()), by="root")
    results = {}

    async def attempt(number):
        def decide(catalog):
            if number % 3 == 1:
                raise LookupError(number)
            if number % 3 == 2:
                return [committed(number, f"k{number}"), committed(0, "conflict")]
            return [committed(number, f"k{number}")]

        try:
            (results[number],) = await journal.transact(decide, by=f"caller {number}")
        except (LookupError, Conflict) as error:
            results[number] = error

    await attempt(0)
    async with trio.open_nursery() as nursery:
        for number in range(1, 60):
            nursery.start_soon(attempt, number)
    stored = {each.seq: each for each in await journal.read(after_seq=1)}
    assert len(stored) == 20
    for number, result in results.items():
        if number % 3 == 0:
            assert stored[result.seq] == result
            assert (result.by, result.stream) == (f"caller {number}", volume_id(number))
            assert journal.catalog.version("alpha", f"k{number}") is not None
        else:
            assert isinstance(result, LookupError if number % 3 == 1 else Conflict)
            assert journal.catalog.version("alpha", f"k{number}") is None
    assert (await journal.check_chain()).seq == 21


async def test_a_caller_cancelled_while_it_waits_still_learns_its_outcome(journal):
    recorded = None
    with trio.CancelScope() as scope:

        def decide(catalog):
            scope.cancel()
            return [bucket_created()]

        recorded = await journal.transact(decide, by="root")
    assert [each.seq for each in recorded] == [1]
    assert list(await journal.read()) == list(recorded)


async def test_a_caller_cancelled_before_appends_nothing(journal):
    with trio.CancelScope() as scope:
        scope.cancel()
        await journal.transact(say(bucket_created()), by="root")
    assert scope.cancelled_caught
    assert (await journal.head()).seq == 0


async def test_a_reopened_journal_is_the_same(store):
    history = History()
    async with store.opened() as journal:
        for number in range(40):
            kind = KINDS[number % len(KINDS)]
            decide = partial(history.step, kind=kind, which=number % 6, other=number % 5)
            await journal.transact(decide, by="root")
        before = answers(journal.catalog, history)
        events, head = await journal.read(), await journal.head()
    async with store.opened() as journal:
        assert answers(journal.catalog, history) == before
        assert await journal.query(lambda catalog: answers(catalog, history)) == before
        assert list(await journal.read()) == list(events)
        assert await journal.check_chain() == await journal.head() == head
        (recorded,) = await journal.transact(say(CopiesReclaimed(())), by="root")
        assert recorded.seq == head.seq + 1


OPERATIONS = st.tuples(st.sampled_from(KINDS), st.integers(0, 5), st.integers(0, 5))


@settings(
    max_examples=15,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(operations=st.lists(OPERATIONS, min_size=20, max_size=60))
async def test_both_journals_make_the_same_of_a_history(tmp_path_factory, operations):
    folder = tmp_path_factory.mktemp("journal")
    memory, sqlite = Store("memory", folder), Store("sqlite", folder)
    results = []
    for store in (memory, sqlite):
        history = History()
        async with store.opened() as journal:
            for number, (kind, which, other) in enumerate(operations):
                store.clock.now += number % 3
                decide = partial(history.step, kind=kind, which=which, other=other)
                await journal.transact(decide, by="root")
            head = await journal.check_chain()
            results.append((head, list(await journal.read()), answers(journal.catalog, history)))
    assert results[0] == results[1]


async def test_a_volume_id_is_never_used_again(journal):
    removed = VersionRemoved(volume_id(1), "alpha", "a", "null", "deleted")
    await journal.transact(say(bucket_created(), committed(1), removed), by="root")
    with pytest.raises(Conflict):
        await journal.transact(say(committed(1)), by="root")


async def test_rows_are_the_chain(journal):
    await journal.transact(lambda _: [bucket_created(f"bucket-{n}") for n in range(5)], by="root")
    rows = await journal.rows(0, 10)
    assert [row.seq for row in rows] == [1, 2, 3, 4, 5]
    assert first_broken(GENESIS_DIGEST, rows) is None
    assert rows[-1].digest == (await journal.head()).digest
    assert list(await journal.rows(3, 1)) == [rows[3]]
    assert list(await journal.rows(5, 10)) == []
