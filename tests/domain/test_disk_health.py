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


def wrong(health, times, *, may_fail=True, slow=False, now_s=0.0):
    return [health.went_wrong("EIO", now_s, slow=slow, may_fail=may_fail) for _ in range(times)]


@pytest.fixture
def failed():
    health = Health()
    wrong(health, FAILURES_TO_FAIL)
    return health


def test_one_error_is_forgiven():
    health = Health()
    for _ in range(100):
        wrong(health, FAILURES_TO_SUSPECT - 1)
        health.went_well()
    assert health.condition is Condition.HEALTHY


def test_errors_one_after_the_other_make_it_suspect_then_failed():
    health = Health()
    assert wrong(health, FAILURES_TO_SUSPECT) == [False] * FAILURES_TO_SUSPECT
    assert health.condition is Condition.SUSPECT
    assert wrong(health, FAILURES_TO_FAIL - FAILURES_TO_SUSPECT)[-1]
    assert health.condition is Condition.FAILED
    assert health.reason == "EIO"


def test_the_last_that_is_needed_is_not_set_aside():
    health = Health()
    assert not any(wrong(health, 100, may_fail=False))
    assert health.condition is Condition.SUSPECT


def test_it_takes_a_while_to_be_trusted_again():
    health = Health()
    wrong(health, FAILURES_TO_SUSPECT)
    for _ in range(SUCCESSES_TO_HEALTHY - 1):
        health.went_well()
    assert health.condition is Condition.SUSPECT
    health.went_well()
    assert (health.condition, health.reason) == (Condition.HEALTHY, "")


def test_a_failed_disk_is_probed_and_let_in_after_several_good_answers(failed):
    assert not failed.probe_is_due(0.0)
    now_s = PROBE_FIRST_S
    for number in range(PROBES_TO_READMIT):
        assert failed.probe_is_due(now_s)
        assert failed.probed("", now_s) == (number == PROBES_TO_READMIT - 1)
        now_s += PROBE_FIRST_S
    assert failed.condition is Condition.SUSPECT


def test_a_bad_answer_begins_anew_and_later(failed):
    now_s, pauses = 0.0, []
    for _ in range(20):
        begun_s = now_s
        while not failed.probe_is_due(now_s):
            now_s += 0.5
        pauses.append(now_s - begun_s)
        failed.probed("still EIO", now_s)
    assert pauses == sorted(pauses)
    assert pauses[-1] == PROBE_MAX_S
    assert failed.reason == "still EIO"
    failed.probed("", now_s)
    failed.probed("EIO", now_s)
    failed.probed("", now_s)
    assert failed.condition is Condition.FAILED
