"""WebsiteConfiguration: the document of Put- and GetBucketWebsite."""

from __future__ import annotations

from stratum.adapters.s3.errors import S3Error
from stratum.adapters.s3.xml_requests import Element, parse_document
from stratum.adapters.s3.xml_responses import document, element, optional
from stratum.domain.website import (
    RoutingRule,
    WebsiteConfiguration,
    WebsiteRedirect,
    check_website,
)

WEBSITE_LENGTH_MAX_BYTES = 128 * 1024
STATUS_MAX = 999


def parse_website(body: bytes) -> WebsiteConfiguration:
    """Parse and check; raise S3Error MalformedXML, InvalidArgument, InvalidRequest."""
    root = parse_document(body, "WebsiteConfiguration").expect(
        "RedirectAllRequestsTo", "IndexDocument", "ErrorDocument", "RoutingRules"
    )
    everything, index = root.only("RedirectAllRequestsTo"), root.only("IndexDocument")
    error, rules = root.only("ErrorDocument"), root.only("RoutingRules")
    website = WebsiteConfiguration(
        index_suffix=(index.expect("Suffix").one("Suffix") or "") if index else None,
        error_key=_required(error.expect("Key"), "Key") if error else None,
        rules=tuple(_rule(child) for child in rules.expect("RoutingRule").children)
        if rules
        else (),
        redirect_all=_all(everything) if everything else None,
    )
    check_website(website)
    return website


def render_website(website: WebsiteConfiguration) -> bytes:
    """The configuration as it was given."""
    rows = []
    if website.redirect_all is not None:
        host = element("HostName", website.redirect_all.host or "")
        protocol = optional("Protocol", website.redirect_all.protocol)
        rows.append(f"<RedirectAllRequestsTo>{host}{protocol}</RedirectAllRequestsTo>")
    if website.index_suffix is not None:
        rows.append(f"<IndexDocument>{element('Suffix', website.index_suffix)}</IndexDocument>")
    if website.error_key is not None:
        rows.append(f"<ErrorDocument>{element('Key', website.error_key)}</ErrorDocument>")
    if website.rules:
        rules = "".join(_render_rule(rule) for rule in website.rules)
        rows.append(f"<RoutingRules>{rules}</RoutingRules>")
    return document("WebsiteConfiguration", *rows)


def _all(everything: Element) -> WebsiteRedirect:
    everything.expect("HostName", "Protocol")
    return WebsiteRedirect(_required(everything, "HostName"), everything.one("Protocol"))


def _rule(rule: Element) -> RoutingRule:
    rule.expect("Condition", "Redirect")
    redirect, condition = rule.only("Redirect"), rule.only("Condition")
    if redirect is None or not redirect.children:
        raise S3Error("MalformedXML")
    redirect.expect(
        "HostName", "HttpRedirectCode", "Protocol", "ReplaceKeyPrefixWith", "ReplaceKeyWith"
    )
    prefix, error_status = None, None
    if condition is not None:
        condition.expect("KeyPrefixEquals", "HttpErrorCodeReturnedEquals")
        prefix = condition.one("KeyPrefixEquals")
        error_status = condition.between("HttpErrorCodeReturnedEquals", 0, STATUS_MAX)
        if prefix is None and error_status is None:
            raise S3Error("MalformedXML")
    return RoutingRule(
        WebsiteRedirect(
            host=redirect.one("HostName"),
            protocol=redirect.one("Protocol"),
            status=redirect.between("HttpRedirectCode", 0, STATUS_MAX),
            replace_prefix=redirect.one("ReplaceKeyPrefixWith"),
            replace_key=redirect.one("ReplaceKeyWith"),
        ),
        prefix,
        error_status,
    )


def _required(parent: Element, name: str) -> str:
    text = parent.one(name)
    if not text:
        raise S3Error("MalformedXML")
    return text


def _render_rule(rule: RoutingRule) -> str:
    conditions = optional("KeyPrefixEquals", rule.prefix)
    if rule.error_status is not None:
        conditions += element("HttpErrorCodeReturnedEquals", rule.error_status)
    condition = f"<Condition>{conditions}</Condition>" if conditions else ""
    redirect = rule.redirect
    targets = (
        optional("HostName", redirect.host)
        + ("" if redirect.status is None else element("HttpRedirectCode", redirect.status))
        + optional("Protocol", redirect.protocol)
        + optional("ReplaceKeyPrefixWith", redirect.replace_prefix)
        + optional("ReplaceKeyWith", redirect.replace_key)
    )
    return f"<RoutingRule>{condition}<Redirect>{targets}</Redirect></RoutingRule>"
