import pytest

from stratum.domain.conditions import (
    NO_CONDITIONS,
    Conditions,
    EntityTags,
    check_copy_source,
    check_delete,
    check_read,
    check_write,
    range_applies,
)
from stratum.domain.errors import NoSuchKey, NotModified, PreconditionFailed

ETAG = "9b2cf535f27731c974343645a3985328"
MODIFIED_MS = 1_700_000_000_500
SAME_SECOND_MS = 1_700_000_000_000
BEFORE_MS = SAME_SECOND_MS - 1000
AFTER_MS = SAME_SECOND_MS + 1000


def tags(text):
    return EntityTags.parse(text)


@pytest.mark.parametrize(
    "text",
    [f'"{ETAG}"', ETAG, f'"x", "{ETAG}"', f"x,{ETAG},y", f'W/"w", "{ETAG}"', "*", ' "*" '],
)
def test_if_match_holds_for_this_tag_however_it_is_written(text):
    check_read(Conditions(if_match=tags(text)), ETAG, MODIFIED_MS)


@pytest.mark.parametrize("text", ['"other"', "", '""', f'W/"{ETAG}"', f'"{ETAG}-1"', ","])
def test_if_match_fails_for_other_and_for_weak_tags(text):
    with pytest.raises(PreconditionFailed) as failed:
        check_read(Conditions(if_match=tags(text)), ETAG, MODIFIED_MS)
    assert failed.value.condition == "If-Match"


@pytest.mark.parametrize("text", [f'"{ETAG}"', ETAG, f'W/"{ETAG}"', f'"x",W/"{ETAG}"', "*"])
def test_if_none_match_means_not_modified(text):
    with pytest.raises(NotModified) as unchanged:
        check_read(Conditions(if_none_match=tags(text)), ETAG, MODIFIED_MS)
    assert (unchanged.value.etag, unchanged.value.modified_at_ms) == (ETAG, MODIFIED_MS)


def test_an_entity_tag_may_contain_a_comma():
    assert tags('"a,b", "c"') == EntityTags(strong=frozenset({"a,b", "c"}))


def test_dates_compare_in_whole_seconds():
    check_read(Conditions(if_unmodified_since_ms=SAME_SECOND_MS), ETAG, MODIFIED_MS)
    with pytest.raises(PreconditionFailed):
        check_read(Conditions(if_unmodified_since_ms=BEFORE_MS), ETAG, MODIFIED_MS)
    check_read(Conditions(if_modified_since_ms=BEFORE_MS), ETAG, MODIFIED_MS)
    with pytest.raises(NotModified):
        check_read(Conditions(if_modified_since_ms=SAME_SECOND_MS), ETAG, MODIFIED_MS)


def test_combinations_as_amazon_documents_them():
    # If-Match true, If-Unmodified-Since false: 200.
    check_read(Conditions(if_match=tags(ETAG), if_unmodified_since_ms=BEFORE_MS), ETAG, MODIFIED_MS)
    # If-None-Match false, If-Modified-Since true: 304.
    with pytest.raises(NotModified):
        check_read(
            Conditions(if_none_match=tags(ETAG), if_modified_since_ms=BEFORE_MS), ETAG, MODIFIED_MS
        )
    # If-None-Match true, If-Modified-Since false: the tag decides (RFC 9110 §13.2.2, step 3).
    check_read(
        Conditions(if_none_match=tags("x"), if_modified_since_ms=AFTER_MS), ETAG, MODIFIED_MS
    )
    # What fails comes before what is not modified.
    with pytest.raises(PreconditionFailed):
        check_read(Conditions(if_match=tags("x"), if_none_match=tags(ETAG)), ETAG, MODIFIED_MS)


@pytest.mark.parametrize(
    ("conditions", "failed"),
    [
        (Conditions(if_match=tags("x")), "x-amz-copy-source-If-Match"),
        (Conditions(if_none_match=tags("*")), "x-amz-copy-source-If-None-Match"),
        (Conditions(if_modified_since_ms=AFTER_MS), "x-amz-copy-source-If-Modified-Since"),
        (Conditions(if_unmodified_since_ms=BEFORE_MS), "x-amz-copy-source-If-Unmodified-Since"),
    ],
)
def test_a_copy_source_is_never_not_modified(conditions, failed):
    with pytest.raises(PreconditionFailed) as error:
        check_copy_source(conditions, ETAG, MODIFIED_MS)
    assert error.value.condition == failed


def test_a_write_may_demand_that_nothing_is_there():
    create_only = Conditions(if_none_match=tags("*"))
    check_write(create_only, None)
    with pytest.raises(PreconditionFailed):
        check_write(create_only, ETAG)


def test_a_write_may_demand_what_is_there():
    for text in ("*", ETAG):
        check_write(Conditions(if_match=tags(text)), ETAG)
        with pytest.raises(NoSuchKey):
            check_write(Conditions(if_match=tags(text)), None)
    with pytest.raises(PreconditionFailed):
        check_write(Conditions(if_match=tags("x")), ETAG)
    check_write(Conditions(if_none_match=tags("x")), ETAG)


def test_dates_do_not_guard_writes():
    check_write(Conditions(if_unmodified_since_ms=0, if_modified_since_ms=AFTER_MS), ETAG)


def test_if_range_decides_whether_the_range_counts():
    assert range_applies(NO_CONDITIONS, ETAG, MODIFIED_MS)
    assert range_applies(Conditions(if_range=tags(f'"{ETAG}"')), ETAG, MODIFIED_MS)
    assert not range_applies(Conditions(if_range=tags(f'W/"{ETAG}"')), ETAG, MODIFIED_MS)
    assert range_applies(Conditions(if_range=SAME_SECOND_MS), ETAG, MODIFIED_MS)
    assert not range_applies(Conditions(if_range=BEFORE_MS), ETAG, MODIFIED_MS)


def test_no_conditions_are_false():
    assert not NO_CONDITIONS
    assert not Conditions()
    assert Conditions(if_modified_since_ms=0)


# -- deletions ----------------------------------------------------------------------------------
AT_MS = 1_790_000_000_750


@pytest.mark.parametrize(
    ("conditions", "failed"),
    [
        (NO_CONDITIONS, None),
        (Conditions(if_match=EntityTags.parse("*")), None),
        (Conditions(if_match=EntityTags.parse('"aa"')), None),
        (Conditions(if_match=EntityTags.parse("bb")), "If-Match"),
        (Conditions(if_match_size_bytes=7), None),
        (Conditions(if_match_size_bytes=0), "x-amz-if-match-size"),
        (Conditions(if_match_modified_ms=1_790_000_000_000), None),
        (Conditions(if_match_modified_ms=1_790_000_001_000), "x-amz-if-match-last-modified-time"),
        (
            Conditions(if_match=EntityTags.parse("aa"), if_match_size_bytes=8),
            "x-amz-if-match-size",
        ),
    ],
)
def test_conditional_deletions(conditions, failed):
    if failed is None:
        check_delete(conditions, "aa", 7, AT_MS)
    else:
        with pytest.raises(PreconditionFailed) as error:
            check_delete(conditions, "aa", 7, AT_MS)
        assert error.value.condition == failed


def test_only_a_star_matches_a_delete_marker():
    check_delete(Conditions(if_match=EntityTags.parse("*")), "", 0, AT_MS)
    with pytest.raises(PreconditionFailed):
        check_delete(Conditions(if_match=EntityTags.parse("aa")), "", 0, AT_MS)
