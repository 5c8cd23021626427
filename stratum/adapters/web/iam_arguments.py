"""Arguments of IAM and STS calls, and pages of their lists."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from stratum.adapters.s3.errors import S3Error
from stratum.domain.errors import InvalidArgument
from stratum.domain.iam import SESSION_MAX_S

T = TypeVar("T")

PAGE_DEFAULT = 100
PAGE_MAX = 1000
_NUMBER = re.compile("[0-9]{1,6}").fullmatch


def required(fields: Mapping[str, str], name: str, allowed: Sequence[str] = ()) -> str:
    """An argument that must be there; raises S3Error, InvalidArgument."""
    value = fields.get(name, "")
    if not value:
        raise S3Error("MissingParameter", f"The request must contain the parameter {name}.")
    if allowed and value not in allowed:
        raise InvalidArgument(f"{name} is one of {', '.join(allowed)}", name, value[:80])
    return value


def duration(fields: Mapping[str, str], name: str, default_s: int) -> int:
    """Seconds of a session; raises InvalidArgument beyond what a role may allow."""
    text = fields.get(name)
    if text is None:
        return default_s
    if not _NUMBER(text) or not 1 <= int(text) <= 3 * SESSION_MAX_S:
        raise InvalidArgument(f"{name} is a number of seconds", name, text[:20])
    return int(text)


def unsupported(fields: Mapping[str, str], *names: str) -> None:
    """Refuse what would be ignored; raises S3Error."""
    for name in names:
        if name in fields:
            raise S3Error("NotImplemented", f"{name.partition('.')[0]} is not implemented")


def pages(
    items: Sequence[T], fields: Mapping[str, str], name_of: Callable[[T], str]
) -> tuple[Sequence[T], Mapping[str, object]]:
    """The page that Marker and MaxItems ask for, and the elements that say how it goes on. The
    marker is the name of the last item before. Raises InvalidArgument."""
    text = fields.get("MaxItems", str(PAGE_DEFAULT))
    if not _NUMBER(text) or not 1 <= int(text) <= PAGE_MAX:
        raise InvalidArgument(f"MaxItems is 1 to {PAGE_MAX}", "MaxItems", text[:20])
    marker, start = fields.get("Marker"), 0
    if marker is not None:
        names = [name_of(item) for item in items]
        start = names.index(marker) + 1 if marker in names else 0
    page = items[start : start + int(text)]
    truncated = start + len(page) < len(items)
    more: dict[str, object] = {"IsTruncated": truncated}
    if truncated:
        more["Marker"] = name_of(page[-1])
    return page, more
