"""Lifecycle rules at work: on time, on what they mean, and on nothing else."""

from dataclasses import replace

import pytest
import trio

from stratum.app.explain import render_text
from stratum.app.lifecycle import IDLE, WALK_PAGE
from stratum.app.rederive import rederive
from stratum.domain.errors import DiskFailed, InvalidStorageClass
from stratum.domain.events import (
    DeleteMarkerCreated,
    PricesAdopted,
    TierDecided,
    UploadAborted,
    VersionChanged,
    VersionRemoved,
)
from stratum.domain.lifecycle import (
    Expiration,
    NoncurrentExpiration,
    NoncurrentTransition,
    Transition,
)
from stratum.domain.listing import ListRequest
from stratum.domain.names import ObjectKey, Tier
from stratum.domain.notification import EventName
from stratum.domain.object_lock import LockMode, ObjectLock, Retention
from stratum.domain.settings import Versioning
from stratum.domain.tiering import derive_again
from tests.support.lifecycle_store import LifecycleStore, rule
from tests.support.tiering_world import BUCKET, PRICES

HOT, WARM, COLD = Tier


@pytest.fixture
async def store():
    return LifecycleStore(day_s=10.0)


# -- expiration ---------------------------------------------------------------------------------
async def test_objects_expire_when_their_days_are_over_and_no_others(store, autojump_clock):
    await store.put("old/a", b"1")
    await store.put("other/a", b"1")
    async with store.acting():
        await store.set_rules(rule(prefix="old/", expiration=Expiration(days=2)))
        await store.put("old/b", b"1")
        await store.days(1.5)
        assert store.keys() == ["old/a", "old/b", "other/a"]
        await store.days(2)
        assert store.keys() == ["other/a"]
        await store.put("old/c", b"1")
        await store.days(3.1)
        assert store.keys() == ["other/a"]
    removed = await store.events(VersionRemoved)
    assert {(each.by, each.event.reason) for each in removed} == {("lifecycle", "lifecycle rule r")}


async def test_a_user_may_have_the_name_of_the_worker(store, autojump_clock):
    async with store.acting():
        await store.set_rules(rule(expiration=Expiration(days=2)))
        transact = store.journal.transact
        store.journal.transact = lambda decide, *, by: transact(decide, by="lifecycle")
        await store.put("a", b"1")
        await store.days(3.1)
        assert store.keys() == []


async def test_an_overwritten_object_has_its_days_again(store, autojump_clock):
    async with store.acting():
        await store.set_rules(rule(expiration=Expiration(days=2)))
        await store.put("a", b"1")
        await store.days(1.9)
        await store.put("a", b"2")
        await store.days(1.9)
        assert store.keys() == ["a"]
        await store.days(1.2)
        assert store.keys() == []


async def test_tags_decide_even_when_they_come_later(store, autojump_clock):
    async with store.acting():
        await store.set_rules(rule(tags={"temp": ""}, expiration=Expiration(days=2)))
        await store.put_with("tagged", tags={"temp": ""})
        await store.put_with("untagged", tags={"temp": ""})
        await store.put("late", b"1")
        await store.days(1)
        await store.tag("untagged")
        await store.days(3)
        assert store.keys() == ["late", "untagged"]
        await store.tag("late", temp="")
        await store.days(0.2)
        assert store.keys() == ["untagged"]


async def test_rules_that_are_taken_back_do_nothing_any_more(store, autojump_clock):
    async with store.acting():
        await store.set_rules(rule(expiration=Expiration(days=2)))
        await store.put("a", b"1")
        await store.days(1)
        await store.set_rules()
        await store.days(9.2)
        assert store.keys() == ["a"]
        await store.set_rules(rule(expiration=Expiration(days=2)))
        await store.days(0.3)
        assert store.keys() == ["a"]  # not before midnight
        await store.days(1)
        assert store.keys() == []


async def test_a_rule_for_longer_replaces_one_for_shorter(store, autojump_clock):
    async with store.acting():
        await store.put("a", b"1")
        await store.set_rules(rule(expiration=Expiration(days=1)))
        await store.days(0.5)
        await store.set_rules(rule(expiration=Expiration(days=5)))
        await store.days(3)
        assert store.keys() == ["a"]
        await store.days(4)
        assert store.keys() == []


