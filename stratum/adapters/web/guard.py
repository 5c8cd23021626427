"""Every request passes here before its handler runs, and before its body is read.

What it needs stands in one table (`s3/permissions`), whether it may in one function
(`domain/authorization`); this brings the two together with what the catalog knows. Nothing is kept
between requests, so a changed policy counts from the next request on.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from stratum.adapters.s3.acl_headers import asked_acl
from stratum.adapters.s3.condition_keys import Circumstances, condition_keys
from stratum.adapters.s3.headers import copy_source
from stratum.adapters.s3.operations import Operation
from stratum.adapters.s3.permissions import (
    ACTIONS,
    FREE,
    GRANTED_BY_OBJECT,
    OF_VERSION,
    SELF_AUTHORIZED,
    WITHOUT_BUCKET,
    also_needed,
    need_of,
    needed_to_create,
    not_denied,
)
from stratum.adapters.s3.request import RequestHead
from stratum.adapters.s3.routing import Target
from stratum.app.identities import Identities
from stratum.domain.attributes import VersionAttributes
from stratum.domain.authorization import (
    AclTarget,
    BucketAccess,
    Decision,
    Need,
    ObjectAccess,
    authorize,
    identity_allows,
)
from stratum.domain.bucket import require_bucket
from stratum.domain.catalog import Bucket, Catalog
from stratum.domain.errors import AccessDenied
from stratum.domain.granting import Accounts, AskedAcl, new_object
from stratum.domain.names import BucketName, ObjectKey, UploadId
from stratum.domain.object import require_version
from stratum.domain.ownership import NO_BLOCK, ObjectOwnership
from stratum.domain.policy_document import (
    BUCKET_ARN,
    parse_bucket_policy,
    parse_identity_policy,
)
from stratum.domain.principal import Principal, PrincipalKind
from stratum.domain.request_payment import check_payer
from stratum.domain.volume import ObjectVersion
from stratum.domain.wildcards import Context
from stratum.ports import Journal

PAYER = "x-amz-request-payer"
EXPECTED_OWNER = "x-amz-expected-bucket-owner"
EXPECTED_SOURCE_OWNER = "x-amz-source-expected-bucket-owner"


@dataclass(frozen=True, slots=True)
class Asked:
    """Who asks for what, and how."""

    who: Principal
    head: RequestHead
    target: Target
    around: Circumstances
    tags: Mapping[str, str] | None = None
    """The tags in the request's body, once it has been read."""


def bucket_access(bucket: Bucket) -> BucketAccess:
    """What of a bucket counts for access."""
    settings = bucket.settings
    stored = settings.policy
    return BucketAccess(
        bucket.owner,
        settings.acl,
        parse_bucket_policy(stored.document, bucket.name) if stored else None,
        stored.locks_owner_out if stored else False,
        settings.ownership or ObjectOwnership.OBJECT_WRITER,
        settings.public_access_block or NO_BLOCK,
    )


