"""Handlers for who may do what: ACLs, policies, object ownership, the public access block."""

from __future__ import annotations

from stratum.adapters.s3.acl_headers import asked_acl
from stratum.adapters.s3.errors import S3Error
from stratum.adapters.s3.xml_access import (
    parse_acl,
    parse_ownership,
    parse_public_access_block,
    render_acl,
    render_ownership,
    render_policy_status,
    render_public_access_block,
)
from stratum.adapters.s3.xml_requests import XML_LENGTH_MAX_BYTES
from stratum.adapters.web.guard import bucket_access
from stratum.adapters.web.messages import S3Request, S3Response, xml
from stratum.adapters.web.payloads import document
from stratum.app.buckets import Buckets
from stratum.app.objects import Objects
from stratum.domain.acl import Acl, private
from stratum.domain.attributes import VersionAttributes
from stratum.domain.bucket import Check
from stratum.domain.catalog import Bucket, Catalog
from stratum.domain.errors import AccessDenied, Conflict, InvalidRequest, MalformedPolicy
from stratum.domain.granting import AskedAcl, bucket_acl, changed_object_acl, check_ownership
from stratum.domain.names import Caller
from stratum.domain.ownership import BucketPolicy, ObjectOwnership
from stratum.domain.policy_document import BUCKET_POLICY_MAX_BYTES, parse_bucket_policy
from stratum.domain.public import is_public_policy
from stratum.domain.settings import NO_SETTINGS, BucketSettings
from stratum.domain.volume import ObjectVersion

CONFIRM_HEADER = "x-amz-confirm-remove-self-bucket-access"


class AccessHandlers:
    def __init__(self, buckets: Buckets, objects: Objects) -> None:
        self._buckets = buckets
        self._objects = objects

    # -- ACLs -----------------------------------------------------------------------------------
    async def get_bucket_acl(self, request: S3Request) -> S3Response:
        bucket = self._buckets.get(request.bucket)
        return xml(render_acl(bucket.owner, bucket.settings.acl or private(bucket.owner)))

    async def put_bucket_acl(self, request: S3Request) -> S3Response:
        bucket = self._buckets.get(request.bucket)
        asked = await _asked(request, bucket.owner)

        accounts = request.guard.accounts

        def wanted(now: Bucket) -> Acl:
            access = bucket_access(now)
            acl = bucket_acl(asked, now.owner, access.ownership, access.block, accounts)
            if acl is None:
                raise InvalidRequest("Your request was missing a required header: x-amz-acl")
            return acl

        def check(_catalog: Catalog, now: Bucket) -> None:
            wanted(now)

        acl = wanted(bucket)
        await self._configure(request, "acl", BucketSettings(acl=acl), check)
        return S3Response(200)

    async def get_object_acl(self, request: S3Request) -> S3Response:
        bucket, version = self._object(request)
        owner = _owner(bucket, version)
        acl = None if _is_enforced(bucket) else version.attributes.acl
        answer = _version_header(bucket, version)
        return xml(render_acl(owner, acl or private(owner)), answer)

    async def put_object_acl(self, request: S3Request) -> S3Response:
        bucket, version = self._object(request)
        owner = _owner(bucket, version)
        asked = await _asked(request, owner)
        accounts = request.guard.accounts

        def check(now: Bucket, found: ObjectVersion) -> None:
            # The body has come meanwhile: it must still be the object that was asked about.
            if found.volume_id != version.volume_id:
                raise Conflict("The object was replaced meanwhile. Please try again.")
            changed_object_acl(asked, owner, bucket_access(now), accounts)

        acl = changed_object_acl(asked, owner, bucket_access(bucket), accounts)
        await self._objects.change(
            request.caller,
            request.bucket,
            request.key,
            version.version_id,
            "acl",
            VersionAttributes(acl=acl),
            check,
        )
        return S3Response(200, _version_header(bucket, version))

    # -- policies -------------------------------------------------------------------------------
    async def get_policy(self, request: S3Request) -> S3Response:
        stored = self._buckets.get(request.bucket).settings.policy
        if stored is None:
            raise S3Error("NoSuchBucketPolicy")
        return S3Response(200, {"content-type": "application/json"}, stored.document.encode())

    async def put_policy(self, request: S3Request) -> S3Response:
        text = await _policy_text(request)
        policy = parse_bucket_policy(text, request.bucket)
        is_public = is_public_policy(policy)

        def check(_catalog: Catalog, now: Bucket) -> None:
            if is_public and bucket_access(now).block.block_public_policy:
                raise AccessDenied("The bucket's public access block refuses public policies")

        confirmed = request.head.headers.get(CONFIRM_HEADER, "").lower() == "true"
        value = BucketSettings(policy=BucketPolicy(text, confirmed))
        await self._configure(request, "policy", value, check)
        return S3Response(204)

    async def delete_policy(self, request: S3Request) -> S3Response:
        await self._configure(request, "policy", NO_SETTINGS)
        return S3Response(204)

    async def policy_status(self, request: S3Request) -> S3Response:
        """Whether anybody gets in, by the policy or by the bucket's ACL."""
        access = bucket_access(self._buckets.get(request.bucket))
        by_policy = access.policy is not None and is_public_policy(access.policy)
        by_acl = access.acl is not None and access.acl.is_public
        blocked = access.block
        return xml(
            render_policy_status(
                is_public=(by_policy and not blocked.restrict_public_buckets)
                or (by_acl and not blocked.ignore_public_acls)
            )
        )

    # -- object ownership -----------------------------------------------------------------------
    async def get_ownership(self, request: S3Request) -> S3Response:
        ownership = self._buckets.get(request.bucket).settings.ownership
        if ownership is None:
            raise S3Error("OwnershipControlsNotFoundError")
        return xml(render_ownership(ownership))

    async def put_ownership(self, request: S3Request) -> S3Response:
        ownership = parse_ownership(await document(request, XML_LENGTH_MAX_BYTES))

        def check(_catalog: Catalog, now: Bucket) -> None:
            check_ownership(ownership, now.settings.acl, now.owner)

        await self._configure(request, "ownership", BucketSettings(ownership=ownership), check)
        return S3Response(200)

    async def delete_ownership(self, request: S3Request) -> S3Response:
        await self._configure(request, "ownership", NO_SETTINGS)
        return S3Response(204)

    # -- public access block --------------------------------------------------------------------
    async def get_public_access_block(self, request: S3Request) -> S3Response:
        block = self._buckets.get(request.bucket).settings.public_access_block
        if block is None:
            raise S3Error("NoSuchPublicAccessBlockConfiguration")
        return xml(render_public_access_block(block))

    async def put_public_access_block(self, request: S3Request) -> S3Response:
        block = parse_public_access_block(await document(request, XML_LENGTH_MAX_BYTES))
        value = BucketSettings(public_access_block=block)
        await self._configure(request, "public_access_block", value)
        return S3Response(200)

    async def delete_public_access_block(self, request: S3Request) -> S3Response:
        await self._configure(request, "public_access_block", NO_SETTINGS)
        return S3Response(204)

    # -- looking up and changing ----------------------------------------------------------------
    async def _configure(
        self,
        request: S3Request,
        setting: str,
        value: BucketSettings,
        check: Check | None = None,
    ) -> None:
        await self._buckets.configure(request.caller, request.bucket, setting, value, check)

    def _object(self, request: S3Request) -> tuple[Bucket, ObjectVersion]:
        version = self._objects.head(request.bucket, request.key, version_id=request.version_id)
        return self._buckets.get(request.bucket), version


