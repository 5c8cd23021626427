"""May this principal do this to that? One pure function, in Amazon's order of evaluation.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/how-s3-evaluates-access-control.html
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html

1. An explicit deny, in whichever policy, ends it.
2. Within one account, the account itself may do everything; its users and roles need an allow of
   their own policies or of the bucket's.
3. Across accounts both sides must agree: the bucket's policy or an ACL, and the asker's policies.
4. Objects of another owner than the bucket's are that owner's business: its ACL decides, and the
   bucket's policy can only deny.
5. Whatever nothing allows is denied.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from stratum.domain.acl import Acl, AclPermission
from stratum.domain.names import Caller
from stratum.domain.ownership import NO_BLOCK, ObjectOwnership, PublicAccessBlock
from stratum.domain.policy import (
    Effect,
    Policy,
    ResourceEffect,
    identity_effect,
    resource_effect,
)
from stratum.domain.policy_document import parse_identity_policy
from stratum.domain.principal import Principal
from stratum.domain.public import is_public_policy
from stratum.domain.wildcards import Context

POLICY_ACTIONS = frozenset({"s3:GetBucketPolicy", "s3:PutBucketPolicy", "s3:DeleteBucketPolicy"})
"""What the owner's account may do even if its own policy denies it, lest it lock itself out."""


class AclTarget(Enum):
    """Whose ACL can grant something."""

    BUCKET = "bucket"
    OBJECT = "object"


@dataclass(frozen=True)
class Need:
    """What an operation needs: an action, and the ACL permission that grants it, if any does."""

    action: str
    target: AclTarget = AclTarget.BUCKET
    """The kind of thing it is done to."""
    permission: AclPermission | None = None
    granted_by: AclTarget | None = None
    """Whose ACL: to write an object takes WRITE on its bucket. None: no ACL grants it."""


@dataclass(frozen=True)
class BucketAccess:
    """What of a bucket counts for access."""

    owner: Caller
    acl: Acl | None = None
    """None: the owner alone."""
    policy: Policy | None = None
    policy_locks_owner_out: bool = False
    ownership: ObjectOwnership = ObjectOwnership.OBJECT_WRITER
    block: PublicAccessBlock = NO_BLOCK


@dataclass(frozen=True)
class ObjectAccess:
    """What of an existing object counts for access."""

    owner_id: str
    acl: Acl | None = None


@dataclass(frozen=True)
class Decision:
    allowed: bool
    why: str = ""
    """For whoever was refused; says nothing about the content of policies."""
    explicit: bool = False
    """Refused because a policy says so, and not because none allows it."""


ALLOWED = Decision(True)
NO_CONTEXT: Context = {}


def authorize(
    who: Principal,
    need: Need,
    resource: str,
    bucket: BucketAccess,
    found: ObjectAccess | None = None,
    context: Callable[[], Context] = lambda: NO_CONTEXT,
) -> Decision:
    """Decide one need on one resource (its ARN).

    `found` is the object the need is about, if it exists. `context` makes the condition keys, which
    are asked for only if there is a policy to be evaluated.
    """
    is_owner_account = who.account.id == bucket.owner.id or who.operator
    foreign = _is_foreign(need, bucket, found)
    has_policies = bool(bucket.policy or who.policies or who.session_policies)
    if not has_policies and who.is_account and is_owner_account and not foreign:
        return ALLOWED
    keys = context() if has_policies else NO_CONTEXT

    said = _bucket_policy_says(who, need, resource, bucket, keys)
    own = own_effect(who, need.action, resource, keys)
    if said.effect is Effect.DENY and not _is_exempt(who, need, bucket, is_owner_account):
        return _denied(
            who, need, resource, "with an explicit deny in a resource-based policy", True
        )
    if own is Effect.DENY:
        return _denied(
            who, need, resource, "with an explicit deny in an identity-based policy", True
        )

    granted = _acl_grants(who, need, bucket, found)
    if foreign and not who.operator:
        owns_it = found is not None and who.account.id == found.owner_id
        may = granted or (owns_it and need.permission in _ACP)
        if may and own is Effect.ALLOW:
            return ALLOWED
        return _denied(who, need, resource, "because its owner grants no access")
    if is_owner_account:
        if own is Effect.ALLOW or (said.effect is Effect.ALLOW and said.direct):
            return ALLOWED
        return _denied(who, need, resource, f"because no policy allows the {need.action} action")
    if (said.effect is Effect.ALLOW or granted) and (own is Effect.ALLOW or who.is_anonymous):
        return ALLOWED
    return _denied(who, need, resource, f"because no policy or ACL allows {need.action}")


