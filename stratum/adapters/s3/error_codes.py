"""The total table: every code this server answers with its status, every error with its code.

Codes, statuses and messages are Amazon's where Amazon has the case:
https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
"""

from __future__ import annotations

from stratum.domain import errors

CODES: dict[str, tuple[int, str]] = {
    "InvalidAction": (400, "The action or operation requested is invalid."),
    "MissingParameter": (400, "A required parameter is missing."),
    "DeleteConflict": (409, "It can't be deleted while something depends on it."),
    "EntityAlreadyExists": (409, "It exists already."),
    "ExpiredToken": (400, "The provided token has expired."),
    "LimitExceeded": (409, "There are as many as there may be."),
    "AccessControlListNotSupported": (400, "The bucket does not allow ACLs"),
    "AccessDenied": (403, "Access Denied"),
    "AccessForbidden": (403, "This CORS request is not allowed."),
    "AuthorizationHeaderMalformed": (400, "The authorization header is malformed"),
    "AuthorizationQueryParametersError": (
        400,
        "The query parameters that carry the signature are malformed",
    ),
    "BadDigest": (
        400,
        "The Content-MD5 or checksum value you specified did not match what we received.",
    ),
    "BadRequest": (400, "Bad Request"),
    "BucketAlreadyExists": (
        409,
        "The requested bucket name is not available. Please select a different name and try again.",
    ),
    "BucketAlreadyOwnedByYou": (
        409,
        "Your previous request to create the named bucket succeeded and you already own it.",
    ),
    "BucketNotEmpty": (409, "The bucket you tried to delete is not empty."),
    "ConditionalRequestConflict": (
        409,
        "A conflicting operation occurred during this request. Please try again.",
    ),
    "EntityTooLarge": (400, "Your proposed upload exceeds the maximum allowed object size."),
    "EntityTooSmall": (
        400,
        "Your proposed upload is smaller than the minimum allowed object size.",
    ),
    "IllegalLocationConstraintException": (
        400,
        "The specified location constraint is incompatible with the region this request was"
        " sent to.",
    ),
    "IncompleteBody": (
        400,
        "You did not provide the number of bytes specified by the Content-Length HTTP header.",
    ),
    "IncorrectNumberOfFilesInPostRequest": (
        400,
        "POST requires exactly one file upload per request.",
    ),
    # Amazon's is never full. 507 (RFC 4918) is not retried by SDKs, which is right: deleting helps.
    "InsufficientStorage": (507, "The disks are full. Delete something and try again."),
    "InternalError": (500, "We encountered an internal error. Please try again."),
    "InvalidAccessKeyId": (
        403,
        "The AWS access key Id you provided does not exist in our records.",
    ),
    "InvalidArgument": (400, "Invalid Argument"),
    "InvalidBucketState": (409, "The request is not valid with the current state of the bucket."),
    "InvalidBucketAclWithObjectOwnership": (
        400,
        "Bucket cannot have ACLs set with ObjectOwnership's BucketOwnerEnforced setting",
    ),
    "InvalidBucketName": (400, "The specified bucket is not valid."),
    "InvalidChunkSizeError": (400, "A chunk of the body has an invalid size."),
    "InvalidDigest": (400, "The Content-MD5 you specified is not valid."),
    "InvalidEncryptionAlgorithmError": (
        400,
        "The encryption request you specified is not valid. The valid value is AES256.",
    ),
    "InvalidLocationConstraint": (400, "The specified location-constraint is not valid"),
    "InvalidPart": (
        400,
        "One or more of the specified parts could not be found. The part may not have been"
        " uploaded, or the specified entity tag may not match the part's entity tag.",
    ),
    "InvalidPartOrder": (
        400,
        "The list of parts was not in ascending order. Parts must be ordered by part number.",
    ),
    "InvalidPolicyDocument": (
        400,
        "The content of the form does not meet the conditions specified in the policy document.",
    ),
    "InvalidRange": (416, "The requested range is not satisfiable"),
    "InvalidRedirectLocation": (
        400,
        "The website redirect location must have a prefix of 'http://' or 'https://' or '/'.",
    ),
    "InvalidRequest": (400, "Invalid Request"),
    "InvalidRetentionPeriod": (400, "The retention period specified is not valid."),
    "InvalidObjectState": (
        403,
        "The operation is not valid for the current state of the object",
    ),
    "RestoreAlreadyInProgress": (409, "Object restore is already in progress"),
    "InvalidStorageClass": (400, "The storage class you specified is not valid"),
    "InvalidTag": (400, "The tag provided was not a valid tag."),
    "InvalidTargetBucketForLogging": (
        400,
        "The target bucket for logging does not exist, is not owned by you, or does not have the"
        " appropriate grants for the log-delivery group.",
    ),
    "InvalidToken": (400, "The provided token is malformed or otherwise invalid."),
    "InvalidURI": (400, "Couldn't parse the specified URI."),
    "KMS.NotFoundException": (400, "The specified KMS key does not exist"),
    "KeyTooLongError": (400, "Your key is too long"),
    "MalformedACLError": (
        400,
        "The ACL you provided was not well formed or did not validate against our published"
        " schema.",
    ),
    "MalformedPOSTRequest": (
        400,
        "The body of your POST request is not well-formed multipart/form-data.",
    ),
    "MalformedPolicy": (400, "This policy contains invalid Json"),
    "MalformedTrailerError": (
        400,
        "The request contained trailing data that was not well-formed or did not conform to our"
        " published schema.",
    ),
    "MalformedXML": (
        400,
        "The XML you provided was not well-formed or did not validate against our published schema",
    ),
    "MaxMessageLengthExceeded": (400, "Your request was too big."),
    "MaxPostPreDataLengthExceededError": (
        400,
        "Your POST request fields preceding the upload file were too large.",
    ),
    "MetadataTooLarge": (
        400,
        "Your metadata headers exceed the maximum allowed metadata size.",
    ),
    "MethodNotAllowed": (405, "The specified method is not allowed against this resource."),
    "MissingContentLength": (411, "You must provide the Content-Length HTTP header."),
    "MissingRequestBodyError": (400, "Request Body is empty"),
    "MoveRefused": (409, "The volume cannot be moved now."),
    "NoSuchBucketPolicy": (404, "The bucket policy does not exist"),
    "NoSuchPublicAccessBlockConfiguration": (
        404,
        "The public access block configuration was not found",
    ),
    "OwnershipControlsNotFoundError": (404, "The bucket ownership controls were not found"),
    "MissingSecurityHeader": (400, "Your request was missing a required header"),
    "UnexpectedContent": (400, "This request does not support content"),
    "NoSuchBucket": (404, "The specified bucket does not exist"),
    "NoSuchCORSConfiguration": (404, "The CORS configuration does not exist"),
    "NoSuchConfiguration": (404, "The specified configuration does not exist."),
    "NoSuchKey": (404, "The specified key does not exist."),
    "NoSuchLifecycleConfiguration": (404, "The lifecycle configuration does not exist"),
    "NoSuchObjectLockConfiguration": (
        404,
        "The specified object does not have a ObjectLock configuration",
    ),
    "NoSuchTagSet": (404, "The TagSet does not exist"),
    "NoSuchUpload": (
        404,
        "The specified upload does not exist. The upload ID may be invalid, or the upload may"
        " have been aborted or completed.",
    ),
    "NoSuchVersion": (404, "The specified version does not exist."),
    "NoSuchEntity": (404, "The user or access key does not exist."),
    "NoSuchPin": (404, "The prefix is not pinned."),
    "NoSuchVolume": (404, "The specified volume does not exist."),
    "NoSuchWebsiteConfiguration": (
        404,
        "The specified bucket does not have a website configuration",
    ),
    "NotImplemented": (
        501,
        "A header or query you provided requested a function that is not implemented.",
    ),
    "NotModified": (304, "Not Modified"),
    "ObjectLockConfigurationNotFoundError": (
        404,
        "Object Lock configuration does not exist for this bucket",
    ),
    "PreconditionFailed": (
        412,
        "At least one of the pre-conditions you specified did not hold",
    ),
    "ReplicationConfigurationNotFoundError": (
        404,
        "The replication configuration was not found",
    ),
    "RequestTimeTooSkewed": (
        403,
        "The difference between the request time and the current time is too large.",
    ),
    "RequestTimeout": (
        400,
        "Your socket connection to the server was not read from or written to within the timeout"
        " period.",
    ),
    "ServerSideEncryptionConfigurationNotFoundError": (
        404,
        "The server side encryption configuration was not found",
    ),
    "ServiceUnavailable": (503, "The data is not available now. Please try again."),
    "SignatureDoesNotMatch": (
        403,
        "The request signature we calculated does not match the signature you provided. Check"
        " your key and signing method.",
    ),
    "SlowDown": (503, "Please reduce your request rate."),
    "UnresolvableGrantByEmailAddress": (
        400,
        "The email address you provided does not match any account on record.",
    ),
    "XAmzContentSHA256Mismatch": (
        400,
        "The provided 'x-amz-content-sha256' header does not match what was computed.",
    ),
}
"""HTTP status and default message of every code."""

