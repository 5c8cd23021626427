"""Object lock as XML and as headers: configuration, retention, legal hold.

https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutObjectLockConfiguration.html and the pages of
PutObjectRetention and PutObjectLegalHold.
"""

from __future__ import annotations

from stratum.adapters.s3.dates import format_iso_date, parse_iso_date
from stratum.adapters.s3.errors import S3Error
from stratum.adapters.s3.request import Headers
from stratum.adapters.s3.xml_requests import parse_document
from stratum.adapters.s3.xml_responses import document, element
from stratum.domain.errors import InvalidArgument
from stratum.domain.object_lock import (
    UNPROTECTED,
    DefaultRetention,
    LockMode,
    ObjectLock,
    Protection,
    Retention,
    default_retention,
)

MODE_HEADER = "x-amz-object-lock-mode"
UNTIL_HEADER = "x-amz-object-lock-retain-until-date"
HOLD_HEADER = "x-amz-object-lock-legal-hold"
BYPASS_HEADER = "x-amz-bypass-governance-retention"

_HOLD = {"ON": True, "OFF": False}


def parse_lock_configuration(body: bytes) -> ObjectLock:
    """Parse ObjectLockConfiguration; raise MalformedXML or InvalidRetentionPeriod."""
    root = parse_document(body, "ObjectLockConfiguration")
    rule = root.only("Rule")
    if root.one("ObjectLockEnabled") != "Enabled":
        raise S3Error("MalformedXML")
    if rule is None:
        return ObjectLock()
    default = rule.only("DefaultRetention")
    if default is None:
        raise S3Error("MalformedXML")
    days, years = default.integer("Days"), default.integer("Years")
    if (days is None) == (years is None):
        raise S3Error("MalformedXML")
    return ObjectLock(default_retention(_mode(default.one("Mode")), days, years))


def render_lock_configuration(lock: ObjectLock) -> bytes:
    """ObjectLockConfiguration."""
    rule = f"<Rule>{_render_default(lock.default)}</Rule>" if lock.default else ""
    return document("ObjectLockConfiguration", element("ObjectLockEnabled", "Enabled"), rule)


def parse_retention(body: bytes) -> Retention | None:
    """Parse Retention; None for an empty one, which removes it. Raise MalformedXML."""
    root = parse_document(body, "Retention")
    mode, until = root.one("Mode"), root.one("RetainUntilDate")
    if not mode and not until:
        return None
    until_ms = parse_iso_date(until or "")
    if until_ms is None:
        raise S3Error("MalformedXML")
    return Retention(_mode(mode), until_ms)


def render_retention(retention: Retention) -> bytes:
    """Retention."""
    until = format_iso_date(retention.until_ms)
    return document("Retention", element("Mode", retention.mode), element("RetainUntilDate", until))


def parse_legal_hold(body: bytes) -> bool:
    """Parse LegalHold: whether it is on. Raise MalformedXML."""
    on = _HOLD.get(parse_document(body, "LegalHold").one("Status") or "")
    if on is None:
        raise S3Error("MalformedXML")
    return on


def render_legal_hold(*, on: bool) -> bytes:
    """LegalHold."""
    return document("LegalHold", element("Status", "ON" if on else "OFF"))


def asked_protection(headers: Headers) -> Protection:
    """The retention and hold in the headers of a PUT, copy or new upload; raise InvalidArgument."""
    mode, until, hold = (headers.get(name) for name in (MODE_HEADER, UNTIL_HEADER, HOLD_HEADER))
    if mode is until is hold is None:
        return UNPROTECTED
    if (mode is None) != (until is None):
        raise InvalidArgument(
            f"{UNTIL_HEADER} and {MODE_HEADER} must both be supplied",
            MODE_HEADER if mode is None else UNTIL_HEADER,
        )
    if hold is not None and hold not in _HOLD:
        raise InvalidArgument("Legal Hold must be either of 'ON' or 'OFF'", HOLD_HEADER, hold[:100])
    return Protection(
        None if mode is None or until is None else _retention(mode, until),
        None if hold is None else _HOLD[hold],
    )


def protection_headers(protection: Protection) -> dict[str, str]:
    """What GET and HEAD say of it."""
    headers: dict[str, str] = {}
    if protection.retention is not None:
        headers[MODE_HEADER] = protection.retention.mode.value
        headers[UNTIL_HEADER] = format_iso_date(protection.retention.until_ms)
    if protection.legal_hold is not None:
        headers[HOLD_HEADER] = "ON" if protection.legal_hold else "OFF"
    return headers


def bypasses_governance(headers: Headers) -> bool:
    """Whether the request asks to bypass GOVERNANCE; whether it may is for others to say."""
    return headers.get(BYPASS_HEADER, "").lower() == "true"


def _retention(mode: str, until: str) -> Retention:
    until_ms = parse_iso_date(until)
    if mode not in LockMode.__members__:
        raise InvalidArgument("Unknown wormMode directive.", MODE_HEADER, mode[:100])
    if until_ms is None:
        raise InvalidArgument(
            "The retain until date must be provided in ISO 8601 format", UNTIL_HEADER, until[:100]
        )
    return Retention(LockMode(mode), until_ms)


def _mode(text: str | None) -> LockMode:
    if text is None or text not in LockMode.__members__:
        raise S3Error("MalformedXML")
    return LockMode(text)


def _render_default(default: DefaultRetention) -> str:
    unit, period = ("Days", default.days) if default.days else ("Years", default.years)
    inner = element("Mode", default.mode) + element(unit, period)
    return f"<DefaultRetention>{inner}</DefaultRetention>"
