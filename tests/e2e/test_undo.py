"""`stratum tier undo` against a running server."""

import json
import subprocess
import sys
import time

from tests.support.server import running_server

SETTINGS = {"STRATUM_TIERING_ENABLED": "false"}


def stratum(server, *arguments, code=0):
    ended = subprocess.run(
        [sys.executable, "-m", "stratum", *arguments, "--data", str(server.data)],
        env={
            **server.environment(),
            "STRATUM_ROOT_ACCESS_KEY_ID": server.access_key_id,
            "STRATUM_ROOT_SECRET_ACCESS_KEY": server.secret_access_key,
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == code, ended.stdout + ended.stderr
    return ended.stdout + ended.stderr


def wait_for(client, tier):
    deadline = time.monotonic() + 60
    while True:
        head = client.head_object(Bucket="films", Key="a/film")["ResponseMetadata"]
        if head["HTTPHeaders"]["x-stratum-tier"] == tier:
            return
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_batch_of_moves_is_taken_back(tmp_path):
    with running_server(tmp_path / "data", SETTINGS) as server, server.client() as client:
        client.create_bucket(Bucket="films")
        client.put_object(Bucket="films", Key="a/film", Body=b"x" * 1000)
        stratum(server, "tier", "move", "s3://films/a/film", "--to", "warm")
        wait_for(client, "warm")
        since = "2026-01-01T00:00:00Z"
        said = stratum(server, "tier", "undo", "s3://films/a/", "--since", since, "--dry-run")
        assert said == "s3://films/a/film: warm → hot, would move back\n1 would move back, 0 kept\n"
        wait_for(client, "warm")
        said = stratum(
            server, "tier", "undo", "--since", since, "--why", "by mistake", "--format", "json"
        )
        assert json.loads(said)["outcome"] == "moving back"
        wait_for(client, "hot")
        explained = stratum(server, "explain", "s3://films/a/film")
        assert "because root asked to undo event" in explained
        assert ": by mistake" in explained
        assert "0 differences" in stratum(server, "replay", "--decisions")
        said = stratum(server, "tier", "undo", "--since", "not a time", code=2)
        assert "not a time" in said
