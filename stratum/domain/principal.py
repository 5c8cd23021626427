"""Who asks, as policies and ACLs see it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from stratum.domain.names import Caller

ANONYMOUS_ID = "65a011a29cdf8ec533ec3d1ccaae921c"
"""The canonical id Amazon shows for anonymous requests."""


class PrincipalKind(StrEnum):
    """The values of the condition key aws:PrincipalType."""

    ACCOUNT = "Account"
    USER = "User"
    ROLE = "AssumedRole"
    ANONYMOUS = "Anonymous"


@dataclass(frozen=True)
class Principal:
    """An account itself, a user in it, a role somebody took on, or nobody known.

    `policies` are the documents of the identity policies of a user or role; an account has none and
    may do everything within itself. `session_policies` limit a session further.
    """

    kind: PrincipalKind
    account: Caller
    """Owner of what the principal writes: the account's canonical id and name."""
    account_number: str = ""
    arn: str = ""
    """Empty for anonymous."""
    user_id: str = ""
    """The value of aws:userid."""
    user_name: str = ""
    """The value of aws:username; empty but for users."""
    role_arn: str = ""
    """The role behind a session, which a policy may name as well."""
    policies: tuple[str, ...] = ()
    session_policies: tuple[str, ...] = ()
    operator: bool = False
    """Whether it is the root, who runs the server: it acts for the owner of everything."""

    @property
    def is_anonymous(self) -> bool:
        return self.kind is PrincipalKind.ANONYMOUS

    @property
    def is_account(self) -> bool:
        return self.kind is PrincipalKind.ACCOUNT


ANONYMOUS = Principal(PrincipalKind.ANONYMOUS, Caller(ANONYMOUS_ID, "anonymous"))


def account_arn(number: str) -> str:
    """The ARN of an account, in policies the whole account."""
    return f"arn:aws:iam::{number}:root"


def account_principal(account: Caller, number: str, *, operator: bool = False) -> Principal:
    """The account itself, signed with one of its own keys."""
    return Principal(
        PrincipalKind.ACCOUNT, account, number, account_arn(number), number, operator=operator
    )
