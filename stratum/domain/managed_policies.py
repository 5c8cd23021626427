"""The managed policies there are, by ARN: those of Amazon's that make sense here.

https://docs.aws.amazon.com/aws-managed-policy/latest/reference/policy-list.html
"""

from __future__ import annotations

import json

PREFIX = "arn:aws:iam::aws:policy/"


def _allow(*actions: str) -> str:
    statement = {"Effect": "Allow", "Action": list(actions), "Resource": "*"}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


MANAGED_POLICIES: dict[str, str] = {
    f"{PREFIX}AdministratorAccess": _allow("*"),
    f"{PREFIX}AmazonS3FullAccess": _allow("s3:*"),
    f"{PREFIX}AmazonS3ReadOnlyAccess": _allow("s3:Get*", "s3:List*"),
    f"{PREFIX}IAMFullAccess": _allow("iam:*"),
    f"{PREFIX}IAMReadOnlyAccess": _allow("iam:Get*", "iam:List*"),
}


def managed_name(arn: str) -> str:
    """The name of a managed policy: the last part of its ARN."""
    return arn.rpartition("/")[2]
