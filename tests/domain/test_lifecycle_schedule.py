"""When a lifecycle rule acts on which version of a key."""

from dataclasses import replace

import pytest

from stratum.domain.lifecycle import (
    DAY_MS,
    Expiration,
    Filter,
    Lifecycle,
    NoncurrentExpiration,
    NoncurrentTransition,
    Rule,
    Step,
    Transition,
)
from stratum.domain.lifecycle_schedule import (
    Change,
    Clock,
    Entry,
    Expire,
    Position,
    Verdict,
    abortion_of,
    expiration_of,
    judge,
    positions,
)

MIDNIGHT_MS = 20_000 * DAY_MS
NOON_MS = MIDNIGHT_MS + DAY_MS // 2
RULE = Rule("r", enabled=True)
CURRENT = Position()
NOTHING = Verdict(None, 0)


def days(number):
    """Midnight, some days after the one before noon."""
    return MIDNIGHT_MS + number * DAY_MS


def rules(*changes):
    return Lifecycle(tuple(replace(RULE, **each) for each in changes))


def version(at_ms=NOON_MS, **fields):
    return Entry("v", at_ms, **{"size_bytes": 10, **fields})


def marker(at_ms=NOON_MS):
    return Entry("m", at_ms, is_marker=True)


EXPIRES = rules({"expiration": Expiration(days=3)})


# -- days ---------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("since_ms", "due_ms"),
    [
        (MIDNIGHT_MS, days(3)),
        (MIDNIGHT_MS + 1, days(4)),
        (NOON_MS, days(4)),
        (days(1) - 1, days(4)),
        (days(1), days(4)),
    ],
)
def test_days_end_at_midnight(since_ms, due_ms):
    assert Clock(0).due_ms(since_ms, 3) == due_ms


def test_a_short_day_ends_at_its_own_multiples():
    assert Clock(0, day_ms=10_000).due_ms(14_000, 1) == 30_000


@pytest.mark.parametrize(
    ("now_ms", "verdict"),
    [
        (NOON_MS, Verdict(None, days(4))),
        (days(4) - 1, Verdict(None, days(4))),
        (days(4), Verdict(Expire("r", days(4)), 0)),
        (days(9), Verdict(Expire("r", days(4)), 0)),
    ],
)
def test_a_current_version_expires_when_its_days_are_over(now_ms, verdict):
    assert judge(EXPIRES, "k", version(), CURRENT, Clock(now_ms)) == verdict


def test_a_date_counts_for_all_versions_old_and_new():
    dated = rules({"expiration": Expiration(date_ms=days(2))})
    assert judge(dated, "k", version(), CURRENT, Clock(NOON_MS)) == Verdict(None, days(2))
    young = version(days(5))
    assert judge(dated, "k", young, CURRENT, Clock(days(5))).action == Expire("r", days(2))


@pytest.mark.parametrize("change", [{"enabled": False}, {"filter": Filter("other/")}])
def test_a_rule_that_is_off_or_for_others_does_nothing(change):
    idle = Lifecycle((replace(EXPIRES.rules[0], **change),))
    assert judge(idle, "k", version(), CURRENT, Clock(days(9))) == NOTHING


def test_the_shortest_expiration_counts():
    both = rules({"expiration": Expiration(days=9)}, {"expiration": Expiration(days=3)})
    assert judge(both, "k", version(), CURRENT, Clock(NOON_MS)).look_at_ms == days(4)


# -- noncurrent versions ------------------------------------------------------------------------
def test_noncurrent_versions_count_from_when_they_became_so():
    lifecycle = rules({"noncurrent_expiration": NoncurrentExpiration(2)})
    since_ms = days(7) + 1
    old = Position(noncurrent_since_ms=since_ms)
    assert judge(lifecycle, "k", version(), old, Clock(days(9))) == Verdict(None, days(10))
    assert judge(lifecycle, "k", version(), old, Clock(days(10))).action == Expire("r", days(10))
    assert judge(lifecycle, "k", version(), CURRENT, Clock(days(99))) == NOTHING


def test_the_expiration_of_current_versions_leaves_noncurrent_ones():
    old = Position(noncurrent_since_ms=NOON_MS)
    assert judge(EXPIRES, "k", version(), old, Clock(days(99))) == NOTHING


