"""Requests with server-side encryption by boto3, and what answers say of it."""

import base64
import hashlib
import subprocess
import sys

import pytest
from botocore.exceptions import ClientError

from tests.support.payloads import payload

MIB = 1 << 20
PART = 5 * MIB + 3
SETTINGS = {"STRATUM_ENCRYPTION_KMS_KEYS": "key-one,key-two"}


def of_client(seed, prefix=""):
    """boto3's arguments for a key of the client."""
    key = hashlib.sha256(f"client {seed}".encode()).digest()
    return {
        f"{prefix}SSECustomerAlgorithm": "AES256",
        f"{prefix}SSECustomerKey": base64.b64encode(key).decode(),
        f"{prefix}SSECustomerKeyMD5": base64.b64encode(hashlib.md5(key).digest()).decode(),
    }


KMS = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": "key-one"}
MODES = {"none": {}, "s3": {"ServerSideEncryption": "AES256"}, "kms": KMS, "c": of_client(1)}


def reading(mode, seed=1):
    return of_client(seed) if mode == "c" else {}


def said(answer):
    """What an answer says of the encryption."""
    headers = answer["ResponseMetadata"]["HTTPHeaders"]
    return {
        name.removeprefix("x-amz-server-side-encryption"): value
        for name, value in headers.items()
        if name.startswith("x-amz-server-side-encryption")
    }


def expected(mode, seed=1):
    return {
        "none": {},
        "s3": {"": "AES256"},
        "kms": {"": "aws:kms", "-aws-kms-key-id": "key-one"},
        "c": {
            "-customer-algorithm": "AES256",
            "-customer-key-md5": of_client(seed)["SSECustomerKeyMD5"],
        },
    }[mode]


def refused(act, **arguments):
    """Status and code of a refusal; HEAD has no code."""
    with pytest.raises(ClientError) as refusal:
        act(**arguments)
    answer = refusal.value.response
    return answer["ResponseMetadata"]["HTTPStatusCode"], answer["Error"]["Code"]


def body_of(s3, bucket, key, mode, seed=1, **options):
    answer = s3.get_object(Bucket=bucket, Key=key, **reading(mode, seed), **options)
    return answer["Body"].read()


def command(server, *arguments):
    """Exit code and output of a command beside a running server."""
    done = subprocess.run(
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
    return done.returncode, done.stdout + done.stderr


def upload(s3, bucket, mode, sizes, key="k"):
    created = s3.create_multipart_upload(Bucket=bucket, Key=key, **MODES[mode])
    assert said(created) == expected(mode)
    at = {"Bucket": bucket, "Key": key, "UploadId": created["UploadId"]}
    parts = []
    for number, size in enumerate(sizes, 1):
        stored = s3.upload_part(
            **at, PartNumber=number, Body=payload(size, number), **reading(mode)
        )
        assert said(stored) == expected(mode)
        parts.append({"PartNumber": number, "ETag": stored["ETag"]})
    return at, parts