def _owner(bucket: Bucket, version: ObjectVersion) -> Caller:
    attributes = version.attributes
    if _is_enforced(bucket) or not attributes.owner_id:
        return bucket.owner
    return Caller(attributes.owner_id, attributes.owner_name)


def _is_enforced(bucket: Bucket) -> bool:
    return bucket.settings.ownership is ObjectOwnership.BUCKET_OWNER_ENFORCED


def _version_header(bucket: Bucket, version: ObjectVersion) -> dict[str, str]:
    has_versions = bucket.settings.versioning is not None
    return {"x-amz-version-id": version.version_id} if has_versions else {}


async def _asked(request: S3Request, owner: Caller) -> AskedAcl:
    """What the headers or the body ask for. The owner can't be changed this way."""
    in_headers = asked_acl(request.head.headers)
    body = await document(request, XML_LENGTH_MAX_BYTES)
    if in_headers:
        if body:
            raise S3Error("UnexpectedContent")
        return in_headers
    if not body:
        raise S3Error("MissingSecurityHeader")
    asked, named_owner = parse_acl(body)
    if named_owner and named_owner != owner.id:
        raise AccessDenied("The owner of a resource can't be changed by its ACL")
    return asked


async def _policy_text(request: S3Request) -> str:
    try:
        body = await document(request, BUCKET_POLICY_MAX_BYTES)
        return body.decode()
    except UnicodeDecodeError:
        raise MalformedPolicy("Policies must be valid JSON") from None
    except S3Error as error:
        if error.code != "MalformedXML":
            raise
        raise MalformedPolicy(
            f"Policies must not exceed the maximum allowed size of {BUCKET_POLICY_MAX_BYTES} bytes"
        ) from None