# -- versions -----------------------------------------------------------------------------------
async def test_a_current_version_is_hidden_and_a_noncurrent_one_removed(store, autojump_clock):
    await store.version_it()
    async with store.acting():
        await store.set_rules(
            rule(expiration=Expiration(days=2), noncurrent_expiration=NoncurrentExpiration(3))
        )
        await store.put("a", b"1")
        await store.days(3.1)
        assert store.keys() == []
        assert store.history("a")[0] == "marker"
        assert len(store.history("a")) == 2
        await store.days(4.1)  # then the marker hides nothing, and is old enough itself
        assert store.history("a") == []
    (marker,) = await store.events(DeleteMarkerCreated)
    assert (marker.by, marker.event.owner_name) == ("lifecycle", "alice")
    assert [change.event for change in store.told] == [
        EventName.EXPIRED_MARKER,
        EventName.EXPIRED,
        EventName.EXPIRED,
    ]
    assert {(change.bucket, change.key) for change in store.told} == {(BUCKET, "a")}


async def test_a_marker_that_hides_nothing_goes_at_once_if_a_rule_says_so(store, autojump_clock):
    await store.version_it()
    async with store.acting():
        await store.set_rules(rule(expiration=Expiration(lone_marker=True)))
        version = await store.put_with("a")
        await store.delete("a")
        await store.days(5)
        assert store.history("a") == ["marker", version]
        await store.delete("a", version)
        await store.days(0.1)
        assert store.history("a") == []


async def test_the_newest_noncurrent_versions_are_kept(store, autojump_clock):
    await store.version_it()
    versions = [await store.put_with("a") for _ in range(8)]
    async with store.acting():
        await store.set_rules(rule(noncurrent_expiration=NoncurrentExpiration(1, keep=2)))
        await store.days(2.1)
        assert store.history("a") == [versions[7], versions[6], versions[5]]
        newer = await store.put_with("a")
        await store.days(0.2)
        assert store.history("a") == [newer, versions[7], versions[6]]


async def test_a_key_with_very_many_versions(store, autojump_clock):
    await store.version_it()
    versions = [await store.put_with("a") for _ in range(600)]
    async with store.acting():
        await store.set_rules(rule(noncurrent_expiration=NoncurrentExpiration(1, keep=100)))
        await store.days(2.5)
        assert store.history("a") == versions[:-102:-1]


async def test_suspended_versioning(store, autojump_clock):
    await store.version_it()
    kept = await store.put_with("a")
    await store.version_it(Versioning.SUSPENDED)
    async with store.acting():
        await store.set_rules(rule(expiration=Expiration(days=1)))
        assert await store.put_with("a") == "null"
        await store.days(2.1)
        assert store.history("a") == ["marker", kept]


async def test_a_locked_version_stays_until_its_lock_ends(store, autojump_clock):
    await store.version_it()
    await store.configure("object_lock", object_lock=ObjectLock())
    until_ms = store.now_ms() + 45_000
    held = await store.put_with("held", legal_hold=True)
    locked = await store.put_with("k", retention=Retention(LockMode.COMPLIANCE, until_ms))
    for key in ("held", "k"):
        await store.put_with(key)
    async with store.acting():
        await store.set_rules(rule(noncurrent_expiration=NoncurrentExpiration(1)))
        await store.days(4)
        assert held in store.history("held")
        assert locked in store.history("k")
        await store.days(1)
        assert held in store.history("held")
        assert locked not in store.history("k")


