"""Users, groups and roles of an account: what may be done to them, and what they may do."""

import pytest

from stratum.domain import iam
from stratum.domain.directory import ACCESS_KEYS_MAX, Change, Directory, add_key, remove_account
from stratum.domain.errors import (
    AccessDenied,
    EntityExists,
    EntityInUse,
    InvalidArgument,
    InvalidSession,
    LimitExceeded,
    NoSuchUser,
)
from stratum.domain.identity import (
    AccessKey,
    Account,
    Group,
    Role,
    Session,
    User,
    entity_arn,
    entity_path,
    policy_name,
)
from stratum.domain.identity_events import IdentityChanged
from stratum.domain.managed_policies import MANAGED_POLICIES
from stratum.domain.policy_document import parse_identity_policy
from stratum.domain.principal import PrincipalKind
from stratum.domain.principals import key_principal, session_principal

ROOT = Account("0" * 64, "000000000000", "root")
ALICE = Account("a" * 64, "111111111111", "alice")
CAROL = User("AIDA1", ALICE.id, "Carol", "/team/", 5)
ADMINS = Group("AGPA1", ALICE.id, "admins")
READER = Role("AROA1", ALICE.id, "reader", policies={"read": "R"})
READ_ONLY = "arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess"


def directory(*kept):
    return Directory([ROOT, AccessKey("ROOTKEY", "root-secret", ROOT.id)], [ALICE, *kept])


def after(found, change):
    found.apply(change)
    return found


# -- names --------------------------------------------------------------------------------------
def test_names_are_taken_once_per_kind_and_account_whatever_their_case():
    found = directory(CAROL)
    with pytest.raises(EntityExists):
        iam.create_entity(found, User("AIDA2", ALICE.id, "cAROL"))
    iam.create_entity(found, Role("AROA2", ALICE.id, "Carol"))
    iam.create_entity(found, User("AIDA3", ROOT.id, "Carol"))
    assert iam.require_entity(found, User, ALICE, "CAROL") == CAROL
    with pytest.raises(NoSuchUser):
        iam.require_entity(found, Group, ALICE, "carol")


def test_a_new_name_is_the_only_one():
    found = directory(CAROL, User("AIDA2", ALICE.id, "dave"))
    renamed = User(CAROL.id, ALICE.id, "eve", "/")
    change = iam.update_entity(found, CAROL, renamed)
    assert change.events == (IdentityChanged(ALICE.id, "user/Carol", "UpdateUser", "eve"),)
    after(found, change)
    assert found.entity_of_name(User, ALICE.id, "carol") is None
    assert [each.name for each in found.entities(User, ALICE.id)] == ["dave", "eve"]
    with pytest.raises(EntityExists):
        iam.update_entity(found, renamed, User(CAROL.id, ALICE.id, "Dave"))
    iam.update_entity(found, renamed, User(CAROL.id, ALICE.id, "EVE"))  # its own, in capitals


def test_arns_show_the_path():
    assert entity_arn(CAROL, ALICE.number) == "arn:aws:iam::111111111111:user/team/Carol"
    assert entity_arn(READER, ALICE.number) == "arn:aws:iam::111111111111:role/reader"


@pytest.mark.parametrize(
    ("parse", "text"),
    [
        (entity_path, ""),
        (entity_path, "team"),
        (entity_path, "/team"),
        (entity_path, "/a b/"),
        (entity_path, "/" + "x" * 600 + "/"),
        (policy_name, ""),
        (policy_name, "a b"),
        (policy_name, "x" * 129),
    ],
)
def test_paths_and_policy_names_that_are_refused(parse, text):
    with pytest.raises(InvalidArgument):
        parse(text)


# -- policies -----------------------------------------------------------------------------------
def test_policies_are_put_replaced_and_deleted():
    found = directory(CAROL)
    after(found, iam.put_policy(CAROL, "p", "one"))
    after(found, iam.put_policy(found.entity(CAROL.id), "p", "two"))
    user = found.entity(CAROL.id)
    assert iam.require_policy(user, "p") == "two"
    after(found, iam.delete_policy(user, "p"))
    with pytest.raises(NoSuchUser):
        iam.delete_policy(found.entity(CAROL.id), "p")


def test_managed_policies_are_attached_once_and_known():
    user = iam.attach_policy(CAROL, READ_ONLY).put[0]
    assert iam.attach_policy(user, READ_ONLY) == Change()
    with pytest.raises(NoSuchUser):
        iam.attach_policy(user, "arn:aws:iam::aws:policy/Whatever")
    assert iam.detach_policy(user, READ_ONLY).put[0].attached == ()
    with pytest.raises(NoSuchUser):
        iam.detach_policy(CAROL, READ_ONLY)


def test_there_is_an_end_to_policies():
    many = User("AIDA2", ALICE.id, "many", policies={f"p{n}": "" for n in range(iam.POLICIES_MAX)})
    with pytest.raises(LimitExceeded):
        iam.put_policy(many, "more", "")
    iam.put_policy(many, "p0", "replaced")


