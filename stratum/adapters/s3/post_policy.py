"""POST policies: what a form signed in advance may contain.

https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-HTTPPOSTConstructPolicy.html. Every field of
the form must meet a condition, except those that carry the signature, checksums (they only make
an upload fail) and fields named `x-ignore-…`. The bucket counts as a field.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass

from stratum.adapters.s3.dates import parse_iso_date
from stratum.adapters.s3.errors import S3Error

CONDITIONS_MAX = 1000
SIZE_MAX_BYTES = 5 * 1024**4

_UNCONDITIONAL = frozenset(
    ("awsaccesskeyid", "file", "policy", "signature", "x-amz-signature", "x-amz-security-token")
)
_UNCONDITIONAL_PREFIXES = ("x-ignore-", "x-amz-checksum-")
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)


@dataclass(frozen=True)
class Condition:
    """What one field must be: equal to `value`, or begin with it. `field` in lower case."""

    field: str
    value: str
    is_prefix: bool = False

    def __str__(self) -> str:
        operator = "starts-with" if self.is_prefix else "eq"
        return json.dumps([operator, f"${self.field}", self.value])


@dataclass(frozen=True)
class PostPolicy:
    """A policy; sizes in bytes, both allowed, `expires_at_ms` in Unix time."""

    expires_at_ms: int
    conditions: tuple[Condition, ...]
    size_min_bytes: int = 0
    size_max_bytes: int = SIZE_MAX_BYTES


def parse_policy(document: bytes) -> PostPolicy:
    """Parse the JSON of a policy; raise S3Error InvalidPolicyDocument."""
    try:
        text = document.decode("utf-8")
        # Amazon lets `$` be escaped, JSON does not.
        text = _ESCAPE.sub(lambda match: "$" if match[1] == "$" else match[0], text)
        parsed = json.loads(text)
    except (ValueError, RecursionError):
        raise _invalid("Invalid JSON.") from None
    if not isinstance(parsed, dict):
        raise _invalid("Invalid JSON.")
    expiration, listed = parsed.get("expiration"), parsed.get("conditions")
    if not isinstance(expiration, str):
        raise _invalid("Policy missing expiration.")
    expires_at_ms = parse_iso_date(expiration)
    if expires_at_ms is None:
        raise _invalid(f"Invalid 'expiration' value: '{expiration[:100]}'")
    if not isinstance(listed, list):
        raise _invalid("Policy missing conditions.")
    if len(listed) > CONDITIONS_MAX:
        raise _invalid(f"More than {CONDITIONS_MAX} conditions.")
    conditions: list[Condition] = []
    least, most = 0, SIZE_MAX_BYTES
    for entry in listed:
        if _is_size_range(entry):
            low, high = _size_range(entry)
            least, most = max(least, low), min(most, high)
        else:
            conditions.append(_condition(entry))
    return PostPolicy(expires_at_ms, tuple(conditions), least, most)


def check_policy(policy: PostPolicy, fields: Mapping[str, str], bucket: str, now_ms: int) -> None:
    """Raise S3Error AccessDenied unless the fields (by lower-case name) are as the policy says."""
    if now_ms >= policy.expires_at_ms:
        raise _refused("Policy expired.")
    actual = {**fields, "bucket": bucket}
    for condition in policy.conditions:
        # A field that is not there is empty: "begins with nothing" lets it be left out.
        if not _holds(condition, actual.get(condition.field, "")):
            raise _refused(f"Policy Condition failed: {condition}")
    covered = {condition.field for condition in policy.conditions}
    for name in actual:
        if (
            name not in covered
            and name not in _UNCONDITIONAL
            and not name.startswith(_UNCONDITIONAL_PREFIXES)
        ):
            raise _refused(f"Extra input fields: {name[:100]}")


def _holds(condition: Condition, value: str) -> bool:
    if not condition.is_prefix:
        return value == condition.value
    # A Content-Type with commas is a list of which every entry must fit.
    values = value.split(",") if condition.field == "content-type" else [value]
    return all(entry.strip().startswith(condition.value) for entry in values)


def _condition(entry: object) -> Condition:
    match entry:
        case {**pairs} if isinstance(entry, dict):
            if len(pairs) != 1:
                raise _invalid(
                    "Invalid Simple-Condition: Simple-Conditions must have exactly one property"
                    " specified."
                )
            [(name, value)] = pairs.items()
            if isinstance(value, str):
                return Condition(str(name).lower(), value)
        case [str(operator), str(name), str(value)] if name.startswith("$"):
            if operator.lower() in ("eq", "starts-with"):
                return Condition(name[1:].lower(), value, operator.lower() == "starts-with")
    raise _invalid("Invalid Condition.")


def _is_size_range(entry: object) -> bool:
    match entry:
        case [str(operator), *_]:
            return operator.lower() == "content-length-range"
    return False


def _size_range(entry: object) -> tuple[int, int]:
    match entry:
        case [_, int(low), int(high)] if not isinstance(low, bool) and not isinstance(high, bool):
            if 0 <= low <= high:
                return low, high
    raise _invalid("Invalid content-length-range.")


def _invalid(why: str) -> S3Error:
    return S3Error("InvalidPolicyDocument", f"Invalid Policy: {why}")


def _refused(why: str) -> S3Error:
    return S3Error("AccessDenied", f"Invalid according to Policy: {why}")
