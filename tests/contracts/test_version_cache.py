"""The cache of current versions, against the catalog that keeps nothing in memory."""

import sqlite3

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stratum.adapters import version_cache
from stratum.adapters.catalog import SqliteCatalog
from stratum.adapters.catalog_schema import SCHEMA
from stratum.adapters.journal import open_journal
from stratum.adapters.projection import project
from stratum.domain.errors import Conflict, DiskFailed
from stratum.domain.events import DiskAdded, Recorded, VersionRemoved, VolumeMoved
from stratum.domain.names import Tier
from stratum.domain.volume import CompletedPart
from tests.support.histories import BUCKETS, KEYS, KINDS, History, committed, local, volume_id

STEPS = st.lists(st.tuples(st.sampled_from(KINDS), st.integers(0, 7), st.integers(0, 7)))


class Both:
    """The same tables with and without a memory; `statements` counts what SQLite was asked."""

    def __init__(self) -> None:
        self.connection = sqlite3.connect(":memory:", isolation_level=None)
        for statement in SCHEMA:
            self.connection.execute(statement)
        self.plain = SqliteCatalog(self.connection)
        self.caching = SqliteCatalog(self.connection, caching=True)
        self._seq = 0

    def commit(self, *events) -> None:
        for event in events:
            self._seq += 1
            row = Recorded(self._seq, event.stream, self._seq, self._seq, "test", event)
            project(self.connection.cursor(), [row])
        self.caching.forget(events)

    def check(self) -> None:
        for bucket in BUCKETS:
            assert self.caching.bucket(bucket) == self.plain.bucket(bucket)
            for key in KEYS:
                assert self.caching.version(bucket, key) == self.plain.version(bucket, key)

    def queries(self, ask) -> int:
        asked = []
        self.connection.set_trace_callback(asked.append)
        ask()
        self.connection.set_trace_callback(None)
        return len(asked)


@given(STEPS)
def test_it_never_says_anything_else_than_the_tables(steps):
    both, history = Both(), History()
    for kind, which, other in steps:
        events = history.step(both.plain, kind, which, other)
        try:
            both.commit(*events)
        except (sqlite3.IntegrityError, Conflict):
            both.caching.forget()
        both.check()


@pytest.fixture
def both():
    both = Both()
    both.commit(committed(1, "a"), committed(2, "a/b"))
    both.check()
    return both


def test_a_version_is_looked_up_once(both):
    assert both.queries(lambda: both.caching.version("alpha", "a")) == 0
    both.commit(committed(3, "é"))
    assert both.queries(lambda: both.caching.version("alpha", "a")) == 0


def test_only_what_an_event_touches_is_looked_up_again(both):
    both.commit(VolumeMoved(volume_id(1), local(1), local(9, Tier.WARM), "0" * 16))
    assert both.caching.version("alpha", "a").tier is Tier.WARM
    assert both.queries(lambda: both.caching.version("alpha", "a/b")) == 0
    both.commit(VersionRemoved(volume_id(2), "alpha", "a/b", "null", "deleted"))
    assert both.caching.version("alpha", "a/b") is None


def test_an_event_it_knows_nothing_of_empties_it(both):
    both.commit(DiskAdded(Tier.HOT, 0, "disk"))
    assert both.queries(lambda: both.caching.version("alpha", "a")) == 1


def test_it_is_bounded(both, monkeypatch):
    monkeypatch.setattr(version_cache, "VERSIONS_MAX", 2)
    both.commit(committed(3, "é"))
    both.check()
    asked = both.queries(lambda: [both.caching.version("alpha", k) for k in ("a", "a/b", "é")])
    assert asked >= 1


def test_an_object_of_many_parts_is_not_kept(both):
    both.commit(committed(3, "é", parts=(CompletedPart(1, 5, None),)))
    both.check()
    assert both.queries(lambda: both.caching.version("alpha", "é")) == 1


async def test_a_commit_that_may_or_may_not_have_happened_empties_it(tmp_path, monkeypatch):
    async with open_journal(tmp_path / "journal.db", lambda: 1) as journal:
        await journal.transact(lambda _: [committed(1, "a")], by="root")
        before = journal.catalog.version("alpha", "a")
        assert before is journal.catalog.version("alpha", "a")

        def refuse(catalog):
            raise DiskFailed("nobody knows")

        with pytest.raises(DiskFailed):
            await journal.transact(refuse, by="root")
        after = journal.catalog.version("alpha", "a")
        assert after == before
        assert after is not before


async def test_whoever_has_its_answer_sees_what_it_wrote(tmp_path):
    async with open_journal(tmp_path / "journal.db", lambda: 1) as journal:
        for number in range(1, 5):
            removed = [
                VersionRemoved(volume_id(number - 1), "alpha", "a", "null", "overwritten")
                for _ in range(number > 1)
            ]
            events = [committed(number, "a"), *removed]
            await journal.transact(lambda _, events=events: events, by="root")
            assert journal.catalog.version("alpha", "a").volume_id == volume_id(number)
