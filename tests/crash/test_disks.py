"""Disks that go while the real server runs: any two are no loss, a third is an honest error."""

import itertools
import json
import random
import re
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tests.support.crash_run import SETTINGS
from tests.support.payloads import payload
from tests.support.server import ACCESS_KEY_ID, SECRET_ACCESS_KEY, running_server
from tests.support.shards import PackedShard, all_shards, shard_files

pytestmark = pytest.mark.slow

BUCKET = "disks"
SIZES = {"empty": 0, "tiny": 1, "small": 70_000, "stripe": 1 << 20, "large": (3 << 20) + 77}
OBJECTS = {key: payload(size, index) for index, (key, size) in enumerate(SIZES.items())}
PART = payload(5 << 20, 99)
PAIRS = list(itertools.combinations(range(6), 2))


class Disks:
    """The six directories of the hot tier."""

    def __init__(self, data: Path) -> None:
        self._hot = data / "hot"

    def remove(self, *indices: int) -> None:
        for index in indices:
            self.path(index).rename(self._away(index))

    def put_back(self, *indices: int) -> None:
        for index in indices:
            self._away(index).rename(self.path(index))

    def fill_with_garbage(self, *indices: int) -> dict[Path | PackedShard, bytes]:
        """Overwrite every shard with other bytes of the same length; what they were."""
        rng = random.Random(1)
        before = {}
        for index in indices:
            for path in self.shards(index):
                before[path] = path.read_bytes()
                path.write_bytes(rng.randbytes(len(before[path])))
        return before

    def shards(self, index: int) -> list[Path | PackedShard]:
        return list(all_shards(self.path(index)).values())

    def path(self, index: int) -> Path:
        return self._hot / f"disk{index}"

    def _away(self, index: int) -> Path:
        return self._hot / f"away{index}"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("disks") / "data"


@pytest.fixture(scope="module")
def server(folder):
    with running_server(folder, SETTINGS) as server:
        with server.client() as s3:
            s3.create_bucket(Bucket=BUCKET)
            for key, content in OBJECTS.items():
                s3.put_object(Bucket=BUCKET, Key=key, Body=content)
            multipart(s3, "multipart")
        yield server
        # Only a stream that had to be broken off may have raised anything.
        errors = re.findall(
            r"^stratum\.domain\.errors\.(\w+)|^(\w+Error)\b", server.log(), re.MULTILINE
        )
        assert {"".join(error) for error in errors} <= {"InsufficientShards"}, server.log()


def multipart(s3, key):
    upload = s3.create_multipart_upload(Bucket=BUCKET, Key=key)["UploadId"]
    named = {"Bucket": BUCKET, "Key": key, "UploadId": upload}
    etags = [
        s3.upload_part(**named, PartNumber=number, Body=body)["ETag"]
        for number, body in enumerate((PART, b"end"), 1)
    ]
    parts = [{"PartNumber": n, "ETag": etag} for n, etag in enumerate(etags, 1)]
    s3.complete_multipart_upload(**named, MultipartUpload={"Parts": parts})


@pytest.fixture
def s3(server):
    with server.client() as client:
        yield client


@pytest.fixture
def disks(folder):
    return Disks(folder)


def all_objects():
    return {**OBJECTS, "multipart": PART + b"end"}


def assert_all_readable(s3):
    for key, content in all_objects().items():
        assert s3.get_object(Bucket=BUCKET, Key=key)["Body"].read() == content, key
    found = s3.get_object(Bucket=BUCKET, Key="multipart", Range="bytes=5242870-5242882")
    assert found["Body"].read() == (PART + b"end")[5242870:5242883]


def put(server, key, content):
    headers = server.signed("PUT", f"/{BUCKET}/{key}", content)
    return server.request("PUT", f"/{BUCKET}/{key}", content, headers)


def get(server, key):
    return server.request("GET", f"/{BUCKET}/{key}", None, server.signed("GET", f"/{BUCKET}/{key}"))


