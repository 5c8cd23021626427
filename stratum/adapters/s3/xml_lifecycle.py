"""The lifecycle configuration of a bucket, as XML and back.

https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutBucketLifecycleConfiguration.html
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import replace

from stratum.adapters.s3.dates import format_iso_date, parse_iso_date
from stratum.adapters.s3.errors import S3Error
from stratum.adapters.s3.xml_requests import Element, boolean, parse_document
from stratum.adapters.s3.xml_responses import document, element, optional
from stratum.adapters.s3.xml_tagging import parse_tag, render_tag
from stratum.domain.lifecycle import (
    RULES_MAX,
    TRANSITION_CLASSES,
    Expiration,
    Filter,
    Lifecycle,
    NoncurrentExpiration,
    NoncurrentTransition,
    Rule,
    Transition,
    check_lifecycle,
)
from stratum.domain.tags import check_tag

RULE_ID_LENGTH = 32
"""Of the ids made here, in hexadecimal digits."""


def parse_lifecycle(body: bytes) -> tuple[Rule, ...]:
    """Parse LifecycleConfiguration; a rule without an ID gets one, made of what it says.

    Amazon takes one criterion in `Filter` and several in `And`; here a filter with several of them
    is taken for what it says, that all must hold. Raises S3Error MalformedXML; InvalidArgument,
    InvalidRequest, InvalidTag.
    """
    root = parse_document(body, "LifecycleConfiguration")
    elements = list(root.all("Rule"))
    if not 1 <= len(elements) <= RULES_MAX:
        raise S3Error("MalformedXML")
    rules = tuple(_named(_rule(each), number) for number, each in enumerate(elements))
    check_lifecycle(rules)
    return rules


def render_lifecycle(lifecycle: Lifecycle) -> bytes:
    """LifecycleConfiguration."""
    return document("LifecycleConfiguration", *(_render_rule(rule) for rule in lifecycle.rules))


def _named(rule: Rule, number: int) -> Rule:
    if rule.id:
        return rule
    digest = hashlib.sha256(f"{number} {rule}".encode()).hexdigest()
    return replace(rule, id=digest[:RULE_ID_LENGTH])


def _rule(root: Element) -> Rule:
    status, prefix = root.one("Status"), root.one("Prefix")
    filters = list(root.all("Filter"))
    # A rule says what it is for in exactly one way.
    if status not in ("Enabled", "Disabled") or len(filters) + (prefix is not None) != 1:
        raise S3Error("MalformedXML")
    expiration = root.only("Expiration")
    noncurrent = root.only("NoncurrentVersionExpiration")
    abortion = root.only("AbortIncompleteMultipartUpload")
    return Rule(
        id=root.one("ID") or "",
        enabled=status == "Enabled",
        filter=_filter(filters[0]) if filters else Filter(prefix or ""),
        expiration=_expiration(expiration) if expiration else None,
        transitions=tuple(_transition(each) for each in root.all("Transition")),
        noncurrent_expiration=_noncurrent(noncurrent) if noncurrent else None,
        noncurrent_transitions=tuple(
            _noncurrent_transition(each) for each in root.all("NoncurrentVersionTransition")
        ),
        abort_upload_days=_required(abortion, "DaysAfterInitiation") if abortion else None,
        old_style=prefix is not None,
    )


def _filter(root: Element) -> Filter:
    conjunction = root.only("And")
    places = [root, conjunction] if conjunction else [root]
    prefix = ""
    tags: dict[str, str] = {}
    sizes: dict[str, int] = {}
    for place in places:
        found = place.one("Prefix") or ""
        if not found.startswith(prefix) and not prefix.startswith(found):
            raise S3Error("MalformedXML", "A filter with two prefixes that exclude each other")
        prefix = max(prefix, found, key=len)
        for each in place.all("Tag"):
            key, value = parse_tag(each)
            check_tag(key, value)
            if key in tags:
                raise S3Error("InvalidRequest", "Duplicate Tag Keys are not allowed.")
            tags[key] = value
        for name in ("ObjectSizeGreaterThan", "ObjectSizeLessThan"):
            size = place.integer(name)
            if size is not None and name in sizes:
                raise S3Error("MalformedXML")
            if size is not None:
                sizes[name] = size
    return Filter(prefix, tags, sizes.get("ObjectSizeGreaterThan"), sizes.get("ObjectSizeLessThan"))


def _expiration(root: Element) -> Expiration:
    days, date_ms = root.integer("Days"), _date_ms(root)
    lone_marker = boolean(root.one("ExpiredObjectDeleteMarker"))
    if (days is not None) + (date_ms is not None) + lone_marker != 1:
        raise S3Error("MalformedXML")
    return Expiration(days, date_ms, lone_marker)


def _transition(root: Element) -> Transition:
    days, date_ms = root.integer("Days"), _date_ms(root)
    if (days is None) == (date_ms is None):
        raise S3Error("MalformedXML")
    return Transition(_storage_class(root), days, date_ms)


def _noncurrent(root: Element) -> NoncurrentExpiration:
    return NoncurrentExpiration(_required(root, "NoncurrentDays"), _keep(root))


def _noncurrent_transition(root: Element) -> NoncurrentTransition:
    days = _required(root, "NoncurrentDays")
    return NoncurrentTransition(_storage_class(root), days, _keep(root))


def _keep(root: Element) -> int:
    keep = root.integer("NewerNoncurrentVersions")
    if keep == 0:
        raise S3Error("InvalidArgument", "'NewerNoncurrentVersions' must be a positive integer")
    return keep or 0


def _storage_class(root: Element) -> str:
    name = root.one("StorageClass")
    if name not in TRANSITION_CLASSES:
        raise S3Error("MalformedXML")
    return name


def _required(root: Element, name: str) -> int:
    number = root.integer(name)
    if number is None:
        raise S3Error("MalformedXML")
    return number


def _date_ms(root: Element) -> int | None:
    text = root.one("Date")
    if text is None:
        return None
    date_ms = parse_iso_date(text)
    if date_ms is None:
        raise S3Error("MalformedXML")
    return date_ms


def _render_rule(rule: Rule) -> str:
    prefix = element("Prefix", rule.filter.prefix)
    content = [
        element("ID", rule.id),
        prefix if rule.old_style else f"<Filter>{_render_filter(rule.filter)}</Filter>",
        element("Status", "Enabled" if rule.enabled else "Disabled"),
    ]
    for step in rule.transitions:
        when = _render_when(step.days, step.date_ms)
        content.append(_wrapped("Transition", [when, element("StorageClass", step.storage_class)]))
    if rule.expiration is not None:
        content.append(_wrapped("Expiration", [_render_expiration(rule.expiration)]))
    for later in rule.noncurrent_transitions:
        inner = [*_render_noncurrent(later), element("StorageClass", later.storage_class)]
        content.append(_wrapped("NoncurrentVersionTransition", inner))
    if rule.noncurrent_expiration is not None:
        inner = _render_noncurrent(rule.noncurrent_expiration)
        content.append(_wrapped("NoncurrentVersionExpiration", inner))
    if rule.abort_upload_days is not None:
        days = element("DaysAfterInitiation", rule.abort_upload_days)
        content.append(_wrapped("AbortIncompleteMultipartUpload", [days]))
    return _wrapped("Rule", content)


def _render_filter(chosen: Filter) -> str:
    larger, smaller = chosen.larger_than_bytes, chosen.smaller_than_bytes
    criteria = [
        *([element("Prefix", chosen.prefix)] if chosen.prefix else []),
        *(render_tag(key, value) for key, value in chosen.tags.items()),
        *([] if larger is None else [element("ObjectSizeGreaterThan", larger)]),
        *([] if smaller is None else [element("ObjectSizeLessThan", smaller)]),
    ]
    if len(criteria) > 1:
        return _wrapped("And", criteria)
    return criteria[0] if criteria else element("Prefix", "")


def _render_expiration(expiration: Expiration) -> str:
    if expiration.lone_marker:
        return element("ExpiredObjectDeleteMarker", "true")
    return _render_when(expiration.days, expiration.date_ms)


def _render_when(days: int | None, date_ms: int | None) -> str:
    return optional("Date", None if date_ms is None else format_iso_date(date_ms)) + (
        "" if days is None else element("Days", days)
    )


def _render_noncurrent(action: NoncurrentExpiration | NoncurrentTransition) -> list[str]:
    days = element("NoncurrentDays", action.days)
    return [days, element("NewerNoncurrentVersions", action.keep)] if action.keep else [days]


def _wrapped(name: str, content: Iterable[str]) -> str:
    return f"<{name}>{''.join(content)}</{name}>"
