"""Who owns the objects of a bucket, and what keeps it from becoming public by accident.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/about-object-ownership.html
https://docs.aws.amazon.com/AmazonS3/latest/userguide/access-control-block-public-access.html
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class ObjectOwnership(StrEnum):
    BUCKET_OWNER_ENFORCED = "BucketOwnerEnforced"
    """The bucket's owner owns every object; there are no ACLs."""
    BUCKET_OWNER_PREFERRED = "BucketOwnerPreferred"
    """The bucket's owner owns what is written with bucket-owner-full-control."""
    OBJECT_WRITER = "ObjectWriter"
    """Whoever writes an object owns it."""


@dataclass(frozen=True)
class PublicAccessBlock:
    """All off unless switched on."""

    block_public_acls: bool = False
    """Refuse ACLs that grant to everybody."""
    ignore_public_acls: bool = False
    """Grants to everybody count for nothing."""
    block_public_policy: bool = False
    """Refuse policies that make the bucket public."""
    restrict_public_buckets: bool = False
    """While the policy is public, it grants to nobody outside the owner's account."""


NO_BLOCK = PublicAccessBlock()


@dataclass(frozen=True)
class BucketPolicy:
    """A policy as it was put. `locks_owner_out`: its writer confirmed that denies hold for the
    owner's account as well, who could not change it any more."""

    document: str
    locks_owner_out: bool = False
