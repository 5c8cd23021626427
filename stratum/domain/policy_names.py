"""The actions and condition keys that a bucket policy may name.

From the service authorization reference for Amazon S3 (actions on buckets and objects) and the IAM
user guide (global keys):
https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazons3.html
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html
"""

from __future__ import annotations

from functools import lru_cache

from stratum.domain.wildcards import matches

_ACTIONS = """
AbortMultipartUpload BypassGovernanceRetention CreateBucket CreateBucketMetadataTableConfiguration
CreateSession DeleteBucket DeleteBucketMetadataTableConfiguration DeleteBucketOwnershipControls
DeleteBucketPolicy DeleteBucketPublicAccessBlock DeleteBucketWebsite DeleteObject
DeleteObjectAnnotation DeleteObjectTagging DeleteObjectVersion DeleteObjectVersionTagging
GetAccelerateConfiguration GetAnalyticsConfiguration GetBucketAbac GetBucketAcl GetBucketCORS
GetBucketLocation GetBucketLogging GetBucketMetadataTableConfiguration GetBucketNotification
GetBucketObjectLockConfiguration GetBucketOwnershipControls GetBucketPolicy GetBucketPolicyStatus
GetBucketPublicAccessBlock GetBucketRequestPayment GetBucketTagging GetBucketVersioning
GetBucketWebsite GetEncryptionConfiguration GetIntelligentTieringConfiguration
GetInventoryConfiguration GetLifecycleConfiguration GetMetricsConfiguration GetObject GetObjectAcl
GetObjectAnnotation GetObjectAttributes GetObjectLegalHold GetObjectRetention GetObjectTagging
GetObjectTorrent GetObjectVersion GetObjectVersionAcl GetObjectVersionAttributes
GetObjectVersionForReplication GetObjectVersionTagging GetObjectVersionTorrent
GetReplicationConfiguration InitiateReplication ListAllMyBuckets ListBucket
ListBucketMultipartUploads ListBucketVersions ListMultipartUploadParts ListObjectAnnotations
ListTagsForResource ObjectOwnerOverrideToBucketOwner PauseReplication PutAccelerateConfiguration
PutAnalyticsConfiguration PutBucketAbac PutBucketAcl PutBucketCORS PutBucketLogging
PutBucketNotification PutBucketObjectLockConfiguration PutBucketOwnershipControls PutBucketPolicy
PutBucketPublicAccessBlock PutBucketRequestPayment PutBucketTagging PutBucketVersioning
PutBucketWebsite PutEncryptionConfiguration PutIntelligentTieringConfiguration
PutInventoryConfiguration PutLifecycleConfiguration PutMetricsConfiguration PutObject PutObjectAcl
PutObjectAnnotation PutObjectLegalHold PutObjectRetention PutObjectTagging PutObjectVersionAcl
PutObjectVersionTagging PutReplicationConfiguration ReplicateDelete ReplicateObject ReplicateTags
RestoreObject TagResource UntagResource UpdateBucketMetadataAnnotationTableConfiguration
UpdateBucketMetadataInventoryTableConfiguration UpdateBucketMetadataJournalTableConfiguration
UpdateObjectEncryption
"""

ACTIONS = frozenset(f"s3:{name}" for name in _ACTIONS.split())

_S3_KEYS = """
AccessGrantsInstanceArn AccessPointNetworkOrigin AccessPointTag AccessPointTag/
AnnotationName authType BucketTag BucketTag/ DataAccessPointAccount DataAccessPointArn
ExistingJobOperation ExistingJobPriority ExistingObjectTag/ InventoryAccessibleOptionalFields
JobSuspendedCause LocationConstraint ObjectCreationOperation RequestJobOperation
RequestJobPriority RequestObjectTag/ RequestObjectTagKeys ResourceAccount ResourceTag/ TlsVersion
authtype delimiter if-match if-none-match locationconstraint max-keys object-lock-legal-hold
object-lock-mode object-lock-remaining-retention-days object-lock-retain-until-date prefix
signatureAge signatureversion versionid x-amz-acl x-amz-content-sha256 x-amz-copy-source
x-amz-grant-full-control x-amz-grant-read x-amz-grant-read-acp x-amz-grant-write
x-amz-grant-write-acp x-amz-metadata-directive x-amz-object-ownership x-amz-server-side-encryption
x-amz-server-side-encryption-aws-kms-key-id x-amz-server-side-encryption-customer-algorithm
x-amz-storage-class x-amz-website-redirect-location
"""

_GLOBAL_KEYS = """
CalledVia CalledViaFirst CalledViaLast CurrentTime EpochTime FederatedProvider
MultiFactorAuthAge MultiFactorAuthPresent PrincipalAccount PrincipalArn PrincipalIsAWSService
PrincipalOrgID PrincipalOrgPaths PrincipalServiceName PrincipalServiceNamesList PrincipalTag/
PrincipalType Referer RequestTag/ RequestedRegion ResourceAccount ResourceOrgID ResourceOrgPaths
ResourceTag/ SecureTransport SourceAccount SourceArn SourceIdentity SourceIp SourceOrgID
SourceOrgPaths SourceOwner SourceVpc SourceVpce TagKeys TokenIssueTime UserAgent VpcSourceIp
userid username ViaAWSService
"""

_KEYS = frozenset(
    [f"s3:{name}".lower() for name in _S3_KEYS.split()]
    + [f"aws:{name}".lower() for name in _GLOBAL_KEYS.split()]
)


@lru_cache
def is_known_action(pattern: str) -> bool:
    """Whether a pattern of actions, in any case, covers at least one."""
    lowered = pattern.lower()
    return any(matches(lowered, action.lower()) for action in ACTIONS)


def is_known_key(key: str) -> bool:
    """Whether a bucket policy may have a condition on this key; tags have free names."""
    lowered = key.lower()
    prefix, slash, name = lowered.partition("/")
    return lowered in _KEYS if not slash else bool(name) and f"{prefix}/" in _KEYS
