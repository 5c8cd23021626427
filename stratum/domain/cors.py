"""Cross-origin resource sharing: which pages of other origins may use a bucket.

Rules as Amazon S3 has them: https://docs.aws.amazon.com/AmazonS3/latest/userguide/cors.html. A rule
fits when origin, method and every header asked for fit; the first that does decides. An origin or a
header may have one `*`, which stands for any characters, none included. Origins are compared as
they are, header names without regard to case.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from stratum.domain.errors import InvalidRequest

RULES_MAX = 100
ID_LENGTH_MAX = 255
METHODS = ("GET", "PUT", "POST", "DELETE", "HEAD")
ANY = "*"


@dataclass(frozen=True)
class CorsRule:
    """One rule; `max_age_s` is how long a browser may remember the answer to a preflight."""

    allowed_methods: tuple[str, ...]
    allowed_origins: tuple[str, ...]
    allowed_headers: tuple[str, ...] = ()
    expose_headers: tuple[str, ...] = ()
    max_age_s: int | None = None
    id: str | None = None


@dataclass(frozen=True)
class CorsConfiguration:
    """The rules of a bucket, in order."""

    rules: tuple[CorsRule, ...]


@dataclass(frozen=True)
class CorsGrant:
    """What a browser is told. `origin` is `*` if the rule lets every origin in."""

    rule: CorsRule
    origin: str

    @property
    def allows_credentials(self) -> bool:
        """Browsers refuse credentials together with `*`."""
        return self.origin != ANY


def check_cors(configuration: CorsConfiguration) -> None:
    """Raise InvalidRequest for what Amazon refuses."""
    if len(configuration.rules) > RULES_MAX:
        raise InvalidRequest(
            f"The number of CORS rules should not exceed allowed limit {RULES_MAX}"
        )
    for rule in configuration.rules:
        for method in rule.allowed_methods:
            if method not in METHODS:
                raise InvalidRequest(
                    "Found unsupported HTTP method in CORS config. Unsupported method is"
                    f" {method[:100]}"
                )
        _check_wildcards("AllowedOrigin", rule.allowed_origins)
        _check_wildcards("AllowedHeader", rule.allowed_headers)
        for text in (*rule.allowed_origins, *rule.allowed_headers, *rule.expose_headers):
            if not (text.isascii() and text.isprintable()):
                raise InvalidRequest("A CORS rule has a character that no header can carry")
        for header in rule.expose_headers:
            if ANY in header:
                raise InvalidRequest(
                    f'ExposeHeader "{header[:100]}" contains wildcard. We currently do not support'
                    " wildcard for ExposeHeader."
                )
        if rule.id is not None and len(rule.id) > ID_LENGTH_MAX:
            raise InvalidRequest(f"A CORS rule ID has at most {ID_LENGTH_MAX} characters")


def find_grant(
    configuration: CorsConfiguration, origin: str, method: str, headers: Iterable[str] = ()
) -> CorsGrant | None:
    """The first rule that fits, for a request (or a preflight with the `headers` it asks for)."""
    asked = [header.lower() for header in headers]
    for rule in configuration.rules:
        if method not in rule.allowed_methods:
            continue
        pattern = next((p for p in rule.allowed_origins if _fits(p, origin)), None)
        if pattern is None:
            continue
        allowed = [header.lower() for header in rule.allowed_headers]
        if all(any(_fits(p, header) for p in allowed) for header in asked):
            return CorsGrant(rule, ANY if pattern == ANY else origin)
    return None


def _check_wildcards(element: str, patterns: Iterable[str]) -> None:
    for pattern in patterns:
        if pattern.count(ANY) > 1:
            raise InvalidRequest(
                f'{element} "{pattern[:100]}" can not have more than one wildcard.'
            )


def _fits(pattern: str, text: str) -> bool:
    prefix, wildcard, suffix = pattern.partition(ANY)
    if not wildcard:
        return pattern == text
    return (
        len(text) >= len(prefix) + len(suffix) and text.startswith(prefix) and text.endswith(suffix)
    )
