"""Who there is: accounts and their access keys, as values that are valid once they exist.

An **account** owns buckets and objects; its canonical id is what ACLs and listings name. `root` is
the account of whoever runs the server. The rules for names are IAM's:
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from stratum.domain.errors import InvalidArgument

ACCESS_KEY_ID_LENGTH_MAX = 128
SECRET_LENGTH_MIN = 8
"""As MinIO's, whose users bring their keys along. Those made here have 40 characters."""
SECRET_LENGTH_MAX = 128
EMAIL_LENGTH_MAX = 254
"""RFC 5321 §4.5.3.1.3: a path has 256 octets, two of which are angle brackets."""

_NAME = re.compile(r"[A-Za-z0-9_+=,.@-]{1,64}").fullmatch
# A slash or a comma would end the id within a signature's Credential.
_ACCESS_KEY_ID = re.compile(r"[A-Za-z0-9_+=.@:-]{3,128}").fullmatch
_SECRET = re.compile(r"[\x21-\x7e]{8,128}").fullmatch
_EMAIL = re.compile(r"[^\s@<>&]+@[^\s@<>&]+").fullmatch


@dataclass(frozen=True)
class Account:
    """The owner of buckets and objects."""

    id: str
    """The canonical id: 64 hexadecimal digits."""
    number: str
    """12 decimal digits, for ARNs."""
    name: str
    email: str = ""
    created_at_ms: int = 0


@dataclass(frozen=True)
class AccessKey:
    """A pair to sign requests with. The secret is in no log and no event."""

    id: str
    secret: str = field(repr=False)
    account_id: str
    created_at_ms: int = 0


Identity = Account | AccessKey


def account_name(text: str) -> str:
    """Parse the name of an account; raises InvalidArgument."""
    if not _NAME(text):
        raise InvalidArgument(
            "A name has 1 to 64 characters: letters, digits and _+=,.@-", "UserName", text[:80]
        )
    return text


def email_address(text: str) -> str:
    """Parse an email address; empty for none. Only its shape is checked. Raises InvalidArgument."""
    if text and (len(text) > EMAIL_LENGTH_MAX or not _EMAIL(text)):
        raise InvalidArgument("This is not an email address", "EmailAddress", text[:80])
    return text


def access_key_id(text: str) -> str:
    """Parse the id of an access key that a user brings along; raises InvalidArgument."""
    if not _ACCESS_KEY_ID(text):
        raise InvalidArgument(
            f"An access key id has 3 to {ACCESS_KEY_ID_LENGTH_MAX} characters: letters, digits"
            " and _+=.@:-",
            "AccessKeyId",
            text[:80],
        )
    return text


def secret_access_key(text: str) -> str:
    """Parse a secret that a user brings along; raises InvalidArgument, which never repeats it."""
    if not _SECRET(text):
        raise InvalidArgument(
            f"A secret access key has {SECRET_LENGTH_MIN} to {SECRET_LENGTH_MAX} printable ASCII"
            " characters without spaces",
            "SecretAccessKey",
        )
    return text