# -- transitions --------------------------------------------------------------------------------
async def test_an_object_moves_in_several_hops_and_explain_says_why(store, autojump_clock):
    await store.put("a", b"1" * 1000)
    async with store.acting():
        await store.set_rules(
            rule("archive", transitions=(Transition("STANDARD_IA", 1), Transition("GLACIER", 4)))
        )
        await store.days(0.5)
        assert (await store.explain("a")).lifecycle == (
            "rule archive: to STANDARD_IA, 2023-11-14 22:13:30 UTC",
            "rule archive: to GLACIER, 2023-11-14 22:14:00 UTC",
        )
        await store.days(1.6)
        await store.settled()
        assert store.tier("a") is WARM
        explanation = await store.explain("a")
        assert "lifecycle: rule archive: to GLACIER, 2023" in render_text(explanation, 0)
        assert "lifecycle rule archive moves objects to STANDARD_IA after 1 tiering day" in (
            explanation.placed_because
        )
        await store.days(3.1)
        await store.settled()
        assert store.tier("a") is COLD
    version = store.objects.head(BUCKET, ObjectKey("a"))
    assert version.attributes.storage_class == "GLACIER"
    decided = [each.event.decision for each in await store.events(TierDecided)]
    assert [(each.policy, each.source, each.target) for each in decided] == [
        ("lifecycle.1", HOT, WARM),
        ("lifecycle.1", WARM, COLD),
    ]


async def test_decisions_of_rules_are_derived_again_from_their_record(store, autojump_clock):
    await store.version_it()
    old = await store.put_with("a")
    await store.put_with("a")
    async with store.acting():
        await store.journal.transact(lambda _: [_prices()], by="operator")
        await store.set_rules(rule(noncurrent_transitions=(NoncurrentTransition("GLACIER_IR", 1),)))
        await store.days(2.1)
    derived = [each async for each in rederive(store.journal, {})]
    assert [each.difference for each in derived] == [""]
    decided = derived[0].recorded.event
    version = store.journal.catalog.version_by_id(BUCKET, ObjectKey("a"), old)
    assert decided.volume_id == version.volume_id
    early = replace(decided.decision, facts={**decided.decision.facts, "counted_days": 0.5})
    assert derive_again(early, {}, PRICES) is None


def _prices():
    return PricesAdopted(PRICES.version(), PRICES.document())


async def test_a_pinned_key_stays_where_it_is_pinned(store, autojump_clock):
    await store.put("a", b"1")
    await store.pin("a", HOT)
    async with store.acting():
        await store.set_rules(rule(transitions=(Transition("GLACIER", 1),)))
        await store.days(4)
        assert store.tier("a") is HOT
        assert await store.events(TierDecided, VersionChanged) == []
        await store.unpin("a")
        await store.days(2)
        await store.settled()
        assert store.tier("a") is COLD


async def test_without_a_cold_tier_nothing_is_said_to_lie_there(autojump_clock):
    store = LifecycleStore(day_s=10.0, cold=False)
    await store.put("a", b"1")
    async with store.acting():
        await store.set_rules(rule(transitions=(Transition("GLACIER", 1),)))
        await store.days(2.1)
        looked_at = await store.timers.next_due_ms()
        assert looked_at > store.now_ms()
    assert store.tier("a") is HOT
    assert await store.events(TierDecided, VersionChanged) == []
    with pytest.raises(InvalidStorageClass):
        store.lifecycle.check_classes([rule(transitions=(Transition("GLACIER", 1),))])
    store.lifecycle.check_classes([rule(transitions=(Transition("STANDARD_IA", 1),))])


# -- uploads ------------------------------------------------------------------------------------
async def test_incomplete_uploads_are_aborted(store, autojump_clock):
    before = await store.start_upload("a/1")
    await store.put_part(before, 1, b"1")
    await store.start_upload("b/1")
    async with store.acting():
        await store.set_rules(rule(prefix="a/", abort_upload_days=2))
        after = await store.start_upload("a/2")
        done = await store.start_upload("a/3")
        named = [await store.put_part(done, 1, b"1")]
        await store.complete(done, named)
        await store.days(3.1)
    page = await store.uploads.list(BUCKET, ListRequest())
    assert [upload.key for upload in page.entries] == ["b/1"]
    aborted = await store.events(UploadAborted)
    assert {each.event.upload_id for each in aborted} == {before.id, after.id}
    assert {(each.by, each.event.reason) for each in aborted} == {("lifecycle", "lifecycle rule r")}
    assert store.keys() == ["a/3"]