def command(server, *arguments):
    """Exit code and output of a command beside the server."""
    ended = subprocess.run(
        [sys.executable, "-m", "stratum", *arguments, "--data", str(server.data)],
        env={
            "STRATUM_ROOT_ACCESS_KEY_ID": ACCESS_KEY_ID,
            "STRATUM_ROOT_SECRET_ACCESS_KEY": SECRET_ACCESS_KEY,
        },
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ended.returncode in (0, 1), ended.stderr
    return ended.returncode, ended.stdout


def assert_healthy(server):
    assert command(server, "audit", "--verify")[0] == 0
    code, state = command(server, "status", "--format", "json")
    assert code == 0
    hot = json.loads(state)["tiers"][0]
    assert hot["redundancy"] == {"6": hot["volumes"]}


# -- two ------------------------------------------------------------------------------------------
@pytest.mark.parametrize("pair", PAIRS, ids=str)
def test_any_two_disks_may_be_taken_away(s3, disks, pair):
    disks.remove(*pair)
    try:
        assert_all_readable(s3)
    finally:
        disks.put_back(*pair)
    assert_all_readable(s3)


def test_any_two_disks_may_go_under_readers(server, disks):
    """Bytes change and disks come and go while clients read: whatever they get is right."""
    stop, failures, rounds = threading.Event(), [], []

    def read():
        try:
            with server.client() as s3:
                while not stop.is_set():
                    assert_all_readable(s3)
                    rounds.append(1)
        except BaseException as error:
            failures.append(error)

    def let_them_read():
        aim = len(rounds) + len(threads)
        while len(rounds) < aim and not failures:
            threads[0].join(0.05)

    threads = [threading.Thread(target=read) for _ in range(3)]
    before = {}
    for thread in threads:
        thread.start()
    try:
        for pair in ((0, 1), (3, 5)):
            disks.remove(*pair)
            let_them_read()
            disks.put_back(*pair)
        before = disks.fill_with_garbage(1, 4)
        let_them_read()
        code, findings = command(server, "audit", "--verify")
        assert code == 1
        assert findings.count("shard-corrupt") == len(before)
    finally:
        stop.set()
        for thread in threads:
            thread.join()
        for path, content in before.items():
            path.write_bytes(content)
    assert not failures
    assert_healthy(server)


# -- three ----------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("way", "three"), [("removed", (0, 1, 2)), ("removed", (3, 4, 5)), ("garbage", (1, 3, 5))]
)
def test_with_three_gone_there_is_an_error_and_no_byte(server, s3, disks, three, way):
    before = {}
    if way == "removed":
        disks.remove(*three)
    else:
        before = disks.fill_with_garbage(*three)
    try:
        for key, content in all_objects().items():
            if not content:
                continue
            status, headers, body = get(server, key)
            if key == "tiny" and status == 200:
                assert body == content  # one disk is enough when it has the whole
                continue
            assert status == 503
            assert headers["content-type"] == "application/xml"
            assert body.startswith(b"<?xml")
            assert b"<Code>SlowDown</Code>" in body or b"<Code>ServiceUnavailable</Code>" in body
            assert content[:64] not in body or len(content) < 64
        if three == (0, 1, 2):
            code, findings = command(server, "audit", "--verify")
            assert code == 1
            assert findings.count("disk: ") == 3
            code, state = command(server, "status")
            assert code == 1
            assert len(re.findall(r"/hot/disk\d: missing$", state, re.MULTILINE)) == 3
            assert "3 shards left" in state
    finally:
        if way == "removed":
            disks.put_back(*three)
        for path, content in before.items():
            path.write_bytes(content)
    assert_all_readable(s3)


