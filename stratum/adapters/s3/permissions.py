"""What each operation needs: one total table from operations to actions, and what ACLs grant.

https://docs.aws.amazon.com/AmazonS3/latest/API/using-with-s3-policy-actions.html (operations)
https://docs.aws.amazon.com/AmazonS3/latest/userguide/acl-overview.html#permissions (ACLs)
"""

from __future__ import annotations

from stratum.adapters.s3.operations import Operation
from stratum.adapters.s3.request import Headers
from stratum.domain.acl import AclPermission
from stratum.domain.authorization import AclTarget, Need

BUCKET, OBJECT = AclTarget.BUCKET, AclTarget.OBJECT

WITHOUT_BUCKET = {
    Operation.LIST_BUCKETS: "s3:ListAllMyBuckets",
    Operation.LIST_DIRECTORY_BUCKETS: "s3express:ListAllMyDirectoryBuckets",
    Operation.CREATE_BUCKET: "s3:CreateBucket",
    Operation.WRITE_GET_OBJECT_RESPONSE: "s3-object-lambda:WriteGetObjectResponse",
}
"""Operations on no bucket that exists: only the asker's own policies count."""

FREE = {Operation.PREFLIGHT_REQUEST}
"""Anybody may ask this: a browser sends no credentials with it, and it answers what the bucket's
CORS configuration is willing to tell."""

SELF_AUTHORIZED = {Operation.POST_OBJECT}
"""Who asks stands in the form: the handler authorises, with the same function."""

