"""Who pays for a bucket's requests, and what its web site looks like, as configured."""

from __future__ import annotations

from stratum.adapters.s3.errors import S3Error
from stratum.adapters.s3.xml_logging import parse_request_payment, render_request_payment
from stratum.adapters.s3.xml_requests import XML_LENGTH_MAX_BYTES
from stratum.adapters.s3.xml_website import WEBSITE_LENGTH_MAX_BYTES, parse_website, render_website
from stratum.adapters.web.messages import S3Request, S3Response, xml
from stratum.adapters.web.payloads import document
from stratum.app.buckets import Buckets
from stratum.domain.settings import NO_SETTINGS, BucketSettings


class WebsiteHandlers:
    def __init__(self, buckets: Buckets) -> None:
        self._buckets = buckets

    async def get_website(self, request: S3Request) -> S3Response:
        website = self._buckets.get(request.bucket).settings.website
        if website is None:
            raise S3Error("NoSuchWebsiteConfiguration", fields={"BucketName": request.bucket})
        return xml(render_website(website))

    async def put_website(self, request: S3Request) -> S3Response:
        website = parse_website(await document(request, WEBSITE_LENGTH_MAX_BYTES))
        value = BucketSettings(website=website)
        await self._buckets.configure(request.caller, request.bucket, "website", value)
        return S3Response(200)

    async def delete_website(self, request: S3Request) -> S3Response:
        await self._buckets.configure(request.caller, request.bucket, "website", NO_SETTINGS)
        return S3Response(204)

    async def get_payment(self, request: S3Request) -> S3Response:
        return xml(
            render_request_payment(self._buckets.get(request.bucket).settings.request_payment)
        )

    async def put_payment(self, request: S3Request) -> S3Response:
        payer = parse_request_payment(await document(request, XML_LENGTH_MAX_BYTES))
        value = BucketSettings(request_payment=payer)
        await self._buckets.configure(request.caller, request.bucket, "request_payment", value)
        return S3Response(200)
