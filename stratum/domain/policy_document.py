"""Policies from JSON, refused as Amazon refuses them.

A policy that is accepted means what its writer thinks: unknown elements, actions, operators and
condition keys are errors, because a misspelt Deny would deny nothing.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from stratum.domain.errors import MalformedPolicy
from stratum.domain.policy import Effect, Policy, PrincipalSet, Statement
from stratum.domain.policy_conditions import OPERATORS, Condition, is_value
from stratum.domain.policy_names import is_known_action, is_known_key
from stratum.domain.principal import account_arn
from stratum.domain.wildcards import matches

BUCKET_POLICY_MAX_BYTES = 20 * 1024
IDENTITY_POLICY_MAX_BYTES = 10 * 1024
STATEMENTS_MAX = 500
VALUES_MAX = 2000
"""Principals, actions, resources and values of conditions of one policy, all together."""
POLICIES_CACHED = 1024

VERSIONS = ("2012-10-17", "2008-10-17")
BUCKET_ARN = "arn:aws:s3:::"

_ACCOUNT = re.compile(r"\d{12}").fullmatch
_CANONICAL_ID = re.compile(r"[0-9a-f]{64}").fullmatch
# The account is not looked up: it may be made later. Wildcards are no names.
_ARN = re.compile(
    r"arn:aws:(?:iam|sts)::[\w+=,.@-]*:(?:root|(?:user|role|assumed-role|federated-user)/[^*?]+)"
).fullmatch
_ACTION = re.compile(r"[a-zA-Z0-9-]+:[a-zA-Z0-9*?]+").fullmatch
_KEY = re.compile(r"[A-Za-z0-9-]+:[^\s:]\S*(?: \S+)*").fullmatch


@lru_cache(POLICIES_CACHED)
def parse_bucket_policy(document: str, bucket: str) -> Policy:
    """Parse the policy of a bucket; raises MalformedPolicy."""
    if len(document.encode()) > BUCKET_POLICY_MAX_BYTES:
        raise MalformedPolicy(
            f"Policies must not exceed the maximum allowed size of {BUCKET_POLICY_MAX_BYTES} bytes"
        )
    return _Parser(bucket=bucket).policy(document)


@lru_cache(POLICIES_CACHED)
def parse_identity_policy(document: str) -> Policy:
    """Parse the policy of a user, a role or a session; raises MalformedPolicy."""
    _limit(document)
    return _Parser().policy(document)


@lru_cache(POLICIES_CACHED)
def parse_trust_policy(document: str) -> Policy:
    """Parse who may take on a role; raises MalformedPolicy."""
    _limit(document)
    return _Parser(trust=True).policy(document)


def _limit(document: str) -> None:
    if len(document.encode()) > IDENTITY_POLICY_MAX_BYTES:
        raise MalformedPolicy(f"A policy has at most {IDENTITY_POLICY_MAX_BYTES} bytes")


class _Parser:
    """One run over one document, which counts what it finds."""

    def __init__(self, bucket: str = "", *, trust: bool = False) -> None:
        self._bucket = bucket
        self._trust = trust
        self._values = 0
        self._variables = False

    def policy(self, document: str) -> Policy:
        try:
            parsed = json.loads(document, object_pairs_hook=_unique)
        except (ValueError, RecursionError):
            raise MalformedPolicy("Policies must be valid JSON") from None
        top = _object(parsed, "Policies must be valid JSON and the first byte must be '{'")
        _only(top, "Version", "Id", "Statement")
        version = top.get("Version", VERSIONS[1])
        if version not in VERSIONS:
            raise MalformedPolicy("The policy must contain a valid version string")
        self._variables = version == VERSIONS[0]
        if not isinstance(top.get("Id", ""), str):
            raise MalformedPolicy("Policy has invalid id")
        statements = top.get("Statement")
        if isinstance(statements, dict):
            statements = [statements]
        if not isinstance(statements, list) or not statements:
            raise MalformedPolicy("Missing required field Statement")
        if len(statements) > STATEMENTS_MAX:
            raise MalformedPolicy(f"A policy has at most {STATEMENTS_MAX} statements")
        parsed_statements = tuple(self._statement(each) for each in statements)
        sids = [each.sid for each in parsed_statements if each.sid]
        if len(set(sids)) != len(sids):
            raise MalformedPolicy("Statement IDs (SID) in a single policy must be unique")
        return Policy(parsed_statements)

    def _statement(self, value: object) -> Statement:
        given = _object(value, "Policy has invalid statement")
        _only(
            given,
            *("Sid", "Effect", "Principal", "NotPrincipal", "Action", "NotAction"),
            *("Resource", "NotResource", "Condition"),
        )
        try:
            effect = Effect(given.get("Effect"))
        except ValueError:
            raise MalformedPolicy(f"Invalid effect: {given.get('Effect')}") from None
        sid = given.get("Sid", "")
        if not isinstance(sid, str):
            raise MalformedPolicy("Policy has invalid statement id")
        actions, not_actions = self._either(given, "Action")
        for action in actions:
            self._check_action(action)
        resources: tuple[str, ...] = ("*",)
        not_resources = False
        if not self._trust:
            resources, not_resources = self._either(given, "Resource")
            for resource in resources:
                self._check_resource(resource)
            resources = self._with_variables(resources)
        elif "Resource" in given or "NotResource" in given:
            raise MalformedPolicy("Has prohibited field Resource")
        return Statement(
            effect,
            tuple(action.lower() for action in actions),
            resources,
            self._principals(given, effect),
            not_actions,
            not_resources,
            self._conditions(given.get("Condition", {})),
            sid,
        )

    def _either(self, given: Mapping[str, Any], name: str) -> tuple[tuple[str, ...], bool]:
        """The values of `name` or of its Not-form, and whether it was that."""
        if (name in given) == (f"Not{name}" in given):
            raise MalformedPolicy(f"Statement must have either {name} or Not{name}")
        negated = name not in given
        return self._texts(given[f"Not{name}" if negated else name], name.lower()), negated

    def _texts(self, value: object, what: str) -> tuple[str, ...]:
        values = value if isinstance(value, list) else [value]
        if not values or not all(isinstance(each, str) and each for each in values):
            raise MalformedPolicy(f"Policy has invalid {what}")
        self._values += len(values)
        if self._values > VALUES_MAX:
            raise MalformedPolicy(f"A policy has at most {VALUES_MAX} values")
        return tuple(values)

    def _check_action(self, action: str) -> None:
        if action == "*":
            return
        if not _ACTION(action):
            raise MalformedPolicy("Policy has invalid action")
        if self._bucket and not is_known_action(action):
            raise MalformedPolicy("Policy has invalid action")

    def _check_resource(self, resource: str) -> None:
        if not self._bucket or resource == "*":
            if resource != "*" and not resource.startswith("arn:"):
                raise MalformedPolicy(f'Resource {resource[:80]} must be in ARN format or "*".')
            return
        name = resource.removeprefix(BUCKET_ARN).partition("/")[0]
        if not resource.startswith(BUCKET_ARN) or not matches(name, self._bucket):
            raise MalformedPolicy("Policy has invalid resource")

    def _principals(self, given: Mapping[str, Any], effect: Effect) -> PrincipalSet | None:
        if not self._bucket and not self._trust:
            if "Principal" in given or "NotPrincipal" in given:
                raise MalformedPolicy("Policy document should not specify a principal.")
            return None
        if ("Principal" in given) == ("NotPrincipal" in given):
            raise MalformedPolicy("Missing required field Principal")
        negated = "NotPrincipal" in given
        if negated and effect is Effect.ALLOW:
            raise MalformedPolicy("Allow with NotPrincipal is not allowed.")
        value = given["NotPrincipal" if negated else "Principal"]
        if value == "*":
            return PrincipalSet(everybody=True, negated=negated)
        kinds = _object(value, "Invalid principal in policy")
        _only(kinds, "AWS", "CanonicalUser", "Service", "Federated")
        everybody = False
        arns: set[str] = set()
        ids: set[str] = set()
        for kind, names in kinds.items():
            for name in self._texts(names, "principal"):
                if kind == "CanonicalUser" or (kind == "AWS" and _CANONICAL_ID(name)):
                    ids.add(name)
                elif kind in ("Service", "Federated"):
                    arns.add(name)
                elif name == "*":
                    everybody = True
                elif _ACCOUNT(name) or _ARN(name):
                    arns.add(account_arn(name) if _ACCOUNT(name) else name)
                else:
                    raise MalformedPolicy("Invalid principal in policy")
        if not kinds:
            raise MalformedPolicy("Invalid principal in policy")
        return PrincipalSet(everybody, frozenset(arns), frozenset(ids), negated)

    def _conditions(self, value: object) -> tuple[Condition, ...]:
        block = _object(value, "Policy has invalid conditions")
        found: list[Condition] = []
        for operator, keys in block.items():
            for key, given in _object(keys, "Policy has invalid conditions").items():
                found.append(self._condition(operator, key, given))
        return tuple(found)

    def _condition(self, operator: str, key: str, given: object) -> Condition:
        quantifier, colon, name = operator.rpartition(":")
        if colon and quantifier not in ("ForAllValues", "ForAnyValue"):
            raise MalformedPolicy(f"Invalid Condition type : {operator[:80]}")
        if_exists = name.endswith("IfExists")
        name = name.removesuffix("IfExists")
        if name not in OPERATORS and (name != "Null" or if_exists or quantifier):
            raise MalformedPolicy(f"Invalid Condition type : {operator[:80]}")
        if not _KEY(key) or (self._bucket and not is_known_key(key)):
            raise MalformedPolicy("Policy has an invalid condition key")
        values = given if isinstance(given, list) else [given]
        # Numbers and truth values need no quotes.
        texts = [str(v).lower() if isinstance(v, bool) else str(v) for v in values]
        if not texts or not all(isinstance(v, str | bool | int | float) for v in values):
            raise MalformedPolicy("Policy has invalid conditions")
        self._texts([text or " " for text in texts], "condition")
        if not all("${" in text or is_value(name, text) for text in texts):
            raise MalformedPolicy(f"Invalid value for condition {operator[:80]}")
        filled = self._with_variables(texts)
        return Condition(name, key.lower(), filled, quantifier, if_exists)

    def _with_variables(self, texts: Sequence[str]) -> tuple[str, ...]:
        """Before 2012 there were no variables: what looks like one is text."""
        if self._variables:
            return tuple(texts)
        return tuple(text.replace("${", "${$}{") for text in texts)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name is given twice")
    return found


def _object(value: object, refusal: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise MalformedPolicy(refusal)
    return value


def _only(given: Mapping[str, Any], *known: str) -> None:
    for name in given:
        if name not in known:
            raise MalformedPolicy(f"Unknown field {name[:80]}")
