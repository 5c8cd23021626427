"""Every operation of the S3 API, built or not, and the query that selects it.

The list is https://docs.aws.amazon.com/AmazonS3/latest/API/API_Operations_Amazon_Simple_Storage_
Service.html. Which operations are built is decided by the table of handlers; the others are still
recognised, so that a client hears "not implemented" instead of getting something else done: a
PUT with `?acl` must never be taken for a PUT of the object.
"""

from __future__ import annotations

from enum import StrEnum


class Operation(StrEnum):
    """Operations by Amazon's names, and the two browsers use (PostObject, PreflightRequest)."""

    ABORT_MULTIPART_UPLOAD = "AbortMultipartUpload"
    COMPLETE_MULTIPART_UPLOAD = "CompleteMultipartUpload"
    COPY_OBJECT = "CopyObject"
    CREATE_BUCKET = "CreateBucket"
    CREATE_BUCKET_METADATA_CONFIGURATION = "CreateBucketMetadataConfiguration"
    CREATE_BUCKET_METADATA_TABLE_CONFIGURATION = "CreateBucketMetadataTableConfiguration"
    CREATE_MULTIPART_UPLOAD = "CreateMultipartUpload"
    CREATE_SESSION = "CreateSession"
    DELETE_BUCKET = "DeleteBucket"
    DELETE_BUCKET_ANALYTICS_CONFIGURATION = "DeleteBucketAnalyticsConfiguration"
    DELETE_BUCKET_CORS = "DeleteBucketCors"
    DELETE_BUCKET_ENCRYPTION = "DeleteBucketEncryption"
    DELETE_BUCKET_INTELLIGENT_TIERING_CONFIGURATION = "DeleteBucketIntelligentTieringConfiguration"
    DELETE_BUCKET_INVENTORY_CONFIGURATION = "DeleteBucketInventoryConfiguration"
    DELETE_BUCKET_LIFECYCLE = "DeleteBucketLifecycle"
    DELETE_BUCKET_METADATA_CONFIGURATION = "DeleteBucketMetadataConfiguration"
    DELETE_BUCKET_METADATA_TABLE_CONFIGURATION = "DeleteBucketMetadataTableConfiguration"
    DELETE_BUCKET_METRICS_CONFIGURATION = "DeleteBucketMetricsConfiguration"
    DELETE_BUCKET_OWNERSHIP_CONTROLS = "DeleteBucketOwnershipControls"
    DELETE_BUCKET_POLICY = "DeleteBucketPolicy"
    DELETE_BUCKET_REPLICATION = "DeleteBucketReplication"
    DELETE_BUCKET_TAGGING = "DeleteBucketTagging"
    DELETE_BUCKET_WEBSITE = "DeleteBucketWebsite"
    DELETE_OBJECT = "DeleteObject"
    DELETE_OBJECT_ANNOTATION = "DeleteObjectAnnotation"
    DELETE_OBJECT_TAGGING = "DeleteObjectTagging"
    DELETE_OBJECTS = "DeleteObjects"
    DELETE_PUBLIC_ACCESS_BLOCK = "DeletePublicAccessBlock"
    GET_BUCKET_ABAC = "GetBucketAbac"
    GET_BUCKET_ACCELERATE_CONFIGURATION = "GetBucketAccelerateConfiguration"
    GET_BUCKET_ACL = "GetBucketAcl"
    GET_BUCKET_ANALYTICS_CONFIGURATION = "GetBucketAnalyticsConfiguration"
    GET_BUCKET_CORS = "GetBucketCors"
    GET_BUCKET_ENCRYPTION = "GetBucketEncryption"
    GET_BUCKET_INTELLIGENT_TIERING_CONFIGURATION = "GetBucketIntelligentTieringConfiguration"
    GET_BUCKET_INVENTORY_CONFIGURATION = "GetBucketInventoryConfiguration"
    GET_BUCKET_LIFECYCLE_CONFIGURATION = "GetBucketLifecycleConfiguration"
    GET_BUCKET_LOCATION = "GetBucketLocation"
    GET_BUCKET_LOGGING = "GetBucketLogging"
    GET_BUCKET_METADATA_CONFIGURATION = "GetBucketMetadataConfiguration"
    GET_BUCKET_METADATA_TABLE_CONFIGURATION = "GetBucketMetadataTableConfiguration"
    GET_BUCKET_METRICS_CONFIGURATION = "GetBucketMetricsConfiguration"
    GET_BUCKET_NOTIFICATION_CONFIGURATION = "GetBucketNotificationConfiguration"
    GET_BUCKET_OWNERSHIP_CONTROLS = "GetBucketOwnershipControls"
    GET_BUCKET_POLICY = "GetBucketPolicy"
    GET_BUCKET_POLICY_STATUS = "GetBucketPolicyStatus"
    GET_BUCKET_REPLICATION = "GetBucketReplication"
    GET_BUCKET_REQUEST_PAYMENT = "GetBucketRequestPayment"
    GET_BUCKET_TAGGING = "GetBucketTagging"
    GET_BUCKET_VERSIONING = "GetBucketVersioning"
    GET_BUCKET_WEBSITE = "GetBucketWebsite"
    GET_OBJECT = "GetObject"
    GET_OBJECT_ACL = "GetObjectAcl"
    GET_OBJECT_ANNOTATION = "GetObjectAnnotation"
    GET_OBJECT_ATTRIBUTES = "GetObjectAttributes"
    GET_OBJECT_LEGAL_HOLD = "GetObjectLegalHold"
    GET_OBJECT_LOCK_CONFIGURATION = "GetObjectLockConfiguration"
    GET_OBJECT_RETENTION = "GetObjectRetention"
    GET_OBJECT_TAGGING = "GetObjectTagging"
    GET_OBJECT_TORRENT = "GetObjectTorrent"
    GET_PUBLIC_ACCESS_BLOCK = "GetPublicAccessBlock"
    HEAD_BUCKET = "HeadBucket"
    HEAD_OBJECT = "HeadObject"
    LIST_BUCKET_ANALYTICS_CONFIGURATIONS = "ListBucketAnalyticsConfigurations"
    LIST_BUCKET_INTELLIGENT_TIERING_CONFIGURATIONS = "ListBucketIntelligentTieringConfigurations"
    LIST_BUCKET_INVENTORY_CONFIGURATIONS = "ListBucketInventoryConfigurations"
    LIST_BUCKET_METRICS_CONFIGURATIONS = "ListBucketMetricsConfigurations"
    LIST_BUCKETS = "ListBuckets"
    LIST_DIRECTORY_BUCKETS = "ListDirectoryBuckets"
    LIST_MULTIPART_UPLOADS = "ListMultipartUploads"
    LIST_OBJECT_ANNOTATIONS = "ListObjectAnnotations"
    LIST_OBJECT_VERSIONS = "ListObjectVersions"
    LIST_OBJECTS = "ListObjects"
    LIST_OBJECTS_V2 = "ListObjectsV2"
    LIST_PARTS = "ListParts"
    POST_OBJECT = "PostObject"
    PREFLIGHT_REQUEST = "PreflightRequest"
    PUT_BUCKET_ABAC = "PutBucketAbac"
    PUT_BUCKET_ACCELERATE_CONFIGURATION = "PutBucketAccelerateConfiguration"
    PUT_BUCKET_ACL = "PutBucketAcl"
    PUT_BUCKET_ANALYTICS_CONFIGURATION = "PutBucketAnalyticsConfiguration"
    PUT_BUCKET_CORS = "PutBucketCors"
    PUT_BUCKET_ENCRYPTION = "PutBucketEncryption"
    PUT_BUCKET_INTELLIGENT_TIERING_CONFIGURATION = "PutBucketIntelligentTieringConfiguration"
    PUT_BUCKET_INVENTORY_CONFIGURATION = "PutBucketInventoryConfiguration"
    PUT_BUCKET_LIFECYCLE_CONFIGURATION = "PutBucketLifecycleConfiguration"
    PUT_BUCKET_LOGGING = "PutBucketLogging"
    PUT_BUCKET_METRICS_CONFIGURATION = "PutBucketMetricsConfiguration"
    PUT_BUCKET_NOTIFICATION_CONFIGURATION = "PutBucketNotificationConfiguration"
    PUT_BUCKET_OWNERSHIP_CONTROLS = "PutBucketOwnershipControls"
    PUT_BUCKET_POLICY = "PutBucketPolicy"
    PUT_BUCKET_REPLICATION = "PutBucketReplication"
    PUT_BUCKET_REQUEST_PAYMENT = "PutBucketRequestPayment"
    PUT_BUCKET_TAGGING = "PutBucketTagging"
    PUT_BUCKET_VERSIONING = "PutBucketVersioning"
    PUT_BUCKET_WEBSITE = "PutBucketWebsite"
    PUT_OBJECT = "PutObject"
    PUT_OBJECT_ACL = "PutObjectAcl"
    PUT_OBJECT_ANNOTATION = "PutObjectAnnotation"
    PUT_OBJECT_LEGAL_HOLD = "PutObjectLegalHold"
    PUT_OBJECT_LOCK_CONFIGURATION = "PutObjectLockConfiguration"
    PUT_OBJECT_RETENTION = "PutObjectRetention"
    PUT_OBJECT_TAGGING = "PutObjectTagging"
    PUT_PUBLIC_ACCESS_BLOCK = "PutPublicAccessBlock"
    RENAME_OBJECT = "RenameObject"
    RESTORE_OBJECT = "RestoreObject"
    SELECT_OBJECT_CONTENT = "SelectObjectContent"
    UPDATE_BUCKET_METADATA_ANNOTATION_TABLE_CONFIGURATION = (
        "UpdateBucketMetadataAnnotationTableConfiguration"
    )
    UPDATE_BUCKET_METADATA_INVENTORY_TABLE_CONFIGURATION = (
        "UpdateBucketMetadataInventoryTableConfiguration"
    )
    UPDATE_BUCKET_METADATA_JOURNAL_TABLE_CONFIGURATION = (
        "UpdateBucketMetadataJournalTableConfiguration"
    )
    UPDATE_OBJECT_ENCRYPTION = "UpdateObjectEncryption"
    UPLOAD_PART = "UploadPart"
    UPLOAD_PART_COPY = "UploadPartCopy"
    WRITE_GET_OBJECT_RESPONSE = "WriteGetObjectResponse"


