"""Credentials for a while: roles taken on, and sessions of whoever asks.

https://docs.aws.amazon.com/STS/latest/APIReference/welcome.html
"""

from __future__ import annotations

import re

from stratum.app.identities import Identities
from stratum.domain.authorization import own_effect
from stratum.domain.errors import AccessDenied, InvalidArgument
from stratum.domain.iam import SESSION_MIN_S
from stratum.domain.identity import Account, Role, Session, entity_arn
from stratum.domain.policy import Effect, resource_effect
from stratum.domain.policy_document import parse_identity_policy, parse_trust_policy
from stratum.domain.principal import Principal, PrincipalKind
from stratum.domain.principals import session_arn
from stratum.domain.wildcards import Context

TOKEN_SESSION_MAX_S = 36 * 3600
SESSION_DEFAULT_S = 3600
TOKEN_DEFAULT_S = 12 * 3600
SESSION_POLICY_MAX = 2048
TEMPORARY_KEY_PREFIX = "ASIA"

_SESSION_NAME = re.compile(r"[A-Za-z0-9_+=,.@-]{2,64}").fullmatch
_ROLE_ARN = re.compile(r"arn:aws:iam::([0-9]{12}):role(/(?:\S+/)?)([^/\s]+)").fullmatch


class Sessions:
    def __init__(self, identities: Identities) -> None:
        self._identities = identities

    def assume_role(
        self,
        who: Principal,
        arn: str,
        name: str,
        keys: Context,
        duration_s: int = SESSION_DEFAULT_S,
        policy: str = "",
    ) -> tuple[Session, str, Role, str]:
        """A session of a role: the session, its token, the role, and the session's ARN.

        The role's trust policy decides; one that names just an account leaves it to that account's
        policies. Raises AccessDenied, also where there is no such role; InvalidArgument,
        MalformedPolicy.
        """
        if not _SESSION_NAME(name):
            raise InvalidArgument(
                "A session name has 2 to 64 characters", "RoleSessionName", name[:80]
            )
        account, role = self._role(arn)
        self._check_trust(who, account, role, keys)
        if not SESSION_MIN_S <= duration_s <= role.session_max_s:
            raise InvalidArgument(
                f"A session of this role lasts {SESSION_MIN_S} to {role.session_max_s} seconds",
                "DurationSeconds",
                str(duration_s),
            )
        if policy:
            if len(policy) > SESSION_POLICY_MAX:
                raise InvalidArgument(
                    f"A session policy has at most {SESSION_POLICY_MAX} characters"
                )
            parse_identity_policy(policy)
        session = self._new(
            account.id, duration_s, role_id=role.id, name=name, policies=(policy,) if policy else ()
        )
        return (
            session,
            self._identities.sealer.seal(session),
            role,
            session_arn(account, role, name),
        )

    def session_token(
        self, who: Principal, duration_s: int = TOKEN_DEFAULT_S
    ) -> tuple[Session, str]:
        """A session of the account or user that asks. Raises AccessDenied, InvalidArgument."""
        if who.kind not in (PrincipalKind.ACCOUNT, PrincipalKind.USER):
            raise AccessDenied("Cannot call GetSessionToken with session credentials")
        if not SESSION_MIN_S <= duration_s <= TOKEN_SESSION_MAX_S:
            raise InvalidArgument(
                f"A session lasts {SESSION_MIN_S} to {TOKEN_SESSION_MAX_S} seconds",
                "DurationSeconds",
                str(duration_s),
            )
        user_id = who.user_id if who.kind is PrincipalKind.USER else ""
        session = self._new(who.account.id, duration_s, user_id=user_id)
        return session, self._identities.sealer.seal(session)

    def _new(
        self,
        account_id: str,
        duration_s: int,
        *,
        user_id: str = "",
        role_id: str = "",
        name: str = "",
        policies: tuple[str, ...] = (),
    ) -> Session:
        identities = self._identities
        return Session(
            identities.mint.access_key_id(TEMPORARY_KEY_PREFIX),
            identities.mint.secret(),
            account_id,
            identities.now_ms() + duration_s * 1000,
            user_id,
            role_id,
            name,
            policies,
        )

    def _role(self, arn: str) -> tuple[Account, Role]:
        found = _ROLE_ARN(arn)
        directory = self._identities.directory
        account = directory.account_of_number(found[1]) if found else None
        if found is not None and account is not None:
            role = directory.entity_of_name(Role, account.id, found[3])
            if isinstance(role, Role) and entity_arn(role, account.number) == arn:
                return account, role
        raise AccessDenied(f"Not authorized to perform sts:AssumeRole on {arn[:200]}")

    def _check_trust(self, who: Principal, account: Account, role: Role, keys: Context) -> None:
        action, arn = "sts:AssumeRole", entity_arn(role, account.number)
        refusal = AccessDenied(
            f"User: {who.arn} is not authorized to perform: {action} on resource: {arn}"
        )
        said = resource_effect(parse_trust_policy(role.trust), who, action, arn, keys)
        if who.is_anonymous or said.effect is not Effect.ALLOW:
            raise refusal
        own = own_effect(who, action, arn, keys)
        if own is Effect.DENY or (own is None and not said.direct):
            raise refusal
