"""Roles taken on, and sessions that end."""

import json

import pytest

from stratum.adapters.identity_store import MemoryIdentityStore
from stratum.adapters.memory_journal import MemoryJournal
from stratum.adapters.session_tokens import TokenSealer
from stratum.app.identities import open_identities
from stratum.app.sessions import Sessions
from stratum.domain import iam
from stratum.domain.directory import Change
from stratum.domain.errors import AccessDenied, InvalidArgument, InvalidSession, SessionExpired
from stratum.domain.identity import AccessKey, Account, Role, Session, TokenKey, User
from stratum.domain.names import Caller
from stratum.domain.principal import ANONYMOUS, Principal, PrincipalKind, account_principal
from tests.app.test_identities import FIXED, CountingMint

ALICE = Account("a" * 64, "111111111111", "alice")
BOB = Account("b" * 64, "222222222222", "bob")
AS_ALICE = account_principal(Caller(ALICE.id, "alice"), ALICE.number)
AS_BOB = account_principal(Caller(BOB.id, "bob"), BOB.number)
CAROL_ARN = "arn:aws:iam::111111111111:user/carol"
ROLE_ARN = "arn:aws:iam::111111111111:role/reader"


def policy(effect="Allow", action="sts:AssumeRole", **more):
    statement = {"Effect": effect, "Action": action, **more}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def trusting(principal):
    return policy(Principal=principal)


def carol(*policies, account=ALICE):
    arn = CAROL_ARN.replace(ALICE.number, account.number)
    return Principal(
        PrincipalKind.USER,
        Caller(account.id, account.name),
        account.number,
        arn,
        "AIDA1",
        "carol",
        policies=policies,
    )


class Clock:
    def __init__(self):
        self.now_ms = 1_700_000_000_000

    def __call__(self):
        return self.now_ms


@pytest.fixture
async def world():
    clock, store = Clock(), MemoryIdentityStore()
    identities = await open_identities(
        store, MemoryJournal(clock), FIXED, CountingMint(), clock, TokenSealer
    )
    role = Role("AROA1", ALICE.id, "reader", trust=trusting({"AWS": ALICE.number}))
    user = User("AIDA1", ALICE.id, "carol")
    await identities.change(
        AS_ALICE.account, lambda _: Change(put=(ALICE, BOB, role, user), events=())
    )
    return identities, Sessions(identities), clock


async def trust(identities, document):
    def decide(directory):
        role = directory.entity("AROA1")
        changed = Role(role.id, role.account_id, role.name, trust=document)
        return iam.update_entity(directory, role, changed)

    await identities.change(AS_ALICE.account, decide)


MAY = policy(Resource="*")
MAY_NOT = policy("Deny", Resource="*")


@pytest.mark.parametrize(
    ("document", "who", "allowed"),
    [
        (trusting({"AWS": ALICE.number}), AS_ALICE, True),
        (trusting({"AWS": ALICE.number}), AS_BOB, False),
        (trusting({"AWS": ALICE.number}), carol(), False),
        (trusting({"AWS": ALICE.number}), carol(MAY), True),
        (trusting({"AWS": CAROL_ARN}), carol(), True),
        (trusting({"AWS": CAROL_ARN}), carol(MAY_NOT), False),
        (trusting({"AWS": CAROL_ARN}), AS_ALICE, False),
        (trusting({"AWS": BOB.number}), AS_BOB, True),
        (trusting({"AWS": BOB.number}), carol(account=BOB), False),
        (trusting({"AWS": BOB.number}), carol(MAY, account=BOB), True),
        (trusting({"AWS": "*"}), ANONYMOUS, False),
        (policy(action="sts:TagSession", Principal="*"), AS_ALICE, False),
        (policy("Deny", Principal="*"), AS_ALICE, False),
    ],
)
async def test_who_may_take_a_role_on(world, document, who, allowed):
    identities, sessions, _ = world
    await trust(identities, document)
    if not allowed:
        with pytest.raises(AccessDenied):
            sessions.assume_role(who, ROLE_ARN, "s1", {})
        return
    session, token, role, arn = sessions.assume_role(who, ROLE_ARN, "s1", {})
    assert arn == "arn:aws:sts::111111111111:assumed-role/reader/s1"
    assert identities.session_secret(session.access_key_id, token) == session.secret
    assert identities.principal_of(session.access_key_id, token).user_id == f"{role.id}:s1"