UNREACHABLE = {
    # Amazon tells it from ListBuckets by the host name of its control endpoint only.
    Operation.LIST_DIRECTORY_BUCKETS,
}
"""Operations no request to this server can mean."""

Methods = dict[str, Operation]


def _settings(name: str, methods: str) -> Methods:
    """The operations on one sub-resource: `methods` of Get, Put, Delete on `name`."""
    return {method.upper(): Operation(f"{method}{name}") for method in methods.split()}


BUCKET_SUBRESOURCES: dict[str, Methods] = {
    "abac": _settings("BucketAbac", "Get Put"),
    "accelerate": _settings("BucketAccelerateConfiguration", "Get Put"),
    "acl": _settings("BucketAcl", "Get Put"),
    "analytics": _settings("BucketAnalyticsConfiguration", "Get Put Delete"),
    "cors": _settings("BucketCors", "Get Put Delete"),
    "delete": {"POST": Operation.DELETE_OBJECTS},
    "encryption": _settings("BucketEncryption", "Get Put Delete"),
    "intelligent-tiering": _settings("BucketIntelligentTieringConfiguration", "Get Put Delete"),
    "inventory": _settings("BucketInventoryConfiguration", "Get Put Delete"),
    "lifecycle": {
        **_settings("BucketLifecycleConfiguration", "Get Put"),
        "DELETE": Operation.DELETE_BUCKET_LIFECYCLE,
    },
    "location": _settings("BucketLocation", "Get"),
    "logging": _settings("BucketLogging", "Get Put"),
    "metadataAnnotationTable": {
        "PUT": Operation.UPDATE_BUCKET_METADATA_ANNOTATION_TABLE_CONFIGURATION
    },
    "metadataConfiguration": {
        **_settings("BucketMetadataConfiguration", "Get Delete"),
        "POST": Operation.CREATE_BUCKET_METADATA_CONFIGURATION,
    },
    "metadataInventoryTable": {
        "PUT": Operation.UPDATE_BUCKET_METADATA_INVENTORY_TABLE_CONFIGURATION
    },
    "metadataJournalTable": {"PUT": Operation.UPDATE_BUCKET_METADATA_JOURNAL_TABLE_CONFIGURATION},
    "metadataTable": {
        **_settings("BucketMetadataTableConfiguration", "Get Delete"),
        "POST": Operation.CREATE_BUCKET_METADATA_TABLE_CONFIGURATION,
    },
    "metrics": _settings("BucketMetricsConfiguration", "Get Put Delete"),
    "notification": _settings("BucketNotificationConfiguration", "Get Put"),
    "object-lock": _settings("ObjectLockConfiguration", "Get Put"),
    "ownershipControls": _settings("BucketOwnershipControls", "Get Put Delete"),
    "policy": _settings("BucketPolicy", "Get Put Delete"),
    "policyStatus": _settings("BucketPolicyStatus", "Get"),
    "publicAccessBlock": _settings("PublicAccessBlock", "Get Put Delete"),
    "replication": _settings("BucketReplication", "Get Put Delete"),
    "requestPayment": _settings("BucketRequestPayment", "Get Put"),
    "session": {"GET": Operation.CREATE_SESSION},
    "tagging": _settings("BucketTagging", "Get Put Delete"),
    "uploads": {"GET": Operation.LIST_MULTIPART_UPLOADS},
    "versioning": _settings("BucketVersioning", "Get Put"),
    "versions": {"GET": Operation.LIST_OBJECT_VERSIONS},
    "website": _settings("BucketWebsite", "Get Put Delete"),
}
"""Query parameter → method → operation, for a bucket. Any other method on it is refused."""

