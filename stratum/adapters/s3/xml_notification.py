"""NotificationConfiguration: the document of Put- and GetBucketNotificationConfiguration."""

from __future__ import annotations

from collections.abc import Callable

from stratum.adapters.s3.errors import S3Error
from stratum.adapters.s3.xml_requests import Element, parse_document
from stratum.adapters.s3.xml_responses import document, element
from stratum.domain.errors import InvalidArgument
from stratum.domain.notification import NotificationConfiguration, NotificationTarget, TargetKind

NOTIFICATION_LENGTH_MAX_BYTES = 256 * 1024


def parse_notification(body: bytes, new_id: Callable[[], str]) -> NotificationConfiguration:
    """Parse; what it says is checked by `domain.notification`. Targets without an id get one.

    Raises S3Error MalformedXML, NotImplemented for EventBridge; InvalidArgument for filters.
    """
    root = parse_document(body, "NotificationConfiguration")
    if root.only("EventBridgeConfiguration") is not None:
        raise S3Error("NotImplemented", fields={"Element": "EventBridgeConfiguration"})
    root.expect(*(f"{kind}Configuration" for kind in TargetKind))
    return NotificationConfiguration(tuple(_target(child, new_id) for child in root.children))


def render_notification(configuration: NotificationConfiguration) -> bytes:
    """The targets as they were given, with the ids they have."""
    return document(
        "NotificationConfiguration", *(_render(target) for target in configuration.targets)
    )


def _target(child: Element, new_id: Callable[[], str]) -> NotificationTarget:
    kind = TargetKind(child.name.removesuffix("Configuration"))
    child.expect("Id", "Event", "Filter", kind)
    arn, events = (child.one(kind) or "").strip(), child.texts("Event")
    if not arn or not events:
        raise S3Error("MalformedXML")
    prefix, suffix = _filters(child.only("Filter"))
    return NotificationTarget(child.one("Id") or new_id(), kind, arn, events, prefix, suffix)


def _filters(parent: Element | None) -> tuple[str, str]:
    if parent is None:
        return "", ""
    key = parent.expect("S3Key").only("S3Key")
    rules: dict[str, str] = {}
    for rule in key.expect("FilterRule").children if key else ():
        name = (rule.expect("Name", "Value").one("Name") or "").strip().lower()
        if name not in ("prefix", "suffix"):
            raise InvalidArgument("filter rule name must be either prefix or suffix", "FilterRule")
        if name in rules:
            raise InvalidArgument("Cannot specify more than one rule per name in filter.")
        rules[name] = rule.one("Value") or ""
    return rules.get("prefix", ""), rules.get("suffix", "")


def _render(target: NotificationTarget) -> str:
    rules = "".join(
        f"<FilterRule>{element('Name', name)}{element('Value', value)}</FilterRule>"
        for name, value in (("Prefix", target.prefix), ("Suffix", target.suffix))
        if value
    )
    filters = f"<Filter><S3Key>{rules}</S3Key></Filter>" if rules else ""
    events = "".join(element("Event", event) for event in target.events)
    content = f"{element('Id', target.id)}{element(target.kind, target.arn)}{events}{filters}"
    return f"<{target.kind}Configuration>{content}</{target.kind}Configuration>"