class Guard:
    def __init__(self, journal: Journal, identities: Identities) -> None:
        self._journal = journal
        self._identities = identities

    @property
    def accounts(self) -> Accounts:
        """Whom ACLs can grant to."""
        return self._identities.directory

    @property
    def _catalog(self) -> Catalog:
        return self._journal.catalog

    # -- the whole request ----------------------------------------------------------------------
    def admit(self, asked: Asked) -> ObjectVersion | None:
        """Let a request through to its handler; returns the version it is about if it had to be
        looked up: until the next checkpoint it is as found. Raises AccessDenied, NoSuchBucket."""
        operation, name = asked.target.operation, asked.target.bucket
        if operation in FREE:
            return None
        if operation in WITHOUT_BUCKET or name is None:
            self._admit_without_bucket(asked)
            return None
        bucket = require_bucket(self._catalog, name)
        self._check_expected_owner(asked, EXPECTED_OWNER, bucket)
        if operation in SELF_AUTHORIZED:
            return None
        check_payer(
            bucket.settings.request_payment,
            is_owner=asked.who.account.id == bucket.owner.id,
            said=asked.head.headers.get(PAYER) or asked.target.query.get(PAYER),
        )
        version: ObjectVersion | None = None
        if not _is_owner_without_policies(asked.who, bucket):
            self._admit_to_bucket(asked, bucket)
        elif asked.target.key is not None and ACTIONS[operation] in GRANTED_BY_OBJECT:
            # The hot path. What may be somebody else's in the bucket takes a closer look.
            version = self._version(name, asked.target.key, asked.target.query.get("versionId"))
            if version is not None and version.attributes.owner_id not in ("", bucket.owner.id):
                self._admit_to_bucket(asked, bucket)
        if operation in (Operation.COPY_OBJECT, Operation.UPLOAD_PART_COPY):
            self._require_source(asked)
        return version

    def _admit_to_bucket(self, asked: Asked, bucket: Bucket) -> None:
        operation, access = asked.target.operation, bucket_access(bucket)
        if operation is Operation.DELETE_OBJECTS:
            # Its handler asks for each entry; for whom no entry can be allowed it ends here.
            if asked.who.is_anonymous and access.policy is None:
                self._require(asked, access, bucket, ACTIONS[operation], None)
            return
        action = ACTIONS[operation]
        if operation is Operation.PUT_OBJECT_TAGGING and _asks_for_request_tags(asked.who, access):
            return  # its handler asks once it has read the tags
        try:
            self._require(asked, access, bucket, action, asked.target.key, _version_of(asked))
        except AccessDenied:
            if not self._is_own_upload(asked, access, bucket, action):
                raise
        self._check_further_actions(asked, access, bucket)

    def _admit_without_bucket(self, asked: Asked) -> None:
        operation = asked.target.operation
        actions = [WITHOUT_BUCKET[operation]]
        if operation is Operation.CREATE_BUCKET:
            actions = needed_to_create(asked.head.headers)
        resource = f"{BUCKET_ARN}{asked.target.bucket or '*'}"
        for action in actions:
            if not identity_allows(asked.who, action, resource, self._keys(asked)):
                raise AccessDenied(_refusal(asked.who, action, resource))

    def _check_further_actions(self, asked: Asked, access: BucketAccess, bucket: Bucket) -> None:
        operation, headers = asked.target.operation, asked.head.headers
        for action in also_needed(operation, headers):
            self._require(asked, access, bucket, action, asked.target.key, _version_of(asked))
        for action in not_denied(operation, headers):
            decision, _ = self._decide(asked, access, bucket, action, asked.target.key)
            if decision.explicit:
                raise AccessDenied(decision.why)

    def _require_source(self, asked: Asked) -> None:
        source = copy_source(asked.head.headers)
        bucket = require_bucket(self._catalog, source.bucket)
        self._check_expected_owner(asked, EXPECTED_SOURCE_OWNER, bucket)
        access = bucket_access(bucket)
        self._require(asked, access, bucket, "s3:GetObject", source.key, source.version_id)

    # -- what is written ------------------------------------------------------------------------
    def new_attributes(self, asked: Asked, acl: AskedAcl | None = None) -> VersionAttributes:
        """Owner and ACL of the object that a request writes; `acl` is what it asks for, by default
        in its headers. Raises what `granting.new_object` raises, and S3Error."""
        name = asked.target.bucket
        assert name is not None, "an object is written to a bucket"
        access = bucket_access(require_bucket(self._catalog, name))
        wanted = asked_acl(asked.head.headers) if acl is None else acl
        born = new_object(wanted, asked.who, access, self.accounts)
        if born.owner.id == access.owner.id:  # as most; nothing is stored for it
            return VersionAttributes(acl=born.acl)
        return VersionAttributes(born.owner.id, born.owner.name, acl=born.acl)

    # -- single actions -------------------------------------------------------------------------
    def require_tagging(self, asked: Asked, tags: Mapping[str, str]) -> None:
        """The part of PutObjectTagging that the tags in its body decide. Raises AccessDenied."""
        name, key = asked.target.bucket, asked.target.key
        assert name is not None, "tags are put on an object in a bucket"
        action = ACTIONS[Operation.PUT_OBJECT_TAGGING]
        self.require(replace(asked, tags=tags), action, name, key, _version_of(asked))

    def require(
        self,
        asked: Asked,
        action: str,
        name: BucketName,
        key: ObjectKey | None = None,
        version_id: str | None = None,
    ) -> None:
        """Ask for something more than the request's operation as such. With a version id the
        action becomes the one on versions. Raises AccessDenied, NoSuchBucket."""
        bucket = require_bucket(self._catalog, name)
        self._require(asked, bucket_access(bucket), bucket, action, key, version_id)

    def _require(
        self,
        asked: Asked,
        access: BucketAccess,
        bucket: Bucket,
        action: str,
        key: ObjectKey | None,
        version_id: str | None = None,
    ) -> None:
        """Raises AccessDenied; of an object that is not there NoSuchKey and the like, if the asker
        may list the bucket. What was not there is so never let through unseen."""
        decision, is_missing = self._decide(asked, access, bucket, action, key, version_id)
        if key is not None and is_missing and not decision.explicit:
            decision = self._may_list(asked, access, bucket, key)
            if decision.allowed:
                require_version(self._catalog, bucket.name, key, version_id)
        if not decision.allowed:
            raise AccessDenied(decision.why)

    def _decide(
        self,
        asked: Asked,
        access: BucketAccess,
        bucket: Bucket,
        action: str,
        key: ObjectKey | None,
        version_id: str | None = None,
    ) -> tuple[Decision, bool]:
        """The decision, and whether it was about an object that is not there."""
        if version_id is not None:
            action = OF_VERSION.get(action, action)
        need = need_of(action, on_object=key is not None)
        resource = f"{BUCKET_ARN}{bucket.name}" + ("" if key is None else f"/{key}")
        version: ObjectVersion | None = None
        asks_for_tags = bool(
            (access.policy is not None and access.policy.asks_for_tags)
            or asked.who.policies
            or asked.who.session_policies
        )
        if key is not None and (asks_for_tags or need.granted_by is AclTarget.OBJECT):
            version = self._version(bucket.name, key, version_id)
        found = _object_access(version, bucket) if version else None
        decision = authorize(
            asked.who, need, resource, access, found, lambda: self._keys(asked, version)
        )
        return decision, found is None and need.granted_by is AclTarget.OBJECT

    def _may_list(
        self, asked: Asked, access: BucketAccess, bucket: Bucket, key: ObjectKey
    ) -> Decision:
        """Only who may list a bucket learns that an object is not there."""

        def keys() -> Context:
            return {**self._keys(asked), "s3:prefix": (key,)}

        listing: Need = need_of("s3:ListBucket", on_object=False)
        return authorize(asked.who, listing, f"{BUCKET_ARN}{bucket.name}", access, None, keys)

    def _version(
        self, bucket: BucketName, key: ObjectKey, version_id: str | None
    ) -> ObjectVersion | None:
        if version_id is None:
            return self._catalog.version(bucket, key)
        found = self._catalog.version_by_id(bucket, key, version_id)
        return found if isinstance(found, ObjectVersion) else None

    def _is_own_upload(
        self, asked: Asked, access: BucketAccess, bucket: Bucket, action: str
    ) -> bool:
        """Whoever began an upload may look at its parts and abort it, unless that is denied."""
        if action not in ("s3:AbortMultipartUpload", "s3:ListMultipartUploadParts"):
            return False
        upload = self._catalog.upload(UploadId(asked.target.query.get("uploadId", "")))
        return (
            upload is not None
            and upload.bucket == bucket.name
            and upload.key == asked.target.key
            and upload.owner_id == asked.who.account.id
            and asked.who.is_account
            and not self._decide(asked, access, bucket, action, asked.target.key)[0].explicit
        )

    def _check_expected_owner(self, asked: Asked, header: str, bucket: Bucket) -> None:
        expected = asked.head.headers.get(header)
        if expected is None or expected == bucket.owner.id:
            return
        account = self._identities.directory.account(bucket.owner.id)
        if account is None or expected != account.number:
            raise AccessDenied("The bucket owner is not the expected one")

    def _keys(self, asked: Asked, version: ObjectVersion | None = None) -> Context:
        tags = version.attributes.tags if version else None
        return condition_keys(
            asked.head, asked.target.query, asked.who, asked.around, tags, asked.tags
        )


def _is_owner_without_policies(who: Principal, bucket: Bucket) -> bool:
    """Who may do everything to what is the owner's, as `authorize` would say."""
    return (
        bucket.settings.policy is None
        and who.kind is PrincipalKind.ACCOUNT
        and not who.session_policies
        and (who.account.id == bucket.owner.id or who.operator)
    )


def _version_of(asked: Asked) -> str | None:
    """The version that a request names for its own object."""
    return asked.target.query.get("versionId")


def _asks_for_request_tags(who: Principal, access: BucketAccess) -> bool:
    policies = [parse_identity_policy(each) for each in (*who.policies, *who.session_policies)]
    if access.policy is not None:
        policies.append(access.policy)
    return any(policy.asks_for_request_tags for policy in policies)


def _object_access(version: ObjectVersion, bucket: Bucket) -> ObjectAccess:
    attributes = version.attributes
    return ObjectAccess(attributes.owner_id or bucket.owner.id, attributes.acl)


def _refusal(who: Principal, action: str, resource: str) -> str:
    if who.is_anonymous:
        return "Access Denied"
    return (
        f'User: {who.arn} is not authorized to perform: {action} on resource: "{resource}"'
        f" because no identity-based policy allows the {action} action"
    )