ACTIONS: dict[Operation, str] = {
    **WITHOUT_BUCKET,
    Operation.POST_OBJECT: "s3:PutObject",
    Operation.ABORT_MULTIPART_UPLOAD: "s3:AbortMultipartUpload",
    Operation.COMPLETE_MULTIPART_UPLOAD: "s3:PutObject",
    Operation.COPY_OBJECT: "s3:PutObject",
    Operation.CREATE_BUCKET_METADATA_CONFIGURATION: "s3:CreateBucketMetadataTableConfiguration",
    Operation.CREATE_BUCKET_METADATA_TABLE_CONFIGURATION: (
        "s3:CreateBucketMetadataTableConfiguration"
    ),
    Operation.CREATE_MULTIPART_UPLOAD: "s3:PutObject",
    Operation.CREATE_SESSION: "s3:CreateSession",
    Operation.DELETE_BUCKET: "s3:DeleteBucket",
    Operation.DELETE_BUCKET_ANALYTICS_CONFIGURATION: "s3:PutAnalyticsConfiguration",
    Operation.DELETE_BUCKET_CORS: "s3:PutBucketCORS",
    Operation.DELETE_BUCKET_ENCRYPTION: "s3:PutEncryptionConfiguration",
    Operation.DELETE_BUCKET_INTELLIGENT_TIERING_CONFIGURATION: (
        "s3:PutIntelligentTieringConfiguration"
    ),
    Operation.DELETE_BUCKET_INVENTORY_CONFIGURATION: "s3:PutInventoryConfiguration",
    Operation.DELETE_BUCKET_LIFECYCLE: "s3:PutLifecycleConfiguration",
    Operation.DELETE_BUCKET_METADATA_CONFIGURATION: "s3:DeleteBucketMetadataTableConfiguration",
    Operation.DELETE_BUCKET_METADATA_TABLE_CONFIGURATION: (
        "s3:DeleteBucketMetadataTableConfiguration"
    ),
    Operation.DELETE_BUCKET_METRICS_CONFIGURATION: "s3:PutMetricsConfiguration",
    Operation.DELETE_BUCKET_OWNERSHIP_CONTROLS: "s3:PutBucketOwnershipControls",
    Operation.DELETE_BUCKET_POLICY: "s3:DeleteBucketPolicy",
    Operation.DELETE_BUCKET_REPLICATION: "s3:PutReplicationConfiguration",
    Operation.DELETE_BUCKET_TAGGING: "s3:PutBucketTagging",
    Operation.DELETE_BUCKET_WEBSITE: "s3:DeleteBucketWebsite",
    Operation.DELETE_OBJECT: "s3:DeleteObject",
    Operation.DELETE_OBJECT_ANNOTATION: "s3:DeleteObjectAnnotation",
    Operation.DELETE_OBJECT_TAGGING: "s3:DeleteObjectTagging",
    Operation.DELETE_OBJECTS: "s3:DeleteObject",
    Operation.DELETE_PUBLIC_ACCESS_BLOCK: "s3:PutBucketPublicAccessBlock",
    Operation.GET_BUCKET_ABAC: "s3:GetBucketAbac",
    Operation.GET_BUCKET_ACCELERATE_CONFIGURATION: "s3:GetAccelerateConfiguration",
    Operation.GET_BUCKET_ACL: "s3:GetBucketAcl",
    Operation.GET_BUCKET_ANALYTICS_CONFIGURATION: "s3:GetAnalyticsConfiguration",
    Operation.GET_BUCKET_CORS: "s3:GetBucketCORS",
    Operation.GET_BUCKET_ENCRYPTION: "s3:GetEncryptionConfiguration",
    Operation.GET_BUCKET_INTELLIGENT_TIERING_CONFIGURATION: "s3:GetIntelligentTieringConfiguration",
    Operation.GET_BUCKET_INVENTORY_CONFIGURATION: "s3:GetInventoryConfiguration",
    Operation.GET_BUCKET_LIFECYCLE_CONFIGURATION: "s3:GetLifecycleConfiguration",
    Operation.GET_BUCKET_LOCATION: "s3:GetBucketLocation",
    Operation.GET_BUCKET_LOGGING: "s3:GetBucketLogging",
    Operation.GET_BUCKET_METADATA_CONFIGURATION: "s3:GetBucketMetadataTableConfiguration",
    Operation.GET_BUCKET_METADATA_TABLE_CONFIGURATION: "s3:GetBucketMetadataTableConfiguration",
    Operation.GET_BUCKET_METRICS_CONFIGURATION: "s3:GetMetricsConfiguration",
    Operation.GET_BUCKET_NOTIFICATION_CONFIGURATION: "s3:GetBucketNotification",
    Operation.GET_BUCKET_OWNERSHIP_CONTROLS: "s3:GetBucketOwnershipControls",
    Operation.GET_BUCKET_POLICY: "s3:GetBucketPolicy",
    Operation.GET_BUCKET_POLICY_STATUS: "s3:GetBucketPolicyStatus",
    Operation.GET_BUCKET_REPLICATION: "s3:GetReplicationConfiguration",
    Operation.GET_BUCKET_REQUEST_PAYMENT: "s3:GetBucketRequestPayment",
    Operation.GET_BUCKET_TAGGING: "s3:GetBucketTagging",
    Operation.GET_BUCKET_VERSIONING: "s3:GetBucketVersioning",
    Operation.GET_BUCKET_WEBSITE: "s3:GetBucketWebsite",
    Operation.GET_OBJECT: "s3:GetObject",
    Operation.GET_OBJECT_ACL: "s3:GetObjectAcl",
    Operation.GET_OBJECT_ANNOTATION: "s3:GetObjectAnnotation",
    Operation.GET_OBJECT_ATTRIBUTES: "s3:GetObjectAttributes",
    Operation.GET_OBJECT_LEGAL_HOLD: "s3:GetObjectLegalHold",
    Operation.GET_OBJECT_LOCK_CONFIGURATION: "s3:GetBucketObjectLockConfiguration",
    Operation.GET_OBJECT_RETENTION: "s3:GetObjectRetention",
    Operation.GET_OBJECT_TAGGING: "s3:GetObjectTagging",
    Operation.GET_OBJECT_TORRENT: "s3:GetObjectTorrent",
    Operation.GET_PUBLIC_ACCESS_BLOCK: "s3:GetBucketPublicAccessBlock",
    Operation.HEAD_BUCKET: "s3:ListBucket",
    Operation.HEAD_OBJECT: "s3:GetObject",
    Operation.LIST_BUCKET_ANALYTICS_CONFIGURATIONS: "s3:GetAnalyticsConfiguration",
    Operation.LIST_BUCKET_INTELLIGENT_TIERING_CONFIGURATIONS: (
        "s3:GetIntelligentTieringConfiguration"
    ),
    Operation.LIST_BUCKET_INVENTORY_CONFIGURATIONS: "s3:GetInventoryConfiguration",
    Operation.LIST_BUCKET_METRICS_CONFIGURATIONS: "s3:GetMetricsConfiguration",
    Operation.LIST_MULTIPART_UPLOADS: "s3:ListBucketMultipartUploads",
    Operation.LIST_OBJECT_ANNOTATIONS: "s3:ListObjectAnnotations",
    Operation.LIST_OBJECT_VERSIONS: "s3:ListBucketVersions",
    Operation.LIST_OBJECTS: "s3:ListBucket",
    Operation.LIST_OBJECTS_V2: "s3:ListBucket",
    Operation.LIST_PARTS: "s3:ListMultipartUploadParts",
    Operation.PUT_BUCKET_ABAC: "s3:PutBucketAbac",
    Operation.PUT_BUCKET_ACCELERATE_CONFIGURATION: "s3:PutAccelerateConfiguration",
    Operation.PUT_BUCKET_ACL: "s3:PutBucketAcl",
    Operation.PUT_BUCKET_ANALYTICS_CONFIGURATION: "s3:PutAnalyticsConfiguration",
    Operation.PUT_BUCKET_CORS: "s3:PutBucketCORS",
    Operation.PUT_BUCKET_ENCRYPTION: "s3:PutEncryptionConfiguration",
    Operation.PUT_BUCKET_INTELLIGENT_TIERING_CONFIGURATION: "s3:PutIntelligentTieringConfiguration",
    Operation.PUT_BUCKET_INVENTORY_CONFIGURATION: "s3:PutInventoryConfiguration",
    Operation.PUT_BUCKET_LIFECYCLE_CONFIGURATION: "s3:PutLifecycleConfiguration",
    Operation.PUT_BUCKET_LOGGING: "s3:PutBucketLogging",
    Operation.PUT_BUCKET_METRICS_CONFIGURATION: "s3:PutMetricsConfiguration",
    Operation.PUT_BUCKET_NOTIFICATION_CONFIGURATION: "s3:PutBucketNotification",
    Operation.PUT_BUCKET_OWNERSHIP_CONTROLS: "s3:PutBucketOwnershipControls",
    Operation.PUT_BUCKET_POLICY: "s3:PutBucketPolicy",
    Operation.PUT_BUCKET_REPLICATION: "s3:PutReplicationConfiguration",
    Operation.PUT_BUCKET_REQUEST_PAYMENT: "s3:PutBucketRequestPayment",
    Operation.PUT_BUCKET_TAGGING: "s3:PutBucketTagging",
    Operation.PUT_BUCKET_VERSIONING: "s3:PutBucketVersioning",
    Operation.PUT_BUCKET_WEBSITE: "s3:PutBucketWebsite",
    Operation.PUT_OBJECT: "s3:PutObject",
    Operation.PUT_OBJECT_ACL: "s3:PutObjectAcl",
    Operation.PUT_OBJECT_ANNOTATION: "s3:PutObjectAnnotation",
    Operation.PUT_OBJECT_LEGAL_HOLD: "s3:PutObjectLegalHold",
    Operation.PUT_OBJECT_LOCK_CONFIGURATION: "s3:PutBucketObjectLockConfiguration",
    Operation.PUT_OBJECT_RETENTION: "s3:PutObjectRetention",
    Operation.PUT_OBJECT_TAGGING: "s3:PutObjectTagging",
    Operation.PUT_PUBLIC_ACCESS_BLOCK: "s3:PutBucketPublicAccessBlock",
    Operation.RENAME_OBJECT: "s3:PutObject",
    Operation.RESTORE_OBJECT: "s3:RestoreObject",
    Operation.SELECT_OBJECT_CONTENT: "s3:GetObject",
    Operation.UPDATE_BUCKET_METADATA_ANNOTATION_TABLE_CONFIGURATION: (
        "s3:UpdateBucketMetadataAnnotationTableConfiguration"
    ),
    Operation.UPDATE_BUCKET_METADATA_INVENTORY_TABLE_CONFIGURATION: (
        "s3:UpdateBucketMetadataInventoryTableConfiguration"
    ),
    Operation.UPDATE_BUCKET_METADATA_JOURNAL_TABLE_CONFIGURATION: (
        "s3:UpdateBucketMetadataJournalTableConfiguration"
    ),
    Operation.UPDATE_OBJECT_ENCRYPTION: "s3:UpdateObjectEncryption",
    Operation.UPLOAD_PART: "s3:PutObject",
    Operation.UPLOAD_PART_COPY: "s3:PutObject",
}
"""Every operation but those that are FREE."""

