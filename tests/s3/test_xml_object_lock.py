import pytest

from stratum.adapters.s3.errors import translate
from stratum.adapters.s3.xml_object_lock import (
    asked_protection,
    bypasses_governance,
    parse_legal_hold,
    parse_lock_configuration,
    parse_retention,
    protection_headers,
    render_legal_hold,
    render_lock_configuration,
    render_retention,
)
from stratum.domain.object_lock import (
    UNPROTECTED,
    DefaultRetention,
    LockMode,
    ObjectLock,
    Protection,
    Retention,
)

GOVERNANCE, COMPLIANCE = LockMode
UNTIL_MS = 1_893_456_000_123
UNTIL = "2030-01-01T00:00:00.123Z"


def code(function, *arguments):
    with pytest.raises(Exception) as error:
        function(*arguments)
    return translate(error.value).code


def configuration(default, enabled="Enabled"):
    rule = f"<Rule><DefaultRetention>{default}</DefaultRetention></Rule>"
    return (
        f"<ObjectLockConfiguration><ObjectLockEnabled>{enabled}</ObjectLockEnabled>{rule}"
        "</ObjectLockConfiguration>"
    ).encode()


@pytest.mark.parametrize(
    "lock",
    [
        ObjectLock(),
        ObjectLock(DefaultRetention(GOVERNANCE, days=1)),
        ObjectLock(DefaultRetention(COMPLIANCE, years=7)),
    ],
)
def test_a_configuration_is_parsed_as_rendered(lock):
    assert parse_lock_configuration(render_lock_configuration(lock)) == lock


MODE = "<Mode>GOVERNANCE</Mode>"


@pytest.mark.parametrize(
    ("body", "refusal"),
    [
        (configuration(MODE), "MalformedXML"),
        (configuration(f"{MODE}<Days>1</Days><Years>1</Years>"), "MalformedXML"),
        (configuration(f"{MODE}<Days>0</Days>"), "InvalidRetentionPeriod"),
        (configuration(f"{MODE}<Years>-1</Years>"), "InvalidRetentionPeriod"),
        (configuration(f"{MODE}<Days>x</Days>"), "MalformedXML"),
        (configuration("<Mode>governance</Mode><Days>1</Days>"), "MalformedXML"),
        (configuration("<Days>1</Days>"), "MalformedXML"),
        (configuration(f"{MODE}<Days>1</Days>", enabled="Disabled"), "MalformedXML"),
        (b"<ObjectLockConfiguration/>", "MalformedXML"),
        (
            b"<ObjectLockConfiguration><ObjectLockEnabled>Enabled</ObjectLockEnabled><Rule/>"
            b"</ObjectLockConfiguration>",
            "MalformedXML",
        ),
    ],
)
def test_refused_configurations(body, refusal):
    assert code(parse_lock_configuration, body) == refusal


def test_retention_as_a_document():
    retention = Retention(COMPLIANCE, UNTIL_MS)
    assert parse_retention(render_retention(retention)) == retention
    assert parse_retention(b"<Retention/>") is None


@pytest.mark.parametrize(
    "content",
    [
        "<Mode>GOVERNANCE</Mode>",
        "<RetainUntilDate>2030-01-01</RetainUntilDate>",
        "<Mode>abc</Mode><RetainUntilDate>2030-01-01</RetainUntilDate>",
        "<Mode>GOVERNANCE</Mode><RetainUntilDate>tomorrow</RetainUntilDate>",
    ],
)
def test_refused_retentions(content):
    assert code(parse_retention, f"<Retention>{content}</Retention>".encode()) == "MalformedXML"


def test_legal_hold_as_a_document():
    for on in (True, False):
        assert parse_legal_hold(render_legal_hold(on=on)) is on
    assert code(parse_legal_hold, b"<LegalHold><Status>abc</Status></LegalHold>") == "MalformedXML"
    assert code(parse_legal_hold, b"<LegalHold/>") == "MalformedXML"


@pytest.mark.parametrize(
    "protection",
    [
        UNPROTECTED,
        Protection(legal_hold=True),
        Protection(legal_hold=False),
        Protection(Retention(GOVERNANCE, UNTIL_MS)),
        Protection(Retention(COMPLIANCE, UNTIL_MS), legal_hold=True),
    ],
)
def test_headers_are_read_as_written(protection):
    assert asked_protection(protection_headers(protection)) == protection


def test_dates_in_headers():
    headers = {"x-amz-object-lock-mode": "GOVERNANCE"}
    for text in (UNTIL, "2030-01-01T00:00:00.123456Z", "2030-01-01T01:00:00.123+01:00"):
        asked = asked_protection({**headers, "x-amz-object-lock-retain-until-date": text})
        assert asked.retention == Retention(GOVERNANCE, UNTIL_MS)


@pytest.mark.parametrize(
    "headers",
    [
        {"x-amz-object-lock-mode": "GOVERNANCE"},
        {"x-amz-object-lock-retain-until-date": UNTIL},
        {"x-amz-object-lock-mode": "x", "x-amz-object-lock-retain-until-date": UNTIL},
        {"x-amz-object-lock-mode": "COMPLIANCE", "x-amz-object-lock-retain-until-date": "soon"},
        {"x-amz-object-lock-legal-hold": "on"},
    ],
)
def test_refused_headers(headers):
    assert code(asked_protection, headers) == "InvalidArgument"


def test_the_bypass():
    assert bypasses_governance({"x-amz-bypass-governance-retention": "True"})
    assert not bypasses_governance({"x-amz-bypass-governance-retention": "false"})
    assert not bypasses_governance({})
