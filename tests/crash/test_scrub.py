"""`stratum scrub` and `stratum disk replace` on real files, beside a server and without one."""

import http.client
import json
import random
import shutil
import subprocess
import sys
import time

import pytest

from tests.support.crash_run import SETTINGS
from tests.support.payloads import payload
from tests.support.server import ACCESS_KEY_ID, SECRET_ACCESS_KEY, running_server
from tests.support.shards import all_shards, shard_files

pytestmark = pytest.mark.slow

OBJECTS = {f"k{size}": payload(size) for size in (0, 1, 70_000, 1 << 20, (3 << 20) + 77)}
ENVIRONMENT = {
    "STRATUM_ROOT_ACCESS_KEY_ID": ACCESS_KEY_ID,
    "STRATUM_ROOT_SECRET_ACCESS_KEY": SECRET_ACCESS_KEY,
}


def stratum(data, *arguments, **environment):
    """Exit code, output and errors of a command."""
    ended = subprocess.run(
        [sys.executable, "-m", "stratum", *arguments, "--data", str(data)],
        env={**ENVIRONMENT, **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return ended.returncode, ended.stdout, ended.stderr


def findings(data, *arguments):
    code, out, err = stratum(data, "scrub", "--format", "json", *arguments)
    assert not err
    return code, [json.loads(line) for line in out.splitlines()]


def fill(server):
    with server.client() as s3:
        s3.create_bucket(Bucket="bucket")
        for key, content in OBJECTS.items():
            s3.put_object(Bucket="bucket", Key=key, Body=content)


def assert_readable(server):
    with server.client() as s3:
        for key, content in OBJECTS.items():
            assert s3.get_object(Bucket="bucket", Key=key)["Body"].read() == content


def assert_healthy(data):
    assert stratum(data, "audit", "--verify")[0] == 0
    code, out, _ = stratum(data, "status", "--format", "json")
    hot = json.loads(out)["tiers"][0]
    assert (code, hot["redundancy"]) == (0, {"6": len(OBJECTS)})
    assert findings(data) == (0, [])


def shards(data, index):
    return contents(data / "hot" / f"disk{index}")


def contents(disk):
    """What is in each shard, by name."""
    return {name: shard.read_bytes() for name, shard in all_shards(disk).items()}


def harm(data):
    """One disk is empty, another full of garbage; what they were."""
    before = {1: shards(data, 1), 4: shards(data, 4)}
    empty(data, 1)
    for shard in all_shards(data / "hot" / "disk4").values():
        shard.write_bytes(random.Random(1).randbytes(len(shard.read_bytes())))
    return before


def empty(data, index):
    """Delete all there is on a disk but its label and folders."""
    disk = data / "hot" / f"disk{index}"
    for path in (*shard_files(disk).values(), *disk.glob("segments/*.seg")):
        path.unlink()


@pytest.fixture
def data(tmp_path):
    with running_server(tmp_path / "data", SETTINGS) as server:
        fill(server)
    return tmp_path / "data"


def test_scrub_without_a_server(data):
    before = harm(data)
    code, found = findings(data)
    assert code == 1
    assert {each["kind"] for each in found} == {"shard-missing", "shard-corrupt"}
    assert len(found) == 2 * len(OBJECTS)
    assert shards(data, 1) == {}
    code, out, _ = stratum(data, "scrub", "--repair")
    assert code == 0
    assert out.count("(repaired)") == len(found)
    assert out.startswith("shard-")
    assert "\n5 volumes looked at, " in out
    assert out.endswith(f" read: {len(found)} findings, {len(found)} repaired\n")
    assert {index: shards(data, index) for index in before} == before
    assert_healthy(data)


def test_scrub_beside_a_server(data):
    before = harm(data)
    with running_server(data, SETTINGS) as server:
        assert findings(data)[0] == 1
        assert_readable(server)
        code, found = findings(data, "--repair")
        assert code == 0
        assert all(each["repaired"] for each in found)
        assert {index: shards(data, index) for index in before} == before
        # A shard that was missed while a disk was away counts again.
        (data / "hot" / "disk2").rename(data / "away")
        with server.client() as s3:
            s3.put_object(Bucket="bucket", Key="k1", Body=OBJECTS["k1"])
        (data / "away").rename(data / "hot" / "disk2")
        code, found = findings(data, "--repair")
        assert (code, [each["kind"] for each in found]) == (0, ["shard-missing"])
        assert_healthy(data)
        assert_readable(server)
        assert server.request("POST", "/_stratum/api/scrub?repair=true")[0] == 401


def test_three_are_reported(data):
    harm(data)
    empty(data, 0)
    with running_server(data, SETTINGS):
        code, found = findings(data, "--repair")
    assert code == 1
    # An empty object needs no cells: one good record is enough.
    repaired = [each for each in found if each["repaired"]]
    # So may be one shard of a small one, if it has the whole.
    assert {each["subject"] for each in repaired} - {"bucket/k1"} == {"bucket/k0"}
    unreadable = {each["subject"] for each in found if each["kind"] == "extent-unreadable"}
    assert unreadable | {"bucket/k1"} == {f"bucket/{key}" for key in OBJECTS} - {"bucket/k0"}
    assert not list((data / "hot").glob("disk*/staged/*"))


def test_a_client_that_goes_away_ends_the_repair(data):
    with running_server(data, SETTINGS) as server:
        for _ in range(3):
            connection = http.client.HTTPConnection(*server.address)
            path, query = "/_stratum/api/scrub", "repair=true"
            headers = server.signed("POST", path, query=query)
            connection.request("POST", f"{path}?{query}", headers=headers)
            connection.close()
        deadline = time.monotonic() + 20
        while stratum(data, "scrub", "--repair")[0] != 0:
            assert time.monotonic() < deadline


def test_a_disk_is_replaced_by_one_elsewhere(data, tmp_path):
    before = shards(data, 3)
    shutil.rmtree(data / "hot" / "disk3")
    new = tmp_path / "new"
    arguments = ("disk", "replace", str(data / "hot" / "disk3"), str(new))
    with running_server(data, SETTINGS):
        code, _, err = stratum(data, *arguments)
        assert (code, "stop it" in err) == (2, True)
    code, out, err = stratum(data, *arguments)
    assert (code, err) == (0, "")
    assert f"write {new} instead of {data / 'hot' / 'disk3'}" in out
    assert contents(new) == before
    # The path is no part of the disk: moved to where the old one was, it is found there.
    new.rename(data / "hot" / "disk3")
    assert_healthy(data)
    with running_server(data, SETTINGS) as server:
        assert_readable(server)


def test_a_replacement_at_the_same_path_goes_on_where_it_was_interrupted(data):
    disk = data / "hot" / "disk5"
    old = shards(data, 5)
    shutil.rmtree(disk)
    arguments = ("disk", "replace", str(disk), str(disk))
    # It can't end: with two more gone, one object cannot be read.
    files = shard_files(data / "hot" / "disk0")
    spoilt = max(files.values(), key=lambda path: path.stat().st_size)
    others = [spoilt, *(data.joinpath("hot", f"disk{i}", *spoilt.parts[-3:]) for i in (1, 2))]
    contents = [path.read_bytes() for path in others]
    for path in others:
        path.unlink()
    code, out, _ = stratum(data, *arguments)
    assert code == 1
    assert "extent-unreadable" in out
    code, out, _ = stratum(data, "status")
    assert (code, "being rebuilt" in out, "5 shards left of 5" in out) == (1, True, True)
    for path, content in zip(others, contents, strict=True):
        path.write_bytes(content)
    assert stratum(data, *arguments)[0] == 0
    assert shards(data, 5) == old
    assert_healthy(data)
    (data / "hot" / "disk5" / "label.json").unlink()
    code, _, err = stratum(data, *arguments)
    assert (code, "not empty" in err) == (2, True)
    code, _, err = stratum(data, "disk", "replace", str(disk), str(data / "warm" / "disk0"))
    assert (code, "already" in err) == (2, True)
    code, _, err = stratum(data, "disk", "replace", "nowhere", str(data / "new"))
    assert (code, "no disk of this store" in err) == (2, True)
