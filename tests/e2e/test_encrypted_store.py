"""A store with encrypted objects: what its disks get to see, moves, restarts, and lost keys."""

import base64
import shutil
import time
from contextlib import contextmanager

import pytest

from tests.support.encryption import (
    MIB,
    MODES,
    PART,
    SETTINGS,
    body_of,
    command,
    expected,
    of_client,
    reading,
    refused,
    said,
    upload,
)
from tests.support.payloads import payload
from tests.support.server import running_server

LIMIT_S = 60.0


@contextmanager
def started(data, **settings):
    with running_server(data, {**SETTINGS, **settings}) as server, server.client() as s3:
        yield server, s3


# -- what lies on the disks ---------------------------------------------------------------------
def everything_in(folder):
    return b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize("mode", [name for name in MODES if name != "none"])
@pytest.mark.parametrize("size", [400, 2 * MIB])
def test_the_disks_see_neither_bytes_nor_keys(folder, mode, size):
    secret = b"the quarterly figures"
    data = secret * (size // len(secret))
    with started(folder / "plain") as (server, s3):
        s3.create_bucket(Bucket="bucket")
        s3.put_object(Bucket="bucket", Key="k", Body=data)
        assert secret in everything_in(server.data)
    with started(folder / "data") as (server, s3):
        s3.create_bucket(Bucket="bucket")
        s3.put_object(Bucket="bucket", Key="k", Body=data, **MODES[mode])
        held = everything_in(server.data)
        assert secret not in held
        key = base64.b64decode(of_client(1)["SSECustomerKey"])
        for form in (key, key.hex().encode(), base64.b64encode(key)):
            assert form not in held
        assert body_of(s3, "bucket", "k", mode) == data


# -- the store goes on --------------------------------------------------------------------------
def test_encrypted_objects_move_without_their_keys_and_are_there_after_a_restart(folder):
    data = payload(2 * MIB + 9)
    with started(folder / "data") as (server, s3):
        s3.create_bucket(Bucket="bucket")
        for mode, wish in MODES.items():
            s3.put_object(Bucket="bucket", Key=mode, Body=data, **wish)
            at, parts = upload(s3, "bucket", mode, (PART, 10), f"{mode}-parts")
            s3.complete_multipart_upload(**at, MultipartUpload={"Parts": parts}, **reading(mode))
        assert command(server, "tier", "pin", "s3://bucket", "warm")[0] == 0
        for mode in MODES:
            for key in (mode, f"{mode}-parts"):
                wait_for_tier(s3, key, reading(mode))
    with started(folder / "data") as (server, s3):
        for mode in MODES:
            assert body_of(s3, "bucket", mode, mode) == data
            whole = payload(PART, 1) + payload(10, 2)
            assert body_of(s3, "bucket", f"{mode}-parts", mode) == whole
            got = body_of(s3, "bucket", f"{mode}-parts", mode, Range=f"bytes={PART - 4}-{PART + 4}")
            assert got == whole[PART - 4 : PART + 5]
        assert command(server, "audit", "--verify")[0] == 0
        assert command(server, "scrub")[0] == 0


def wait_for_tier(s3, key, keys, tier="warm"):
    deadline = time.monotonic() + LIMIT_S
    while time.monotonic() < deadline:
        head = s3.head_object(Bucket="bucket", Key=key, **keys)
        if head["ResponseMetadata"]["HTTPHeaders"]["x-stratum-tier"] == tier:
            return
        time.sleep(0.05)
    raise AssertionError(f"{key} is not in {tier}")


def test_a_server_that_encrypts_everything(folder):
    with started(folder / "data", STRATUM_ENCRYPTION_DEFAULT="AES256") as (_, s3):
        s3.create_bucket(Bucket="bucket")
        assert said(s3.put_object(Bucket="bucket", Key="k", Body=b"data")) == expected("s3")
        found = s3.get_bucket_encryption(Bucket="bucket")["ServerSideEncryptionConfiguration"]
        default = found["Rules"][0]["ApplyServerSideEncryptionByDefault"]
        assert default == {"SSEAlgorithm": "AES256"}
    with started(folder / "data") as (_, s3):
        assert body_of(s3, "bucket", "k", "s3") == b"data"
        assert said(s3.put_object(Bucket="bucket", Key="k", Body=b"data")) == {}


def test_a_server_without_a_default_key_wants_one_named(folder):
    with started(folder / "data", STRATUM_ENCRYPTION_KMS_DEFAULT_KEY="") as (_, s3):
        s3.create_bucket(Bucket="bucket")
        put = {"Bucket": "bucket", "Key": "k", "Body": b"data", "ServerSideEncryption": "aws:kms"}
        assert refused(s3.put_object, **put) == (400, "InvalidArgument")


def test_without_its_keys_a_server_does_not_start(folder):
    with started(folder / "data") as (_, s3):
        s3.create_bucket(Bucket="bucket")
        s3.put_object(Bucket="bucket", Key="k", Body=b"data", **MODES["s3"])
    keys = folder / "data" / "encryption-keys.toml"
    keys.rename(folder / "kept")
    with pytest.raises(AssertionError, match="their keys are not in"), started(folder / "data"):
        pass
    (folder / "kept").rename(keys)
    with started(folder / "data") as (_, s3):
        assert body_of(s3, "bucket", "k", "s3") == b"data"


def test_a_clients_key_needs_tls_if_the_server_says_so(folder):
    settings = {"STRATUM_ENCRYPTION_CUSTOMER_KEYS_OVER_HTTP": "never"}
    with started(folder / "data", **settings) as (_, s3):
        s3.create_bucket(Bucket="bucket")
        put = {"Bucket": "bucket", "Key": "k", "Body": b"data", **of_client(1)}
        assert refused(s3.put_object, **put) == (400, "InvalidRequest")


def test_shards_and_keys_are_enough_to_recover(folder):
    data, whole = payload(300_000), payload(PART, 1) + payload(100, 2)
    with started(folder / "data") as (server, s3):
        s3.create_bucket(Bucket="bucket")
        for mode, wish in MODES.items():
            s3.put_object(Bucket="bucket", Key=mode, Body=data, **wish)
            at, parts = upload(s3, "bucket", mode, (PART, 100), f"{mode}-parts")
            s3.complete_multipart_upload(**at, MultipartUpload={"Parts": parts}, **reading(mode))
        open_at, open_parts = upload(s3, "bucket", "kms", (PART,), "unfinished")
    shutil.rmtree(folder / "data" / "metadata")
    for copies in (folder / "data").glob("*/disk*/journal"):
        shutil.rmtree(copies)
    code, output = command(server, "recover")
    assert code == 0, output
    with started(folder / "data") as (_, s3):
        for mode in MODES:
            assert body_of(s3, "bucket", mode, mode) == data
            assert body_of(s3, "bucket", f"{mode}-parts", mode) == whole
        second = s3.upload_part(**open_at, PartNumber=2, Body=payload(100, 2))
        open_parts.append({"PartNumber": 2, "ETag": second["ETag"]})
        s3.complete_multipart_upload(**open_at, MultipartUpload={"Parts": open_parts})
        assert body_of(s3, "bucket", "unfinished", "kms") == whole