def test_damage_beyond_the_first_stripe_breaks_the_connection_off(server, disks):
    """The status was sent by then. What must not happen is an answer that looks whole."""
    cut = {}
    for index in (0, 1, 2):
        for path in shard_files(disks.path(index)).values():
            if 780_000 < path.stat().st_size < 800_000:
                cut[path] = path.read_bytes()
                path.write_bytes(cut[path][:400_000])
    assert len(cut) == 3
    try:
        with server.connection() as connection:
            path = f"/{BUCKET}/large"
            connection.request("GET", path, headers=server.signed("GET", path))
            response = connection.getresponse()
            assert response.status == 200
            received = b""
            try:
                while piece := response.read1(65536):
                    received += piece
            except OSError:
                pass
            assert len(received) < len(OBJECTS["large"])
            assert OBJECTS["large"].startswith(received)
    finally:
        for path, content in cut.items():
            path.write_bytes(content)


# -- writing --------------------------------------------------------------------------------------
def test_a_write_goes_on_with_one_disk_missing(server, s3, disks):
    contents = {f"written {size}": payload(size, 7) for size in (10, 3_000_000)}
    disks.remove(3)
    try:
        for key, content in contents.items():
            s3.put_object(Bucket=BUCKET, Key=key, Body=content)
        disks.remove(0)  # one more: five shards were written, four are enough
        for key, content in contents.items():
            assert s3.get_object(Bucket=BUCKET, Key=key)["Body"].read() == content
        disks.put_back(0)
        code, state = command(server, "status")
        assert code == 1
        assert "disk3: missing" in state
    finally:
        disks.put_back(3)
    # They are completed by themselves, if that was not quicker than we are.
    code, findings = command(server, "audit", "--verify")
    assert findings.count("was not written") <= len(contents)
    assert code == 0 or "shard 3 of" in findings
    for key in contents:
        s3.delete_object(Bucket=BUCKET, Key=key)
    assert_healthy(server)


@pytest.mark.parametrize("pair", [(0, 1), (2, 5)], ids=str)
def test_a_write_is_refused_with_two_disks_missing(server, s3, disks, pair):
    s3.put_object(Bucket=BUCKET, Key="kept", Body=b"kept")
    disks.remove(*pair)
    try:
        for size in (0, 10, 3_000_000):
            status, headers, body = put(server, "kept", payload(size, 8))
            assert status == 503
            assert b"<Error>" in body
            assert int(headers["retry-after"]) > 0
            assert s3.get_object(Bucket=BUCKET, Key="kept")["Body"].read() == b"kept"
        s3.delete_object(Bucket=BUCKET, Key="kept")  # needs no disk but the journal's
    finally:
        disks.put_back(*pair)
    assert not [path for index in range(6) for path in (disks.path(index) / "staged").iterdir()]
    assert put(server, "kept", b"again")[0] == 200
    s3.delete_object(Bucket=BUCKET, Key="kept")


# -- starting -------------------------------------------------------------------------------------
def test_a_start_without_two_disks_and_with_swapped_ones(tmp_path):
    data = tmp_path / "data"
    disks = Disks(data)
    with running_server(data, SETTINGS) as server, server.client() as s3:
        s3.create_bucket(Bucket=BUCKET)
        s3.put_object(Bucket=BUCKET, Key="large", Body=OBJECTS["large"])
    disks.remove(0, 4)
    with running_server(data, SETTINGS) as server, server.client() as s3:
        assert s3.get_object(Bucket=BUCKET, Key="large")["Body"].read() == OBJECTS["large"]
        assert "2 disks are missing" in server.log()
        assert not disks.path(0).exists()  # nothing is made in its place
    disks.put_back(0, 4)
    disks.path(1).rename(disks.path(1).with_name("other"))
    disks.path(2).rename(disks.path(1))
    disks.path(1).with_name("other").rename(disks.path(2))
    with pytest.raises(AssertionError, match="swapped"), running_server(data, SETTINGS):
        pass
    disks.path(1).rename(disks.path(1).with_name("other"))
    disks.path(2).rename(disks.path(1))
    disks.path(1).with_name("other").rename(disks.path(2))
    with running_server(data, SETTINGS) as server, server.client() as s3:
        assert s3.get_object(Bucket=BUCKET, Key="large")["Body"].read() == OBJECTS["large"]
        assert_healthy(server)
