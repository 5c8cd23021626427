"""Clients besides awscli, boto3 and rclone, with their own default settings."""

import io
import os
import subprocess
from concurrent.futures import ThreadPoolExecutor

import boto3
import fsspec
import obstore
import pandas
import pytest
from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from minio import Minio
from minio.commonconfig import CopySource
from minio.deleteobjects import DeleteObject
from obstore.store import S3Store

from tests.support.payloads import file_digest, payload, write_payload_file
from tests.support.server import BIN

MIB = 1 << 20
LIMIT_S = 120
BIG = payload(20 * MIB)


# -- boto3 --------------------------------------------------------------------------------------
def test_boto3_transfers_files_with_threads(server, folder, bucket):
    """Nothing set but endpoint and keys; parts of 5 MiB make the transfer a multipart one."""
    write_payload_file(folder / "big", 20 * MIB, seed=1)
    with server.client(config=Config()) as client:
        config = TransferConfig(multipart_threshold=5 * MIB, multipart_chunksize=5 * MIB)
        client.upload_file(str(folder / "big"), bucket, "big", Config=config)
        client.download_file(bucket, "big", str(folder / "back"), Config=config)
        client.copy({"Bucket": bucket, "Key": "big"}, bucket, "copy", Config=config)
        assert client.head_object(Bucket=bucket, Key="copy")["ContentLength"] == 20 * MIB
    assert file_digest(folder / "back") == file_digest(folder / "big")


def test_boto3_resources_in_many_threads(server, bucket):
    session = boto3.session.Session()
    store = session.resource(
        "s3",
        endpoint_url=server.url,
        region_name=server.region,
        aws_access_key_id=server.access_key_id,
        aws_secret_access_key=server.secret_access_key,
    )
    here = store.Bucket(bucket)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: here.put_object(Key=f"k/{n:03}", Body=b"%d" % n), range(100)))
    found = {entry.key: entry.get()["Body"].read() for entry in here.objects.filter(Prefix="k/")}
    assert found == {f"k/{n:03}": b"%d" % n for n in range(100)}
    here.objects.all().delete()
    assert not list(here.objects.all())
    store.meta.client.close()


# -- s3cmd --------------------------------------------------------------------------------------
@pytest.fixture
def s3cmd(server, folder):
    config = folder / "s3cfg"
    config.write_text(
        f"[default]\naccess_key = {server.access_key_id}\nsecret_key = {server.secret_access_key}\n"
        f"host_base = {server.host}\nhost_bucket = {server.host}\nuse_https = False\n"
    )

    def run(*arguments):
        done = subprocess.run(
            [BIN / "s3cmd", "--config", config, "--no-progress", *arguments],
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=LIMIT_S,
            env={**os.environ, "PYTHONWARNINGS": "ignore"},
        )
        assert done.returncode == 0, (arguments, done.stdout, done.stderr)
        return done.stdout

    return run


def test_s3cmd(s3cmd, folder):
    s3cmd("mb", "s3://by-s3cmd")
    (folder / "tree").mkdir()
    (folder / "tree" / "ü & x").write_bytes(b"small")
    write_payload_file(folder / "tree" / "big", 20 * MIB, seed=2)
    s3cmd("sync", "tree/", "s3://by-s3cmd/t/")
    assert "s3://by-s3cmd/t/ü & x" in s3cmd("ls", "--recursive", "s3://by-s3cmd")
    assert s3cmd("sync", "tree/", "s3://by-s3cmd/t/") == ""
    s3cmd("cp", "s3://by-s3cmd/t/big", "s3://by-s3cmd/copy")
    s3cmd("get", "s3://by-s3cmd/copy", "back")
    assert file_digest(folder / "back") == file_digest(folder / "tree" / "big")
    assert "20971520" in s3cmd("info", "s3://by-s3cmd/copy")
    s3cmd("del", "--recursive", "--force", "s3://by-s3cmd")
    s3cmd("rb", "s3://by-s3cmd")


# -- fsspec and pandas --------------------------------------------------------------------------
@pytest.fixture
def options(server):
    return {
        "key": server.access_key_id,
        "secret": server.secret_access_key,
        "endpoint_url": server.url,
    }


def test_s3fs_is_a_file_system(options, bucket):
    files = fsspec.filesystem("s3", skip_instance_cache=True, **options)
    files.pipe(f"{bucket}/dir/a", b"hello")
    with files.open(f"{bucket}/dir/big", "wb") as file:
        file.write(BIG)
    assert sorted(files.ls(f"{bucket}/dir")) == [f"{bucket}/dir/a", f"{bucket}/dir/big"]
    with files.open(f"{bucket}/dir/big", "rb") as file:
        file.seek(MIB)
        assert file.read(1000) == BIG[MIB : MIB + 1000]
    files.mv(f"{bucket}/dir/a", f"{bucket}/dir/b")
    assert files.cat(f"{bucket}/dir/b") == b"hello"
    assert not files.exists(f"{bucket}/dir/a")
    files.rm(f"{bucket}/dir", recursive=True)
    assert files.ls(bucket, refresh=True) == []


def test_pandas_writes_and_reads_parquet(options, bucket):
    table = pandas.DataFrame({"n": range(100_000), "text": ["value"] * 100_000})
    url = f"s3://{bucket}/table.parquet"
    table.to_parquet(url, storage_options=options)
    back = pandas.read_parquet(url, columns=["n"], storage_options=options)
    assert back["n"].sum() == table["n"].sum()


# -- other SDKs ---------------------------------------------------------------------------------
def test_the_minio_sdk(server, bucket):
    client = Minio(
        server.host,
        access_key=server.access_key_id,
        secret_key=server.secret_access_key,
        secure=False,
    )
    assert client.bucket_exists(bucket)
    client.put_object(bucket, "dir/é", io.BytesIO(b"hello"), 5, metadata={"a": "b"})
    client.put_object(bucket, "big", io.BytesIO(BIG), -1, part_size=5 * MIB)
    got = client.get_object(bucket, "big")
    assert got.read() == BIG
    got.close()
    got.release_conn()
    assert client.stat_object(bucket, "dir/é").metadata["x-amz-meta-a"] == "b"
    client.copy_object(bucket, "copy", CopySource(bucket, "dir/é"))
    names = {entry.object_name for entry in client.list_objects(bucket, recursive=True)}
    assert names == {"dir/é", "big", "copy"}
    assert not list(client.remove_objects(bucket, [DeleteObject(name) for name in names]))
    url = client.presigned_get_object(bucket, "missing")
    assert url.startswith(server.url)


def test_obstore(server, bucket):
    store = S3Store(
        bucket,
        endpoint=server.url,
        access_key_id=server.access_key_id,
        secret_access_key=server.secret_access_key,
        region=server.region,
        client_options={"allow_http": True},
    )
    obstore.put(store, "dir/a", b"hello")
    obstore.put(store, "big", BIG, chunk_size=5 * MIB)
    assert bytes(obstore.get(store, "big").bytes()) == BIG
    assert bytes(obstore.get_range(store, "big", start=MIB, length=10)) == BIG[MIB : MIB + 10]
    assert {entry["path"] for page in obstore.list(store) for entry in page} == {"dir/a", "big"}
    with pytest.raises(obstore.exceptions.AlreadyExistsError):
        obstore.put(store, "dir/a", b"again", mode="create")
    obstore.rename(store, "dir/a", "b")
    obstore.delete(store, ["b", "big"])
    assert not [entry for page in obstore.list(store) for entry in page]
