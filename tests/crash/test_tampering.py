"""Somebody edits the database behind the store's back: the audit says so."""

import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing

import pytest

from tests.support.crash_run import SETTINGS
from tests.support.server import running_server

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    data = tmp_path_factory.mktemp("tampering") / "data"
    with running_server(data, SETTINGS) as server, server.client() as s3:
        s3.create_bucket(Bucket="bucket")
        for number in range(5):
            s3.put_object(Bucket="bucket", Key=f"key{number}", Body=b"x" * number)
    return data


@pytest.fixture
def data(store, tmp_path):
    return shutil.copytree(store, tmp_path / "data")


def verify(data, *command):
    """Exit code and output."""
    ended = subprocess.run(
        [sys.executable, "-m", "stratum", *command, "--verify", "--data", str(data)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return ended.returncode, ended.stdout + ended.stderr


def tamper(data, *statements):
    with closing(sqlite3.connect(data / "metadata" / "journal.db")) as connection:
        for statement in statements:
            assert connection.execute(statement).rowcount, statement
        connection.commit()


def test_nothing_was_changed(data):
    assert verify(data, "audit")[0] == 0
    assert verify(data, "replay")[0] == 0


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE objects SET etag='00000000000000000000000000000000' WHERE size_bytes=3",
        "DELETE FROM objects WHERE size_bytes=2",
        "UPDATE volumes SET tier='cold' WHERE size_bytes=1",
        "UPDATE totals SET volumes=volumes+1",
    ],
)
def test_a_changed_catalog(data, statement):
    tamper(data, statement)
    code, said = verify(data, "audit")
    assert code == 1
    assert "catalog: " in said
    code, said = verify(data, "replay")
    assert code == 1
    assert "live" in said


def test_events_cannot_be_changed_by_accident(data):
    for statement in ("UPDATE stored_events SET topic='x'", "DELETE FROM stored_events"):
        with pytest.raises(sqlite3.IntegrityError, match="append-only"):
            tamper(data, statement)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE stored_events SET state=CAST(replace(state, 'key3', 'key4') AS BLOB)",
        "UPDATE stored_events SET state=x'00' WHERE rowid=14",
        "UPDATE stored_events SET topic='Nothing.1' WHERE rowid=14",
        "UPDATE stored_events SET originator_version=7 WHERE rowid=14",
        "DELETE FROM stored_events WHERE rowid=14",
        "DELETE FROM stored_events WHERE rowid=(SELECT max(rowid) FROM stored_events)",
    ],
)
def test_a_changed_journal(data, statement):
    with closing(sqlite3.connect(data / "metadata" / "journal.db")) as connection:
        for name in ("altered", "deleted"):
            connection.execute(f"DROP TRIGGER events_are_not_{name}")
    tamper(data, statement)
    code, said = verify(data, "audit")
    assert code == 1, said
    assert "chain: journal: " in said