_ACP = (AclPermission.READ_ACP, AclPermission.WRITE_ACP)
"""What an owner can always do: look at the ACL, and mend it."""


def identity_allows(
    who: Principal, action: str, resource: str, context: Context = NO_CONTEXT
) -> bool:
    """For what belongs to no bucket, such as listing or creating buckets, and for IAM."""
    return own_effect(who, action, resource, context) is Effect.ALLOW


def own_effect(who: Principal, action: str, resource: str, context: Context) -> Effect | None:
    """Of the asker's own policies; an account allows itself everything, nobody allows nothing."""
    if who.is_anonymous:
        return None
    effect: Effect | None = Effect.ALLOW
    if not who.is_account:
        policies = tuple(parse_identity_policy(each) for each in who.policies)
        effect = identity_effect(policies, action, resource, context)
    if who.session_policies and effect is not Effect.DENY:
        limits = tuple(parse_identity_policy(each) for each in who.session_policies)
        limited = identity_effect(limits, action, resource, context)
        if limited is not Effect.ALLOW:
            return limited
    return effect


def _bucket_policy_says(
    who: Principal, need: Need, resource: str, bucket: BucketAccess, context: Context
) -> ResourceEffect:
    if bucket.policy is None:
        return ResourceEffect()
    said = resource_effect(bucket.policy, who, need.action, resource, context)
    restricted = (
        said.effect is Effect.ALLOW
        and bucket.block.restrict_public_buckets
        and who.account.id != bucket.owner.id
        and is_public_policy(bucket.policy)
    )
    return ResourceEffect() if restricted else said


def _is_exempt(who: Principal, need: Need, bucket: BucketAccess, is_owner_account: bool) -> bool:
    return (
        need.action in POLICY_ACTIONS
        and who.is_account
        and is_owner_account
        and (who.operator or not bucket.policy_locks_owner_out)
    )


def _is_foreign(need: Need, bucket: BucketAccess, found: ObjectAccess | None) -> bool:
    """Whether it is about reading, or granting access to, an object that the bucket's owner does
    not own. Writing over it and deleting it stay the bucket owner's right."""
    return (
        found is not None
        and found.owner_id != bucket.owner.id
        and need.granted_by is AclTarget.OBJECT
        and bucket.ownership is not ObjectOwnership.BUCKET_OWNER_ENFORCED
    )


def _acl_grants(
    who: Principal, need: Need, bucket: BucketAccess, found: ObjectAccess | None
) -> bool:
    if need.permission is None or bucket.ownership is ObjectOwnership.BUCKET_OWNER_ENFORCED:
        return False
    ignore_public = bucket.block.ignore_public_acls
    if need.granted_by is AclTarget.BUCKET:
        acl = bucket.acl
        return acl is not None and acl.allows(who, need.permission, ignore_public=ignore_public)
    if found is None:
        return False
    if found.acl is None:
        return who.account.id == found.owner_id and not who.is_anonymous
    return found.acl.allows(who, need.permission, ignore_public=ignore_public)


def _denied(
    who: Principal, need: Need, resource: str, why: str, explicit: bool = False
) -> Decision:
    if who.is_anonymous:
        return Decision(False, "Access Denied", explicit)
    return Decision(
        False,
        f"User: {who.arn} is not authorized to perform: {need.action} on resource:"
        f' "{resource}" {why}',
        explicit,
    )
