"""Policies, and what they say of a request.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_grammar.html
A policy is parsed once (`policy_document`); here it only answers.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from functools import cached_property

from stratum.domain.policy_conditions import Condition
from stratum.domain.principal import Principal, account_arn
from stratum.domain.wildcards import Context, matches

EXISTING_TAG = "s3:existingobjecttag/"
REQUEST_TAG = "s3:requestobjecttag"


class Effect(Enum):
    """What a policy says of a request; None stands for nothing at all."""

    ALLOW = "Allow"
    DENY = "Deny"


class PrincipalMatch(Enum):
    """How directly a statement names a principal."""

    NO = 0
    ACCOUNT = 1
    """Its account: the account then decides about its users and roles by their own policies."""
    DIRECT = 2


@dataclass(frozen=True)
class PrincipalSet:
    """The principals a statement names, or all but these (NotPrincipal)."""

    everybody: bool = False
    arns: frozenset[str] = frozenset()
    """ARNs as written; a bare account number has become the ARN of the account."""
    canonical_ids: frozenset[str] = frozenset()
    negated: bool = False

    def match(self, who: Principal) -> PrincipalMatch:
        found = self._named(who)
        if not self.negated:
            return found
        return PrincipalMatch.NO if found is not PrincipalMatch.NO else PrincipalMatch.DIRECT

    def _named(self, who: Principal) -> PrincipalMatch:
        if self.everybody:
            return PrincipalMatch.DIRECT
        if who.is_anonymous:
            return PrincipalMatch.NO
        if who.arn in self.arns or (who.role_arn and who.role_arn in self.arns):
            return PrincipalMatch.DIRECT
        if account_arn(who.account_number) in self.arns or who.account.id in self.canonical_ids:
            return PrincipalMatch.ACCOUNT
        return PrincipalMatch.NO


@dataclass(frozen=True)
class Statement:
    """Patterns of actions are in lower case. `principals` is None in identity policies."""

    effect: Effect
    actions: tuple[str, ...]
    resources: tuple[str, ...]
    principals: PrincipalSet | None = None
    not_actions: bool = False
    not_resources: bool = False
    conditions: tuple[Condition, ...] = ()
    sid: str = ""

    def covers(self, action: str, resource: str, context: Context) -> bool:
        """Whether action, resource and conditions fit; who asks is another question."""
        return (
            any(matches(pattern, action) for pattern in self.actions) != self.not_actions
            and any(matches(pattern, resource, context) for pattern in self.resources)
            != self.not_resources
            and all(condition.holds(context) for condition in self.conditions)
        )


@dataclass(frozen=True)
class Policy:
    statements: tuple[Statement, ...]

    @cached_property
    def asks_for_tags(self) -> bool:
        """Whether a condition looks at the tags that an object has already."""
        return self._asks(EXISTING_TAG)

    @cached_property
    def asks_for_request_tags(self) -> bool:
        """Whether a condition looks at the tags that a request brings."""
        return self._asks(REQUEST_TAG)

    def _asks(self, prefix: str) -> bool:
        keys = (c.key for statement in self.statements for c in statement.conditions)
        return any(key.startswith(prefix) for key in keys)


def identity_effect(
    policies: tuple[Policy, ...], action: str, resource: str, context: Context
) -> Effect | None:
    """What policies attached to whoever asks say: one deny outweighs every allow."""
    effect: Effect | None = None
    action = action.lower()
    for policy in policies:
        for statement in policy.statements:
            if statement.covers(action, resource, context):
                if statement.effect is Effect.DENY:
                    return Effect.DENY
                effect = Effect.ALLOW
    return effect


@dataclass(frozen=True)
class ResourceEffect:
    """What the policy of a resource says. An allow is `direct` if it names the principal itself or
    everybody, and not just its account."""

    effect: Effect | None = None
    direct: bool = False


def resource_effect(
    policy: Policy, who: Principal, action: str, resource: str, context: Context
) -> ResourceEffect:
    """What a policy attached to the resource says: one deny outweighs every allow."""
    allowed, direct = False, False
    action = action.lower()
    for statement in policy.statements:
        assert statement.principals is not None, "a resource policy names principals"
        named = statement.principals.match(who)
        if named is PrincipalMatch.NO or not statement.covers(action, resource, context):
            continue
        if statement.effect is Effect.DENY:
            return ResourceEffect(Effect.DENY)
        allowed = True
        direct = direct or named is PrincipalMatch.DIRECT
    return ResourceEffect(Effect.ALLOW if allowed else None, direct)
