"""Every failure that has a meaning. No HTTP here: one table in `adapters.s3.errors` translates.

The class is the meaning; the message is for the person who reads it. `exit_code` is what the
CLI ends with when the error reaches it: 1 for a finding, 2 for bad usage or an unreachable store.
"""

from __future__ import annotations


class StratumError(Exception):
    """Base of all. Raised directly never; catch it to catch everything of ours."""

    exit_code = 2


# -- what was asked for is not there ------------------------------------------------------------
class NoSuchBucket(StratumError):
    """The bucket does not exist."""


class NoSuchKey(StratumError):
    """The bucket has no object with this key."""


class KeyDeleted(NoSuchKey):
    """The key's latest version is a delete marker."""

    def __init__(self, version_id: str) -> None:
        super().__init__("The specified key does not exist.")
        self.version_id = version_id


class DeleteMarkerNamed(StratumError):
    """The version asked for is a delete marker: it can be deleted, and nothing else."""

    def __init__(self, version_id: str, modified_at_ms: int) -> None:
        super().__init__("The specified method is not allowed against this resource.")
        self.version_id = version_id
        self.modified_at_ms = modified_at_ms


class NoSuchVersion(StratumError):
    """The key has no version with this id."""


class NoSuchUpload(StratumError):
    """The multipart upload never existed, was completed or was aborted."""


class NoSuchVolume(StratumError):
    """No live volume has this id."""


class NoSuchPin(StratumError):
    """The prefix is not pinned to a tier."""


class NoSuchUser(StratumError):
    """There is no user of this name, or it has no such access key."""


# -- the state forbids it -----------------------------------------------------------------------
class BucketAlreadyExists(StratumError):
    """Somebody else owns a bucket of that name."""


class BucketAlreadyOwnedByYou(StratumError):
    """The caller owns a bucket of that name already."""


class BucketNotEmpty(StratumError):
    """A bucket with objects cannot be deleted."""


class InvalidBucketState(StratumError):
    """The bucket's versioning or object lock does not allow it."""


class InvalidSession(StratumError):
    """A session token was altered, made with another key, or for another access key; or what it
    was made for is gone."""


class SessionExpired(StratumError):
    """A session token is too old."""


class EntityExists(StratumError):
    """An account has a user, group or role of that name already."""


class EntityInUse(StratumError):
    """A user, group or role can't be deleted while it has keys, policies, members or groups."""


class LimitExceeded(StratumError):
    """An account or user has as many of something as it may."""


class AccessDenied(StratumError):
    """The caller may not do this."""


class PreconditionFailed(StratumError):
    """An If-Match, If-None-Match or If-Unmodified-Since condition does not hold."""

    def __init__(self, condition: str) -> None:
        super().__init__("At least one of the pre-conditions you specified did not hold")
        self.condition = condition


class NotModified(StratumError):
    """The caller's copy is current (conditional reads only)."""

    def __init__(self, etag: str, modified_at_ms: int) -> None:
        super().__init__("Not modified")
        self.etag = etag
        self.modified_at_ms = modified_at_ms


class Conflict(StratumError):
    """The volume changed under the caller's feet; what it prepared is void."""


class MoveRefused(StratumError):
    """A move makes no sense now: same tier, tier not configured, another move under way,
    or the key is pinned elsewhere."""


# -- what was sent is wrong ---------------------------------------------------------------------
class InvalidArgument(StratumError):
    """A value is outside what the operation takes. `argument` names it."""

    def __init__(self, message: str, argument: str = "", value: str = "") -> None:
        super().__init__(message)
        self.argument = argument
        self.value = value


class InvalidTag(StratumError):
    """A set of tags breaks the rules for tags. `key` and `value` are those of the first bad one."""

    def __init__(self, message: str, key: str = "", value: str = "") -> None:
        super().__init__(message)
        self.key = key
        self.value = value


class InvalidRetentionPeriod(StratumError):
    """A default retention of no days, or of too many."""