@pytest.mark.parametrize(
    "arn",
    [
        "reader",
        "arn:aws:iam::111111111111:role/writer",
        "arn:aws:iam::111111111111:role/path/reader",
        "arn:aws:iam::999999999999:role/reader",
        "arn:aws:iam::111111111111:user/carol",
    ],
)
async def test_roles_that_are_none_are_refused_like_others(world, arn):
    _, sessions, _ = world
    with pytest.raises(AccessDenied):
        sessions.assume_role(AS_ALICE, arn, "s1", {})


async def test_a_session_ends(world):
    identities, sessions, clock = world
    session, token, _, _ = sessions.assume_role(AS_ALICE, ROLE_ARN, "s1", {}, 900)
    clock.now_ms += 900_000 - 1
    identities.principal_of(session.access_key_id, token)
    clock.now_ms += 1
    with pytest.raises(SessionExpired):
        identities.session_secret(session.access_key_id, token)
    with pytest.raises(SessionExpired):
        identities.principal_of(session.access_key_id, token)


async def test_a_session_ends_with_its_role(world):
    identities, sessions, _ = world
    session, token, role, _ = sessions.assume_role(AS_ALICE, ROLE_ARN, "s1", {})
    await identities.change(AS_ALICE.account, lambda d: iam.delete_entity(d, role))
    with pytest.raises(InvalidSession):
        identities.principal_of(session.access_key_id, token)


@pytest.mark.parametrize("seconds", [899, 3601])
async def test_a_session_has_bounds(world, seconds):
    _, sessions, _ = world
    with pytest.raises(InvalidArgument):
        sessions.assume_role(AS_ALICE, ROLE_ARN, "s1", {}, seconds)
    with pytest.raises(InvalidArgument):
        sessions.assume_role(AS_ALICE, ROLE_ARN, "s", {})
    with pytest.raises(InvalidArgument):
        sessions.session_token(AS_ALICE, 36 * 3600 + 1)


async def test_a_token_is_for_its_own_key(world):
    identities, sessions, _ = world
    one, token = sessions.session_token(AS_ALICE)
    two, _ = sessions.session_token(AS_ALICE)
    assert identities.session_secret(one.access_key_id, token) == one.secret
    assert identities.secret_for(one.access_key_id) is None
    for access_key_id in (two.access_key_id, "ROOTKEY"):
        with pytest.raises(InvalidSession):
            identities.session_secret(access_key_id, token)


async def test_sessions_beget_no_sessions_and_users_stay_users(world):
    identities, sessions, _ = world
    role = Principal(PrincipalKind.ROLE, AS_ALICE.account, ALICE.number, "arn")
    for who in (role, ANONYMOUS):
        with pytest.raises(AccessDenied):
            sessions.session_token(who)
    session, token = sessions.session_token(carol())
    assert identities.principal_of(session.access_key_id, token).user_name == "carol"


# -- tokens -------------------------------------------------------------------------------------
SEALER = TokenSealer(TokenKey("1", "11" * 32))
SESSION = Session("ASIA1", "secret", ALICE.id, 5, role_id="AROA1", name="s1", policies=("{}",))


def test_a_token_is_read_by_who_made_it_alone():
    token = SEALER.seal(SESSION)
    assert SEALER.open(token) == SESSION
    assert SEALER.seal(SESSION) != token
    assert "secret" not in token
    assert TokenSealer(TokenKey("1", "22" * 32)).open(token) is None


def test_a_token_that_was_touched_is_none():
    token = SEALER.seal(SESSION)
    for at in range(len(token) - 4):
        for other in "Aa_":
            if token[at] != other:
                assert SEALER.open(token[:at] + other + token[at + 1 :]) is None
    for wrong in (
        "",
        "x",
        "ü" * 40,
        token[:-4],
        token + "AAAA",
        "A" * 20_000,
        token.strip("=")[:60],
    ):
        assert SEALER.open(wrong) is None


async def test_keys_of_removed_users_open_nothing(world):
    identities, _, _ = world
    key = AccessKey("CK", "s" * 8, ALICE.id, 1, "AIDA1")
    await identities.change(AS_ALICE.account, lambda _: Change(put=(key,)))
    assert identities.principal_of("CK").user_name == "carol"
    await identities.change(
        AS_ALICE.account, lambda d: iam.switch_key(d, d.entity("AIDA1"), "CK", active=False)
    )
    assert identities.secret_for("CK") is None
