"""What the IAM API can do: users, their keys, groups, roles, and the policies of all three.

Every action is authorised as `iam:ACTION` on the ARN it is about. An account itself may do all of
them within itself; its users and roles what their policies allow.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from urllib.parse import quote

from stratum.adapters.s3.dates import format_iso_date
from stratum.adapters.s3.iam_query import Entries
from stratum.adapters.web.iam_arguments import duration, pages, required, unsupported
from stratum.adapters.web.iam_front import Action, Call, Result
from stratum.app.identities import Identities
from stratum.domain import iam
from stratum.domain.authorization import own_effect
from stratum.domain.directory import ACCESS_KEYS_MAX, Change, Directory, add_key, remove_key
from stratum.domain.errors import AccessDenied
from stratum.domain.identity import (
    AccessKey,
    Account,
    Entity,
    Group,
    Role,
    User,
    account_name,
    entity_arn,
    entity_path,
    policy_name,
)
from stratum.domain.managed_policies import managed_name
from stratum.domain.policy import Effect
from stratum.domain.policy_document import parse_identity_policy, parse_trust_policy
from stratum.domain.principal import PrincipalKind, account_arn

KINDS: dict[str, tuple[type[Entity], str]] = {
    "User": (User, "AIDA"),
    "Group": (Group, "AGPA"),
    "Role": (Role, "AROA"),
}
"""Kinds of entities, and what their ids begin with."""
KEY_PREFIX = "AKIA"


class IamHandlers:
    def __init__(self, identities: Identities) -> None:
        self._identities = identities

    def actions(self) -> Mapping[str, Action]:
        """All actions by name."""
        found: dict[str, Action] = {
            "GetAccountSummary": self.account_summary,
            "ListOpenIDConnectProviders": self.list_providers,
            "CreateAccessKey": self.create_key,
            "ListAccessKeys": self.list_keys,
            "UpdateAccessKey": self.update_key,
            "DeleteAccessKey": self.delete_key,
            "AddUserToGroup": self.change_members,
            "RemoveUserFromGroup": self.change_members,
            "ListGroupsForUser": self.groups_of_user,
            "UpdateAssumeRolePolicy": self.update_trust,
        }
        for kind in KINDS:
            found |= {
                f"Create{kind}": self._of(kind, self.create),
                f"Get{kind}": self._of(kind, self.get),
                f"List{kind}s": self._of(kind, self.list),
                f"Update{kind}": self._of(kind, self.update),
                f"Delete{kind}": self._of(kind, self.delete),
                f"Put{kind}Policy": self._of(kind, self.put_policy),
                f"Get{kind}Policy": self._of(kind, self.get_policy),
                f"List{kind}Policies": self._of(kind, self.list_policies),
                f"Delete{kind}Policy": self._of(kind, self.delete_policy),
                f"Attach{kind}Policy": self._of(kind, self.attach),
                f"Detach{kind}Policy": self._of(kind, self.detach),
                f"ListAttached{kind}Policies": self._of(kind, self.list_attached),
            }
        return found

    @staticmethod
    def _of(kind: str, act: Callable[[Call, str], object]) -> Action:
        async def action(call: Call) -> Result:
            result = act(call, kind)
            if hasattr(result, "__await__"):
                result = await result
            assert result is None or isinstance(result, Mapping)
            return result

        return action

    # -- entities -------------------------------------------------------------------------------
    async def create(self, call: Call, kind: str) -> Result:
        unsupported(call.fields, "Tags.member.1.Key", "PermissionsBoundary")
        cls, prefix = KINDS[kind]
        account, name = self._account(call), account_name(required(call.fields, f"{kind}Name"))
        new = cls(
            self._identities.mint.entity_id(prefix),
            account.id,
            name,
            entity_path(call.fields.get("Path", "/")),
            self._identities.now_ms(),
        )
        if isinstance(new, Role):
            trust = required(call.fields, "AssumeRolePolicyDocument")
            parse_trust_policy(trust)
            description = call.fields.get("Description", "")[:1000]
            longest = duration(call.fields, "MaxSessionDuration", 3600)
            new = replace(new, trust=trust, description=description, session_max_s=longest)
        self._authorize(call, entity_arn(new, account.number))
        await self._change(call, lambda directory: iam.create_entity(directory, new))
        return {kind: self._entity(new, account)}

    async def get(self, call: Call, kind: str) -> Result:
        if kind == "User" and "UserName" not in call.fields:
            return {"User": self._caller(call)}
        entity, account = self._require(call, kind)
        found: dict[str, object] = {kind: self._entity(entity, account)}
        if isinstance(entity, Group):
            users = [self._directory.entity(each) for each in entity.members]
            page, more = pages([each for each in users if each], call.fields, lambda e: e.name)
            found |= {"Users": [self._entity(each, account) for each in page], **more}
        return found

    async def list(self, call: Call, kind: str) -> Result:
        account, prefix = self._account(call), call.fields.get("PathPrefix", "/")
        self._authorize(call, f"arn:aws:iam::{account.number}:{kind.lower()}{prefix}")
        found = [
            each
            for each in self._directory.entities(KINDS[kind][0], account.id)
            if each.path.startswith(prefix)
        ]
        page, more = pages(found, call.fields, lambda each: each.name.casefold())
        return {f"{kind}s": [self._entity(each, account) for each in page], **more}

    async def update(self, call: Call, kind: str) -> Result:
        entity, _ = self._require(call, kind)
        fields = call.fields
        if isinstance(entity, Role):
            new: Entity = replace(
                entity,
                description=fields.get("Description", entity.description)[:1000],
                session_max_s=duration(fields, "MaxSessionDuration", entity.session_max_s),
            )
        else:
            new = replace(
                entity,
                name=account_name(fields.get(f"New{kind}Name", entity.name)),
                path=entity_path(fields.get("NewPath", entity.path)),
            )
        await self._change(call, lambda directory: iam.update_entity(directory, entity, new))
        return {} if kind == "Role" else None

    async def delete(self, call: Call, kind: str) -> Result:
        entity, _ = self._require(call, kind)
        await self._change(call, lambda directory: iam.delete_entity(directory, entity))
        return None

    # -- policies -------------------------------------------------------------------------------
    async def put_policy(self, call: Call, kind: str) -> Result:
        entity, _ = self._require(call, kind)
        name = policy_name(required(call.fields, "PolicyName"))
        document = required(call.fields, "PolicyDocument")
        parse_identity_policy(document)
        await self._change(call, lambda _: iam.put_policy(entity, name, document))
        return None

    async def get_policy(self, call: Call, kind: str) -> Result:
        entity, _ = self._require(call, kind)
        name = required(call.fields, "PolicyName")
        document = iam.require_policy(entity, name)
        return {f"{kind}Name": entity.name, "PolicyName": name, "PolicyDocument": quote(document)}

    async def list_policies(self, call: Call, kind: str) -> Result:
        entity, _ = self._require(call, kind)
        page, more = pages(sorted(entity.policies), call.fields, str)
        return {"PolicyNames": page, **more}

    async def delete_policy(self, call: Call, kind: str) -> Result:
        entity, _ = self._require(call, kind)
        name = required(call.fields, "PolicyName")
        await self._change(call, lambda _: iam.delete_policy(entity, name))
        return None

    async def attach(self, call: Call, kind: str) -> Result:
        entity, _ = self._require(call, kind)
        arn = required(call.fields, "PolicyArn")
        await self._change(call, lambda _: iam.attach_policy(entity, arn))
        return None

    async def detach(self, call: Call, kind: str) -> Result:
        entity, _ = self._require(call, kind)
        arn = required(call.fields, "PolicyArn")
        await self._change(call, lambda _: iam.detach_policy(entity, arn))
        return None

    async def list_attached(self, call: Call, kind: str) -> Result:
        entity, _ = self._require(call, kind)
        page, more = pages(sorted(entity.attached), call.fields, str)
        attached = [{"PolicyName": managed_name(arn), "PolicyArn": arn} for arn in page]
        return {"AttachedPolicies": attached, **more}

    async def update_trust(self, call: Call) -> Result:
        entity, _ = self._require(call, "Role")
        assert isinstance(entity, Role)
        document = required(call.fields, "PolicyDocument")
        parse_trust_policy(document)
        new = replace(entity, trust=document)
        await self._change(call, lambda directory: iam.update_entity(directory, entity, new))
        return None

    # -- groups ---------------------------------------------------------------------------------
    async def change_members(self, call: Call) -> Result:
        group, _ = self._require(call, "Group")
        user, _ = self._require(call, "User", authorize=False)
        assert isinstance(group, Group)
        assert isinstance(user, User)
        member = call.action == "AddUserToGroup"
        await self._change(call, lambda _: iam.change_members(group, user, member=member))
        return None

    async def groups_of_user(self, call: Call) -> Result:
        user, account = self._require(call, "User")
        assert isinstance(user, User)
        page, more = pages(self._directory.groups_of(user), call.fields, lambda each: each.name)
        return {"Groups": [self._entity(each, account) for each in page], **more}

    # -- access keys ----------------------------------------------------------------------------
    async def create_key(self, call: Call) -> Result:
        owner = self._owner(call)
        mint = self._identities.mint
        key = AccessKey(
            mint.access_key_id(KEY_PREFIX),
            mint.secret(),
            call.who.account.id,
            self._identities.now_ms(),
            owner.id if isinstance(owner, User) else "",
        )
        await self._change(call, lambda directory: add_key(directory, owner, key))
        return {"AccessKey": {**_key(key, owner), "SecretAccessKey": key.secret}}

    async def list_keys(self, call: Call) -> Result:
        owner = self._owner(call)
        page, more = pages(self._directory.keys_of(owner), call.fields, lambda key: key.id)
        return {"AccessKeyMetadata": [_key(key, owner) for key in page], **more}

    async def update_key(self, call: Call) -> Result:
        owner, key_id = self._owner(call), required(call.fields, "AccessKeyId")
        active = required(call.fields, "Status", ("Active", "Inactive")) == "Active"
        await self._change(
            call, lambda directory: iam.switch_key(directory, owner, key_id, active=active)
        )
        return None

    async def delete_key(self, call: Call) -> Result:
        owner, key_id = self._owner(call), required(call.fields, "AccessKeyId")
        await self._change(call, lambda directory: remove_key(directory, owner, key_id))
        return None

    # -- the account ----------------------------------------------------------------------------
    async def account_summary(self, call: Call) -> Result:
        account = self._account(call)
        self._authorize(call, "*")
        counts: dict[str, int] = {}
        for kind, (cls, _) in KINDS.items():
            counts[f"{kind}s"] = len(self._directory.entities(cls, account.id))
            counts[f"{kind}sQuota"] = iam.ENTITIES_MAX
        counts["AccessKeysPerUserQuota"] = ACCESS_KEYS_MAX
        return {"SummaryMap": Entries(counts)}

    async def list_providers(self, call: Call) -> Result:
        """There are none: identities of elsewhere are not taken."""
        self._authorize(call, "*")
        return {"OpenIDConnectProviderList": []}

    # -- what all of them do --------------------------------------------------------------------
    @property
    def _directory(self) -> Directory:
        return self._identities.directory

    async def _change(self, call: Call, decide: Callable[[Directory], Change]) -> None:
        await self._identities.change(call.who.account, decide)

    def _account(self, call: Call) -> Account:
        account = self._directory.account(call.who.account.id)
        if account is None:
            raise AccessDenied("The account was removed")
        return account

    def _authorize(self, call: Call, resource: str) -> None:
        action = f"iam:{call.action}"
        if own_effect(call.who, action, resource, call.keys) is not Effect.ALLOW:
            raise AccessDenied(
                f"User: {call.who.arn} is not authorized to perform: {action} on resource:"
                f" {resource}"
            )

    def _require(self, call: Call, kind: str, *, authorize: bool = True) -> tuple[Entity, Account]:
        """The entity a call names, if the caller may do this to it."""
        account, name = self._account(call), required(call.fields, f"{kind}Name")
        entity = self._directory.entity_of_name(KINDS[kind][0], account.id, name)
        if authorize:
            known = entity_arn(entity, account.number) if entity else ""
            self._authorize(
                call, known or f"arn:aws:iam::{account.number}:{kind.lower()}/{name[:80]}"
            )
        return iam.require_entity(self._directory, KINDS[kind][0], account, name), account

    def _owner(self, call: Call) -> Account | User:
        """Whose keys a call is about: of the user it names, else of whoever asks."""
        if "UserName" in call.fields:
            entity, _ = self._require(call, "User")
            assert isinstance(entity, User)
            return entity
        account = self._account(call)
        self._authorize(call, call.who.arn)
        if call.who.kind is PrincipalKind.ACCOUNT:
            return account
        user = self._directory.entity(call.who.user_id)
        if not isinstance(user, User):
            raise AccessDenied("Must specify userName when calling with non-User credentials")
        return user

    def _caller(self, call: Call) -> Mapping[str, object]:
        """The user that asks; an account is shown as a user without a name."""
        account = self._account(call)
        self._authorize(call, call.who.arn)
        user = self._directory.entity(call.who.user_id)
        if isinstance(user, User):
            return self._entity(user, account)
        if call.who.kind is not PrincipalKind.ACCOUNT:
            raise AccessDenied("Must specify userName when calling with non-User credentials")
        return {
            "Path": "/",
            "UserId": account.number,
            "Arn": account_arn(account.number),
            "CreateDate": format_iso_date(account.created_at_ms),
        }

    def _entity(self, entity: Entity, account: Account) -> Mapping[str, object]:
        kind = type(entity).__name__
        shown: dict[str, object] = {
            "Path": entity.path,
            f"{kind}Name": entity.name,
            f"{kind}Id": entity.id,
            "Arn": entity_arn(entity, account.number),
            "CreateDate": format_iso_date(entity.created_at_ms),
        }
        if isinstance(entity, Role):
            shown |= {
                "AssumeRolePolicyDocument": quote(entity.trust),
                "Description": entity.description,
                "MaxSessionDuration": entity.session_max_s,
            }
        return shown


def _key(key: AccessKey, owner: Account | User) -> dict[str, object]:
    return {
        "UserName": owner.name if isinstance(owner, User) else None,
        "AccessKeyId": key.id,
        "Status": "Active" if key.active else "Inactive",
        "CreateDate": format_iso_date(key.created_at_ms),
    }
