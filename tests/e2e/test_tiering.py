"""An object's life across the tiers, watched from outside with a compressed day.

The cold tier is another Stratum. Nothing here asserts how fast things happen, only that they do,
in this order, and that every read in between gives the same bytes.
"""

import json
import subprocess
import sys
import threading
import time
from contextlib import ExitStack

import pytest

from tests.support.server import ACCESS_KEY_ID, SECRET_ACCESS_KEY, running_server

DAY_S = 0.2
BODY = bytes(range(256)) * 4096
LIMIT_S = 120.0


@pytest.fixture(scope="module")
def tiered(tmp_path_factory):
    """A server with all three tiers; yields it, a client of it and one of its remote."""
    folder = tmp_path_factory.mktemp("tiered")
    with ExitStack() as stack:
        remote = stack.enter_context(running_server(folder / "remote"))
        archive = stack.enter_context(remote.client())
        archive.create_bucket(Bucket="archive")
        settings = {
            "STRATUM_TIERS_COLD_ENDPOINT": remote.url,
            "STRATUM_TIERS_COLD_BUCKET": "archive",
            "STRATUM_TIERS_COLD_ACCESS_KEY_ID": ACCESS_KEY_ID,
            "STRATUM_TIERS_COLD_SECRET_ACCESS_KEY": SECRET_ACCESS_KEY,
            "STRATUM_TIERING_DAY_S": str(DAY_S),
            "STRATUM_TIERING_RECLAIM_GRACE_S": "0.5",
        }
        server = stack.enter_context(running_server(folder / "data", settings))
        client = stack.enter_context(server.client())
        client.create_bucket(Bucket="films")
        yield server, settings, client, archive


def tier_of(client, key):
    head = client.head_object(Bucket="films", Key=key)
    return head["ResponseMetadata"]["HTTPHeaders"]["x-stratum-tier"]


def wait_for(client, key, tier):
    deadline = time.monotonic() + LIMIT_S
    while (seen := tier_of(client, key)) != tier:
        assert time.monotonic() < deadline, f"{key} is still in {seen}, not in {tier}"
        time.sleep(0.05)


