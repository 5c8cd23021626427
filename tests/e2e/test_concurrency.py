"""Readers, writers and deleters of the same key at the same time."""

import hashlib
import random
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.support.payloads import payload
from tests.support.refusals import outcome
from tests.support.server import running_server

MIB = 1 << 20


@pytest.fixture(scope="module")
def eager(module_folder):
    """A server that reclaims replaced copies at once, and a client of it."""
    settings = {"STRATUM_TIERING_RECLAIM_GRACE_S": "0"}
    with running_server(module_folder / "data", settings) as server, server.client() as client:
        client.create_bucket(Bucket="bucket")
        yield server, client
        assert "Traceback" not in server.log(), server.log()


@pytest.mark.parametrize("ending", ["overwritten", "deleted"])
def test_a_download_goes_on_when_its_object_is_gone(eager, ending):
    server, client = eager
    body, path = payload(32 * MIB), f"/bucket/{ending}"
    client.put_object(Bucket="bucket", Key=ending, Body=body)
    with server.connection() as connection:
        connection.request("GET", path, headers=server.signed("GET", path))
        response = connection.getresponse()
        received = response.read(MIB)
        if ending == "overwritten":
            client.put_object(Bucket="bucket", Key=ending, Body=b"new")
        else:
            client.delete_object(Bucket="bucket", Key=ending)
        # Others come and go meanwhile: work for whoever reclaims.
        for number in range(10):
            client.put_object(Bucket="bucket", Key="other", Body=payload(2000, number))
        received += response.read()
    assert received == body


def test_a_reader_never_sees_a_mixture(eager):
    """Bodies of several sizes are written over one another; each answer is one of them, whole."""
    _, client = eager
    bodies = [payload(size, size) for size in (0, 10, 70_000, MIB + 3, 3 * MIB)]
    etags = {f'"{hashlib.md5(body).hexdigest()}"': body for body in bodies}
    client.put_object(Bucket="bucket", Key="contested", Body=bodies[0])

    def write(seed):
        choose = random.Random(seed)
        for _ in range(12):
            client.put_object(Bucket="bucket", Key="contested", Body=choose.choice(bodies))

    def read(_):
        for _ in range(25):
            got = client.get_object(Bucket="bucket", Key="contested")
            assert got["Body"].read() == etags[got["ETag"]]

    with ThreadPoolExecutor(6) as pool:
        done = [pool.submit(write, seed) for seed in range(3)]
        done += [pool.submit(read, number) for number in range(3)]
        for future in done:
            future.result()


def test_deleting_while_writing_ends_with_all_or_nothing(eager):
    _, client = eager
    body = payload(200_000)

    def write():
        for _ in range(20):
            client.put_object(Bucket="bucket", Key="flicker", Body=body)

    def delete():
        for _ in range(20):
            client.delete_object(Bucket="bucket", Key="flicker")

    def read_once():
        assert client.get_object(Bucket="bucket", Key="flicker")["Body"].read() == body

    def read():
        for _ in range(40):
            assert outcome(read_once) in ("", "NoSuchKey")

    with ThreadPoolExecutor(3) as pool:
        for future in [pool.submit(call) for call in (write, delete, read)]:
            future.result()
    client.put_object(Bucket="bucket", Key="flicker", Body=b"last")
    assert client.get_object(Bucket="bucket", Key="flicker")["Body"].read() == b"last"


def test_one_upload_completed_by_many_is_one_object(eager):
    _, client = eager
    upload = {"Bucket": "bucket", "Key": "parts"}
    upload["UploadId"] = client.create_multipart_upload(**upload)["UploadId"]
    etag = client.upload_part(**upload, PartNumber=1, Body=b"part")["ETag"]
    parts = {"Parts": [{"PartNumber": 1, "ETag": etag}]}
    with ThreadPoolExecutor(4) as pool:
        answers = list(
            pool.map(
                lambda _: client.complete_multipart_upload(**upload, MultipartUpload=parts),
                range(4),
            )
        )
    assert len({answer["ETag"] for answer in answers}) == 1
    assert client.get_object(Bucket="bucket", Key="parts")["Body"].read() == b"part"


def test_a_bucket_is_not_deleted_under_an_object(eager):
    """Of an upload and a deletion of the bucket at once, exactly one succeeds."""
    _, client = eager
    for number in range(8):
        name = f"race-{number}"
        client.create_bucket(Bucket=name)

        with ThreadPoolExecutor(2) as pool:
            stored = pool.submit(outcome, client.put_object, Bucket=name, Key="k", Body=b"x")
            deleted = pool.submit(outcome, client.delete_bucket, Bucket=name)
            ended = stored.result(), deleted.result()
        assert ended in (("", "BucketNotEmpty"), ("NoSuchBucket", ""))
