"""Decisions about users and keys, and what a directory finds."""

import pytest

from stratum.domain.directory import (
    ACCESS_KEYS_MAX,
    Change,
    Directory,
    add_account,
    add_key,
    remove_account,
    remove_key,
)
from stratum.domain.errors import Conflict, InvalidArgument, LimitExceeded, NoSuchUser
from stratum.domain.identity import (
    AccessKey,
    Account,
    access_key_id,
    account_name,
    email_address,
    secret_access_key,
)
from stratum.domain.identity_events import (
    AccessKeyAdded,
    AccessKeyRemoved,
    UserAdded,
    UserRemoved,
)

ROOT = Account("0" * 64, "000000000000", "root")
ROOT_KEY = AccessKey("ROOTKEY", "root-secret", ROOT.id)
ALICE = Account("a" * 64, "111111111111", "Alice", "alice@example.com", 5)
KEY = AccessKey("AKALICE", "secret-of-alice", ALICE.id, 5)


def directory(*kept):
    return Directory([ROOT, ROOT_KEY], kept)


def test_an_account_is_found_by_id_number_email_and_name_in_any_case():
    found = directory(ALICE, KEY)
    assert found.account(ALICE.id) == ALICE
    assert found.account_of_number("111111111111") == ALICE
    assert found.account_of_email("ALICE@example.com") == ALICE
    assert found.require_name("aLICE") == ALICE
    assert found.key("AKALICE") == KEY
    assert found.accounts() == [ALICE, ROOT]


def test_adding_an_account_reports_it_and_its_key_without_the_secret():
    change = add_account(directory(), ALICE, KEY)
    assert change.put == (ALICE, KEY)
    assert change.events == (
        UserAdded(ALICE.id, "Alice", "alice@example.com", "111111111111"),
        AccessKeyAdded(ALICE.id, "AKALICE"),
    )
    assert "secret-of-alice" not in repr(change)


@pytest.mark.parametrize(
    ("account", "key"),
    [
        (Account("b" * 64, "222222222222", "ALICE"), AccessKey("NEWKEY", "s" * 8, "b" * 64)),
        (
            Account("b" * 64, "222222222222", "bob", "Alice@Example.com"),
            AccessKey("NEWKEY", "s" * 8, "b" * 64),
        ),
        (Account(ALICE.id, "222222222222", "bob"), AccessKey("NEWKEY", "s" * 8, ALICE.id)),
        (Account("b" * 64, "111111111111", "bob"), AccessKey("NEWKEY", "s" * 8, "b" * 64)),
        (Account("b" * 64, "222222222222", "bob"), AccessKey("AKALICE", "s" * 8, "b" * 64)),
        (Account("b" * 64, "222222222222", "bob"), AccessKey("ROOTKEY", "s" * 8, "b" * 64)),
        (Account("b" * 64, "222222222222", "Root"), AccessKey("NEWKEY", "s" * 8, "b" * 64)),
    ],
    ids=["name", "email", "id", "number", "key", "root's key", "root's name"],
)
def test_what_is_taken_is_not_given_twice(account, key):
    with pytest.raises(Conflict):
        add_account(directory(ALICE, KEY), account, key)


def test_removing_an_account_takes_its_keys_along():
    found = directory(ALICE, KEY)
    change = remove_account(found, "alice")
    assert change.events == (
        AccessKeyRemoved(ALICE.id, "AKALICE"),
        UserRemoved(ALICE.id, "Alice"),
    )
    found.apply(change)
    assert found.key("AKALICE") is None
    assert found.account_of_email(ALICE.email) is None
    assert found.accounts() == [ROOT]
    add_account(found, ALICE, KEY)  # everything of it is free again


def test_the_root_stays():
    found = directory(ALICE, KEY)
    with pytest.raises(InvalidArgument):
        remove_account(found, "root")
    with pytest.raises(InvalidArgument):
        remove_key(found, ROOT, "ROOTKEY")


def test_the_roots_credentials_win_over_what_is_kept():
    found = directory(AccessKey("ROOTKEY", "of somebody else", ALICE.id), ALICE)
    assert found.key("ROOTKEY") == ROOT_KEY


def test_a_key_can_be_removed_by_its_owner_only():
    found = directory(ALICE, KEY)
    with pytest.raises(NoSuchUser):
        remove_key(found, ROOT, "AKALICE")
    with pytest.raises(NoSuchUser):
        remove_key(found, ALICE, "NOSUCHKEY")
    assert remove_key(found, ALICE, "AKALICE").removed == (KEY,)


def test_an_account_has_a_limited_number_of_keys():
    found = directory(ALICE)
    for number in range(ACCESS_KEYS_MAX):
        found.apply(add_key(found, ALICE, AccessKey(f"KEY{number}", "s" * 8, ALICE.id, number)))
    assert [key.id for key in found.keys_of(ALICE)][:3] == ["KEY0", "KEY1", "KEY2"]
    with pytest.raises(LimitExceeded):
        add_key(found, ALICE, AccessKey("ONEMORE", "s" * 8, ALICE.id))


def test_an_account_that_is_replaced_is_the_new_one():
    found = directory(ALICE)
    renamed = Account(ALICE.id, ALICE.number, "Alice", "alice@example.org")
    found.apply(Change(put=(renamed,), removed=(ALICE,)))
    assert found.account_of_email("alice@example.com") is None
    assert found.account_of_email("alice@example.org") == renamed


@pytest.mark.parametrize(
    ("parse", "text"),
    [
        (account_name, ""),
        (account_name, "a" * 65),
        (account_name, "a b"),
        (account_name, "a/b"),
        (account_name, "a\n"),
        (email_address, "nobody"),
        (email_address, "a b@example.com"),
        (email_address, "a@" + "b" * 260),
        (access_key_id, "ab"),
        (access_key_id, "a/b/c"),
        (access_key_id, "a,b,c"),
        (access_key_id, "a" * 129),
        (secret_access_key, "short"),
        (secret_access_key, "with spaces in it"),
        (secret_access_key, "umlaut-ä-umlaut"),
    ],
)
def test_names_and_keys_that_are_refused(parse, text):
    with pytest.raises(InvalidArgument) as refusal:
        parse(text)
    if parse is secret_access_key:
        assert text not in f"{refusal.value} {refusal.value.value}"


def test_what_minio_users_bring_along_is_taken():
    assert access_key_id("minioadmin") == "minioadmin"
    assert secret_access_key("minioadmin") == "minioadmin"
    assert email_address("") == ""