OF_VERSION = {
    "s3:DeleteObject": "s3:DeleteObjectVersion",
    "s3:DeleteObjectTagging": "s3:DeleteObjectVersionTagging",
    "s3:GetObject": "s3:GetObjectVersion",
    "s3:GetObjectAcl": "s3:GetObjectVersionAcl",
    "s3:GetObjectAttributes": "s3:GetObjectVersionAttributes",
    "s3:GetObjectTagging": "s3:GetObjectVersionTagging",
    "s3:GetObjectTorrent": "s3:GetObjectVersionTorrent",
    "s3:PutObjectAcl": "s3:PutObjectVersionAcl",
    "s3:PutObjectTagging": "s3:PutObjectVersionTagging",
}
"""What an action becomes when the request names a version."""

_READ_BUCKET = (AclPermission.READ, BUCKET)
_WRITE_BUCKET = (AclPermission.WRITE, BUCKET)
_READ_OBJECT = (AclPermission.READ, OBJECT)

GRANTED_BY_ACL: dict[str, tuple[AclPermission, AclTarget]] = {
    "s3:ListBucket": _READ_BUCKET,
    "s3:ListBucketVersions": _READ_BUCKET,
    "s3:ListBucketMultipartUploads": _READ_BUCKET,
    "s3:GetBucketAcl": (AclPermission.READ_ACP, BUCKET),
    "s3:PutBucketAcl": (AclPermission.WRITE_ACP, BUCKET),
    "s3:PutObject": _WRITE_BUCKET,
    "s3:DeleteObject": _WRITE_BUCKET,
    "s3:GetObject": _READ_OBJECT,
    "s3:GetObjectVersion": _READ_OBJECT,
    "s3:GetObjectTorrent": _READ_OBJECT,
    "s3:GetObjectVersionTorrent": _READ_OBJECT,
    "s3:GetObjectAttributes": _READ_OBJECT,
    "s3:GetObjectVersionAttributes": _READ_OBJECT,
    "s3:GetObjectAcl": (AclPermission.READ_ACP, OBJECT),
    "s3:GetObjectVersionAcl": (AclPermission.READ_ACP, OBJECT),
    "s3:PutObjectAcl": (AclPermission.WRITE_ACP, OBJECT),
    "s3:PutObjectVersionAcl": (AclPermission.WRITE_ACP, OBJECT),
}
"""Of everything else no ACL knows."""

