"""Use cases on identities: users (accounts) and their access keys.

All of them are in memory while the server runs, so a look-up costs a dictionary; every change goes
through here, so what is in memory is exact. A change is first made durable, then in force, then
on record in the journal.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import trio

from stratum.domain.catalog import Catalog
from stratum.domain.directory import (
    Change,
    Directory,
    add_account,
    add_key,
    remove_account,
    remove_key,
)
from stratum.domain.errors import (
    AccessDenied,
    Conflict,
    InvalidSession,
    SessionExpired,
    StratumError,
)
from stratum.domain.events import Event
from stratum.domain.identity import (
    AccessKey,
    Account,
    Identity,
    Session,
    TokenKey,
    access_key_id,
    account_name,
    account_number,
    canonical_id,
    email_address,
    secret_access_key,
)
from stratum.domain.names import Caller
from stratum.domain.principal import Principal
from stratum.domain.principals import key_principal, session_principal
from stratum.ports import IdentityStore, Journal, NowMs

log = logging.getLogger("stratum.identities")


class Sealer(Protocol):
    """Makes session tokens, and reads those that were made with the same key."""

    def seal(self, session: Session) -> str: ...

    def open(self, token: str) -> Session | None:
        """None for anything else than an unaltered token."""
        ...


class Mint(Protocol):
    """Makes what nobody can guess."""

    def canonical_id(self) -> str: ...

    def account_number(self) -> str: ...

    def access_key_id(self, prefix: str = "") -> str: ...

    def entity_id(self, prefix: str) -> str: ...

    def secret(self) -> str: ...


@dataclass(frozen=True)
class Issued:
    """A key with the account it is for: the only answer that ever shows the secret."""

    account: Account
    key: AccessKey


class Identities:
    """Made by `open_identities`."""

    def __init__(
        self,
        store: IdentityStore,
        journal: Journal,
        directory: Directory,
        mint: Mint,
        now_ms: NowMs,
        sealer: Sealer,
    ) -> None:
        self.directory = directory
        self.mint = mint
        self.now_ms = now_ms
        self.sealer = sealer
        self._store = store
        self._journal = journal
        self._changing = trio.Lock()
        self._principals: dict[str, Principal] = {}

    def secret_for(self, access_key_id: str) -> str | None:
        """The secret of an access key; None if there is no such key."""
        key = self.directory.key(access_key_id)
        return key.secret if key and key.active else None

    def session_secret(self, access_key_id: str, token: str) -> str:
        """The secret of credentials that come with a session token. Raises InvalidSession,
        SessionExpired."""
        return self._session(access_key_id, token).secret

    def principal_of(self, access_key_id: str, token: str = "") -> Principal:
        """Whom an access key speaks for; it was looked up before. Raises AccessDenied,
        InvalidSession, SessionExpired."""
        if token:
            return session_principal(self.directory, self._session(access_key_id, token))
        known = self._principals.get(access_key_id)
        if known is not None:
            return known
        key = self.directory.key(access_key_id)
        if key is None:
            raise AccessDenied("The access key was removed")
        principal = key_principal(self.directory, key)
        self._principals[access_key_id] = principal
        return principal

    def _session(self, access_key_id: str, token: str) -> Session:
        session = self.sealer.open(token)
        if session is None or session.access_key_id != access_key_id:
            raise InvalidSession("The security token included in the request is invalid")
        if session.expires_at_ms <= self.now_ms():
            raise SessionExpired("The provided token has expired.")
        return session

    async def add_user(
        self,
        caller: Caller,
        name: str,
        email: str = "",
        pair: tuple[str, str] | None = None,
        known: tuple[str, str] = ("", ""),
    ) -> Issued:
        """Make a user with an access key: `pair` is its id and secret, made here by default.

        `known`: canonical id and account number of a user that was lost, so that what it owned is
        its own again. Raises InvalidArgument, Conflict (name, email or an id is taken).
        """
        own_id, number = known
        account = Account(
            canonical_id(own_id) if own_id else self.mint.canonical_id(),
            account_number(number) if number else self.mint.account_number(),
            account_name(name),
            email_address(email),
            self.now_ms(),
        )
        key = self._key(account, pair)
        await self.change(caller, lambda directory: add_account(directory, account, key))
        return Issued(account, key)

    async def remove_user(self, caller: Caller, name: str) -> Account:
        """Raises NoSuchUser, InvalidArgument for the root, Conflict while the user has buckets."""

        def decide(directory: Directory) -> Change:
            change = remove_account(directory, name)
            account = directory.require_name(name)
            buckets = self._journal.catalog.buckets()
            owned = [bucket.name for bucket in buckets if bucket.owner.id == account.id]
            if owned:
                raise Conflict(
                    f"The user owns {len(owned)} buckets, the first is {owned[0]!r}: delete them"
                    " first"
                )
            return change

        account = self.directory.require_name(name)
        await self.change(caller, decide)
        return account

    async def add_key(
        self, caller: Caller, name: str, pair: tuple[str, str] | None = None
    ) -> Issued:
        """Give a user another access key. Raises NoSuchUser, InvalidArgument, Conflict."""
        account = self.directory.require_name(name)
        key = self._key(account, pair)
        await self.change(
            caller, lambda directory: add_key(directory, directory.require_name(name), key)
        )
        return Issued(account, key)

    async def remove_key(self, caller: Caller, name: str, access_key_id: str) -> Account:
        """Take an access key away; requests signed with it are refused from now on.

        Raises NoSuchUser, InvalidArgument for the root's own.
        """
        account = self.directory.require_name(name)
        await self.change(caller, lambda directory: remove_key(directory, account, access_key_id))
        return account

    def _key(self, account: Account, pair: tuple[str, str] | None) -> AccessKey:
        if pair is None:
            identifier, secret = self.mint.access_key_id(), self.mint.secret()
        else:
            identifier, secret = access_key_id(pair[0]), secret_access_key(pair[1])
        return AccessKey(identifier, secret, account.id, self.now_ms())

    async def change(self, caller: Caller, decide: Callable[[Directory], Change]) -> None:
        """Carry out what `decide` returns for the directory as it is then. Raises what it raises,
        and DiskFailed."""
        # Shielded: between the store and the directory nobody may stop us.
        async with self._changing:
            change = decide(self.directory)
            with trio.CancelScope(shield=True):
                await self._store.apply(change, by=caller.name)
                self.directory.apply(change)
                self._principals.clear()
                try:
                    await self.report()
                except StratumError as error:
                    # It is done all the same, and goes on record with the next change or start.
                    log.warning("a change of identities is not on record yet: %s", error)

    async def report(self) -> None:
        """Append to the journal what is not on record yet: after a crash, what it left over.

        A crash between append and tick makes an event appear twice, and never gets one lost.
        """
        for waiting in await self._store.unreported():
            await self._journal.transact(partial(_happened, event=waiting.event), by=waiting.by)
            await self._store.reported(waiting.number)


def _happened(_catalog: Catalog, *, event: Event) -> Sequence[Event]:
    return [event]


async def open_identities(
    store: IdentityStore,
    journal: Journal,
    fixed: Sequence[Identity],
    mint: Mint,
    now_ms: NowMs,
    new_sealer: Callable[[TokenKey], Sealer],
) -> Identities:
    """Load all identities; `fixed` are the root's. The key of session tokens is made at the first
    time and kept, so that sessions outlive a restart."""
    directory = Directory(fixed, await store.load())
    token_key = directory.token_key()
    if token_key is None:
        token_key = TokenKey("1", mint.canonical_id())
        change = Change(put=(token_key,))
        await store.apply(change, by="system")
        directory.apply(change)
    sealer = new_sealer(token_key)
    identities = Identities(store, journal, directory, mint, now_ms, sealer)
    await identities.report()
    return identities
