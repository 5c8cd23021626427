"""The contract of Catalog, passed by the one in memory and the one in SQLite."""

import sqlite3
from contextlib import closing

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stratum.adapters.catalog import SqliteCatalog
from stratum.adapters.catalog_schema import SCHEMA, TABLES
from stratum.adapters.memory_catalog import MemoryCatalog
from stratum.adapters.projection import PROJECTIONS, project
from stratum.adapters.rebuild import Difference, differences
from stratum.domain import events
from stratum.domain.checksums import ChecksumAlgorithm, ChecksumType
from stratum.domain.errors import Conflict
from stratum.domain.events import (
    BucketCreated,
    CopiesReclaimed,
    MoveAbandoned,
    PartStored,
    PricesAdopted,
    Recorded,
    ShardsRebuilt,
    TierPinned,
    TierUnpinned,
    UploadAborted,
    UploadCompleted,
    UploadStarted,
    VersionRemoved,
    VolumeMoved,
)
from stratum.domain.listing import ListRequest, Page, Position
from stratum.domain.names import Tier
from stratum.domain.redundancy import record_rebuilt
from stratum.domain.volume import Extent, Location, PendingMove, remote_name
from tests.support.histories import (
    KINDS,
    History,
    answers,
    bucket_created,
    committed,
    decided,
    local,
    remote,
    volume_id,
)


def database() -> sqlite3.Connection:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    for statement in SCHEMA:
        connection.execute(statement)
    return connection


class Filled:
    """A catalog with a way to tell it events."""

    def __init__(self, kind: str) -> None:
        self.connection = database() if kind == "sqlite" else None
        self.catalog = SqliteCatalog(self.connection) if self.connection else MemoryCatalog()
        self._versions = {}
        self._seq = 0

    def tell(self, *told, at_ms: int | None = None) -> None:
        for event in told:
            self._seq += 1
            version = self._versions[event.stream] = self._versions.get(event.stream, 0) + 1
            at = 1000 + self._seq if at_ms is None else at_ms
            row = Recorded(self._seq, event.stream, version, at, "test", event)
            if self.connection:
                project(self.connection.cursor(), [row])
            else:
                self.catalog.apply(row)


@pytest.fixture(params=["memory", "sqlite"])
def filled(request):
    filled = Filled(request.param)
    yield filled
    if filled.connection:
        filled.connection.close()


def page_of(page: Page) -> tuple[list, list, bool]:
    return [entry.key for entry in page.entries], list(page.common_prefixes), page.truncated


def test_every_event_is_projected():
    assert set(PROJECTIONS) == set(events.ALL)


def test_buckets(filled):
    catalog = filled.catalog
    assert catalog.bucket("alpha") is None
    filled.tell(bucket_created("beta"), bucket_created("alpha"), at_ms=77)
    assert [bucket.name for bucket in catalog.buckets()] == ["alpha", "beta"]
    bucket = catalog.bucket("alpha")
    assert (bucket.owner.id, bucket.region, bucket.created_at_ms) == ("owner", "us-east-1", 77)
    filled.tell(events.BucketDeleted("beta"))
    assert [bucket.name for bucket in catalog.buckets()] == ["alpha"]


def test_a_bucket_with_an_object_or_an_upload_is_not_empty(filled):
    filled.tell(bucket_created())
    assert filled.catalog.is_empty("alpha")
    filled.tell(committed(1))
    assert not filled.catalog.is_empty("alpha")
    filled.tell(VersionRemoved(volume_id(1), "alpha", "a", "null", "deleted"))
    assert filled.catalog.is_empty("alpha")
    filled.tell(UploadStarted("u1", "alpha", "k", "o", "O"))
    assert not filled.catalog.is_empty("alpha")
    filled.tell(UploadAborted("u1"))
    assert filled.catalog.is_empty("alpha")


