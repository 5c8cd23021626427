"""Server-side encryption as boto3 sees it, on a real server."""

import base64
import hashlib
import itertools
import json

import pytest

from tests.support.encryption import (
    KMS,
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

MODE = pytest.mark.parametrize("mode", MODES)
ENCRYPTED = pytest.mark.parametrize("mode", [name for name in MODES if name != "none"])

_numbers = itertools.count(1)


@pytest.fixture(scope="module")
def server(module_folder):
    with running_server(module_folder / "data", SETTINGS) as running:
        yield running
        assert "Traceback" not in running.log(), running.log()
        assert of_client(1)["SSECustomerKey"] not in running.log()


@pytest.fixture(scope="module")
def s3(server):
    with server.client() as client:
        yield client


@pytest.fixture
def bucket(s3):
    name = f"encrypted-{next(_numbers)}"
    s3.create_bucket(Bucket=name)
    return name


# -- objects ------------------------------------------------------------------------------------
@MODE
@pytest.mark.parametrize("size", [0, 1, 1000, 65_520, 65_521, MIB - 1, 3 * MIB + 7])
def test_what_is_put_is_got(s3, bucket, mode, size):
    data = payload(size)
    put = s3.put_object(Bucket=bucket, Key="k", Body=data, **MODES[mode])
    assert said(put) == expected(mode)
    got = s3.get_object(Bucket=bucket, Key="k", **reading(mode))
    assert got["Body"].read() == data
    assert said(got) == expected(mode)
    assert got["ContentLength"] == size
    assert got["ETag"] == put["ETag"]
    head = s3.head_object(Bucket=bucket, Key="k", **reading(mode))
    assert (head["ContentLength"], head["ETag"], said(head)) == (size, put["ETag"], said(got))
    listed = s3.list_objects_v2(Bucket=bucket)["Contents"][0]
    assert (listed["Size"], listed["ETag"]) == (size, put["ETag"])
    is_md5 = put["ETag"].strip('"') == hashlib.md5(data).hexdigest()
    assert is_md5 == (mode in ("none", "s3"))


@MODE
def test_ranges(s3, bucket, mode):
    data = payload(2 * MIB + 100)
    s3.put_object(Bucket=bucket, Key="k", Body=data, **MODES[mode])
    ends = (0, 1, 65_519, 65_520, 65_521, MIB, 2 * MIB, len(data) - 1)
    for first, last in itertools.combinations_with_replacement(ends, 2):
        got = body_of(s3, bucket, "k", mode, Range=f"bytes={first}-{last}")
        assert got == data[first : last + 1]
    assert body_of(s3, bucket, "k", mode, Range="bytes=-5") == data[-5:]


@MODE
def test_checksums_are_those_of_the_plaintext(s3, bucket, mode):
    digest = base64.b64encode(hashlib.sha256(b"data").digest()).decode()
    put = s3.put_object(Bucket=bucket, Key="k", Body=b"data", ChecksumSHA256=digest, **MODES[mode])
    assert put["ChecksumSHA256"] == digest
    got = s3.head_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED", **reading(mode))
    assert got["ChecksumSHA256"] == digest


@MODE
def test_attributes_are_told_to_who_may_read(s3, bucket, mode):
    put = s3.put_object(Bucket=bucket, Key="k", Body=b"data", **MODES[mode])
    asked = {"Bucket": bucket, "Key": "k", "ObjectAttributes": ["ETag", "Checksum", "ObjectSize"]}
    told = s3.get_object_attributes(**asked, **reading(mode))
    assert (told["ETag"], told["ObjectSize"]) == (put["ETag"].strip('"'), 4)
    assert told["Checksum"]["ChecksumCRC32"] == put["ChecksumCRC32"]
    for keys in ({}, of_client(2)) if mode == "c" else (of_client(1),):
        assert refused(s3.get_object_attributes, **asked, **keys) == (400, "InvalidRequest")


@ENCRYPTED
def test_a_wrong_checksum_stores_nothing(s3, bucket, mode):
    wrong = base64.b64encode(bytes(16)).decode()
    put = {"Bucket": bucket, "Key": "k", "Body": b"data", "ContentMD5": wrong, **MODES[mode]}
    assert refused(s3.put_object, **put) == (400, "BadDigest")
    assert "Contents" not in s3.list_objects_v2(Bucket=bucket)


# -- keys of clients ----------------------------------------------------------------------------
def test_without_the_clients_key_nothing_is_said(s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"data", **of_client(1))
    at = {"Bucket": bucket, "Key": "k"}
    for keys in ({}, of_client(2)):
        assert refused(s3.get_object, **at, **keys) == (400, "InvalidRequest")
        assert refused(s3.head_object, **at, **keys)[0] == 400


def test_a_clients_key_where_none_is_needed(s3, bucket):
    for mode in ("none", "s3", "kms"):
        s3.put_object(Bucket=bucket, Key="k", Body=b"data", **MODES[mode])
        at = {"Bucket": bucket, "Key": "k", **of_client(1)}
        assert refused(s3.get_object, **at) == (400, "InvalidRequest")
        assert refused(s3.head_object, **at)[0] == 400


def test_kinds_of_encryption_do_not_mix(s3, bucket):
    put = {"Bucket": bucket, "Key": "k", "Body": b"data"}
    both = {**of_client(1), "ServerSideEncryption": "AES256"}
    assert refused(s3.put_object, **put, **both) == (400, "InvalidArgument")
    key_id = {"ServerSideEncryption": "AES256", "SSEKMSKeyId": "key-one"}
    assert refused(s3.put_object, **put, **key_id) == (400, "InvalidArgument")
    double = {"ServerSideEncryption": "aws:kms:dsse"}
    assert refused(s3.put_object, **put, **double) == (501, "NotImplemented")


# -- keys of the server -------------------------------------------------------------------------
def test_a_kms_key_is_there_or_the_request_refused(s3, bucket):
    put = {"Bucket": bucket, "Key": "k", "Body": b"data", "ServerSideEncryption": "aws:kms"}
    unknown = refused(s3.put_object, **put, SSEKMSKeyId="nobody")
    assert unknown == (400, "KMS.NotFoundException")
    assert said(s3.put_object(**put))["-aws-kms-key-id"] == "aws/s3"
    arn = "arn:aws:kms:us-east-1:000000000000:key/key-two"
    assert said(s3.put_object(**put, SSEKMSKeyId=arn))["-aws-kms-key-id"] == "key-two"
    assert body_of(s3, bucket, "k", "kms") == b"data"


def test_the_encryption_context_is_kept(s3, bucket):
    context = base64.b64encode(json.dumps({"project": "x"}).encode()).decode()
    put = s3.put_object(
        Bucket=bucket, Key="k", Body=b"data", SSEKMSEncryptionContext=context, **KMS
    )
    assert put["SSEKMSEncryptionContext"] == context
    assert body_of(s3, bucket, "k", "kms") == b"data"


def test_keys_are_made_and_rotated_beside_the_running_server(server, s3, bucket):
    put = {"Bucket": bucket, "Body": b"data", "ServerSideEncryption": "aws:kms"}
    mine = {"SSEKMSKeyId": "mine"}
    assert refused(s3.put_object, **put, Key="old", **mine) == (400, "KMS.NotFoundException")
    assert command(server, "kms", "add", "mine")[0] == 0
    s3.put_object(**put, Key="old", **mine)
    code, output = command(server, "kms", "rotate", "mine")
    assert code == 0
    assert "2 versions" in output
    s3.put_object(**put, Key="new", **mine)
    assert body_of(s3, bucket, "old", "kms") == body_of(s3, bucket, "new", "kms") == b"data"
    code, output = command(server, "kms", "list", "--format", "json")
    names = [key["name"] for key in json.loads(output)]
    assert {"key-one", "key-two", "mine"} <= set(names)
    secrets = (server.data / "encryption-keys.toml").read_text()
    assert not any(line.strip(' ",') in output for line in secrets.splitlines() if '="' in line)
    assert command(server, "kms", "add", "mine")[0] == 2
    assert command(server, "kms", "rotate", "nobody")[0] == 2


def test_an_object_gets_another_key_without_a_copy(s3, bucket):
    def update(key, name):
        arn = f"arn:aws:kms:us-east-1:000000000000:key/{name}"
        chosen = {"SSEKMS": {"KMSKeyArn": arn}}
        return {"Bucket": bucket, "Key": key, "ObjectEncryption": chosen}

    for mode, wish in MODES.items():
        s3.put_object(Bucket=bucket, Key=mode, Body=b"data", **wish)
    for mode in ("s3", "kms"):
        before = s3.head_object(Bucket=bucket, Key=mode)
        s3.update_object_encryption(**update(mode, "key-two"))
        got = s3.get_object(Bucket=bucket, Key=mode, ChecksumMode="ENABLED")
        assert got["Body"].read() == b"data"
        assert said(got) == {"": "aws:kms", "-aws-kms-key-id": "key-two"}
        assert (got["ETag"], got["LastModified"]) == (before["ETag"], before["LastModified"])
    for mode in ("none", "c"):
        refusal = refused(s3.update_object_encryption, **update(mode, "key-two"))
        assert refusal == (400, "InvalidRequest")
    unknown = refused(s3.update_object_encryption, **update("s3", "nobody"))
    assert unknown == (400, "KMS.NotFoundException")


# -- default encryption -------------------------------------------------------------------------
def configure(s3, bucket, method, key_id=None, **rule):
    default = {"SSEAlgorithm": method, **({"KMSMasterKeyID": key_id} if key_id else {})}
    rules = [{"ApplyServerSideEncryptionByDefault": default, **rule}]
    s3.put_bucket_encryption(Bucket=bucket, ServerSideEncryptionConfiguration={"Rules": rules})


def test_a_bucket_encrypts_by_default(s3, bucket):
    missing = (404, "ServerSideEncryptionConfigurationNotFoundError")
    assert refused(s3.get_bucket_encryption, Bucket=bucket) == missing
    for mode, key_id in (("s3", None), ("kms", "key-one")):
        method = {"s3": "AES256", "kms": "aws:kms"}[mode]
        configure(s3, bucket, method, key_id)
        found = s3.get_bucket_encryption(Bucket=bucket)["ServerSideEncryptionConfiguration"]
        default = found["Rules"][0]["ApplyServerSideEncryptionByDefault"]
        assert default["SSEAlgorithm"] == method
        assert said(s3.put_object(Bucket=bucket, Key="k", Body=b"data")) == expected(mode)
        got = s3.get_object(Bucket=bucket, Key="k")
        assert said(got) == expected(mode)
        assert got["Body"].read() == b"data"
        copy = s3.copy_object(Bucket=bucket, Key="copy", CopySource=f"{bucket}/k")
        assert said(copy) == expected(mode)
    s3.delete_bucket_encryption(Bucket=bucket)
    s3.delete_bucket_encryption(Bucket=bucket)
    assert refused(s3.get_bucket_encryption, Bucket=bucket) == missing
    assert said(s3.put_object(Bucket=bucket, Key="k", Body=b"data")) == {}


def test_a_request_is_stronger_than_the_bucket(s3, bucket):
    configure(s3, bucket, "AES256")
    for mode in ("kms", "c"):
        put = s3.put_object(Bucket=bucket, Key="k", Body=b"data", **MODES[mode])
        assert said(put) == expected(mode)
        assert body_of(s3, bucket, "k", mode) == b"data"


def test_a_default_key_that_is_not_there_shows_when_writing(s3, bucket):
    configure(s3, bucket, "aws:kms", "nobody")
    put = {"Bucket": bucket, "Key": "k", "Body": b"data"}
    assert refused(s3.put_object, **put) == (400, "KMS.NotFoundException")


def test_a_bucket_can_refuse_keys_of_clients(s3, bucket):
    configure(s3, bucket, "AES256", BlockedEncryptionTypes={"EncryptionType": ["SSE-C"]})
    put = {"Bucket": bucket, "Key": "k", "Body": b"data"}
    assert refused(s3.put_object, **put, **of_client(1)) == (403, "AccessDenied")
    assert said(s3.put_object(**put)) == expected("s3")


# -- multipart ----------------------------------------------------------------------------------
@MODE
def test_multipart(s3, bucket, mode):
    sizes = (PART, PART, 1000)
    at, parts = upload(s3, bucket, mode, sizes)
    s3.upload_part(**at, PartNumber=2, Body=payload(PART, 99), **reading(mode))
    again = s3.upload_part(**at, PartNumber=2, Body=payload(PART, 2), **reading(mode))
    assert again["ETag"] == parts[1]["ETag"]
    assert [part["Size"] for part in s3.list_parts(**at)["Parts"]] == list(sizes)
    done = s3.complete_multipart_upload(**at, MultipartUpload={"Parts": parts}, **reading(mode))
    assert said(done) == expected(mode)
    assert done["ETag"].endswith('-3"')
    data = b"".join(payload(size, number) for number, size in enumerate(sizes, 1))
    got = s3.get_object(Bucket=bucket, Key="k", **reading(mode))
    assert got["Body"].read() == data
    assert said(got) == expected(mode)
    assert got["ContentLength"] == len(data)
    for first, last in ((PART - 2, PART + 2), (0, len(data) - 1), (2 * PART - 1, 2 * PART + 9)):
        got = body_of(s3, bucket, "k", mode, Range=f"bytes={first}-{last}")
        assert got == data[first : last + 1]
    for number, size in enumerate(sizes, 1):
        assert body_of(s3, bucket, "k", mode, PartNumber=number) == payload(size, number)


def test_a_part_that_is_not_there_needs_no_key(s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"data", **MODES["c"])
    part = {"Bucket": bucket, "Key": "k", "PartNumber": 2}
    assert refused(s3.get_object, **part) == refused(s3.get_object, **part, **reading("c"))
    assert refused(s3.get_object, **{**part, "PartNumber": 1}) == (400, "InvalidRequest")


def test_parts_need_the_uploads_own_key(s3, bucket):
    at, parts = upload(s3, bucket, "c", (1000,))
    for keys in ({}, of_client(2)):
        part = {**at, "PartNumber": 2, "Body": b"data", **keys}
        assert refused(s3.upload_part, **part) == (400, "InvalidRequest")
        complete = {**at, "MultipartUpload": {"Parts": parts}, **keys}
        assert refused(s3.complete_multipart_upload, **complete) == (400, "InvalidRequest")
    at, _ = upload(s3, bucket, "s3", ())
    part = {**at, "PartNumber": 1, "Body": b"data", **of_client(1)}
    assert refused(s3.upload_part, **part) == (400, "InvalidRequest")


@MODE
def test_a_completion_that_is_repeated_gets_the_same_answer(s3, bucket, mode):
    at, parts = upload(s3, bucket, mode, (1000,))
    complete = {**at, "MultipartUpload": {"Parts": parts}, **reading(mode)}
    first, again = (s3.complete_multipart_upload(**complete) for _ in range(2))
    assert (first["ETag"], said(first)) == (again["ETag"], said(again))


# -- copies -------------------------------------------------------------------------------------
@pytest.mark.parametrize("source", MODES)
@pytest.mark.parametrize("target", MODES)
@pytest.mark.parametrize("size", [3, 2 * MIB + 5])
def test_copies_between_all_modes(s3, bucket, source, target, size):
    data = payload(size)
    s3.put_object(Bucket=bucket, Key="a", Body=data, **MODES[source])
    wanted = of_client(2) if target == "c" else MODES[target]
    keys = of_client(1, "CopySource") if source == "c" else {}
    copy = s3.copy_object(Bucket=bucket, Key="b", CopySource=f"{bucket}/a", **wanted, **keys)
    assert said(copy) == expected(target, 2)
    got = s3.get_object(Bucket=bucket, Key="b", **reading(target, 2))
    assert got["Body"].read() == data
    assert said(got) == expected(target, 2)

    created = s3.create_multipart_upload(Bucket=bucket, Key="c", **wanted)
    at = {"Bucket": bucket, "Key": "c", "UploadId": created["UploadId"]}
    own = of_client(2) if target == "c" else {}
    part = s3.upload_part_copy(**at, PartNumber=1, CopySource=f"{bucket}/a", **own, **keys)
    assert said(part) == expected(target, 2)
    parts = [{"PartNumber": 1, "ETag": part["CopyPartResult"]["ETag"]}]
    s3.complete_multipart_upload(**at, MultipartUpload={"Parts": parts}, **own)
    assert body_of(s3, bucket, "c", target, 2) == data


def test_a_copy_needs_the_key_of_its_source(s3, bucket):
    s3.put_object(Bucket=bucket, Key="a", Body=b"data", **of_client(1))
    copy = {"Bucket": bucket, "Key": "b", "CopySource": f"{bucket}/a"}
    for keys in ({}, of_client(2, "CopySource"), of_client(1)):
        assert refused(s3.copy_object, **copy, **keys) == (400, "InvalidRequest")
    s3.put_object(Bucket=bucket, Key="a", Body=b"data")
    assert refused(s3.copy_object, **copy, **of_client(1, "CopySource")) == (400, "InvalidRequest")


def test_an_object_is_encrypted_in_place_by_copying_it_onto_itself(s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"data")
    copy = {"Bucket": bucket, "Key": "k", "CopySource": f"{bucket}/k"}
    assert refused(s3.copy_object, **copy) == (400, "InvalidRequest")
    assert said(s3.copy_object(**copy, **KMS)) == expected("kms")
    assert body_of(s3, bucket, "k", "kms") == b"data"
