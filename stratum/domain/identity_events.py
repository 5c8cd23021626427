"""What happened to identities. The identities are kept elsewhere; these are the record of it, and
never hold a secret."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True)
class UserAdded:
    """An account was made, without access keys."""

    TOPIC: ClassVar[str] = "UserAdded.1"
    user_id: str
    """The canonical id."""
    name: str
    email: str = ""
    account: str = ""
    """The account number."""

    @property
    def stream(self) -> str:
        return f"user/{self.user_id}"


@dataclass(frozen=True)
class UserRemoved:
    """The account is gone, and its access keys with it."""

    TOPIC: ClassVar[str] = "UserRemoved.1"
    user_id: str
    name: str

    @property
    def stream(self) -> str:
        return f"user/{self.user_id}"


@dataclass(frozen=True)
class AccessKeyAdded:
    """Requests signed with this key are the user's from now on."""

    TOPIC: ClassVar[str] = "AccessKeyAdded.1"
    user_id: str
    access_key_id: str

    @property
    def stream(self) -> str:
        return f"user/{self.user_id}"


@dataclass(frozen=True)
class AccessKeyRemoved:
    """Requests signed with this key are refused from now on."""

    TOPIC: ClassVar[str] = "AccessKeyRemoved.1"
    user_id: str
    access_key_id: str

    @property
    def stream(self) -> str:
        return f"user/{self.user_id}"


@dataclass(frozen=True)
class IdentityChanged:
    """A user, group or role within an account was changed through the IAM API."""

    TOPIC: ClassVar[str] = "IdentityChanged.1"
    user_id: str
    """The canonical id of the account."""
    subject: str
    """`user/NAME`, `group/NAME` or `role/NAME`; empty for the account itself."""
    action: str
    """As the API calls it: `CreateUser`, `PutRolePolicy` …"""
    detail: str = ""
    """What it was done with: the name or ARN of a policy, an access key id, a user."""

    @property
    def stream(self) -> str:
        return f"user/{self.user_id}"


IdentityEvent = UserAdded | UserRemoved | AccessKeyAdded | AccessKeyRemoved | IdentityChanged
IDENTITY_EVENTS: tuple[type[IdentityEvent], ...] = (
    UserAdded,
    UserRemoved,
    AccessKeyAdded,
    AccessKeyRemoved,
    IdentityChanged,
)