def test_a_version_is_found_with_all_that_was_said_of_it(filled):
    event = committed(1, "a/é")
    filled.tell(event, at_ms=555)
    version = filled.catalog.version("alpha", "a/é")
    for name in ("volume_id", "size_bytes", "etag", "checksum", "location", "metadata"):
        assert getattr(version, name) == getattr(event, name)
    assert version.checksums == event.checksums
    assert version.modified_at_ms == 555
    volume = filled.catalog.volume(volume_id(1))
    assert (volume.created_at_ms, volume.placed_at_ms, volume.stream_version) == (555, 555, 1)
    (listed,) = filled.catalog.list_objects("alpha", ListRequest()).entries
    assert (listed.key, listed.modified_at_ms, listed.tier) == ("a/é", 555, Tier.HOT)
    assert listed.checksum_algorithm is ChecksumAlgorithm.CRC64NVME
    assert listed.checksum_type is ChecksumType.FULL_OBJECT
    assert filled.catalog.version("alpha", "a") is None
    assert filled.catalog.version("beta", "a/é") is None


@pytest.mark.parametrize("removal_first", [False, True])
def test_an_overwrite_leaves_the_new_version_and_the_old_copy_as_garbage(filled, removal_first):
    filled.tell(committed(1))
    pair = [
        committed(2),
        VersionRemoved(volume_id(1), "alpha", "a", "null", "overwritten"),
    ]
    filled.tell(*(reversed(pair) if removal_first else pair), at_ms=2000)
    assert filled.catalog.version("alpha", "a").volume_id == volume_id(2)
    assert filled.catalog.volume(volume_id(1)) is None
    (garbage,) = filled.catalog.garbage(10**15, 10)
    assert (garbage.location, garbage.freed_at_ms) == (local(1), 2000)
    assert filled.catalog.totals()[Tier.HOT].volumes == 1


def test_a_move_changes_the_place_and_nothing_else(filled):
    filled.tell(committed(1), at_ms=100)
    filled.tell(decided(volume_id(1), "r9"), at_ms=200)
    (volume,) = filled.catalog.pending_moves()
    assert volume.pending == PendingMove(Tier.COLD, "r9", 200, "It is idle.")
    assert volume.stream_version == 2
    before = filled.catalog.version("alpha", "a")
    filled.tell(VolumeMoved(volume_id(1), local(1), remote(9), "0" * 16), at_ms=300)
    after = filled.catalog.version("alpha", "a")
    assert (after.location, after.etag, after.modified_at_ms) == (remote(9), before.etag, 100)
    volume = filled.catalog.volume(volume_id(1))
    assert (volume.placed_at_ms, volume.created_at_ms) == (300, 100)
    assert (volume.stream_version, volume.pending) == (3, None)
    assert filled.catalog.list_objects("alpha", ListRequest()).entries[0].tier is Tier.COLD
    assert [each.location for each in filled.catalog.garbage(300, 10)] == [local(1)]
    totals = filled.catalog.totals()
    assert (totals[Tier.HOT].volumes, totals[Tier.COLD].volumes) == (0, 1)
    assert totals[Tier.COLD].size_bytes == 1001


def test_an_abandoned_move_leaves_the_volume_where_it_was(filled):
    filled.tell(committed(1), decided(volume_id(1), "r9"))
    filled.tell(MoveAbandoned(volume_id(1), Tier.COLD, "r9", "the remote is down"))
    volume = filled.catalog.volume(volume_id(1))
    assert (volume.location, volume.pending, volume.stream_version) == (local(1), None, 3)
    assert not filled.catalog.pending_moves()
    (left,) = filled.catalog.garbage(10**15, 10)
    assert left.location.remote.name == remote_name("r9")


def test_what_an_unfinished_move_left_in_the_remote_is_garbage_when_the_volume_goes(filled):
    """Nobody else remembers the copy: after a crash it would stay there, and be paid for."""
    filled.tell(committed(1), decided(volume_id(1), "r9"))
    filled.tell(VersionRemoved(volume_id(1), "alpha", "a", "null", "deleted"))
    left = [each.location for each in filled.catalog.garbage(10**15, 10)]
    assert local(1) in left
    assert [each.remote.name for each in left if each.remote] == [remote_name("r9")]


def part(number: int, copy: int, upload: str = "u1") -> PartStored:
    return PartStored(upload, number, 5, "f" * 32, "0" * 16, local(copy))


