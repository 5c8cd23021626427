"""The metadata directory and any two disks are lost at once, after a SIGKILL, with real files."""

import itertools
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from stratum import compose
from stratum.app.config import load_config
from stratum.compose_recover import recover_store
from stratum.domain.errors import InvalidArgument
from stratum.domain.names import BucketName, ObjectKey
from tests.support.crash_run import SETTINGS
from tests.support.payloads import payload
from tests.support.server import ACCESS_KEY_ID, SECRET_ACCESS_KEY, running_server

pytestmark = pytest.mark.slow

BUCKET = BucketName("films")
OBJECTS = {f"old/{size}": payload(size, size) for size in (0, 1, 5000, 70_000, (2 << 20) + 7)}
NEWER = {f"new/{size}": payload(size, size + 1) for size in (0, 1, 5000, (1 << 20) + 3)}
PART = payload(5 << 20, 99)
PAIRS = list(itertools.combinations(range(6), 2))
BEHIND = {**SETTINGS, "STRATUM_METADATA_COPY_INTERVAL_S": "3600"}
"""What happens then is in no copy of the journal until the server stops, and it is killed."""


def multipart(s3, key):
    upload_id = s3.create_multipart_upload(Bucket=BUCKET, Key=key)["UploadId"]
    parts = []
    for number, body in enumerate((PART, b"end"), 1):
        etag = s3.upload_part(
            Bucket=BUCKET, Key=key, UploadId=upload_id, PartNumber=number, Body=body
        )["ETag"]
        parts.append({"PartNumber": number, "ETag": etag})
    s3.complete_multipart_upload(
        Bucket=BUCKET, Key=key, UploadId=upload_id, MultipartUpload={"Parts": parts}
    )


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    data = tmp_path_factory.mktemp("recover") / "data"
    with running_server(data, SETTINGS) as server, server.client() as s3:
        s3.create_bucket(Bucket=BUCKET)
        for key, body in OBJECTS.items():
            s3.put_object(Bucket=BUCKET, Key=key, Body=body, Metadata={"title": key})
        multipart(s3, "old/multipart")
        s3.put_object(Bucket=BUCKET, Key="gone", Body=b"deleted before the last copy")
        s3.delete_object(Bucket=BUCKET, Key="gone")
    with running_server(data, BEHIND) as server, server.client() as s3:
        for key, body in NEWER.items():
            s3.put_object(Bucket=BUCKET, Key=key, Body=body, Metadata={"title": key})
        multipart(s3, "new/multipart")
        s3.put_object(Bucket=BUCKET, Key="old/5000", Body=b"overwritten")
        server.kill()
    shutil.rmtree(data / "metadata")
    (data / "server.json").unlink()
    return data


@pytest.fixture
def data(store, tmp_path):
    return shutil.copytree(store, tmp_path / "data")


def config_of(data):
    environment = {
        "STRATUM_ROOT_ACCESS_KEY_ID": ACCESS_KEY_ID,
        "STRATUM_ROOT_SECRET_ACCESS_KEY": SECRET_ACCESS_KEY,
        "STRATUM_ERASURE_WORKERS": "0",
        "STRATUM_TIERING_ENABLED": "false",
    }
    return load_config(data, None, environment, {})


async def recover(data, **options):
    said = []
    options.setdefault("replace", False)
    report = await recover_store(
        config_of(data), progress=lambda what, done: None, warn=said.append, **options
    )
    return report, said


async def contents(data):
    """Every object by key, read whole."""
    found = {}
    async with compose.open_stratum(config_of(data), announce=lambda text: None) as stratum:
        for volume in stratum.journal.catalog.volumes():
            version = stratum.journal.catalog.version(BUCKET, ObjectKey(volume.key))
            title = version.metadata.user.get("title")
            async with stratum.objects.open(BUCKET, ObjectKey(volume.key)) as download:
                body = b"".join([bytes(piece) async for piece in download.pieces])
            assert title in (None, volume.key)
            found[volume.key] = body
    return found


EXPECTED = {
    **OBJECTS,
    **NEWER,
    "old/multipart": PART + b"end",
    "new/multipart": PART + b"end",
    "old/5000": b"overwritten",
}


@pytest.mark.parametrize("pair", PAIRS, ids=str)
async def test_every_object_comes_back_without_the_metadata_and_any_two_disks(data, pair):
    for index in pair:
        shutil.rmtree(data / "hot" / f"disk{index}")
        shutil.rmtree(data / "warm" / f"disk{index}")
    report, _ = await recover(data)
    assert report.unreadable == report.dropped == 0
    assert report.versions == len(NEWER) + 2
    assert len(report.absent) == 4
    assert await contents(data) == EXPECTED


async def test_without_any_copy_of_the_journal_the_shards_are_enough(data):
    for copy in data.glob("*/disk*/journal"):
        shutil.rmtree(copy)
    report, _ = await recover(data)
    assert report.restored_seq == 0
    found = await contents(data)
    # It was deleted a moment before, and no copy of the journal is there to tell.
    found.pop("gone", None)
    assert found == EXPECTED


async def test_a_disk_that_was_away_with_a_longer_copy_is_brought_into_line(data):
    """It would otherwise look as if the journal had been cut off."""
    hot = data / "hot"
    away = data / "away"
    (hot / "disk5").rename(away)
    for index in range(5):
        copy = hot / f"disk{index}" / "journal"
        (segment,) = copy.glob("events-*")
        segment.write_bytes(segment.read_bytes()[:-50])
    report, _ = await recover(data)
    away.rename(hot / "disk5")
    assert await contents(data) == EXPECTED
    assert audit(data) == (0, "")
    assert report.restored_seq > 0


def is_database(path):
    return path.read_bytes().startswith(b"SQLite")


def audit(data):
    ended = subprocess.run(
        [
            sys.executable,
            "-m",
            "stratum",
            "audit",
            "--verify",
            "--format=json",
            "--data",
            str(data),
        ],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return ended.returncode, ended.stdout + ended.stderr


async def test_what_was_recovered_passes_the_audit(data):
    await recover(data)
    await contents(data)
    assert audit(data) == (0, "")


async def test_a_journal_that_is_there_is_kept(data):
    await recover(data)
    with pytest.raises(InvalidArgument, match="--replace"):
        await recover(data)
    report, (said,) = await recover(data, replace=True)
    kept = said.rpartition(" ")[2]
    assert is_database(Path(kept))
    assert report.objects == len(EXPECTED)
    assert await contents(data) == EXPECTED


def test_the_command_reports_and_a_server_starts_on_it(data):
    command = [sys.executable, "-m", "stratum", "recover", "--format", "json", "--data", str(data)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 0, ended.stderr
    report = json.loads(ended.stdout)
    assert report["versions"] == len(NEWER) + 2
    with running_server(data, SETTINGS) as server, server.client() as s3:
        body = s3.get_object(Bucket=BUCKET, Key="new/5000")["Body"].read()
        assert body == NEWER["new/5000"]
        refused = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert refused.returncode == 2
        assert "server is running" in refused.stderr
