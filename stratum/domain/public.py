"""What is public: https://docs.aws.amazon.com/AmazonS3/latest/userguide/
access-control-block-public-access.html#access-control-block-public-access-policy-status

A policy is not public if every statement that allows names its principals, or is limited by a
condition to fixed values of a key that says who asks or from where.
"""

from __future__ import annotations

from ipaddress import ip_network

from stratum.domain.policy import Effect, Policy, Statement
from stratum.domain.policy_conditions import Condition

IPV4_PREFIX_MIN = 8
IPV6_PREFIX_MIN = 32
"""A network broader than these is as good as everybody."""

_FIXING_KEYS = frozenset(
    {
        "aws:principalaccount",
        "aws:principalarn",
        "aws:principalorgid",
        "aws:principalorgpaths",
        "aws:sourceaccount",
        "aws:sourcearn",
        "aws:sourceowner",
        "aws:sourcevpc",
        "aws:sourcevpce",
        "aws:userid",
        "aws:username",
        "s3:dataaccesspointaccount",
        "s3:dataaccesspointarn",
        "s3:x-amz-server-side-encryption-aws-kms-key-id",
    }
)
_FIXING_OPERATORS = frozenset(
    {"StringEquals", "StringEqualsIgnoreCase", "StringLike", "ArnEquals", "ArnLike"}
)


def is_public_policy(policy: Policy) -> bool:
    return any(_is_public(statement) for statement in policy.statements)


def _is_public(statement: Statement) -> bool:
    principals = statement.principals
    if statement.effect is Effect.DENY or principals is None or not principals.everybody:
        return False
    return not any(_fixes(condition) for condition in statement.conditions)


def _fixes(condition: Condition) -> bool:
    if condition.if_exists or condition.quantifier == "ForAllValues":
        return False  # holds where the key is missing
    if condition.key == "aws:sourceip" and condition.operator == "IpAddress":
        return all(_is_narrow(value) for value in condition.values)
    return (
        condition.key in _FIXING_KEYS
        and condition.operator in _FIXING_OPERATORS
        and not any(wild in value for value in condition.values for wild in ("*", "?", "${"))
    )


def _is_narrow(value: str) -> bool:
    network = ip_network(value, strict=False)
    return network.prefixlen >= (IPV4_PREFIX_MIN if network.version == 4 else IPV6_PREFIX_MIN)
