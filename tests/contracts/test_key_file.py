"""The keyring file: made once, shared by processes, never shown, never replaced when lost."""

import stat

import pytest

from stratum.adapters.key_file import MARKER, KeyFile, check_key_name
from stratum.domain.encryption import STORE_KEY
from stratum.domain.errors import Conflict, InvalidArgument, InvalidConfig, NoSuchKmsKey


def numbered():
    """Bytes that tests can foretell: 0…0, 1…1, and so on."""
    count = iter(range(256))
    return lambda length: bytes([next(count)]) * length


@pytest.fixture
def open_file(tmp_path):
    random_bytes = numbered()

    def opened():
        return KeyFile(tmp_path / "keys.toml", tmp_path, random_bytes, lambda: 1_700_000_000_000)

    return opened


def test_without_a_file_there_are_no_keys(open_file, tmp_path):
    keys = open_file()
    assert keys.all_keys() == []
    assert keys.ring("one") is None
    assert list(tmp_path.iterdir()) == []


def test_a_new_key_is_there_for_everybody_at_once(open_file):
    before = open_file()
    assert before.ring("one") is None
    made = open_file().add("one")
    assert made.created_at == "2023-11-14T22:13:20Z"
    assert before.ring("one").newest == made.versions[0]
    assert [key.name for key in before.all_keys()] == ["one"]


def test_only_its_owner_can_read_the_file(open_file, tmp_path):
    open_file().add("one")
    for path in tmp_path.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_rotation_keeps_what_opens_older_objects(open_file):
    keys = open_file()
    old = keys.add("one").versions[0]
    new = keys.rotate("one").versions[0]
    assert old != new
    ring = open_file().ring("one")
    assert ring.newest == new
    assert ring.find(old.id) == old
    with pytest.raises(NoSuchKmsKey):
        keys.rotate("two")


def test_a_key_is_never_made_anew(open_file):
    keys = open_file()
    first = keys.add("one")
    with pytest.raises(Conflict):
        open_file().add("one")
    assert keys.ring_or_new("one").newest == first.versions[0]


def test_two_processes_that_need_the_same_key_get_the_same(open_file):
    one, other = open_file(), open_file()
    assert one.ring_or_new(STORE_KEY).newest == other.ring_or_new(STORE_KEY).newest


def test_a_lost_file_is_not_replaced(open_file, tmp_path):
    open_file().add("one")
    (tmp_path / "keys.toml").unlink()
    keys = open_file()
    for ask in (keys.all_keys, lambda: keys.ring("one"), lambda: keys.ring_or_new("one")):
        with pytest.raises(InvalidConfig, match="Put the file back"):
            ask()
    (tmp_path / MARKER).unlink()
    assert keys.all_keys() == []


def test_a_file_that_is_put_back_is_read(open_file, tmp_path):
    keys = open_file()
    made = keys.add("one")
    path = tmp_path / "keys.toml"
    path.rename(tmp_path / "elsewhere")
    with pytest.raises(InvalidConfig):
        keys.ring("one")
    (tmp_path / "elsewhere").rename(path)
    assert keys.ring("one").newest == made.versions[0]


@pytest.mark.parametrize(
    "text",
    [
        "key = 1",
        "[[key]]\nname = 'one'\n",
        "[[key]]\nname = 'one'\nversions = []\n",
        "[[key]]\nname = 'one'\nversions = ['c2hvcnQ=']\n",
        "[[key]]\nname = 'a b'\nversions = ['c2hvcnQ=']\n",
        "versions = ['secretsecret'",
    ],
)
def test_a_damaged_file_is_refused_without_showing_it(open_file, tmp_path, text):
    (tmp_path / "keys.toml").write_text(text)
    with pytest.raises(InvalidConfig) as refusal:
        open_file().all_keys()
    assert "secret" not in str(refusal.value)
    assert "c2hvcnQ" not in str(refusal.value)


def test_a_failed_change_changes_nothing(open_file, tmp_path):
    open_file().add("one")
    before = (tmp_path / "keys.toml").read_bytes()
    with pytest.raises(Conflict):
        open_file().add("one")
    assert (tmp_path / "keys.toml").read_bytes() == before


def test_key_material_is_not_in_a_repr(open_file):
    key = open_file().add("one")
    open_file().rotate("one")
    assert "\\x00" not in repr(key) + repr(key.versions)


@pytest.mark.parametrize("name", ["", "-a", "a b", "a\n", 'a"', "ä", "a" * 257])
def test_names_that_are_none(name):
    with pytest.raises(InvalidArgument):
        check_key_name(name)
