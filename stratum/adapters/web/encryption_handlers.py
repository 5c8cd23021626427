"""Handlers for a bucket's default encryption, and for another key of an object.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucket-encryption.html
"""

from __future__ import annotations

from stratum.adapters.s3.errors import S3Error
from stratum.adapters.s3.xml_encryption import (
    parse_encryption,
    parse_object_encryption,
    render_encryption,
)
from stratum.adapters.s3.xml_requests import XML_LENGTH_MAX_BYTES
from stratum.adapters.web.messages import S3Request, S3Response, xml
from stratum.adapters.web.payloads import document
from stratum.app.buckets import Buckets
from stratum.app.objects import Objects
from stratum.domain.attributes import VersionAttributes
from stratum.domain.catalog import Bucket
from stratum.domain.errors import Conflict
from stratum.domain.settings import NO_SETTINGS, BucketSettings
from stratum.domain.volume import ObjectVersion

SETTING = "encryption"


class EncryptionHandlers:
    def __init__(self, buckets: Buckets, objects: Objects) -> None:
        self._buckets = buckets
        self._objects = objects

    async def get(self, request: S3Request) -> S3Response:
        """What is in force, so also the server's default."""
        own = self._buckets.get(request.bucket).settings.encryption
        in_force = self._objects.sealing.default_of(own)
        if in_force is None:
            raise S3Error(
                "ServerSideEncryptionConfigurationNotFoundError",
                fields={"BucketName": request.bucket},
            )
        return xml(render_encryption(in_force))

    async def put(self, request: S3Request) -> S3Response:
        """A key id is not looked up: as on Amazon S3, uploads fail if it does not exist."""
        configuration = parse_encryption(await document(request, XML_LENGTH_MAX_BYTES))
        value = BucketSettings(encryption=configuration)
        await self._buckets.configure(request.caller, request.bucket, SETTING, value)
        return S3Response(200)

    async def delete(self, request: S3Request) -> S3Response:
        await self._buckets.configure(request.caller, request.bucket, SETTING, NO_SETTINGS)
        return S3Response(204)

    async def update_object(self, request: S3Request) -> S3Response:
        """Wrap an object's data key with another key; its bytes, ETag and date stay."""
        wish = parse_object_encryption(await document(request, XML_LENGTH_MAX_BYTES))
        version = self._objects.head(request.bucket, request.key, version_id=request.version_id)
        old = version.attributes.encryption
        updated = self._objects.sealing.updated(version, wish)

        def check(_bucket: Bucket, found: ObjectVersion) -> None:
            # A wrapped key belongs to one version: on another one it would make it unreadable.
            if found.attributes.encryption != old:
                raise Conflict("The object was changed meanwhile")

        await self._objects.change(
            request.caller,
            request.bucket,
            request.key,
            version.version_id,
            SETTING,
            VersionAttributes(encryption=updated),
            check,
        )
        return S3Response(200)
