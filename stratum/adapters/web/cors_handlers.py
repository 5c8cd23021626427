"""CORS: its configuration, preflight requests, the headers of every answer to another origin."""

from __future__ import annotations

from dataclasses import replace

from stratum.adapters.s3.errors import S3Error
from stratum.adapters.s3.request import RequestHead
from stratum.adapters.s3.xml_cors import CORS_LENGTH_MAX_BYTES, parse_cors, render_cors
from stratum.adapters.web.messages import S3Request, S3Response, xml
from stratum.adapters.web.payloads import document
from stratum.app.buckets import Buckets
from stratum.domain.cors import CorsConfiguration, CorsGrant, find_grant
from stratum.domain.settings import NO_SETTINGS, BucketSettings

VARY = "Origin, Access-Control-Request-Headers, Access-Control-Request-Method"


class CorsHandlers:
    def __init__(self, buckets: Buckets) -> None:
        self._buckets = buckets

    async def put(self, request: S3Request) -> S3Response:
        rules = parse_cors(await document(request, CORS_LENGTH_MAX_BYTES))
        await self._buckets.configure(
            request.caller, request.bucket, "cors", BucketSettings(cors=rules)
        )
        return S3Response(200)

    async def get(self, request: S3Request) -> S3Response:
        rules = self._buckets.get(request.bucket).settings.cors
        if rules is None:
            raise S3Error("NoSuchCORSConfiguration", fields={"BucketName": request.bucket})
        return xml(render_cors(rules))

    async def delete(self, request: S3Request) -> S3Response:
        await self._buckets.configure(request.caller, request.bucket, "cors", NO_SETTINGS)
        return S3Response(204)

    async def preflight(self, request: S3Request) -> S3Response:
        """A browser asks before its page does. Nothing of it is signed, whatever the URL says."""
        headers = request.head.headers
        origin = headers.get("origin")
        if not origin:
            raise _insufficient("Insufficient information. Origin request header needed.")
        method = headers.get("access-control-request-method")
        if not method:
            raise _insufficient("Invalid Access-Control-Request-Method: null")
        rules = self._buckets.get(request.bucket).settings.cors
        if rules is None:
            raise _forbidden("CORSResponse: CORS is not enabled for this bucket.", method)
        asked = _names(headers.get("access-control-request-headers", ""))
        grant = find_grant(rules, origin, method, asked)
        if grant is None:
            raise _forbidden(
                "CORSResponse: This CORS request is not allowed. This is usually because the"
                " evalution of Origin, request method / Access-Control-Request-Method or"
                " Access-Control-Request-Headers are not whitelisted by the resource's CORS spec.",
                method,
            )
        answer = _headers(grant)
        if asked:
            answer["access-control-allow-headers"] = ", ".join(name.lower() for name in asked)
        return S3Response(200, answer)


def cross_origin(rules: CorsConfiguration, head: RequestHead, response: S3Response) -> S3Response:
    """An answer, errors included, with what lets a page of another origin read it."""
    origin = head.headers.get("origin")
    if not origin or head.method == "OPTIONS":
        return response
    method = head.headers.get("access-control-request-method", head.method)
    grant = find_grant(rules, origin, method)
    if grant is None:
        return response
    return replace(response, headers={**response.headers, **_headers(grant)})


def _headers(grant: CorsGrant) -> dict[str, str]:
    rule = grant.rule
    headers = {
        "access-control-allow-origin": grant.origin,
        "access-control-allow-methods": ", ".join(rule.allowed_methods),
        "vary": VARY,
    }
    if grant.allows_credentials:
        headers["access-control-allow-credentials"] = "true"
    if rule.expose_headers:
        headers["access-control-expose-headers"] = ", ".join(rule.expose_headers)
    if rule.max_age_s is not None:
        headers["access-control-max-age"] = str(rule.max_age_s)
    return headers


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def _insufficient(why: str) -> S3Error:
    return S3Error("BadRequest", why)


def _forbidden(why: str, method: str) -> S3Error:
    fields = {"Method": method[:20], "ResourceType": "BUCKET"}
    return S3Error("AccessForbidden", why, fields=fields)
