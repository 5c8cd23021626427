"""Buckets read as web sites: index and error documents, redirects, routing rules.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/WebsiteHosting.html. A key is what stands in
the path of the URL, without its first slash. Rules without an error code are tried before the
object is looked up, rules with one when the look-up has failed with it; the first that fits counts.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from stratum.domain.errors import InvalidArgument, InvalidRequest

ROUTING_RULES_MAX = 50
REDIRECT_STATUS_DEFAULT = 301


_HOST = re.compile(r"[A-Za-z0-9._-]+(:[0-9]{1,5})?").fullmatch


@dataclass(frozen=True)
class WebsiteRedirect:
    """Where a browser is sent. What is None stays as it is in the request.

    Of `replace_prefix` (for the prefix of the rule's condition) and `replace_key` one at most.
    """

    host: str | None = None
    protocol: str | None = None
    status: int | None = None
    replace_prefix: str | None = None
    replace_key: str | None = None


@dataclass(frozen=True)
class RoutingRule:
    """A redirect for keys with a prefix, for an error, or for both."""

    redirect: WebsiteRedirect
    prefix: str | None = None
    error_status: int | None = None


@dataclass(frozen=True)
class WebsiteConfiguration:
    """Either `redirect_all`, or an `index_suffix`."""

    index_suffix: str | None = None
    error_key: str | None = None
    rules: tuple[RoutingRule, ...] = ()
    redirect_all: WebsiteRedirect | None = None


@dataclass(frozen=True)
class RedirectTarget:
    """A redirect worked out for one request; None for host or protocol: that of the request."""

    status: int
    host: str | None
    protocol: str | None
    key: str


def check_website(website: WebsiteConfiguration) -> None:
    """Raise InvalidArgument or InvalidRequest for what Amazon refuses."""
    if website.redirect_all is not None:
        if website.index_suffix is not None or website.error_key is not None or website.rules:
            raise InvalidArgument(
                "RedirectAllRequestsTo cannot be provided in conjunction with other Routing Rules."
            )
        _check_redirect(website.redirect_all)
        return
    if not website.index_suffix or "/" in website.index_suffix:
        raise InvalidArgument(
            "The IndexDocument Suffix is not well formed", "Suffix", website.index_suffix or ""
        )
    if len(website.rules) > ROUTING_RULES_MAX:
        raise InvalidRequest(
            f"The number of routing rules must not exceed the allowed limit of {ROUTING_RULES_MAX}"
        )
    for rule in website.rules:
        if rule.error_status is not None and not 400 <= rule.error_status <= 599:
            raise InvalidRequest(
                f"The provided HTTP error code ({rule.error_status}) is not valid. Valid codes are"
                " 4XX or 5XX."
            )
        _check_redirect(rule.redirect)


def index_key(website: WebsiteConfiguration, key: str) -> str:
    """The key of the object that stands for a path: folders have an index."""
    if website.index_suffix and (not key or key.endswith("/")):
        return key + website.index_suffix
    return key


def redirect_before(website: WebsiteConfiguration, key: str) -> RedirectTarget | None:
    """A redirect that needs no look at the objects."""
    if website.redirect_all is not None:
        return _resolve(website.redirect_all, "", key)
    return _first(website, key, None)


def redirect_on_error(
    website: WebsiteConfiguration, key: str, status: int
) -> RedirectTarget | None:
    """A redirect for a key whose look-up ended with an HTTP status."""
    return _first(website, key, status)


def _first(website: WebsiteConfiguration, key: str, status: int | None) -> RedirectTarget | None:
    for rule in website.rules:
        prefix = rule.prefix or ""
        if rule.error_status == status and key.startswith(prefix):
            return _resolve(rule.redirect, prefix, key)
    return None


def _resolve(redirect: WebsiteRedirect, prefix: str, key: str) -> RedirectTarget:
    target = key
    if redirect.replace_key is not None:
        target = redirect.replace_key
    elif redirect.replace_prefix is not None:
        target = redirect.replace_prefix + key[len(prefix) :]
    return RedirectTarget(
        redirect.status or REDIRECT_STATUS_DEFAULT, redirect.host, redirect.protocol, target
    )


def _check_redirect(redirect: WebsiteRedirect) -> None:
    if redirect.host is not None and not _HOST(redirect.host):
        raise InvalidRequest("The HostName of a redirect is not a host")
    if redirect.protocol not in (None, "http", "https"):
        raise InvalidRequest(
            "Invalid protocol, protocol can be http or https. If not defined the"
            " protocol will be selected automatically."
        )
    if redirect.status is not None and not 301 <= redirect.status <= 399:
        raise InvalidRequest(
            f"The provided HTTP redirect code ({redirect.status}) is not valid. Valid codes are 3XX"
            " except 300."
        )
    if redirect.replace_key is not None and redirect.replace_prefix is not None:
        raise InvalidRequest("You can only define ReplaceKeyPrefix or ReplaceKey but not both.")
