import pytest

from stratum.domain.disk_health import (
    FAILURES_TO_FAIL,
    FAILURES_TO_SUSPECT,
    PROBE_FIRST_S,
    PROBE_MAX_S,
    PROBES_TO_READMIT,
    SUCCESSES_TO_HEALTHY,
    Condition,
    Health,
)


def slow(health, times, *, may_set_aside=True, now_s=0.0):
    """Whether each of so many slow calls set it aside."""
    return [health.was_slow("slow", now_s, may_set_aside=may_set_aside) for _ in range(times)]


def err(health, times):
    for _ in range(times):
        health.erred("EIO")


@pytest.fixture
def aside():
    health = Health()
    assert slow(health, FAILURES_TO_FAIL)[-1]
    return health


def test_one_error_is_forgiven():
    health = Health()
    for _ in range(100):
        err(health, FAILURES_TO_SUSPECT - 1)
        health.went_well()
    assert health.condition is Condition.HEALTHY


def test_errors_make_it_suspect_then_failed_and_it_is_still_asked():
    health = Health()
    err(health, FAILURES_TO_SUSPECT)
    assert health.condition is Condition.SUSPECT
    err(health, FAILURES_TO_FAIL - FAILURES_TO_SUSPECT)
    assert (health.condition, health.reason) == (Condition.FAILED, "EIO")
    assert not health.is_set_aside
    for _ in range(PROBES_TO_READMIT):
        assert health.condition is Condition.FAILED
        health.went_well()
    assert health.condition is Condition.SUSPECT


def test_slow_calls_set_it_aside():
    health = Health()
    assert slow(health, FAILURES_TO_FAIL) == [False] * (FAILURES_TO_FAIL - 1) + [True]
    assert (health.condition, health.is_set_aside) == (Condition.FAILED, True)
    assert not any(slow(health, 3))


def test_one_that_is_needed_is_not_set_aside():
    health = Health()
    assert not any(slow(health, 100, may_set_aside=False))
    assert not health.is_set_aside


def test_calls_from_before_do_not_let_it_in(aside):
    for _ in range(100):
        aside.went_well()
    assert aside.is_set_aside


def test_it_takes_a_while_to_be_trusted_again():
    health = Health()
    err(health, FAILURES_TO_SUSPECT)
    for _ in range(SUCCESSES_TO_HEALTHY - 1):
        health.went_well()
    assert health.condition is Condition.SUSPECT
    health.went_well()
    assert (health.condition, health.reason) == (Condition.HEALTHY, "")


def test_it_is_probed_and_let_in_after_several_good_answers(aside):
    assert not aside.probe_is_due(0.0)
    now_s = PROBE_FIRST_S
    for number in range(PROBES_TO_READMIT):
        assert aside.probe_is_due(now_s)
        assert aside.probed("", now_s) == (number == PROBES_TO_READMIT - 1)
        now_s += PROBE_FIRST_S
    assert (aside.condition, aside.is_set_aside) == (Condition.SUSPECT, False)


def test_a_bad_answer_begins_anew_and_later(aside):
    now_s, pauses = 0.0, []
    for _ in range(20):
        begun_s = now_s
        while not aside.probe_is_due(now_s):
            now_s += 0.5
        pauses.append(now_s - begun_s)
        aside.probed("still", now_s)
    assert pauses == sorted(pauses)
    assert pauses[-1] == PROBE_MAX_S
    assert aside.reason == "still"
    aside.probed("", now_s)
    aside.probed("EIO", now_s)
    aside.probed("", now_s)
    assert aside.is_set_aside
