"""Decisions about the users, groups and roles of an account, as IAM's API makes them.

https://docs.aws.amazon.com/IAM/latest/APIReference/welcome.html
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from stratum.domain.directory import Change, Directory, require_key
from stratum.domain.errors import (
    EntityExists,
    EntityInUse,
    InvalidArgument,
    LimitExceeded,
    NoSuchUser,
)
from stratum.domain.identity import AccessKey, Account, Entity, Group, Role, User
from stratum.domain.identity_events import IdentityChanged
from stratum.domain.managed_policies import MANAGED_POLICIES

ENTITIES_MAX = 5000
"""Users, or groups, or roles of an account."""
POLICIES_MAX = 20
"""Policies of a user, group or role of its own, and as many attached."""
SESSION_MIN_S = 900
SESSION_MAX_S = 43_200


def require_entity(directory: Directory, kind: type[Entity], account: Account, name: str) -> Entity:
    """Raises NoSuchUser."""
    found = directory.entity_of_name(kind, account.id, name)
    if found is None:
        raise NoSuchUser(f"The {kind.__name__.lower()} with name {name[:80]} cannot be found.")
    return found


def create_entity(directory: Directory, new: Entity) -> Change:
    """Raises EntityExists, LimitExceeded."""
    kind = type(new)
    if directory.entity_of_name(kind, new.account_id, new.name):
        raise EntityExists(f"{kind.__name__} with name {new.name} already exists.")
    if len(directory.entities(kind, new.account_id)) >= ENTITIES_MAX:
        raise LimitExceeded(f"An account has at most {ENTITIES_MAX} of them")
    return Change(put=(new,), events=(_event(new, f"Create{kind.__name__}"),))


def update_entity(directory: Directory, old: Entity, new: Entity) -> Change:
    """Replace an entity by one of the same id. Raises EntityExists if its new name is taken."""
    holder = directory.entity_of_name(type(new), new.account_id, new.name)
    if holder is not None and holder.id != new.id:
        raise EntityExists(f"{type(new).__name__} with name {new.name} already exists.")
    return Change(put=(new,), events=(_event(old, f"Update{type(new).__name__}", new.name),))


def delete_entity(directory: Directory, gone: Entity) -> Change:
    """Raises EntityInUse while it has something that must be removed first. A user leaves its
    groups by going, which Amazon wants to be told."""
    kind = type(gone).__name__
    if gone.policies or gone.attached:
        raise EntityInUse("Cannot delete entity, must delete or detach its policies first.")
    left: tuple[Group, ...] = ()
    if isinstance(gone, User):
        if directory.keys_of(gone):
            raise EntityInUse("Cannot delete entity, must delete access keys first.")
        left = tuple(_without(group, gone) for group in directory.groups_of(gone))
    if isinstance(gone, Group) and gone.members:
        raise EntityInUse("Cannot delete entity, must remove users from group first.")
    return Change(put=left, removed=(gone,), events=(_event(gone, f"Delete{kind}"),))


def put_policy(entity: Entity, name: str, document: str) -> Change:
    """`document` was parsed before. Raises LimitExceeded."""
    if name not in entity.policies and len(entity.policies) >= POLICIES_MAX:
        raise LimitExceeded(f"At most {POLICIES_MAX} policies of its own")
    changed = replace(entity, policies={**entity.policies, name: document})
    return Change(put=(changed,), events=(_event(entity, _named(entity, "Put", "Policy"), name),))


def require_policy(entity: Entity, name: str) -> str:
    """The document of a policy; raises NoSuchUser."""
    if name not in entity.policies:
        raise NoSuchUser(
            f"The {type(entity).__name__.lower()} policy with name {name[:80]} cannot be found."
        )
    return entity.policies[name]


def delete_policy(entity: Entity, name: str) -> Change:
    """Raises NoSuchUser."""
    require_policy(entity, name)
    left = {each: document for each, document in entity.policies.items() if each != name}
    event = _event(entity, _named(entity, "Delete", "Policy"), name)
    return Change(put=(replace(entity, policies=left),), events=(event,))


def attach_policy(entity: Entity, arn: str) -> Change:
    """Attaching again changes nothing. Raises NoSuchUser for an ARN nobody knows, LimitExceeded."""
    if arn not in MANAGED_POLICIES:
        raise NoSuchUser(f"Policy {arn[:200]} does not exist or is not attachable.")
    if arn in entity.attached:
        return Change()
    if len(entity.attached) >= POLICIES_MAX:
        raise LimitExceeded(f"At most {POLICIES_MAX} policies attached")
    event = _event(entity, _named(entity, "Attach", "Policy"), arn)
    return Change(put=(replace(entity, attached=(*entity.attached, arn)),), events=(event,))


def detach_policy(entity: Entity, arn: str) -> Change:
    """Raises NoSuchUser."""
    if arn not in entity.attached:
        raise NoSuchUser(f"Policy {arn[:200]} was not found.")
    left = tuple(each for each in entity.attached if each != arn)
    event = _event(entity, _named(entity, "Detach", "Policy"), arn)
    return Change(put=(replace(entity, attached=left),), events=(event,))


def change_members(group: Group, user: User, *, member: bool) -> Change:
    """Put a user into a group, or out of it; changes nothing if it is so already."""
    if (user.id in group.members) == member:
        return Change()
    changed = replace(group, members=(*group.members, user.id)) if member else _without(group, user)
    action = "AddUserToGroup" if member else "RemoveUserFromGroup"
    return Change(put=(changed,), events=(_event(group, action, user.name),))


def switch_key(
    directory: Directory, owner: Account | User, access_key_id: str, *, active: bool
) -> Change:
    """Raises NoSuchUser, InvalidArgument for the root's own."""
    key: AccessKey = require_key(directory, owner, access_key_id)
    if directory.is_fixed(key):
        raise InvalidArgument("This key is in the root's credentials: change it there")
    subject = f"user/{owner.name}" if isinstance(owner, User) else ""
    event = IdentityChanged(key.account_id, subject, "UpdateAccessKey", key.id)
    return Change(put=(replace(key, active=active),), events=(event,))


def policies_of(directory: Directory, entity: User | Role) -> tuple[str, ...]:
    """The documents of everything that says what a user or role may do, its groups' included."""
    sources: Sequence[Entity] = [entity]
    if isinstance(entity, User):
        sources = [entity, *directory.groups_of(entity)]
    return tuple(
        document
        for source in sources
        for document in (
            *source.policies.values(),
            *(MANAGED_POLICIES[arn] for arn in source.attached if arn in MANAGED_POLICIES),
        )
    )


def _without(group: Group, user: User) -> Group:
    return replace(group, members=tuple(each for each in group.members if each != user.id))


def _named(entity: Entity, verb: str, noun: str) -> str:
    return f"{verb}{type(entity).__name__}{noun}"


def _event(entity: Entity, action: str, detail: str = "") -> IdentityChanged:
    subject = f"{type(entity).__name__.lower()}/{entity.name}"
    return IdentityChanged(entity.account_id, subject, action, detail)