def test_as_many_noncurrent_versions_stay_as_are_to_be_kept():
    lifecycle = rules({"noncurrent_expiration": NoncurrentExpiration(1, keep=2)})
    history = [version(days(number)) for number in range(5, 0, -1)]
    gone = [
        judge(lifecycle, "k", entry, position, Clock(days(99))).action is not None
        for entry, position in positions(history)
    ]
    assert gone == [False, False, False, True, True]


def test_positions_count_versions_and_not_markers():
    history = [marker(5), version(4), marker(3), version(2)]
    assert [position for _, position in positions(history)] == [
        Position(alone=False),
        Position(noncurrent_since_ms=5, newer_noncurrent=0),
        Position(noncurrent_since_ms=4, newer_noncurrent=1),
        Position(noncurrent_since_ms=3, newer_noncurrent=1),
    ]
    assert [position for _, position in positions([marker()])] == [Position(alone=True)]
    assert list(positions([])) == []


def test_a_locked_version_stays_until_its_lock_ends():
    lifecycle = rules({"noncurrent_expiration": NoncurrentExpiration(1)})
    old = Position(noncurrent_since_ms=NOON_MS)
    locked = version(protected_until_ms=days(7) + 5)
    assert judge(lifecycle, "k", locked, old, Clock(days(6))) == Verdict(None, days(7) + 5)
    assert judge(lifecycle, "k", locked, old, Clock(days(8))).action == Expire("r", days(7) + 5)
    held = version(protected_until_ms=None)
    assert judge(lifecycle, "k", held, old, Clock(days(99))) == NOTHING


def test_positions_go_on_where_a_page_ended():
    history = [version(days(number)) for number in range(9, 0, -1)]
    whole = list(positions(history))
    entry, position = whole[3]
    rest = list(positions(history[4:], entry, position.newer_noncurrent + 1))
    assert rest == whole[4:]


# -- delete markers -----------------------------------------------------------------------------
ALONE = Position(alone=True)


def test_a_marker_that_hides_nothing_goes_at_once_if_a_rule_says_so():
    lifecycle = rules({"expiration": Expiration(lone_marker=True)})
    assert judge(lifecycle, "k", marker(), ALONE, Clock(NOON_MS)).action == Expire("r", NOON_MS)
    assert judge(lifecycle, "k", marker(), CURRENT, Clock(NOON_MS)) == NOTHING
    assert judge(lifecycle, "k", version(), ALONE, Clock(days(99))) == NOTHING


def test_a_marker_that_hides_nothing_goes_when_it_is_old_enough_to_expire():
    assert judge(EXPIRES, "k", marker(), ALONE, Clock(NOON_MS)) == Verdict(None, days(4))
    assert judge(EXPIRES, "k", marker(), ALONE, Clock(days(4))).action == Expire("r", days(4))
    assert judge(EXPIRES, "k", marker(), CURRENT, Clock(days(4))) == NOTHING


def test_a_rule_with_tags_leaves_markers():
    tagged = Lifecycle((replace(EXPIRES.rules[0], filter=Filter(tags={"a": "b"})),))
    assert judge(tagged, "k", marker(), ALONE, Clock(days(99))) == NOTHING


def test_noncurrent_markers_go_with_noncurrent_versions_and_never_move():
    old = Position(noncurrent_since_ms=NOON_MS)
    lifecycle = rules(
        {
            "noncurrent_expiration": NoncurrentExpiration(9),
            "noncurrent_transitions": (NoncurrentTransition("GLACIER", 1),),
        }
    )
    assert judge(lifecycle, "k", marker(), old, Clock(days(5))) == Verdict(None, days(10))
    assert judge(lifecycle, "k", marker(), old, Clock(days(10))).action == Expire("r", days(10))


# -- transitions --------------------------------------------------------------------------------
TO_IA, TO_GLACIER = Step("r", "STANDARD_IA", 1), Step("r", "GLACIER", 5)
HOPS = rules({"transitions": (Transition("STANDARD_IA", 1), Transition("GLACIER", 5))})


