"""Who pays for requests to a bucket.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/RequesterPaysBuckets.html. Nothing is billed
here. What remains is the contract: in a bucket whose requesters pay, everybody but its owner must
say that they know, and nobody may be anonymous.
"""

from __future__ import annotations

from enum import StrEnum

from stratum.domain.errors import AccessDenied

REQUESTER = "requester"


class Payer(StrEnum):
    """As S3 writes them."""

    BUCKET_OWNER = "BucketOwner"
    REQUESTER = "Requester"


def check_payer(payer: Payer | None, *, is_owner: bool, said: str | None) -> bool:
    """Whether the requester is charged, who `said` so in x-amz-request-payer; AccessDenied."""
    if payer is not Payer.REQUESTER or is_owner:
        return False
    if said != REQUESTER:
        raise AccessDenied("The bucket's requesters pay: send x-amz-request-payer: requester")
    return True