def test_parts_left_out_and_replaced_become_garbage(filled):
    filled.tell(UploadStarted("u1", "alpha", "k", "o", "O"))
    filled.tell(part(1, 11), part(2, 12), part(3, 13), part(2, 22), at_ms=500)
    catalog = filled.catalog
    assert [each.number for each in catalog.parts("u1")] == [1, 2, 3]
    assert [each.number for each in catalog.parts("u1", after=1, limit=1)] == [2]
    assert catalog.parts("u1")[1].location == local(22)
    assert [each.location for each in catalog.garbage(500, 10)] == [local(12)]
    whole = Location(Tier.HOT, (Extent("e11", 4096, 1 << 20), Extent("e22", 4096, 1 << 20)))
    filled.tell(committed(1, "k", location=whole))
    filled.tell(UploadCompleted("u1", "alpha", "k", volume_id(1), (1, 2)), at_ms=600)
    assert catalog.upload("u1") is None
    assert not catalog.parts("u1")
    assert [each.location for each in catalog.garbage(600, 10)] == [local(12), local(13)]
    assert catalog.completed("u1") == (volume_id(1), (1, 2))
    filled.tell(VersionRemoved(volume_id(1), "alpha", "k", "null", "deleted"), at_ms=700)
    assert catalog.completed("u1") is None
    assert catalog.garbage(700, 10)[-1].location == whole


def test_an_aborted_upload_leaves_only_garbage(filled):
    filled.tell(UploadStarted("u1", "alpha", "k", "o", "O"), part(1, 11), part(2, 12))
    filled.tell(UploadAborted("u1"), part(3, 13))
    assert filled.catalog.upload("u1") is None
    assert not filled.catalog.parts("u1")
    garbage = {each.location for each in filled.catalog.garbage(10**15, 10)}
    assert garbage == {local(11), local(12), local(13)}


def test_garbage_comes_oldest_first_until_it_is_reclaimed(filled):
    for number, at_ms in ((1, 300), (2, 100), (3, 200)):
        filled.tell(committed(number, f"k{number}"))
        gone = VersionRemoved(volume_id(number), "alpha", f"k{number}", "null", "deleted")
        filled.tell(gone, at_ms=at_ms)
    catalog = filled.catalog
    assert [each.freed_at_ms for each in catalog.garbage(250, 10)] == [100, 200]
    assert [each.freed_at_ms for each in catalog.garbage(200, 1)] == [100]
    filled.tell(CopiesReclaimed(("e2", "e3", "unknown")))
    assert [each.location for each in catalog.garbage(10**15, 10)] == [local(1)]


def test_totals_count_missing_shards(filled):
    filled.tell(committed(1, "x", location=local(1, Tier.HOT, 4)))
    filled.tell(committed(2, "y", location=local(2, Tier.HOT, 0, 1)))
    filled.tell(committed(3, "z"))
    totals = filled.catalog.totals()
    assert set(totals) == set(Tier)
    assert totals[Tier.HOT].missing == {0: 1, 1: 1, 2: 1}
    assert totals[Tier.HOT].size_bytes == 1001 + 1002 + 1003
    filled.tell(VolumeMoved(volume_id(2), local(2, Tier.HOT, 0, 1), local(9, Tier.WARM), "0" * 16))
    totals = filled.catalog.totals()
    assert totals[Tier.HOT].missing == {0: 1, 1: 1}
    assert totals[Tier.WARM].missing == {0: 1}


def test_rebuilt_shards_are_missing_no_longer(filled):
    filled.tell(committed(1, "x", location=local(1, Tier.HOT, 0, 4)))
    for indices, left in (((4,), (0,)), ((4, 5), (0,)), ((0,), ())):
        filled.tell(ShardsRebuilt(volume_id(1), "e1", indices))
        volume = filled.catalog.volume(volume_id(1))
        assert volume.location == local(1, Tier.HOT, *left)
        assert filled.catalog.version("alpha", "x").location == volume.location
        totals = filled.catalog.totals()[Tier.HOT]
        assert (totals.missing, totals.volumes, totals.size_bytes) == ({len(left): 1}, 1, 1001)
    assert volume.stream_version == 4
    filled.tell(ShardsRebuilt(volume_id(1), "e2", (1,)), ShardsRebuilt(volume_id(2), "e1", (1,)))
    assert filled.catalog.volume(volume_id(1)).location == volume.location


