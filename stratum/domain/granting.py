"""From what a request asks of an ACL to who owns a bucket or object, and the ACL it gets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from stratum.domain.acl import (
    BUCKET_OWNER_FULL_CONTROL,
    GROUP_URI,
    Acl,
    AclPermission,
    Grant,
    Group,
    acl_of,
    canned_acl,
)
from stratum.domain.authorization import BucketAccess
from stratum.domain.errors import (
    AccessDenied,
    AclNotSupported,
    InvalidArgument,
    InvalidBucketAcl,
    InvalidRequest,
    UnresolvableGrant,
)
from stratum.domain.identity import Account
from stratum.domain.names import Caller
from stratum.domain.ownership import ObjectOwnership, PublicAccessBlock
from stratum.domain.principal import Principal


class Accounts(Protocol):
    """Whom ACLs can grant to."""

    def account(self, canonical_id: str) -> Account | None: ...

    def account_of_email(self, email: str) -> Account | None: ...


@dataclass(frozen=True)
class AskedGrant:
    """A grant as a client writes it: to an id, an email address or the URI of a group."""

    permission: AclPermission
    id: str = ""
    email: str = ""
    uri: str = ""


@dataclass(frozen=True)
class AskedAcl:
    """What a request wants: a canned ACL, or grants. `grants` None: it says nothing of them."""

    canned: str = ""
    grants: tuple[AskedGrant, ...] | None = None

    def __bool__(self) -> bool:
        return bool(self.canned) or self.grants is not None


NOTHING_ASKED = AskedAcl()


@dataclass(frozen=True)
class Born:
    """Whose a new object is, and its ACL; `acl` None: the owner alone."""

    owner: Caller
    acl: Acl | None = None


def new_object(asked: AskedAcl, who: Principal, bucket: BucketAccess, accounts: Accounts) -> Born:
    """Owner and ACL of what `who` is about to write.

    What is written anonymously is the bucket owner's: an owner nobody can sign as could never be
    told from anybody else. So is what the operator writes, who acts for the owner.
    Raises AclNotSupported, AccessDenied (the public access block), InvalidArgument,
    InvalidRequest, UnresolvableGrant.
    """
    if bucket.ownership is ObjectOwnership.BUCKET_OWNER_ENFORCED:
        if asked and not _leaves_it_to_the_owner(asked, bucket.owner):
            raise AclNotSupported("The bucket does not allow ACLs")
        return Born(bucket.owner)
    owner = bucket.owner if who.is_anonymous or who.operator else who.account
    if (
        bucket.ownership is ObjectOwnership.BUCKET_OWNER_PREFERRED
        and asked.canned == BUCKET_OWNER_FULL_CONTROL
    ):
        owner = bucket.owner
    return Born(owner, _acl(asked, owner, bucket.owner, bucket.block, accounts))


def changed_object_acl(
    asked: AskedAcl, owner: Caller, bucket: BucketAccess, accounts: Accounts
) -> Acl:
    """The ACL that PutObjectAcl gives an object of `owner`. Raises what `new_object` raises."""
    if bucket.ownership is ObjectOwnership.BUCKET_OWNER_ENFORCED:
        raise AclNotSupported("The bucket does not allow ACLs")
    acl = _acl(asked, owner, bucket.owner, bucket.block, accounts)
    if acl is None:
        raise InvalidRequest("Your request was missing a required header: x-amz-acl")
    return acl


def bucket_acl(
    asked: AskedAcl,
    owner: Caller,
    ownership: ObjectOwnership,
    block: PublicAccessBlock,
    accounts: Accounts,
) -> Acl | None:
    """The ACL asked for a bucket; None if nothing is. Raises what `new_object` raises."""
    if asked and ownership is ObjectOwnership.BUCKET_OWNER_ENFORCED:
        raise AclNotSupported("The bucket does not allow ACLs")
    return _acl(asked, owner, None, block, accounts)


def check_ownership(ownership: ObjectOwnership, acl: Acl | None, owner: Caller) -> None:
    """Raises InvalidBucketAcl: ACLs can't be switched off while they let others in."""
    if ownership is not ObjectOwnership.BUCKET_OWNER_ENFORCED or acl is None:
        return
    if any(grant.group is not None or grant.id != owner.id for grant in acl.grants):
        raise InvalidBucketAcl(
            "Bucket cannot have ACLs set with ObjectOwnership's BucketOwnerEnforced setting"
        )


def _leaves_it_to_the_owner(asked: AskedAcl, owner: Caller) -> bool:
    if asked.grants is None:
        return asked.canned == BUCKET_OWNER_FULL_CONTROL
    return asked.grants == (AskedGrant(AclPermission.FULL_CONTROL, owner.id),)


def _acl(
    asked: AskedAcl,
    owner: Caller,
    bucket_owner: Caller | None,
    block: PublicAccessBlock,
    accounts: Accounts,
) -> Acl | None:
    if asked.canned and asked.grants is not None:
        raise InvalidRequest("Specifying both Canned ACLs and Header Grants is not allowed")
    acl: Acl | None = None
    if asked.canned:
        acl = canned_acl(asked.canned, owner, bucket_owner)
    elif asked.grants is not None:
        acl = acl_of([_granted(grant, accounts) for grant in asked.grants])
    if acl is not None and acl.is_public and block.block_public_acls:
        raise AccessDenied("The bucket's public access block refuses ACLs that grant to everybody")
    return acl


def _granted(asked: AskedGrant, accounts: Accounts) -> Grant:
    if asked.uri:
        try:
            group = Group(asked.uri.removeprefix(GROUP_URI))
        except ValueError:
            raise InvalidArgument("Invalid group uri", "uri", asked.uri[:200]) from None
        if group.uri != asked.uri:
            raise InvalidArgument("Invalid group uri", "uri", asked.uri[:200])
        return Grant(asked.permission, group)
    if asked.email:
        account = accounts.account_of_email(asked.email)
        if account is None:
            raise UnresolvableGrant(
                "The email address you provided does not match any account on record."
            )
    else:
        account = accounts.account(asked.id)
        if account is None:
            raise InvalidArgument("Invalid id", "CanonicalUser/ID", asked.id[:80])
    return Grant(asked.permission, None, account.id, account.name)