OBJECT_SUBRESOURCES: dict[str, Methods] = {
    "acl": _settings("ObjectAcl", "Get Put"),
    "annotation": _settings("ObjectAnnotation", "Get Put Delete"),
    "attributes": _settings("ObjectAttributes", "Get"),
    "encryption": {"PUT": Operation.UPDATE_OBJECT_ENCRYPTION},
    "legal-hold": _settings("ObjectLegalHold", "Get Put"),
    "renameObject": {"PUT": Operation.RENAME_OBJECT},
    "restore": {"POST": Operation.RESTORE_OBJECT},
    "retention": _settings("ObjectRetention", "Get Put"),
    "select": {"POST": Operation.SELECT_OBJECT_CONTENT},
    "tagging": _settings("ObjectTagging", "Get Put Delete"),
    "torrent": _settings("ObjectTorrent", "Get"),
    "uploadId": {
        "GET": Operation.LIST_PARTS,
        "PUT": Operation.UPLOAD_PART,
        "POST": Operation.COMPLETE_MULTIPART_UPLOAD,
        "DELETE": Operation.ABORT_MULTIPART_UPLOAD,
    },
    "uploads": {"POST": Operation.CREATE_MULTIPART_UPLOAD},
}
"""The same for an object."""

SERVICE: Methods = {"GET": Operation.LIST_BUCKETS}
BUCKET: Methods = {
    "GET": Operation.LIST_OBJECTS,
    "HEAD": Operation.HEAD_BUCKET,
    "PUT": Operation.CREATE_BUCKET,
    "POST": Operation.POST_OBJECT,
    "DELETE": Operation.DELETE_BUCKET,
}
OBJECT: Methods = {
    "GET": Operation.GET_OBJECT,
    "HEAD": Operation.HEAD_OBJECT,
    "PUT": Operation.PUT_OBJECT,
    "DELETE": Operation.DELETE_OBJECT,
}
"""Without a sub-resource."""