def test_only_what_is_missing_and_still_there_is_recorded_as_rebuilt(filled):
    filled.tell(committed(1, "x", location=local(1, Tier.HOT, 0, 4)))

    def decide(extent_id, *indices):
        return record_rebuilt(
            filled.catalog, volume_id=volume_id(1), extent_id=extent_id, indices=indices
        )

    assert decide("e1", 3, 4) == [ShardsRebuilt(volume_id(1), "e1", (4,))]
    assert decide("e1", 3) == []
    with pytest.raises(Conflict):
        decide("e2", 4)
    filled.tell(VersionRemoved(volume_id(1), "alpha", "x", "null", "deleted"))
    with pytest.raises(Conflict):
        decide("e1", 4)


def test_the_prices_adopted_last_are_in_force(filled):
    assert filled.catalog.prices() is None
    filled.tell(PricesAdopted("p1", "one"), PricesAdopted("p2", "two"))
    assert filled.catalog.prices() == ("p2", "two")
    filled.tell(PricesAdopted("p1", "one"))
    assert filled.catalog.prices() == ("p1", "one")
    assert filled.catalog.prices("p2") == ("p2", "two")
    assert filled.catalog.prices("p3") is None


def test_the_longest_pinned_prefix_counts(filled):
    catalog = filled.catalog
    filled.tell(bucket_created("alpha"))
    assert catalog.pin_of("alpha", "a/b") is None
    filled.tell(TierPinned("alpha", "a/", Tier.WARM, "it is asked for by day"), at_ms=700)
    pin = catalog.pin_of("alpha", "a/b")
    assert (pin.prefix, pin.tier, pin.why) == ("a/", Tier.WARM, "it is asked for by day")
    assert (pin.by, pin.at_ms, pin.seq) == ("test", 700, 2)
    assert pin == catalog.pin_of("alpha", "a/")
    assert catalog.pin_of("alpha", "a") is None
    assert catalog.pin_of("beta", "a/b") is None
    filled.tell(TierPinned("alpha", "", Tier.COLD), TierPinned("alpha", "a/b", Tier.HOT))
    tiers = {key: catalog.pin_of("alpha", key).tier for key in ("a/bc", "a/b", "a/a", "a/é", "z")}
    assert tiers == {
        "a/bc": Tier.HOT,
        "a/b": Tier.HOT,
        "a/a": Tier.WARM,
        "a/é": Tier.WARM,
        "z": Tier.COLD,
    }
    filled.tell(TierPinned("alpha", "a/b", Tier.COLD), TierUnpinned("alpha", "a/"))
    assert [(pin.prefix, pin.tier) for pin in catalog.pins("alpha")] == [
        ("", Tier.COLD),
        ("a/b", Tier.COLD),
    ]
    assert catalog.pin_of("alpha", "a/a").prefix == ""


def test_pins_go_with_their_bucket(filled):
    filled.tell(bucket_created("alpha"), bucket_created("beta"))
    filled.tell(TierPinned("beta", "a", Tier.HOT), TierPinned("alpha", "a", Tier.WARM))
    assert [pin.bucket for pin in filled.catalog.pins()] == ["alpha", "beta"]
    filled.tell(events.BucketDeleted("alpha"), bucket_created("alpha"))
    assert filled.catalog.pin_of("alpha", "a") is None
    assert [pin.bucket for pin in filled.catalog.pins()] == ["beta"]


def test_uploads_of_one_key_are_listed_by_id_and_resumed_within_it(filled):
    for upload in ("u3", "u1", "u2"):
        filled.tell(UploadStarted(upload, "alpha", "k", "o", "O"))
    filled.tell(UploadStarted("u0", "alpha", "l/1", "o", "O"))
    filled.tell(UploadStarted("u4", "alpha", "l/2", "o", "O"))
    filled.tell(UploadStarted("u5", "beta", "k", "o", "O"))

    def listed(request, after_upload=""):
        page = filled.catalog.list_uploads("alpha", request, after_upload)
        return [each.id for each in page.entries], page.common_prefixes, page.next

    first = listed(ListRequest(delimiter="/", max_keys=2))
    assert first == (["u1", "u2"], (), Position("k", within="u2"))
    assert listed(ListRequest(delimiter="/", after=first[2])) == (["u3"], ("l/",), None)
    assert listed(ListRequest(after=Position("k")), "u1")[0] == ["u2", "u3", "u0", "u4"]
    assert listed(ListRequest(after=Position("k")))[0] == ["u0", "u4"]
    assert listed(ListRequest(prefix="l/2"))[0] == ["u4"]


