"""Which changes and deletions a lock allows: the tables of the user guide."""

import pytest

from stratum.domain.errors import (
    AccessDenied,
    InvalidArgument,
    InvalidRequest,
    InvalidRetentionPeriod,
)
from stratum.domain.object_lock import (
    DAY_MS,
    DEFAULT_DAYS_MAX,
    DEFAULT_YEARS_MAX,
    UNPROTECTED,
    DefaultRetention,
    LockMode,
    ObjectLock,
    Protection,
    Retention,
    check_asked,
    check_change,
    check_removal,
    default_retention,
    with_default,
)


def protect_new(asked, lock, now_ms):
    check_asked(asked, lock, now_ms)
    return with_default(asked, lock, now_ms)


GOVERNANCE, COMPLIANCE = LockMode
NOW_MS = 1_790_000_000_000
LATER_MS = NOW_MS + DAY_MS


def retained(mode, until_ms=LATER_MS):
    return Protection(Retention(mode, until_ms))


HELD = Protection(legal_hold=True)


@pytest.mark.parametrize(
    ("protection", "without", "bypassing"),
    [
        (UNPROTECTED, True, True),
        (Protection(legal_hold=False), True, True),
        (HELD, False, False),
        (retained(GOVERNANCE), False, True),
        (retained(COMPLIANCE), False, False),
        (retained(GOVERNANCE, NOW_MS), True, True),
        (retained(COMPLIANCE, NOW_MS), True, True),
        (Protection(Retention(GOVERNANCE, LATER_MS), legal_hold=True), False, False),
        (Protection(Retention(GOVERNANCE, LATER_MS), legal_hold=False), False, True),
    ],
)
def test_who_may_delete_a_version(protection, without, bypassing):
    for bypass, allowed in ((False, without), (True, bypassing)):
        if allowed:
            check_removal(protection, NOW_MS, bypass=bypass)
        else:
            with pytest.raises(AccessDenied):
                check_removal(protection, NOW_MS, bypass=bypass)


NONE = None
GOVERNED, GOVERNED_LONGER = Retention(GOVERNANCE, LATER_MS), Retention(GOVERNANCE, LATER_MS + 1)
COMPLIED, COMPLIED_LONGER = Retention(COMPLIANCE, LATER_MS), Retention(COMPLIANCE, LATER_MS + 1)


@pytest.mark.parametrize(
    ("current", "new", "without", "bypassing"),
    [
        (NONE, GOVERNED, True, True),
        (NONE, NONE, True, True),
        (GOVERNED, GOVERNED, True, True),
        (GOVERNED, GOVERNED_LONGER, True, True),
        (GOVERNED_LONGER, GOVERNED, False, True),
        (GOVERNED, NONE, False, True),
        (GOVERNED, COMPLIED, False, True),
        (COMPLIED, COMPLIED_LONGER, True, True),
        (COMPLIED_LONGER, COMPLIED, False, False),
        (COMPLIED, GOVERNED_LONGER, False, False),
        (COMPLIED, NONE, False, False),
        (Retention(COMPLIANCE, NOW_MS), NONE, True, True),
    ],
)
def test_which_retention_may_replace_another(current, new, without, bypassing):
    for bypass, allowed in ((False, without), (True, bypassing)):
        if allowed:
            check_change(current, new, NOW_MS, bypass=bypass)
        else:
            with pytest.raises(AccessDenied):
                check_change(current, new, NOW_MS, bypass=bypass)


def test_a_new_version_gets_what_was_asked_for_or_the_default():
    lock = ObjectLock(DefaultRetention(GOVERNANCE, years=1))
    by_default = Retention(GOVERNANCE, NOW_MS + 365 * DAY_MS)
    assert protect_new(UNPROTECTED, lock, NOW_MS) == Protection(by_default)
    assert protect_new(HELD, lock, NOW_MS) == Protection(by_default, legal_hold=True)
    assert protect_new(retained(COMPLIANCE), lock, NOW_MS) == retained(COMPLIANCE)
    assert protect_new(UNPROTECTED, ObjectLock(), NOW_MS) == UNPROTECTED
    assert protect_new(UNPROTECTED, None, NOW_MS) == UNPROTECTED


def test_a_new_version_is_not_protected_where_locks_are_off_or_until_the_past():
    for asked in (HELD, Protection(legal_hold=False), retained(GOVERNANCE)):
        with pytest.raises(InvalidRequest, match="missing Object Lock"):
            protect_new(asked, None, NOW_MS)
    with pytest.raises(InvalidArgument, match="future"):
        protect_new(retained(GOVERNANCE, NOW_MS), ObjectLock(), NOW_MS)


@pytest.mark.parametrize(
    ("days", "years"),
    [(0, None), (-1, None), (DEFAULT_DAYS_MAX + 1, None), (None, 0), (None, DEFAULT_YEARS_MAX + 1)],
)
def test_default_periods_that_are_none(days, years):
    with pytest.raises(InvalidRetentionPeriod):
        default_retention(GOVERNANCE, days, years)


def test_when_a_protection_ends():
    assert UNPROTECTED.until_ms(NOW_MS) == 0
    assert HELD.until_ms(NOW_MS) is None
    assert retained(GOVERNANCE).until_ms(NOW_MS) == LATER_MS
    assert retained(GOVERNANCE).until_ms(LATER_MS) == 0
