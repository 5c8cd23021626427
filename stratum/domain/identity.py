"""Who there is: accounts, what is in them, access keys. They are valid once they exist.

An **account** owns buckets and objects; its canonical id is what ACLs and listings name. `root` is
the account of whoever runs the server. Within an account there are **users**, **groups** of them,
and **roles** that others may take on for a while; what these may do, policies say. The rules for
names are IAM's: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
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
_CANONICAL_ID = re.compile(r"[0-9a-f]{64}").fullmatch
_NUMBER = re.compile(r"[0-9]{12}").fullmatch
_POLICY_NAME = re.compile(r"[A-Za-z0-9_+=,.@-]{1,128}").fullmatch
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
    user_id: str = ""
    """The user within the account whose key it is; empty for a key of the account itself."""
    active: bool = True


@dataclass(frozen=True)
class Entity:
    """A user, group or role within an account, with what policies let it do."""

    id: str
    account_id: str
    name: str
    path: str = "/"
    created_at_ms: int = 0
    policies: dict[str, str] = field(default_factory=dict)
    """Documents by name."""
    attached: tuple[str, ...] = ()
    """ARNs of managed policies."""


@dataclass(frozen=True)
class User(Entity):
    """Somebody within an account."""


@dataclass(frozen=True)
class Group(Entity):
    """Users whose policies are the group's, too."""

    members: tuple[str, ...] = ()
    """Ids of users."""


@dataclass(frozen=True)
class Role(Entity):
    """What whoever `trust` lets may become for a while."""

    trust: str = ""
    """A policy that says who may take the role on."""
    description: str = ""
    session_max_s: int = 3600


@dataclass(frozen=True)
class TokenKey:
    """What session tokens are sealed with: 32 bytes in hexadecimal."""

    id: str
    secret: str = field(repr=False)


Identity = Account | AccessKey | Entity | TokenKey


@dataclass(frozen=True)
class Session:
    """Credentials for a while, of a role or of whoever asked. Nobody keeps it: it is the content of
    the session token."""

    access_key_id: str
    secret: str = field(repr=False)
    account_id: str
    expires_at_ms: int
    user_id: str = ""
    role_id: str = ""
    name: str = ""
    """Of a role's session."""
    policies: tuple[str, ...] = ()
    """Documents that limit it further."""


def entity_arn(entity: Entity, account_number: str) -> str:
    kind = type(entity).__name__.lower()
    return f"arn:aws:iam::{account_number}:{kind}{entity.path}{entity.name}"


def account_name(text: str) -> str:
    """Parse the name of an account; raises InvalidArgument."""
    if not _NAME(text):
        raise InvalidArgument(
            "A name has 1 to 64 characters: letters, digits and _+=,.@-", "UserName", text[:80]
        )
    return text


_PATH = re.compile(r"/(?:[\x21-\x7e]+/)?").fullmatch
PATH_LENGTH_MAX = 512


def entity_path(text: str) -> str:
    """Parse the path of a user, group or role; raises InvalidArgument."""
    if len(text) > PATH_LENGTH_MAX or not _PATH(text):
        raise InvalidArgument("A path begins and ends with a slash", "Path", text[:80])
    return text


def policy_name(text: str) -> str:
    """Parse the name of a policy; raises InvalidArgument."""
    if not _POLICY_NAME(text):
        raise InvalidArgument(
            "A policy name has 1 to 128 characters: letters, digits and _+=,.@-",
            "PolicyName",
            text[:80],
        )
    return text


def canonical_id(text: str) -> str:
    """Parse the canonical id of an account; raises InvalidArgument."""
    if not _CANONICAL_ID(text):
        raise InvalidArgument("A canonical id has 64 hexadecimal digits", "ID", text[:80])
    return text


def account_number(text: str) -> str:
    """Parse the number of an account; raises InvalidArgument."""
    if not _NUMBER(text):
        raise InvalidArgument("An account number has 12 digits", "Account", text[:20])
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
