"""What a cold tier at somebody else's gets to see, and what becomes of it without the key."""

import itertools
import re
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from stratum.adapters.master_keys import FILE, VARIABLE, load_keyring
from tests.support import moto_server as somebody_else
from tests.support.server import Server, running_server, started_process

BUCKET, KEY = "payroll-bucket", "salaries/2026-confidential.csv"
BODY = b"".join(b"%07d;somebody;%d\n" % (row, row * 37 % 9_000) for row in range(80_000))
METADATA = {"department": "the-board-of-directors"}
LIMIT_S = 60.0

numbers = itertools.count()
"""What moto keeps outlives its servers."""


@dataclass
class Place:
    """A data directory, the settings of a server on it, and its bucket at somebody else's."""

    data: Path
    settings: dict[str, str]
    archive: Any
    """A client of it."""
    bucket: str

    @contextmanager
    def server(self, **settings):
        with (
            running_server(self.data, {**self.settings, **settings}) as server,
            server.client() as client,
        ):
            yield server, client

    def command(self, *arguments, **settings):
        """Exit code and output of a command, without a server."""
        done = subprocess.run(
            [sys.executable, "-m", "stratum", *arguments, "--data", str(self.data)],
            env={"PATH": "/usr/bin:/bin", **self.settings, **settings},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        return done.returncode, done.stdout + done.stderr

    def stored(self):
        """All volumes that the archive holds, by name; not the copy of the journal."""
        listing = self.archive.list_objects_v2(Bucket=self.bucket).get("Contents", [])
        names = [entry["Key"] for entry in listing if "/journal/" not in f"/{entry['Key']}"]
        return {
            name: self.archive.get_object(Bucket=self.bucket, Key=name)["Body"].read()
            for name in names
        }

    def replace(self, name, data):
        self.archive.put_object(Bucket=self.bucket, Key=name, Body=data)


@pytest.fixture
def place(folder):
    with (
        somebody_else.moto_server() as endpoint,
        somebody_else.boto3_client(endpoint) as archive,
    ):
        bucket = f"archive-{next(numbers)}"
        archive.create_bucket(Bucket=bucket)
        settings = {
            "STRATUM_TIERS_COLD_ENDPOINT": endpoint,
            "STRATUM_TIERS_COLD_BUCKET": bucket,
            "STRATUM_TIERS_COLD_ACCESS_KEY_ID": somebody_else.ACCESS_KEY_ID,
            "STRATUM_TIERS_COLD_SECRET_ACCESS_KEY": somebody_else.SECRET_ACCESS_KEY,
            "STRATUM_TIERING_ENABLED": "false",
            "STRATUM_TIERING_RECLAIM_GRACE_S": "0.2",
        }
        yield Place(folder / "data", settings, archive, bucket)


def move(server: Server, client, tier, key=KEY):
    query = f"bucket={BUCKET}&key={key}&to={tier}"
    path = "/_stratum/api/move"
    headers = server.signed("POST", path, query=query)
    status, _, body = server.request("POST", f"{path}?{query}", b"", headers)
    assert status == 200, body
    deadline = time.monotonic() + LIMIT_S
    while True:
        head = client.head_object(Bucket=BUCKET, Key=key)
        if head["ResponseMetadata"]["HTTPHeaders"]["x-stratum-tier"] == tier:
            return
        assert time.monotonic() < deadline
        time.sleep(0.05)


def body_of(client, key=KEY, **options):
    return client.get_object(Bucket=BUCKET, Key=key, **options)["Body"].read()


def fill(client):
    client.create_bucket(Bucket=BUCKET)
    client.put_object(Bucket=BUCKET, Key=KEY, Body=BODY, Metadata=METADATA)


def test_cold_data_is_encrypted_unless_said_otherwise(place):
    with place.server() as (server, client):
        fill(client)
        move(server, client, "cold")
        ((name, held),) = place.stored().items()
        assert re.fullmatch(r"volumes/[0-9a-f]{2}/[0-9a-f]{32}", name)
        assert held.startswith(b"STRATUMS")
        said = f"{BUCKET} {KEY} {' '.join(METADATA.values())} {BODY[:40].decode()}"
        for word in {said[at : at + 6].encode() for at in range(len(said) - 5)}:
            assert word not in held
        assert place.archive.head_object(Bucket=place.bucket, Key=name)["Metadata"] == {}

        assert body_of(client) == BODY
        assert body_of(client, Range="bytes=65000-131500") == BODY[65_000:131_501]
        assert body_of(client, Range="bytes=-9") == BODY[-9:]
        assert client.head_object(Bucket=BUCKET, Key=KEY)["Metadata"] == METADATA
        code, text = place.command("audit", "--verify")
        assert code == 0, text
        code, text = place.command("status")
        assert f"(encrypted with key {load_keyring(place.data, {}).newest.short_id})" in text

        move(server, client, "hot")
        assert body_of(client) == BODY
        deadline = time.monotonic() + LIMIT_S
        while place.stored():
            assert time.monotonic() < deadline, "the remote copy was not reclaimed"
            time.sleep(0.1)
        assert load_keyring(place.data, {}).newest.secret.hex() not in server.log()


def test_the_start_says_where_the_key_is(place):
    command = [sys.executable, "-m", "stratum", "serve", "--data", str(place.data)]
    command += ["--listen", "127.0.0.1:0"]
    for _ in range(2):
        said = "data in the cold tier is encrypted with the master key in "
        with started_process(command, place.data, place.settings, said) as started:
            assert started.url == str(place.data / FILE)


def test_what_was_changed_at_the_remote_is_not_served(place):
    with place.server() as (server, client):
        fill(client)
        move(server, client, "cold")
    ((name, held),) = place.stored().items()
    with place.server() as (_, client):
        for forged in (b"STRATUMR" + held[8:], held[:1000] + b"!" + held[1001:], held[:900]):
            place.replace(name, forged)
            with pytest.raises(client.exceptions.ClientError, match="ServiceUnavailable"):
                body_of(client)
        place.replace(name, held)
        assert body_of(client) == BODY


def test_without_the_key_nothing_starts_and_nothing_is_lost(place):
    with place.server() as (server, client):
        fill(client)
        move(server, client, "cold")
    path = place.data / FILE
    text = path.read_text()
    key_id = load_keyring(place.data, {}).newest.id.hex()
    path.unlink()

    code, said = place.command("serve", "--listen", "127.0.0.1:0")
    assert code == 2
    assert f"its master key is not in {path}" in said
    assert not path.exists()
    code, said = place.command("audit", "--verify")
    assert code == 1
    assert f"remote: {BUCKET}/{KEY}: " in said
    assert f"sealed with the master key {key_id}" in said
    code, said = place.command("status")
    assert "master key is missing" in said

    key = re.search(r'^ *"(.+)"', text, re.MULTILINE)[1]
    with place.server(**{VARIABLE: key}) as (_, client):
        assert body_of(client) == BODY
    assert not path.exists()


def test_encryption_may_be_switched_off_and_on_again(place):
    with place.server() as (server, client):
        fill(client)
        move(server, client, "cold")
    with place.server(STRATUM_TIERS_COLD_ENCRYPT="false") as (server, client):
        assert body_of(client) == BODY
        client.put_object(Bucket=BUCKET, Key="plain", Body=BODY[::-1])
        move(server, client, "cold", "plain")
        assert body_of(client, "plain") == BODY[::-1]
        assert sorted(held[:8] for held in place.stored().values()) == [b"STRATUMR", b"STRATUMS"]
        code, text = place.command("audit", "--verify", STRATUM_TIERS_COLD_ENCRYPT="false")
        assert code == 0, text
    with place.server() as (_, client):
        assert body_of(client) == BODY
        assert body_of(client, "plain") == BODY[::-1]
        code, text = place.command("audit", "--verify")
        assert code == 0, text
