"""Access control lists: who may read or write a bucket or an object, besides its owner.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/acl-overview.html
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from stratum.domain.errors import InvalidArgument
from stratum.domain.names import Caller
from stratum.domain.principal import Principal

GRANTS_MAX = 100


class AclPermission(StrEnum):
    READ = "READ"
    WRITE = "WRITE"
    READ_ACP = "READ_ACP"
    WRITE_ACP = "WRITE_ACP"
    FULL_CONTROL = "FULL_CONTROL"


class Group(StrEnum):
    """Groups of grantees by the last part of their URI."""

    ALL_USERS = "global/AllUsers"
    AUTHENTICATED_USERS = "global/AuthenticatedUsers"
    LOG_DELIVERY = "s3/LogDelivery"

    @property
    def uri(self) -> str:
        return GROUP_URI + self.value


GROUP_URI = "http://acs.amazonaws.com/groups/"
PUBLIC_GROUPS = (Group.ALL_USERS, Group.AUTHENTICATED_USERS)
"""Anybody can be a member of these: whoever makes an account is authenticated."""


@dataclass(frozen=True)
class Grant:
    """To a group, or to the account with a canonical id."""

    permission: AclPermission
    group: Group | None = None
    id: str = ""
    name: str = ""
    """The account's name when it was granted, to be shown."""


@dataclass(frozen=True)
class Acl:
    """Grants, those to groups first."""

    grants: tuple[Grant, ...] = ()

    def allows(
        self, who: Principal, permission: AclPermission, *, ignore_public: bool = False
    ) -> bool:
        """Whether a grant covers the principal's account; with `ignore_public` grants to everybody
        count for nothing."""
        return any(
            grant.permission in (permission, AclPermission.FULL_CONTROL)
            and _covers(grant, who, ignore_public)
            for grant in self.grants
        )

    @property
    def is_public(self) -> bool:
        return any(grant.group in PUBLIC_GROUPS for grant in self.grants)


def _covers(grant: Grant, who: Principal, ignore_public: bool) -> bool:
    if grant.group is None:
        return grant.id == who.account.id and not who.is_anonymous
    if ignore_public:
        return False
    if grant.group is Group.AUTHENTICATED_USERS:
        return not who.is_anonymous
    return grant.group is Group.ALL_USERS


def acl_of(grants: Sequence[Grant]) -> Acl:
    """Put grants in order and drop repetitions; raises InvalidArgument for too many."""
    if len(grants) > GRANTS_MAX:
        raise InvalidArgument(f"An ACL has at most {GRANTS_MAX} grants")
    unique = dict.fromkeys(grants)
    return Acl(tuple(sorted(unique, key=lambda grant: grant.group is None)))


def private(owner: Caller) -> Acl:
    """What a bucket or object has unless something else was asked for."""
    return Acl((_to(owner, AclPermission.FULL_CONTROL),))


CANNED_PUBLIC: dict[str, tuple[tuple[Group, AclPermission], ...]] = {
    "private": (),
    "public-read": ((Group.ALL_USERS, AclPermission.READ),),
    "public-read-write": (
        (Group.ALL_USERS, AclPermission.READ),
        (Group.ALL_USERS, AclPermission.WRITE),
    ),
    "authenticated-read": ((Group.AUTHENTICATED_USERS, AclPermission.READ),),
    "log-delivery-write": (
        (Group.LOG_DELIVERY, AclPermission.WRITE),
        (Group.LOG_DELIVERY, AclPermission.READ_ACP),
    ),
}
BUCKET_OWNER_FULL_CONTROL = "bucket-owner-full-control"
CANNED_TO_BUCKET_OWNER = {
    "bucket-owner-read": AclPermission.READ,
    BUCKET_OWNER_FULL_CONTROL: AclPermission.FULL_CONTROL,
}


def canned_acl(name: str, owner: Caller, bucket_owner: Caller | None = None) -> Acl:
    """A canned ACL of an object, or without `bucket_owner` of a bucket, where those that name its
    owner mean private. Raises InvalidArgument.

    https://docs.aws.amazon.com/AmazonS3/latest/userguide/acl-overview.html#canned-acl
    """
    grants = [_to(owner, AclPermission.FULL_CONTROL)]
    if name in CANNED_PUBLIC:
        groups = [Grant(permission, group) for group, permission in CANNED_PUBLIC[name]]
        return acl_of([*groups, *grants])
    permission = CANNED_TO_BUCKET_OWNER.get(name)
    if permission is None:
        raise InvalidArgument("The canned ACL is not known", "x-amz-acl", name[:80])
    if bucket_owner is not None and bucket_owner.id != owner.id:
        grants.append(_to(bucket_owner, permission))
    return acl_of(grants)


def _to(account: Caller, permission: AclPermission) -> Grant:
    return Grant(permission, None, account.id, account.name)