class InvalidStorageClass(StratumError):
    """The storage class is unknown, or its tier is not configured."""

    def __init__(self, message: str, asked: str) -> None:
        super().__init__(message)
        self.asked = asked


class InvalidObjectState(StratumError):
    """The object's storage class does not allow this."""

    def __init__(self, message: str, storage_class: str) -> None:
        super().__init__(message)
        self.storage_class = storage_class


class RestoreInProgress(StratumError):
    """The object is being restored already."""


class InvalidRequest(StratumError):
    """Each value is fine, their combination is not."""


class MalformedPolicy(StratumError):
    """A policy document is not one, or says something that means nothing."""


class UnresolvableGrant(StratumError):
    """An ACL grants to an email address that no account, or more than one, has."""


class AclNotSupported(StratumError):
    """The bucket's owner owns everything in it, so ACLs are off."""


class InvalidBucketAcl(StratumError):
    """ACLs can't be switched off while the bucket's own grants something to others."""


class InvalidBucketName(StratumError):
    """The name breaks the bucket naming rules."""


class InvalidKey(StratumError):
    """The key is empty or not UTF-8."""


class KeyTooLong(StratumError):
    """The key has more than 1,024 bytes in UTF-8."""


class MetadataTooLarge(StratumError):
    """User metadata has more than 2,048 bytes."""


class InvalidRange(StratumError):
    """No byte of the object lies in the range asked for."""

    def __init__(self, size_bytes: int, asked: str) -> None:
        super().__init__("The requested range is not satisfiable")
        self.size_bytes = size_bytes
        self.asked = asked


class EntityTooLarge(StratumError):
    """More bytes than a PUT, a part or an object may have."""


class EntityTooSmall(StratumError):
    """A part other than the last has fewer bytes than the minimum."""


class InvalidPart(StratumError):
    """A part named in a completion is missing or its ETag or checksum differs."""


class InvalidPartNumber(StratumError):
    """The object has no part with the number asked for."""


class InvalidPartOrder(StratumError):
    """The part numbers of a completion are not ascending."""


class BadDigest(StratumError):
    """The bytes received do not have the checksum or Content-MD5 the client stated."""


class ContentMismatch(StratumError):
    """The bytes received do not have the SHA-256 that was signed."""


class IncompleteBody(StratumError):
    """The client sent fewer bytes than it announced."""


class NoSuchKmsKey(StratumError):
    """No key of the keyring has the name that was asked for."""


class InvalidConfig(StratumError):
    """A configuration file, flag or environment variable is wrong."""


# -- the store itself is in trouble -------------------------------------------------------------
class ShardNotFound(StratumError):
    """This disk has no such shard. One of six: the reader reconstructs."""


class ShardCorrupt(StratumError):
    """A shard's bytes do not have the checksum stored with them."""


class DiskFailed(StratumError):
    """A disk is missing, full, read-only or failing."""


class DiskFull(DiskFailed):
    """A disk has no room for more. It can be read, and deleted from."""


class InsufficientShards(StratumError):
    """Fewer shards than data shards can be read: the bytes are unavailable, not wrong."""


class InsufficientDisks(StratumError):
    """Fewer disks than the write quorum accept data: the write is refused."""


class StorageFull(StratumError):
    """So many disks are full that the write is refused; deleting makes room."""


class RemoteFailed(StratumError):
    """The remote tier did not answer, refused, or returned other bytes than were stored."""


class SealBroken(StratumError):
    """Encrypted bytes or a wrapped key are not what was stored, or not with a key we have."""


class JournalCorrupt(StratumError):
    """The journal's hash chain or an event does not check."""

    exit_code = 1


class TooSlow(StratumError):
    """The caller sent its bytes too slowly while others were waiting."""


class Unavailable(StratumError):
    """The server is overloaded or stopping; the caller may try again."""


class Overloaded(Unavailable):
    """A queue is full. Nothing was done."""
