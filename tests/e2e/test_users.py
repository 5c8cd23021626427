"""`stratum user` and `stratum key`, beside the server and without it."""

import json
import os
import subprocess

import pytest
from botocore.exceptions import ClientError

from tests.support.server import BIN, running_server

SECRET = "the-secret-of+somebody/else"


def stratum(data, *arguments, environ=None):
    """Run a command; (exit code, what it printed, what it complained of)."""
    ended = subprocess.run(
        [BIN / "stratum", *arguments, "--data", data],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, **(environ or {})},
    )
    return ended.returncode, ended.stdout, ended.stderr


@pytest.fixture
def command(server):
    """Runs a command against the server; returns its JSON."""
    root = {
        "STRATUM_ROOT_ACCESS_KEY_ID": server.access_key_id,
        "STRATUM_ROOT_SECRET_ACCESS_KEY": server.secret_access_key,
    }

    def run(*arguments, code=0):
        ended, out, error = stratum(server.data, *arguments, "--format", "json", environ=root)
        assert ended == code, error
        return json.loads(out) if out else error

    return run


def credentials(issued):
    return {
        "aws_access_key_id": issued["access_key_id"],
        "aws_secret_access_key": issued["secret_access_key"],
    }


def test_a_new_user_has_buckets_of_its_own(server, s3, command, bucket):
    issued = command("user", "add", "alice", "--email", "alice@example.com")
    assert set(issued) >= {"name", "id", "access_key_id", "secret_access_key"}
    assert len(issued["id"]) == 64
    with server.client(**credentials(issued)) as alice:
        assert alice.list_buckets()["Buckets"] == []
        alice.create_bucket(Bucket="alices-bucket")
        listed = alice.list_buckets()
        assert [each["Name"] for each in listed["Buckets"]] == ["alices-bucket"]
        assert listed["Owner"] == {"ID": issued["id"], "DisplayName": "alice"}
        assert "alices-bucket" not in [each["Name"] for each in s3.list_buckets()["Buckets"]]
        assert "owns 1 buckets" in command("user", "remove", "alice", code=2)
        alice.delete_bucket(Bucket="alices-bucket")
        assert command("user", "remove", "alice")["name"] == "alice"
        with pytest.raises(ClientError, match="InvalidAccessKeyId"):
            alice.list_buckets()


def test_a_lost_user_gets_its_buckets_back(server, command):
    lost = command("user", "add", "erin")
    with server.client(**credentials(lost)) as erin:
        erin.create_bucket(Bucket="erins-bucket")
        erin.delete_bucket(Bucket="erins-bucket")
    command("user", "remove", "erin")
    known = ("--id", lost["id"], "--account", lost["account"])
    again = command("user", "add", "erin", *known)
    assert (again["id"], again["account"]) == (lost["id"], lost["account"])
    assert again["access_key_id"] != lost["access_key_id"]
    assert "taken" in command("user", "add", "frank", *known, code=2)
    assert "hexadecimal" in command("user", "add", "frank", "--id", "me", code=2)
    command("user", "remove", "erin")


def test_keys_work_from_the_moment_they_are_added_until_they_are_removed(server, command):
    command("user", "add", "bob", "--access-key-id", "bobs-key", "--secret-access-key", SECRET)
    second = command("key", "add", "bob")
    listed = command("key", "list", "bob")
    assert {key["access_key_id"] for key in listed} == {"bobs-key", second["access_key_id"]}
    assert SECRET not in json.dumps(listed) + json.dumps(command("user", "list"))
    first = {"aws_access_key_id": "bobs-key", "aws_secret_access_key": SECRET}
    with server.client(**first) as old, server.client(**credentials(second)) as new:
        assert old.list_buckets()["Owner"] == new.list_buckets()["Owner"]
        command("key", "remove", "bob", "bobs-key")
        with pytest.raises(ClientError, match="InvalidAccessKeyId"):
            old.list_buckets()
        new.list_buckets()
    command("user", "remove", "bob")


def test_what_is_refused_says_why(command):
    assert "root" in command("user", "remove", "root", code=2)
    assert "no user" in command("user", "remove", "nobody", code=2)
    assert "no user" in command("key", "list", "nobody", code=2)
    assert "letters" in command("user", "add", "two words", code=2)
    assert "already" in command("user", "add", "root", code=2)
    assert "belong together" in command("user", "add", "c", "--access-key-id", "abc", code=2)


def test_only_the_root_commands_the_server(server, command):
    issued = command("user", "add", "mallory")
    key = {
        "STRATUM_ROOT_ACCESS_KEY_ID": issued["access_key_id"],
        "STRATUM_ROOT_SECRET_ACCESS_KEY": issued["secret_access_key"],
    }
    for words in (
        ("user", "list"),
        ("user", "add", "mallory2"),
        ("key", "add", "root"),
        ("user", "remove", "mallory"),
        ("tier", "move", "s3://some-bucket/key", "--to", "warm"),
        ("tier", "pin", "s3://some-bucket/", "warm"),
        ("scrub", "--repair"),
    ):
        code, out, error = stratum(server.data, *words, environ=key)
        assert (code, out) == (2, ""), words
        assert "Only the root" in error
    command("user", "remove", "mallory")


def test_without_a_server_too_and_on_record_without_secrets(folder):
    data = folder / "data"
    code, out, error = stratum(data, "user", "add", "carol", "--format", "json")
    assert code == 0, error
    issued = json.loads(out)
    with running_server(data) as server, server.client(**credentials(issued)) as carol:
        carol.create_bucket(Bucket="carols-bucket")
        assert carol.list_buckets()["Owner"]["ID"] == issued["id"]
    code, out, _ = stratum(data, "audit", "--format", "json", "--type", "AccessKeyAdded")
    assert (code, json.loads(out)["access_key_id"]) == (0, issued["access_key_id"])
    assert stratum(data, "audit", "--verify")[0] == 0
    code, out, _ = stratum(data, "audit")
    assert "UserAdded" in out
    for file in (data / "metadata").rglob("*"):
        if file.is_file() and not file.name.startswith("identities"):
            assert issued["secret_access_key"].encode() not in file.read_bytes(), file


def test_a_command_that_does_not_find_the_server_leaves_its_identities_alone(folder):
    """The journal's lock keeps a second writer of identities away."""
    data = folder / "data"
    with running_server(data):
        (data / "server.json").unlink()  # as in the moment before it is written
        code, _, error = stratum(data, "user", "add", "dave")
        assert code == 2
        assert "locked" in error
        (data / "server.json").write_text("{}")