OPERATIONS = st.tuples(st.sampled_from(KINDS), st.integers(0, 5), st.integers(0, 5))


@given(st.lists(OPERATIONS, max_size=60))
def test_both_catalogs_give_equal_answers_on_any_history(operations):
    memory, sql = Filled("memory"), Filled("sqlite")
    history = History()
    with closing(sql.connection):
        for operation in operations:
            told = history.step(memory.catalog, *operation)
            memory.tell(*told)
            sql.tell(*told)
        assert answers(sql.catalog, history) == answers(memory.catalog, history)


TEXT = st.text(st.sampled_from("ab/é\x00\uffff😀"), min_size=1, max_size=6)


@given(
    keys=st.sets(TEXT, max_size=30),
    prefix=st.one_of(st.just(""), TEXT),
    delimiter=st.sampled_from(["", "/", "a", "//", "é", "/a", "😀"]),
    max_keys=st.integers(0, 6),
    start=st.none() | st.builds(Position, TEXT, st.booleans()),
)
def test_sqlite_lists_as_paginate_does_from_every_position(
    keys, prefix, delimiter, max_keys, start
):
    memory, sql = Filled("memory"), Filled("sqlite")
    with closing(sql.connection):
        for number, key in enumerate(keys):
            for filled in (memory, sql):
                filled.tell(committed(number, key), committed(number + 1000, key, "beta"))
        after = start
        while True:
            request = ListRequest(prefix, delimiter, after, max_keys)
            page = sql.catalog.list_objects("alpha", request)
            assert page == memory.catalog.list_objects("alpha", request)
            if page.next is None:
                break
            after = page.next


@given(prefixes=st.sets(st.one_of(st.just(""), TEXT), max_size=12), key=TEXT)
def test_the_pin_of_a_key_is_the_longest_of_all_that_match(prefixes, key):
    memory, sql = Filled("memory"), Filled("sqlite")
    with closing(sql.connection):
        for filled in (memory, sql):
            filled.tell(*(TierPinned("alpha", each, Tier.WARM) for each in sorted(prefixes)))
        longest = max((each for each in prefixes if key.startswith(each)), key=len, default=None)
        found = memory.catalog.pin_of("alpha", key)
        assert (found and found.prefix) == longest
        assert sql.catalog.pin_of("alpha", key) == found


@given(
    entries=st.sets(st.tuples(TEXT, st.sampled_from("abc")), max_size=20),
    delimiter=st.sampled_from(["", "/", "//"]),
    max_keys=st.integers(1, 4),
    start=st.none() | st.builds(Position, TEXT),
    after_upload=st.sampled_from(["", "0a", "5b"]),
)
def test_both_list_uploads_alike(entries, delimiter, max_keys, start, after_upload):
    memory, sql = Filled("memory"), Filled("sqlite")
    with closing(sql.connection):
        for number, (key, letter) in enumerate(sorted(entries)):
            for filled in (memory, sql):
                name = f"{number % 10}{letter}{number}"
                filled.tell(UploadStarted(name, "alpha", key, "o", "O"))
        request = ListRequest("", delimiter, start, max_keys)
        while True:
            page = sql.catalog.list_uploads("alpha", request, after_upload)
            assert page == memory.catalog.list_uploads("alpha", request, after_upload)
            if page.next is None:
                break
            request, after_upload = ListRequest("", delimiter, page.next, max_keys), ""


# -- cost: no answer walks a bucket; counted in steps of SQLite's virtual machine -----------------
@pytest.fixture(scope="module")
def large():
    filled = Filled("sqlite")
    filled.connection.execute("BEGIN")
    filled.tell(BucketCreated("alpha", "o", "O", "r"))
    for number in range(5000):
        filled.tell(committed(number, f"logs/{number % 1000:03d}/{number:06d}"))
    for number in range(500):
        filled.tell(UploadStarted(f"u{number:04d}", "alpha", "one key", "o", "O"))
    filled.connection.execute("COMMIT")
    yield filled
    filled.connection.close()