def stratum(server, settings, *arguments):
    """Run a command; return its exit code and what it printed."""
    done = subprocess.run(
        [sys.executable, "-m", "stratum", *arguments, "--data", str(server.data)],
        env={
            **server.environment(),
            **settings,
            "STRATUM_ROOT_ACCESS_KEY_ID": server.access_key_id,
            "STRATUM_ROOT_SECRET_ACCESS_KEY": server.secret_access_key,
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def explained(server, settings, key):
    code, text = stratum(server, settings, "explain", f"s3://films/{key}", "--format", "json")
    assert code == 0, text
    return json.loads(text)


def move_by_hand(server, settings, key, tier):
    """Order a move and wait until it is on record. The policy may undo it at once, since the
    object is being read all the time, so where it is now says nothing."""
    deadline = time.monotonic() + LIMIT_S
    while True:
        code, text = stratum(server, settings, "tier", "move", f"s3://films/{key}", "--to", tier)
        assert code == 0 or "MoveRefused" in text or "already" in text, text
        for move in explained(server, settings, key)["moves"]:
            by_hand = (move["decision"]["policy"], move["decision"]["target"]) == ("manual", tier)
            if by_hand and move["outcome"] == "moved":
                return
        assert time.monotonic() < deadline


def test_an_untouched_object_sinks_and_comes_back_when_it_is_read_again(tiered):
    server, settings, client, archive = tiered
    client.put_object(Bucket="films", Key="a/film", Body=BODY)
    wrong = []
    stop = threading.Event()

    def watch():
        with server.client() as own:
            while not stop.is_set():
                answer = own.get_object(Bucket="films", Key="watched")
                if answer["Body"].read() != BODY:
                    wrong.append(answer)

    wait_for(client, "a/film", "warm")
    wait_for(client, "a/film", "cold")
    held = archive.list_objects_v2(Bucket="archive", Prefix="volumes/")["Contents"]
    assert len(held) == 1
    sunk = explained(server, settings, "a/film")
    assert sunk["tier"] == "cold"
    assert [(move["decision"]["source"], move["decision"]["target"]) for move in sunk["moves"]] == [
        ("hot", "warm"),
        ("warm", "cold"),
    ]
    assert "break-even" in sunk["placed_because"]

    client.put_object(Bucket="films", Key="watched", Body=BODY)
    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        for tier in ("warm", "cold"):
            move_by_hand(server, settings, "watched", tier)
        wait_for(client, "watched", "hot")
    finally:
        stop.set()
        watcher.join()
    assert not wrong, "a read during a move gave other bytes"

    deadline = time.monotonic() + LIMIT_S
    while tier_of(client, "a/film") == "cold":
        assert time.monotonic() < deadline
        assert client.get_object(Bucket="films", Key="a/film")["Body"].read() == BODY
        time.sleep(DAY_S / 2)
    back = explained(server, settings, "a/film")
    assert ("cold", "hot") in [
        (move["decision"]["source"], move["decision"]["target"]) for move in back["moves"]
    ]

    client.delete_object(Bucket="films", Key="a/film")
    client.delete_object(Bucket="films", Key="watched")
    deadline = time.monotonic() + LIMIT_S
    while archive.list_objects_v2(Bucket="archive", Prefix="volumes/").get("Contents"):
        assert time.monotonic() < deadline, "the remote copies were not reclaimed"
        time.sleep(0.1)


def test_the_record_of_it_verifies(tiered):
    server, settings, client, _ = tiered
    client.put_object(Bucket="films", Key="b", Body=b"x" * 100_000)
    code, text = stratum(server, settings, "audit", "--verify")
    assert code == 0, text
    code, text = stratum(server, settings, "replay", "--verify")
    assert code == 0, text
    code, text = stratum(server, settings, "audit", "s3://films/b", "--format", "json")
    first = json.loads(text.splitlines()[0])
    assert (first["type"], first["key"], first["size_bytes"]) == ("VersionCommitted", "b", 100_000)


def test_a_move_that_makes_no_sense_is_refused(tiered):
    server, settings, client, _ = tiered
    client.put_object(Bucket="films", Key="tiny", Body=b"x")
    code, text = stratum(server, settings, "tier", "move", "s3://films/tiny", "--to", "hot")
    assert code == 2
    assert "hot" in text
    code, text = stratum(server, settings, "tier", "move", "s3://films/none", "--to", "warm")
    assert code == 2
    assert "NoSuchKey" in text


def test_a_prefix_is_pinned_explained_listed_and_let_go(tiered):
    server, settings, client, _ = tiered
    client.put_object(Bucket="films", Key="p/old", Body=BODY)
    why = "shown at 8 & 9 o'clock, Füssen"
    code, text = stratum(server, settings, "tier", "pin", "s3://films/p/", "warm", "--why", why)
    assert (code, text) == (
        0,
        "pinned s3://films/p/ to warm; what lies elsewhere moves there\n",
    )
    client.put_object(Bucket="films", Key="p/new", Body=BODY)
    for key in ("p/old", "p/new"):
        wait_for(client, key, "warm")
    code, text = stratum(server, settings, "tier", "pins", "--format", "json")
    assert code == 0, text
    (pin,) = json.loads(text)
    assert (pin["bucket"], pin["prefix"], pin["tier"]) == ("films", "p/", "warm")
    assert (pin["by"], pin["why"]) == ("root", why)
    _, text = stratum(server, settings, "tier", "pins")
    assert text.startswith("pinned to warm by root since 20")

    code, text = stratum(server, settings, "tier", "move", "s3://films/p/new", "--to", "hot")
    assert code == 2
    assert "MoveRefused" in text
    assert "pinned to warm by root" in text
    it = explained(server, settings, "p/new")
    assert "in warm, pinned to warm by root since 20" in it["verdict"]
    assert it["moves"][-1]["decision"]["policy"] == "pinned.1"
    code, text = stratum(server, settings, "replay", "--decisions")
    assert code == 0, text
    code, text = stratum(server, settings, "audit", "s3://films/p/new", "--type", "TierPinned")
    assert (code, text.count("\n")) == (0, 1)

    code, text = stratum(server, settings, "tier", "unpin", "s3://films/p/")
    assert code == 0, text
    let_go = explained(server, settings, "p/new")
    assert let_go["pin"] is None
    assert "pinned" not in let_go["verdict"]
    code, text = stratum(server, settings, "tier", "unpin", "s3://films/p/")
    assert code == 2
    assert "NoSuchPin" in text
    code, text = stratum(server, settings, "tier", "pin", "s3://nowhere/", "hot")
    assert code == 2
    assert "NoSuchBucket" in text
