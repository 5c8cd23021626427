"""The master keys of the cold tier: made once, found again, never shown, never replaced."""

import base64
import logging
import os
import stat

import pytest

from stratum.adapters.master_keys import (
    FILE,
    PLAIN_FILE,
    VARIABLE,
    MasterKey,
    has_plain_copies,
    load_keyring,
    prepare_keys,
)
from stratum.domain.errors import InvalidConfig

ONE, TWO = MasterKey(b"1" * 32), MasterKey(b"2" * 32)


def b64(key):
    return base64.b64encode(key.secret).decode()


def prepare(data, environ=None, *, sealing=True, in_use=False):
    return prepare_keys(data, environ or {}, sealing=sealing, in_use=in_use)


def write(data, *keys):
    path = data / FILE
    path.write_text(f"keys = {list(keys)!r}\n")
    path.chmod(0o600)
    return path


def test_the_first_start_makes_a_key_and_says_so(tmp_path):
    data = tmp_path / "new"
    said = prepare(data)
    path = data / FILE
    key = load_keyring(data, {}).newest
    assert str(path) in said
    assert key.short_id in said
    assert "made just now" in said
    assert "without it that data is lost" in said
    assert b64(key) in path.read_text()
    assert b64(key) not in said
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert os.listdir(data) == [FILE]


def test_the_next_start_finds_it(tmp_path):
    prepare(tmp_path)
    before = (tmp_path / FILE).read_bytes()
    said = prepare(tmp_path, in_use=True)
    assert "made just now" not in said
    assert "without it that data is lost" in said
    assert (tmp_path / FILE).read_bytes() == before


def test_two_stores_have_two_keys(tmp_path):
    prepare(tmp_path / "a")
    prepare(tmp_path / "b")
    assert load_keyring(tmp_path / "a", {}).newest != load_keyring(tmp_path / "b", {}).newest


def test_what_a_crash_left_of_the_file_is_no_key(tmp_path):
    (tmp_path / f"{FILE}.new").write_text("keys = [")
    assert load_keyring(tmp_path, {}).newest is None
    prepare(tmp_path)
    assert os.listdir(tmp_path) == [FILE]


def test_a_lost_key_is_not_replaced(tmp_path):
    with pytest.raises(InvalidConfig, match="Put the file back") as raised:
        prepare(tmp_path, in_use=True)
    assert str(tmp_path / FILE) in str(raised.value)
    assert VARIABLE in str(raised.value)
    assert os.listdir(tmp_path) == []


def test_the_environment_comes_first_and_the_file_still_reads(tmp_path):
    write(tmp_path, b64(ONE))
    keys = load_keyring(tmp_path, {VARIABLE: b64(TWO)})
    assert keys.newest == TWO
    assert keys.find(ONE.id) == ONE
    said = prepare(tmp_path, {VARIABLE: b64(TWO)})
    assert VARIABLE in said
    assert FILE not in said


def test_with_a_key_in_the_environment_no_file_is_made(tmp_path):
    prepare(tmp_path, {VARIABLE: f"{b64(TWO)}, {b64(ONE)}"}, in_use=True)
    assert os.listdir(tmp_path) == []
    keys = load_keyring(tmp_path, {VARIABLE: f"{b64(TWO)}, {b64(ONE)}"})
    assert (keys.newest, keys.find(ONE.id)) == (TWO, ONE)


def test_several_keys_newest_first(tmp_path):
    write(tmp_path, b64(TWO), b64(ONE))
    keys = load_keyring(tmp_path, {})
    assert keys.newest == TWO
    assert keys.find(ONE.id) == ONE
    assert keys.find(bytes(16)) is None


KEY = MasterKey(bytes(range(224, 256)))


@pytest.mark.parametrize(
    "text",
    [
        KEY.secret.hex(),
        KEY.secret.hex().upper(),
        base64.b64encode(KEY.secret).decode(),
        base64.urlsafe_b64encode(KEY.secret).decode(),
    ],
)
def test_ways_to_write_a_key(tmp_path, text):
    assert load_keyring(tmp_path, {VARIABLE: text}).newest == KEY


@pytest.mark.parametrize("text", ["secret", "ab" * 31, "zz" * 32, b64(ONE)[:-4], b64(ONE) + "AAAA"])
def test_what_is_no_key_is_refused_and_not_repeated(tmp_path, text):
    for given in ({VARIABLE: text}, {}):
        if not given:
            write(tmp_path, text)
        with pytest.raises(InvalidConfig, match="32 bytes") as raised:
            load_keyring(tmp_path, given)
        assert text not in str(raised.value)


@pytest.mark.parametrize(
    "content", ["", "keys = []", "keys = [1]", 'keys = "x"', "keys = [", "\xff"]
)
def test_a_damaged_file_is_not_an_empty_keyring(tmp_path, content):
    (tmp_path / FILE).write_text(content, "latin-1")
    for call in (lambda: load_keyring(tmp_path, {}), lambda: prepare(tmp_path)):
        with pytest.raises(InvalidConfig, match=FILE):
            call()
    assert (tmp_path / FILE).read_text("latin-1") == content


def test_a_file_that_others_can_read_is_complained_of(tmp_path, caplog):
    write(tmp_path, b64(ONE)).chmod(0o644)
    with caplog.at_level(logging.WARNING):
        load_keyring(tmp_path, {})
    assert "chmod 600" in caplog.text


def test_a_store_that_was_ever_plain_is_remembered_as_such(tmp_path):
    assert not has_plain_copies(tmp_path)
    assert "not encrypted" in prepare(tmp_path, sealing=False)
    prepare(tmp_path, sealing=False, in_use=True)
    assert os.listdir(tmp_path) == [PLAIN_FILE]
    # What is in cold is plain, so no key has been lost.
    assert "made just now" in prepare(tmp_path, in_use=True)
    assert has_plain_copies(tmp_path)
