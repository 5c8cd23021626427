"""Somebody edits the database behind the store's back: the audit says so."""

import json
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


def test_a_journal_that_was_cut_off_is_found_and_not_gone_on_with(data):
    """Its chain and catalog are flawless: only the copies and anchors on the disks tell."""
    metadata, older = data / "metadata", data / "older"
    shutil.copytree(metadata, older)
    with running_server(data, SETTINGS) as server, server.client() as s3:
        s3.put_object(Bucket="bucket", Key="later", Body=b"x")
    shutil.rmtree(metadata)
    older.rename(metadata)
    code, output = verify(data, "audit")
    assert code == 1
    assert "anchor: " in output
    assert "archive: " in output
    assert "chain: " not in output
    ended = subprocess.run(
        [sys.executable, "-m", "stratum", "serve", "--data", str(data)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 1
    assert "put back from an older copy" in ended.stderr


def test_anchors_of_another_key_are_found(data):
    anchors = data / "hot" / "disk3" / "journal" / "anchors"
    own = json.loads(anchors.read_text().splitlines()[0])["key"]
    assert verify(data, "audit", "--anchor-key", own)[0] == 0
    code, output = verify(data, "audit", "--anchor-key", "00" * 32)
    assert code == 1
    assert "has another key" in output
    anchors.write_text(anchors.read_text().replace('"at_ms": 1', '"at_ms": 2'))
    code, output = verify(data, "audit")
    assert code == 1
    assert "is not what was signed" in output