# -- the worker ---------------------------------------------------------------------------------
async def test_without_rules_nothing_is_read_or_remembered(store, autojump_clock):
    async with store.acting():
        for number in range(20):
            await store.put(f"k{number}", b"1")
        await store.days(5)
    assert await store.timers.position() is None
    assert await store.timers.next_due_ms() is None


async def test_a_walk_goes_on_where_a_crash_cut_it_short(store, autojump_clock):
    count = WALK_PAGE + 20
    for number in range(count):
        await store.put(f"k{number:04}", b"1")
    await store.set_rules(rule(expiration=Expiration(days=4)))
    await store.lifecycle.step()  # the first page
    (walk,) = await store.timers.walks()
    assert walk.after_key == f"k{WALK_PAGE - 1:04}"
    again = store.restarted()
    async with again.acting():
        await again.days(0.5)
        assert await again.timers.walks() == []
        assert len(await again.timers.due(again.now_ms() + 100_000, 1000)) == count
        await again.days(5)
        assert again.keys() == []


async def test_what_happened_while_the_worker_was_away_is_followed(store, autojump_clock):
    await store.set_rules(rule(expiration=Expiration(days=2)))
    async with store.acting():
        await store.days(0.1)
    await store.put("a", b"1")
    again = store.restarted()
    async with again.acting():
        await again.days(3.1)
        assert again.keys() == []


async def test_lost_timers_are_made_anew(store, autojump_clock):
    await store.put("a", b"1")
    await store.start_upload("u")
    await store.set_rules(rule(expiration=Expiration(days=2)), rule("u", abort_upload_days=3))
    async with store.acting():
        await store.days(0.1)
    again = store.restarted()
    again.timers.__init__()
    async with again.acting():
        await again.days(4.1)
    assert again.keys() == []
    assert (await again.uploads.list(BUCKET, ListRequest())).entries == ()


async def test_timers_of_a_longer_journal_are_made_anew(store, autojump_clock):
    """The journal was restored from a backup, and what counts its events was not."""
    await store.put("a", b"1")
    await store.set_rules(rule(expiration=Expiration(days=2)))
    await store.timers.record(position=1_000_000)
    async with store.acting():
        await store.put("b", b"1")
        await store.days(3.1)
        assert store.keys() == []


async def test_after_a_time_without_rules_everything_is_walked(store, autojump_clock):
    async with store.acting():
        await store.set_rules(rule(expiration=Expiration(days=2)))
        await store.days(0.1)
        await store.set_rules()
        await store.days(0.1)
        assert await store.timers.position() == IDLE
        await store.put("a", b"1")
        await store.days(5)
        await store.set_rules(rule(expiration=Expiration(days=2)))
        await store.days(1.1)
        assert store.keys() == []


async def test_trouble_is_tried_again(store, autojump_clock):
    await store.put("a", b"1")
    transact, failures = store.journal.transact, [0]

    async def fail_twice(decide, *, by):
        if by == "lifecycle" and failures[0] < 2:
            failures[0] += 1
            raise DiskFailed("for a moment")
        return await transact(decide, by=by)

    store.journal.transact = fail_twice
    async with store.acting():
        await store.set_rules(rule(expiration=Expiration(days=1)))
        await store.days(5)
        assert store.keys() == []
    assert failures == [2]


async def test_an_object_written_again_before_its_end_is_judged_as_it_is(store, autojump_clock):
    """Between the look and the transaction a client overwrites the object."""
    await store.put("a", b"1")
    query = store.journal.query
    overwritten = False

    async def overwrite_after(question):
        nonlocal overwritten
        answer = await query(question)
        looks = answer.values() if isinstance(answer, dict) else ()
        if any(seen.due for seen in looks) and not overwritten:
            overwritten = True
            await store.put("a", b"2")
        return answer

    async with store.acting():
        await store.set_rules(rule(expiration=Expiration(days=1)))
        await trio.sleep(0.1)
        store.journal.query = overwrite_after
        await store.days(1.5)
        assert overwritten
        assert await store.peek("a") == b"2"
        await store.days(2)
        assert store.keys() == []
