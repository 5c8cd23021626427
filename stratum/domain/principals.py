"""From keys and sessions to principals: what the directory says of whoever signed."""

from __future__ import annotations

from stratum.domain.directory import Directory
from stratum.domain.errors import AccessDenied, InvalidSession
from stratum.domain.iam import policies_of
from stratum.domain.identity import AccessKey, Account, Role, Session, User, entity_arn
from stratum.domain.names import Caller
from stratum.domain.principal import Principal, PrincipalKind, account_principal


def key_principal(directory: Directory, key: AccessKey) -> Principal:
    """Whom a key speaks for. Raises AccessDenied if its account or user is gone."""
    account = directory.account(key.account_id)
    if account is None:
        raise AccessDenied("The account of the access key was removed")
    if not key.user_id:
        return account_principal(
            Caller(account.id, account.name),
            account.number,
            operator=directory.is_fixed(account),
        )
    user = directory.entity(key.user_id)
    if not isinstance(user, User):
        raise AccessDenied("The user of the access key was removed")
    return _user(directory, account, user)


def session_principal(directory: Directory, session: Session) -> Principal:
    """Whom a session speaks for, by what the directory says now. Raises InvalidSession."""
    account = directory.account(session.account_id)
    if account is None:
        raise InvalidSession("The account of the session was removed")
    if not session.role_id and not session.user_id:
        # Never the operator: what is lent out does not run the server.
        return account_principal(Caller(account.id, account.name), account.number)
    entity = directory.entity(session.role_id or session.user_id)
    if isinstance(entity, User):
        return _user(directory, account, entity)
    if not isinstance(entity, Role):
        raise InvalidSession("The role or user of the session was removed")
    return Principal(
        PrincipalKind.ROLE,
        Caller(account.id, account.name),
        account.number,
        session_arn(account, entity, session.name),
        f"{entity.id}:{session.name}",
        role_arn=entity_arn(entity, account.number),
        policies=policies_of(directory, entity),
        session_policies=session.policies,
    )


def session_arn(account: Account, role: Role, name: str) -> str:
    """What a session of a role is called, in policies and by itself."""
    return f"arn:aws:sts::{account.number}:assumed-role/{role.name}/{name}"


def _user(directory: Directory, account: Account, user: User) -> Principal:
    return Principal(
        PrincipalKind.USER,
        Caller(account.id, account.name),
        account.number,
        entity_arn(user, account.number),
        user.id,
        user.name,
        policies=policies_of(directory, user),
    )