def steps(filled, ask) -> int:
    count = 0

    def step():
        nonlocal count
        count += 1

    filled.connection.set_progress_handler(step, 1)
    try:
        ask(filled.catalog)
    finally:
        filled.connection.set_progress_handler(None, 0)
    return count


def test_look_ups_take_few_steps(large):
    key = "logs/007/000007"
    assert steps(large, lambda c: c.version("alpha", key)) < 60
    assert steps(large, lambda c: c.volume(volume_id(7))) < 40
    assert steps(large, lambda c: c.is_empty("alpha")) < 60
    assert steps(large, lambda c: c.totals()) < 60
    assert steps(large, lambda c: c.pending_moves()) < 40


def test_a_pin_is_found_in_few_steps_among_many():
    filled = Filled("sqlite")
    with closing(filled.connection):
        filled.tell(*(TierPinned("alpha", f"logs/{n:04}/", Tier.COLD) for n in range(1000)))
        key = "logs/0700/" + "x" * 900
        assert filled.catalog.pin_of("alpha", key).prefix == "logs/0700/"
        assert steps(filled, lambda c: c.pin_of("alpha", key)) < 60
        assert steps(filled, lambda c: c.pin_of("alpha", "logs/0700x")) < 200
        assert steps(filled, lambda c: c.pin_of("beta", key)) < 60


@pytest.mark.parametrize(
    ("asked", "limit"),
    [
        (ListRequest(delimiter="/"), 100),
        (ListRequest(max_keys=10), 300),
        (ListRequest("logs/", "/", max_keys=10), 1500),
        (ListRequest("logs/", "/", Position("logs/900/", is_prefix=True), 10), 1500),
        (ListRequest("logs/500/", "/"), 200),
    ],
)
def test_a_page_takes_steps_as_it_has_rows(large, asked, limit):
    assert steps(large, lambda c: c.list_objects("alpha", asked)) < limit


def test_resuming_among_many_uploads_of_one_key_takes_few_steps(large):
    asked = ListRequest(after=Position("one key", within="u0400"), max_keys=5)
    assert steps(large, lambda c: c.list_uploads("alpha", asked)) < 300


def test_differences_names_each_row_that_is_not_the_same():
    live, rebuilt = Filled("sqlite"), Filled("sqlite")
    with closing(live.connection), closing(rebuilt.connection):
        for filled in (live, rebuilt):
            filled.tell(bucket_created("alpha"), committed(1, "x"), committed(2, "y"))
        assert list(differences(live.connection, rebuilt.connection)) == []
        live.connection.execute("DELETE FROM objects WHERE key=x'78'")
        live.connection.execute("UPDATE volumes SET placed_at_ms=5 WHERE id=?", (volume_id(2),))
        live.connection.execute("INSERT INTO disks VALUES ('hot', 0, 'd')")
        found = {(d.table, d.key): d for d in differences(live.connection, rebuilt.connection)}
        assert set(found) == {
            ("objects", ("alpha", b"x")),
            ("volumes", (volume_id(2),)),
            ("disks", ("hot", 0)),
        }
        missing = found["objects", ("alpha", b"x")]
        assert isinstance(missing, Difference)
        assert missing.live is None
        assert missing.rebuilt is not None
        assert found["disks", ("hot", 0)].rebuilt is None


def test_every_table_is_compared():
    with closing(database()) as connection:
        names = connection.execute("SELECT name FROM sqlite_schema WHERE type='table'").fetchall()
    assert {name for (name,) in names} == set(TABLES)


def test_garbage_is_read_page_by_page(filled):
    for number in range(1, 6):
        filled.tell(committed(number), at_ms=100)
        filled.tell(
            VersionRemoved(volume_id(number), "alpha", "a", "null", "deleted"),
            at_ms=200 + number // 2,
        )
    catalog = filled.catalog
    everything = list(catalog.garbage(10**15, 100))
    assert len(everything) == 5
    paged = []
    while page := catalog.garbage(10**15, 2, paged[-1] if paged else None):
        paged += page
    assert paged == everything