MEANINGS: dict[type[errors.StratumError], str] = {
    errors.NoSuchBucket: "NoSuchBucket",
    errors.InvalidStorageClass: "InvalidStorageClass",
    errors.InvalidObjectState: "InvalidObjectState",
    errors.RestoreInProgress: "RestoreAlreadyInProgress",
    errors.NoSuchKey: "NoSuchKey",
    errors.KeyDeleted: "NoSuchKey",
    errors.DeleteMarkerNamed: "MethodNotAllowed",
    errors.NoSuchVersion: "NoSuchVersion",
    errors.NoSuchUpload: "NoSuchUpload",
    errors.NoSuchPin: "NoSuchPin",
    errors.NoSuchVolume: "NoSuchVolume",
    errors.NoSuchUser: "NoSuchEntity",
    errors.BucketAlreadyExists: "BucketAlreadyExists",
    errors.BucketAlreadyOwnedByYou: "BucketAlreadyOwnedByYou",
    errors.BucketNotEmpty: "BucketNotEmpty",
    errors.InvalidBucketState: "InvalidBucketState",
    errors.InvalidTag: "InvalidTag",
    errors.InvalidRetentionPeriod: "InvalidRetentionPeriod",
    errors.InvalidSession: "InvalidToken",
    errors.SessionExpired: "ExpiredToken",
    errors.EntityExists: "EntityAlreadyExists",
    errors.EntityInUse: "DeleteConflict",
    errors.LimitExceeded: "LimitExceeded",
    errors.AccessDenied: "AccessDenied",
    errors.PreconditionFailed: "PreconditionFailed",
    errors.NotModified: "NotModified",
    errors.Conflict: "ConditionalRequestConflict",
    errors.MoveRefused: "MoveRefused",
    errors.InvalidArgument: "InvalidArgument",
    errors.InvalidRequest: "InvalidRequest",
    errors.InvalidBucketName: "InvalidBucketName",
    errors.MalformedPolicy: "MalformedPolicy",
    errors.UnresolvableGrant: "UnresolvableGrantByEmailAddress",
    errors.AclNotSupported: "AccessControlListNotSupported",
    errors.InvalidBucketAcl: "InvalidBucketAclWithObjectOwnership",
    errors.InvalidKey: "InvalidURI",
    errors.KeyTooLong: "KeyTooLongError",
    errors.MetadataTooLarge: "MetadataTooLarge",
    errors.InvalidRange: "InvalidRange",
    # Amazon says 416 InvalidPartNumber; Ceph, and clients tested with it, 400 InvalidPart.
    errors.InvalidPartNumber: "InvalidPart",
    errors.EntityTooLarge: "EntityTooLarge",
    errors.EntityTooSmall: "EntityTooSmall",
    errors.InvalidPart: "InvalidPart",
    errors.InvalidPartOrder: "InvalidPartOrder",
    errors.BadDigest: "BadDigest",
    errors.ContentMismatch: "XAmzContentSHA256Mismatch",
    errors.IncompleteBody: "IncompleteBody",
    errors.NoSuchKmsKey: "KMS.NotFoundException",
    errors.InvalidConfig: "InternalError",
    # One shard or disk less is the reader's business; if it gets here something is wrong with us.
    errors.ShardNotFound: "InternalError",
    errors.ShardCorrupt: "InternalError",
    errors.JournalCorrupt: "InternalError",
    errors.SealBroken: "InternalError",
    errors.DiskFailed: "ServiceUnavailable",
    errors.DiskFull: "InsufficientStorage",
    errors.StorageFull: "InsufficientStorage",
    errors.InsufficientShards: "ServiceUnavailable",
    errors.InsufficientDisks: "ServiceUnavailable",
    errors.RemoteFailed: "ServiceUnavailable",
    errors.Unavailable: "SlowDown",
    errors.Overloaded: "SlowDown",
    errors.TooSlow: "RequestTimeout",
}
"""The code of every class in `domain.errors` except the base, which is never raised."""

RETRY_AFTER_S = {"ServiceUnavailable": 5, "SlowDown": 1}
"""Seconds after which a refused client may try again."""
