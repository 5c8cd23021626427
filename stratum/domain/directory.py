"""All identities, indexed, and the decisions about accounts and keys.

A decision looks at the directory and returns a Change, or says why it may not be. `apply` is the
only thing that changes a directory. Decisions about users, groups and roles are in `iam`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from stratum.domain.errors import Conflict, InvalidArgument, LimitExceeded, NoSuchUser
from stratum.domain.identity import (
    AccessKey,
    Account,
    Entity,
    Group,
    Identity,
    TokenKey,
    User,
)
from stratum.domain.identity_events import (
    AccessKeyAdded,
    AccessKeyRemoved,
    IdentityEvent,
    UserAdded,
    UserRemoved,
)

ACCESS_KEYS_MAX = 16
"""Keys of one account or user. Amazon allows two; people rotate more than one tool at a time."""


@dataclass(frozen=True)
class Change:
    """What a decision does: identities added or replaced, identities removed, and the record."""

    put: tuple[Identity, ...] = ()
    removed: tuple[Identity, ...] = ()
    events: tuple[IdentityEvent, ...] = ()


class Directory:
    """Looks up identities in constant time. `fixed` are there always and can't be removed: the
    root account and its key, which are kept elsewhere."""

    def __init__(self, fixed: Sequence[Identity], kept: Sequence[Identity] = ()) -> None:
        self._accounts: dict[str, Account] = {}
        self._names: dict[str, Account] = {}
        self._emails: dict[str, Account] = {}
        self._numbers: dict[str, Account] = {}
        self._keys: dict[str, AccessKey] = {}
        self._entities: dict[str, Entity] = {}
        self._entity_names: dict[tuple[type[Entity], str, str], str] = {}
        self._token_key: TokenKey | None = None
        self._fixed = frozenset(_place(each) for each in fixed)
        self.apply(Change(put=tuple(each for each in kept if not self.is_fixed(each))))
        self.apply(Change(put=tuple(fixed)))

    def is_fixed(self, identity: Identity) -> bool:
        return _place(identity) in self._fixed

    def apply(self, change: Change) -> None:
        """Take over a change that is durable."""
        for gone in change.removed:
            self._forget(gone)
        for new in change.put:
            self._learn(new)

    def _forget(self, gone: Identity) -> None:
        match gone:
            case AccessKey():
                self._keys.pop(gone.id, None)
            case Account():
                self._accounts.pop(gone.id, None)
                self._names.pop(gone.name.casefold(), None)
                self._numbers.pop(gone.number, None)
                self._emails.pop(gone.email.casefold(), None)
            case Entity():
                known = self._entities.pop(gone.id, gone)
                self._entity_names.pop(_named(known), None)
            case TokenKey():
                self._token_key = None

    def _learn(self, new: Identity) -> None:
        match new:
            case AccessKey():
                self._keys[new.id] = new
            case Account():
                self._accounts[new.id] = new
                self._names[new.name.casefold()] = new
                self._numbers[new.number] = new
                if new.email:
                    self._emails[new.email.casefold()] = new
            case Entity():
                if new.id in self._entities:
                    self._forget(new)
                self._entities[new.id] = new
                self._entity_names[_named(new)] = new.id
            case TokenKey():
                self._token_key = new

    # -- looking up -----------------------------------------------------------------------------
    def key(self, access_key_id: str) -> AccessKey | None:
        return self._keys.get(access_key_id)

    def account(self, canonical_id: str) -> Account | None:
        return self._accounts.get(canonical_id)

    def account_of_number(self, number: str) -> Account | None:
        return self._numbers.get(number)

    def account_of_email(self, email: str) -> Account | None:
        return self._emails.get(email.casefold())

    def account_of_name(self, name: str) -> Account | None:
        """The case of names does not matter, as with IAM's."""
        return self._names.get(name.casefold())

    def accounts(self) -> Sequence[Account]:
        """All accounts by name."""
        return [self._names[name] for name in sorted(self._names)]

    def entity(self, entity_id: str) -> Entity | None:
        return self._entities.get(entity_id)

    def entity_of_name(self, kind: type[Entity], account_id: str, name: str) -> Entity | None:
        return self._entities.get(self._entity_names.get((kind, account_id, name.casefold()), ""))

    def entities(self, kind: type[Entity], account_id: str) -> Sequence[Entity]:
        """Users, groups or roles of an account by name, whatever its case."""
        found = [
            each
            for each in self._entities.values()
            if type(each) is kind and each.account_id == account_id
        ]
        return sorted(found, key=lambda each: each.name.casefold())

    def groups_of(self, user: User) -> Sequence[Group]:
        """The groups a user is in, by name."""
        groups = self.entities(Group, user.account_id)
        return [each for each in groups if isinstance(each, Group) and user.id in each.members]

    def token_key(self) -> TokenKey | None:
        return self._token_key

    def keys_of(self, owner: Account | User) -> Sequence[AccessKey]:
        """Keys of an account itself, or of a user, oldest first."""
        if isinstance(owner, Account):
            keys = [k for k in self._keys.values() if k.account_id == owner.id and not k.user_id]
        else:
            keys = [k for k in self._keys.values() if k.user_id == owner.id]
        return sorted(keys, key=lambda key: (key.created_at_ms, key.id))

    def within(self, account: Account) -> Sequence[Identity]:
        """Everything that belongs to an account, its keys last."""
        entities = [e for e in self._entities.values() if e.account_id == account.id]
        return [*entities, *(k for k in self._keys.values() if k.account_id == account.id)]

    def require_name(self, name: str) -> Account:
        """The account of a name; raises NoSuchUser."""
        account = self.account_of_name(name)
        if account is None:
            raise NoSuchUser(f"There is no user {name!r}")
        return account


