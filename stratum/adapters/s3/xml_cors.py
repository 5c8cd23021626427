"""CORSConfiguration: the document of Put- and GetBucketCors."""

from __future__ import annotations

from stratum.adapters.s3.errors import S3Error
from stratum.adapters.s3.xml_requests import Element, parse_document
from stratum.adapters.s3.xml_responses import document, element, optional
from stratum.domain.cors import CorsConfiguration, CorsRule, check_cors

CORS_LENGTH_MAX_BYTES = 64 * 1024
MAX_AGE_MAX_S = 2**31 - 1


def parse_cors(body: bytes) -> CorsConfiguration:
    """Parse and check the rules of a bucket.

    Raises S3Error MalformedXML; InvalidRequest for rules that Amazon refuses.
    """
    root = parse_document(body, "CORSConfiguration").expect("CORSRule")
    rules = tuple(_rule(child) for child in root.children)
    if not rules:
        raise S3Error("MalformedXML")
    configuration = CorsConfiguration(rules)
    check_cors(configuration)
    return configuration


def render_cors(configuration: CorsConfiguration) -> bytes:
    """The rules as they were given."""
    return document("CORSConfiguration", *(_render(rule) for rule in configuration.rules))


def _rule(rule: Element) -> CorsRule:
    rule.expect(
        "ID", "AllowedMethod", "AllowedOrigin", "AllowedHeader", "ExposeHeader", "MaxAgeSeconds"
    )
    methods, origins = rule.texts("AllowedMethod"), rule.texts("AllowedOrigin")
    if not methods or not origins:
        raise S3Error("MalformedXML")
    return CorsRule(
        allowed_methods=methods,
        allowed_origins=origins,
        allowed_headers=rule.texts("AllowedHeader"),
        expose_headers=rule.texts("ExposeHeader"),
        max_age_s=rule.between("MaxAgeSeconds", 0, MAX_AGE_MAX_S),
        id=rule.one("ID"),
    )


def _render(rule: CorsRule) -> str:
    rows = [
        optional("ID", rule.id),
        *(element("AllowedHeader", header) for header in rule.allowed_headers),
        *(element("AllowedMethod", method) for method in rule.allowed_methods),
        *(element("AllowedOrigin", origin) for origin in rule.allowed_origins),
        *(element("ExposeHeader", header) for header in rule.expose_headers),
        "" if rule.max_age_s is None else element("MaxAgeSeconds", rule.max_age_s),
    ]
    return f"<CORSRule>{''.join(rows)}</CORSRule>"