@pytest.mark.parametrize("arn", sorted(MANAGED_POLICIES))
def test_managed_policies_can_be_read(arn):
    assert parse_identity_policy(MANAGED_POLICIES[arn]).statements


def test_a_user_may_do_what_its_groups_may():
    group = Group("AGPA1", ALICE.id, "g", policies={"g": "G"}, members=(CAROL.id,))
    attached = User(CAROL.id, ALICE.id, "Carol", policies={"u": "U"}, attached=(READ_ONLY,))
    found = directory(attached, group)
    assert iam.policies_of(found, attached) == ("U", MANAGED_POLICIES[READ_ONLY], "G")


# -- removing -----------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "gone",
    [
        READER,
        User(CAROL.id, ALICE.id, "Carol", attached=(READ_ONLY,)),
        Group("AGPA1", ALICE.id, "g", members=(CAROL.id,)),
    ],
    ids=lambda each: type(each).__name__,
)
def test_what_is_in_use_stays(gone):
    with pytest.raises(EntityInUse):
        iam.delete_entity(directory(gone), gone)


def test_a_user_with_keys_stays_and_without_leaves_its_groups():
    group = iam.change_members(ADMINS, CAROL, member=True).put[0]
    assert iam.change_members(group, CAROL, member=True) == Change()
    found = directory(CAROL, group, AccessKey("K", "s" * 8, ALICE.id, 1, CAROL.id))
    with pytest.raises(EntityInUse):
        iam.delete_entity(found, CAROL)
    found.apply(Change(removed=(found.key("K"),)))
    after(found, iam.delete_entity(found, CAROL))
    assert found.entity(ADMINS.id).members == ()
    assert found.entity(CAROL.id) is None


def test_an_account_takes_everything_in_it_along():
    key = AccessKey("K", "s" * 8, ALICE.id, 1, CAROL.id)
    found = directory(CAROL, READER, ADMINS, key)
    after(found, remove_account(found, "alice"))
    assert (found.entity(CAROL.id), found.entity(READER.id), found.key("K")) == (None, None, None)


# -- keys ---------------------------------------------------------------------------------------
def test_keys_of_users_are_theirs_alone():
    found = directory(CAROL)
    after(found, add_key(found, CAROL, AccessKey("CK", "s" * 8, ALICE.id, 1, CAROL.id)))
    after(found, add_key(found, ALICE, AccessKey("AK", "s" * 8, ALICE.id, 2)))
    assert [key.id for key in found.keys_of(CAROL)] == ["CK"]
    assert [key.id for key in found.keys_of(ALICE)] == ["AK"]
    with pytest.raises(NoSuchUser):
        iam.switch_key(found, CAROL, "AK", active=False)
    after(found, iam.switch_key(found, CAROL, "CK", active=False))
    assert not found.key("CK").active
    with pytest.raises(InvalidArgument):
        iam.switch_key(found, ROOT, "ROOTKEY", active=False)
    for number in range(ACCESS_KEYS_MAX - 1):
        key = AccessKey(f"CK{number}", "s" * 8, ALICE.id, 3, CAROL.id)
        after(found, add_key(found, CAROL, key))
    with pytest.raises(LimitExceeded):
        add_key(found, CAROL, AccessKey("MORE", "s" * 8, ALICE.id, 3, CAROL.id))


# -- principals ---------------------------------------------------------------------------------
def test_whom_a_key_speaks_for():
    key = AccessKey("CK", "s" * 8, ALICE.id, 1, CAROL.id)
    found = directory(CAROL, key)
    carol = key_principal(found, key)
    assert (carol.kind, carol.user_name, carol.account.id) == (
        PrincipalKind.USER,
        "Carol",
        ALICE.id,
    )
    assert not carol.operator
    assert key_principal(found, found.key("ROOTKEY")).operator
    found.apply(Change(removed=(CAROL,)))
    with pytest.raises(AccessDenied):
        key_principal(found, key)


def test_whom_a_session_speaks_for():
    found = directory(READER, CAROL)
    session = Session("ASIA", "s", ALICE.id, 1, role_id=READER.id, name="s1", policies=("P",))
    role = session_principal(found, session)
    assert role.arn == "arn:aws:sts::111111111111:assumed-role/reader/s1"
    assert role.role_arn == "arn:aws:iam::111111111111:role/reader"
    assert (role.policies, role.session_policies) == (("R",), ("P",))
    own = session_principal(found, Session("ASIA", "s", ROOT.id, 1))
    assert own.kind is PrincipalKind.ACCOUNT
    assert not own.operator  # lent credentials do not run the server
    assert session_principal(found, Session("A", "s", ALICE.id, 1, CAROL.id)).user_name == "Carol"
    found.apply(Change(removed=(READER,)))
    with pytest.raises(InvalidSession):
        session_principal(found, session)
