"""All identities, indexed, and the decisions about them.

A decision looks at the directory and returns a Change, or says why it may not be. `apply` is the
only thing that changes a directory.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from stratum.domain.errors import Conflict, InvalidArgument, NoSuchUser
from stratum.domain.identity import AccessKey, Account, Identity
from stratum.domain.identity_events import (
    AccessKeyAdded,
    AccessKeyRemoved,
    IdentityEvent,
    UserAdded,
    UserRemoved,
)

ACCESS_KEYS_MAX = 16
"""Keys of one user. Amazon allows two; people rotate more than one tool at a time."""


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
        self._fixed = frozenset(_place(each) for each in fixed)
        self.apply(Change(put=tuple(each for each in kept if not self.is_fixed(each))))
        self.apply(Change(put=tuple(fixed)))

    def is_fixed(self, identity: Identity) -> bool:
        return _place(identity) in self._fixed

    def apply(self, change: Change) -> None:
        """Take over a change that is durable."""
        for gone in change.removed:
            if isinstance(gone, AccessKey):
                self._keys.pop(gone.id, None)
            else:
                self._accounts.pop(gone.id, None)
                self._names.pop(gone.name.casefold(), None)
                self._numbers.pop(gone.number, None)
                self._emails.pop(gone.email.casefold(), None)
        for new in change.put:
            if isinstance(new, AccessKey):
                self._keys[new.id] = new
                continue
            self._accounts[new.id] = new
            self._names[new.name.casefold()] = new
            self._numbers[new.number] = new
            if new.email:
                self._emails[new.email.casefold()] = new

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

    def keys_of(self, account: Account) -> Sequence[AccessKey]:
        """An account's keys, oldest first."""
        keys = [key for key in self._keys.values() if key.account_id == account.id]
        return sorted(keys, key=lambda key: (key.created_at_ms, key.id))

    def require_name(self, name: str) -> Account:
        """The account of a name; raises NoSuchUser."""
        account = self.account_of_name(name)
        if account is None:
            raise NoSuchUser(f"There is no user {name!r}")
        return account


def _place(identity: Identity) -> tuple[str, str]:
    return type(identity).__name__, identity.id


def add_account(directory: Directory, account: Account, key: AccessKey) -> Change:
    """A new account with its first key. Raises Conflict if name, email or an id is taken."""
    if directory.account_of_name(account.name):
        raise Conflict(f"There is a user {account.name!r} already")
    if account.email and directory.account_of_email(account.email):
        raise Conflict(f"Another user has the email address {account.email!r}")
    if directory.account(account.id) or directory.account_of_number(account.number):
        raise Conflict("The id of the new user is taken")
    added = add_key(directory, account, key)
    event = UserAdded(account.id, account.name, account.email)
    return Change(put=(account, *added.put), events=(event, *added.events))


def remove_account(directory: Directory, name: str) -> Change:
    """Raises NoSuchUser, InvalidArgument for the root."""
    account = directory.require_name(name)
    if directory.is_fixed(account):
        raise InvalidArgument("The root can't be removed")
    keys = directory.keys_of(account)
    events = (AccessKeyRemoved(account.id, key.id) for key in keys)
    return Change(removed=(account, *keys), events=(*events, UserRemoved(account.id, account.name)))


def add_key(directory: Directory, account: Account, key: AccessKey) -> Change:
    """Raises Conflict if the id of the key is taken, or the account has as many as it may."""
    if directory.key(key.id):
        raise Conflict(f"There is an access key {key.id!r} already")
    if len(directory.keys_of(account)) >= ACCESS_KEYS_MAX:
        raise Conflict(f"A user has at most {ACCESS_KEYS_MAX} access keys; remove one first")
    return Change(put=(key,), events=(AccessKeyAdded(account.id, key.id),))


def remove_key(directory: Directory, account: Account, access_key_id: str) -> Change:
    """Raises NoSuchUser if the account has no such key, InvalidArgument for the root's own."""
    key = directory.key(access_key_id)
    if key is None or key.account_id != account.id:
        raise NoSuchUser(f"The user {account.name!r} has no access key {access_key_id!r}")
    if directory.is_fixed(key):
        raise InvalidArgument("This key is in the root's credentials: change it there")
    return Change(removed=(key,), events=(AccessKeyRemoved(account.id, key.id),))