WITHOUT_PARAMETER: dict[Operation, tuple[str, Operation]] = {
    Operation.GET_BUCKET_ANALYTICS_CONFIGURATION: (
        "id",
        Operation.LIST_BUCKET_ANALYTICS_CONFIGURATIONS,
    ),
    Operation.GET_BUCKET_INTELLIGENT_TIERING_CONFIGURATION: (
        "id",
        Operation.LIST_BUCKET_INTELLIGENT_TIERING_CONFIGURATIONS,
    ),
    Operation.GET_BUCKET_INVENTORY_CONFIGURATION: (
        "id",
        Operation.LIST_BUCKET_INVENTORY_CONFIGURATIONS,
    ),
    Operation.GET_BUCKET_METRICS_CONFIGURATION: (
        "id",
        Operation.LIST_BUCKET_METRICS_CONFIGURATIONS,
    ),
    Operation.GET_OBJECT_ANNOTATION: ("annotationName", Operation.LIST_OBJECT_ANNOTATIONS),
}
"""What an operation becomes when the parameter is missing that names one of many."""

WITH_COPY_SOURCE = {
    Operation.PUT_OBJECT: Operation.COPY_OBJECT,
    Operation.UPLOAD_PART: Operation.UPLOAD_PART_COPY,
}
"""What an operation becomes with the header x-amz-copy-source."""