@pytest.mark.parametrize(
    ("storage_class", "now_ms", "verdict"),
    [
        ("STANDARD", NOON_MS, Verdict(None, days(2))),
        ("STANDARD", days(2), Verdict(Change(TO_IA, days(2)), days(6))),
        ("STANDARD_IA", days(2), Verdict(None, days(6))),
        ("STANDARD_IA", days(6), Verdict(Change(TO_GLACIER, days(6)), 0)),
        ("STANDARD", days(6), Verdict(Change(TO_GLACIER, days(6)), 0)),
        ("GLACIER", days(6), NOTHING),
        ("DEEP_ARCHIVE", days(6), NOTHING),
        ("REDUCED_REDUNDANCY", days(2), Verdict(Change(TO_IA, days(2)), days(6))),
    ],
)
def test_several_hops_down_the_waterfall_and_never_up(storage_class, now_ms, verdict):
    moving = version(storage_class=storage_class)
    assert judge(HOPS, "k", moving, CURRENT, Clock(now_ms)) == verdict


def test_noncurrent_versions_have_hops_of_their_own():
    lifecycle = rules({"noncurrent_transitions": (NoncurrentTransition("GLACIER", 1, keep=1),)})
    kept = Position(noncurrent_since_ms=NOON_MS, newer_noncurrent=0)
    assert judge(lifecycle, "k", version(), kept, Clock(days(9))) == NOTHING
    moving = replace(kept, newer_noncurrent=1)
    change = judge(lifecycle, "k", version(), moving, Clock(days(9))).action
    assert change == Change(Step("r", "GLACIER", 1, noncurrent=True), days(2))


def test_the_colder_class_wins():
    both = rules(
        {"id": "a", "transitions": (Transition("GLACIER", 1),)},
        {"id": "b", "transitions": (Transition("STANDARD_IA", 1),)},
    )
    assert judge(both, "k", version(), CURRENT, Clock(days(9))).action.step.rule == "a"


def test_deletion_wins_over_a_move_and_a_move_over_a_delete_marker():
    both = rules({"expiration": Expiration(3)}, {"transitions": (Transition("GLACIER", 1),)})
    clock = Clock(days(9))
    assert isinstance(judge(both, "k", version(), CURRENT, clock).action, Expire)
    moved_first = judge(both, "k", version(), CURRENT, clock, versioned=True)
    assert moved_first == Verdict(Change(Step("r", "GLACIER", 1), days(2)), clock.now_ms)
    then = judge(both, "k", version(storage_class="GLACIER"), CURRENT, clock, versioned=True)
    assert isinstance(then.action, Expire)


def test_small_objects_stay_if_the_configuration_says_so():
    lifecycle = replace(HOPS, transition_minimum_bytes=11)
    assert judge(lifecycle, "k", version(), CURRENT, Clock(days(9))) == NOTHING
    assert judge(lifecycle, "k", version(size_bytes=11), CURRENT, Clock(days(9))).action
    sized = replace(lifecycle.rules[0], filter=Filter(larger_than_bytes=1))
    by_size = replace(lifecycle, rules=(sized,))
    assert judge(by_size, "k", version(), CURRENT, Clock(days(9))).action


# -- what clients are told ----------------------------------------------------------------------
def test_the_expiration_told_is_the_first_and_counts_calendar_days():
    lifecycle = rules(
        {"id": "later", "expiration": Expiration(9)},
        {"id": "first", "expiration": Expiration(3)},
        {"id": "marker", "expiration": Expiration(lone_marker=True)},
        {"id": "tagged", "expiration": Expiration(1), "filter": Filter(tags={"a": "b"})},
    )
    assert expiration_of(lifecycle, "k", 10, {}, NOON_MS) == (days(4), "first")
    assert expiration_of(lifecycle, "k", 10, {"a": "b"}, NOON_MS) == (days(2), "tagged")
    assert expiration_of(HOPS, "k", 10, {}, NOON_MS) is None


def test_uploads_are_aborted_some_days_after_they_were_begun():
    lifecycle = rules(
        {"id": "a", "abort_upload_days": 7}, {"id": "b", "abort_upload_days": 2}, {"id": "c"}
    )
    assert abortion_of(lifecycle, "k", NOON_MS) == (days(3), "b")
    assert abortion_of(lifecycle, "k", 14_000, day_ms=10_000) == (40_000, "b")
    assert abortion_of(EXPIRES, "k", NOON_MS) is None