GRANTED_BY_OBJECT = frozenset(
    action for action, (_, granted_by) in GRANTED_BY_ACL.items() if granted_by is OBJECT
)
"""What is the object owner's business, and not that of the bucket's owner."""

READS = frozenset(
    {
        Operation.GET_OBJECT,
        Operation.HEAD_OBJECT,
        Operation.GET_OBJECT_ATTRIBUTES,
        Operation.GET_OBJECT_TORRENT,
        Operation.SELECT_OBJECT_CONTENT,
    }
)
"""Operations that tell whether an object exists: who may not list the bucket hears 403 of one that
does not, and never 404."""


def need_of(action: str, *, on_object: bool) -> Need:
    """An action with the ACL permission that grants it."""
    permission, granted_by = GRANTED_BY_ACL.get(action, (None, None))
    return Need(action, OBJECT if on_object else BUCKET, permission, granted_by)


ACL_HEADERS = (
    "x-amz-acl",
    "x-amz-grant-full-control",
    "x-amz-grant-read",
    "x-amz-grant-read-acp",
    "x-amz-grant-write",
    "x-amz-grant-write-acp",
)

_WRITES_OBJECT = frozenset(
    {
        Operation.PUT_OBJECT,
        Operation.COPY_OBJECT,
        Operation.CREATE_MULTIPART_UPLOAD,
    }
)


def also_needed(operation: Operation, headers: Headers) -> list[str]:
    """Further actions that headers ask for, each of which must be allowed."""
    actions: list[str] = []
    if operation in _WRITES_OBJECT:
        if "x-amz-object-lock-mode" in headers or "x-amz-object-lock-retain-until-date" in headers:
            actions.append("s3:PutObjectRetention")
        if "x-amz-object-lock-legal-hold" in headers:
            actions.append("s3:PutObjectLegalHold")
    if (
        operation in (Operation.DELETE_OBJECT, Operation.PUT_OBJECT_RETENTION)
        and headers.get("x-amz-bypass-governance-retention", "").lower() == "true"
    ):
        actions.append("s3:BypassGovernanceRetention")
    if operation is Operation.GET_OBJECT_ATTRIBUTES:
        actions.append("s3:GetObject")
    return actions


def not_denied(operation: Operation, headers: Headers) -> list[str]:
    """Further actions that headers ask for and whoever may write may do, unless denied: what an
    object is born with is its writer's choice."""
    actions: list[str] = []
    if operation in _WRITES_OBJECT:
        if any(name in headers for name in ACL_HEADERS):
            actions.append("s3:PutObjectAcl")
        if "x-amz-tagging" in headers:
            actions.append("s3:PutObjectTagging")
    return actions


def needed_to_create(headers: Headers) -> list[str]:
    """All actions that a CreateBucket with these headers needs."""
    actions = [WITHOUT_BUCKET[Operation.CREATE_BUCKET]]
    if any(name in headers for name in ACL_HEADERS):
        actions.append("s3:PutBucketAcl")
    if headers.get("x-amz-bucket-object-lock-enabled", "").lower() == "true":
        actions += ["s3:PutBucketObjectLockConfiguration", "s3:PutBucketVersioning"]
    if "x-amz-object-ownership" in headers:
        actions.append("s3:PutBucketOwnershipControls")
    return actions