def _place(identity: Identity) -> tuple[str, str]:
    return type(identity).__name__, identity.id


def _named(entity: Entity) -> tuple[type[Entity], str, str]:
    return type(entity), entity.account_id, entity.name.casefold()


def add_account(directory: Directory, account: Account, key: AccessKey) -> Change:
    """A new account with its first key. Raises Conflict if name, email or an id is taken."""
    if directory.account_of_name(account.name):
        raise Conflict(f"There is a user {account.name!r} already")
    if account.email and directory.account_of_email(account.email):
        raise Conflict(f"Another user has the email address {account.email!r}")
    if directory.account(account.id) or directory.account_of_number(account.number):
        raise Conflict("The id of the new user is taken")
    added = add_key(directory, account, key)
    event = UserAdded(account.id, account.name, account.email, account.number)
    return Change(put=(account, *added.put), events=(event, *added.events))


def remove_account(directory: Directory, name: str) -> Change:
    """An account goes with all that is in it. Raises NoSuchUser, InvalidArgument for the root."""
    account = directory.require_name(name)
    if directory.is_fixed(account):
        raise InvalidArgument("The root can't be removed")
    removed = directory.within(account)
    events = (AccessKeyRemoved(account.id, e.id) for e in removed if isinstance(e, AccessKey))
    return Change(
        removed=(account, *removed), events=(*events, UserRemoved(account.id, account.name))
    )


def add_key(directory: Directory, owner: Account | User, key: AccessKey) -> Change:
    """Raises Conflict if the id of the key is taken, LimitExceeded if there are enough."""
    if directory.key(key.id):
        raise Conflict(f"There is an access key {key.id!r} already")
    if len(directory.keys_of(owner)) >= ACCESS_KEYS_MAX:
        raise LimitExceeded(f"A user has at most {ACCESS_KEYS_MAX} access keys; remove one first")
    return Change(put=(key,), events=(AccessKeyAdded(key.account_id, key.id),))


def remove_key(directory: Directory, owner: Account | User, access_key_id: str) -> Change:
    """Raises NoSuchUser if there is no such key, InvalidArgument for the root's own."""
    key = require_key(directory, owner, access_key_id)
    if directory.is_fixed(key):
        raise InvalidArgument("This key is in the root's credentials: change it there")
    return Change(removed=(key,), events=(AccessKeyRemoved(key.account_id, key.id),))


def require_key(directory: Directory, owner: Account | User, access_key_id: str) -> AccessKey:
    """A key of an account itself or of a user; raises NoSuchUser."""
    key = directory.key(access_key_id)
    if key is None or key not in directory.keys_of(owner):
        raise NoSuchUser(f"The user {owner.name!r} has no access key {access_key_id!r}")
    return key
