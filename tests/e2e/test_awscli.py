"""The AWS command line, as a user runs it."""

import json
import subprocess
import urllib.request

import pytest

from tests.support.payloads import file_digest, payload, write_payload_file
from tests.support.server import BIN

MIB = 1 << 20
BIG_SIZE_BYTES = 256 * MIB
LIMIT_S = 240


@pytest.fixture
def aws(server, folder):
    """Runs `aws ARGUMENTS` in an empty directory; returns stdout, or stderr for `code` not 0."""
    environment = server.environment()

    def run(*arguments, code=0):
        done = subprocess.run(
            [BIN / "aws", *arguments],
            env=environment,
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=LIMIT_S,
        )
        assert done.returncode == code, (arguments, done.stdout, done.stderr)
        return done.stderr if code else done.stdout

    run.environment = environment
    return run


def test_a_bucket_from_beginning_to_end(aws, folder):
    name = "cli-life"
    assert aws("s3", "mb", f"s3://{name}") == f"make_bucket: {name}\n"
    assert name in aws("s3", "ls")
    (folder / "file").write_bytes(payload(100_000))
    aws("s3", "cp", "file", f"s3://{name}/dir/ü ü")
    assert "PRE dir/" in aws("s3", "ls", f"s3://{name}")
    assert "100000 dir/ü ü" in aws("s3", "ls", "--recursive", f"s3://{name}")
    aws("s3", "mv", f"s3://{name}/dir/ü ü", f"s3://{name}/moved")
    aws("s3", "cp", f"s3://{name}/moved", "back")
    assert (folder / "back").read_bytes() == payload(100_000)
    assert "BucketNotEmpty" in aws("s3", "rb", f"s3://{name}", code=1)
    aws("s3", "rm", "--recursive", f"s3://{name}")
    aws("s3", "rb", f"s3://{name}")
    assert "NoSuchBucket" in aws("s3", "ls", f"s3://{name}", code=255)


@pytest.mark.parametrize("algorithm", ["CRC32", "CRC32C", "CRC64NVME", "SHA1", "SHA256"])
def test_checksums_of_every_kind(aws, folder, bucket, algorithm):
    (folder / "file").write_bytes(payload(10 * MIB))  # in two parts
    target = f"s3://{bucket}/{algorithm}"
    aws("s3", "cp", "file", target, "--checksum-algorithm", algorithm)
    head = json.loads(
        aws(
            "s3api",
            "head-object",
            "--bucket",
            bucket,
            "--key",
            algorithm,
            "--checksum-mode",
            "ENABLED",
        )
    )
    assert f"Checksum{algorithm}" in head
    aws("s3", "cp", target, "back", "--checksum-mode", "ENABLED")
    assert (folder / "back").read_bytes() == payload(10 * MIB)


@pytest.mark.slow
def test_a_big_file_in_many_parts(aws, folder, bucket):
    write_payload_file(folder / "big", BIG_SIZE_BYTES)
    aws("s3", "cp", "--no-progress", "big", f"s3://{bucket}/big")
    described = aws("s3api", "head-object", "--bucket", bucket, "--key", "big")
    assert json.loads(described)["ETag"].endswith('-32"')
    digest = file_digest(folder / "big")
    (folder / "big").unlink()
    aws("s3", "cp", "--no-progress", f"s3://{bucket}/big", "back")
    assert file_digest(folder / "back") == digest


def test_directories_are_synchronised_both_ways(aws, folder, bucket):
    names = ["a", "b/c", "b/d e", "ü/ö", "empty"]
    for number, name in enumerate(names):
        file = folder / "here" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(payload(number * 1000 if name != "empty" else 0, number))
    assert aws("s3", "sync", "here", f"s3://{bucket}/there").count("upload:") == len(names)
    assert aws("s3", "sync", "here", f"s3://{bucket}/there") == ""
    aws("s3", "sync", f"s3://{bucket}/there", "back")
    for name in names:
        assert (folder / "back" / name).read_bytes() == (folder / "here" / name).read_bytes()
    (folder / "back" / "b" / "c").unlink()
    (folder / "back" / "new").write_bytes(b"new")
    printed = aws("s3", "sync", "--delete", "back", f"s3://{bucket}/there")
    assert f"delete: s3://{bucket}/there/b/c" in printed
    assert f"upload: back/new to s3://{bucket}/there/new" in printed


def test_an_empty_file_does_not_hold_up_the_next(aws, folder, bucket):
    """awscli takes a final answer to `Expect: 100-continue` for that of the next request, too, if
    the connection stays open: an empty body must be asked for like any other."""
    (folder / "config").write_text("[default]\ns3 =\n  max_concurrent_requests = 1\n")
    aws.environment["AWS_CONFIG_FILE"] = str(folder / "config")
    aws.environment["AWS_MAX_ATTEMPTS"] = "1"
    for name, body in (("1", b""), ("2", b"two"), ("3", b""), ("4", b"four")):
        file = folder / "here" / name
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(body)
    aws("s3", "sync", "--cli-read-timeout", "20", "here", f"s3://{bucket}")
    listed = aws("s3", "ls", f"s3://{bucket}")
    assert [line.split()[2] for line in listed.splitlines()] == ["0", "3", "0", "4"]


def test_a_url_for_somebody_without_credentials(aws, folder, bucket):
    (folder / "file").write_bytes(b"for you")
    (folder / "config").write_text("[default]\ns3 =\n  signature_version = s3v4\n")
    aws.environment["AWS_CONFIG_FILE"] = str(folder / "config")
    aws("s3", "cp", "file", f"s3://{bucket}/a b")
    url = aws("s3", "presign", f"s3://{bucket}/a b", "--expires-in", "60").strip()
    with urllib.request.urlopen(url, timeout=30) as answer:
        assert answer.read() == b"for you"


def test_single_operations(aws, folder, bucket):
    (folder / "body").write_bytes(payload(5000))
    where = ("--bucket", bucket, "--key", "k")
    put = json.loads(
        aws("s3api", "put-object", *where, "--body", "body", "--metadata", "colour=blue")
    )
    got = json.loads(aws("s3api", "get-object", *where, "--range", "bytes=10-19", "out"))
    assert (folder / "out").read_bytes() == payload(5000)[10:20]
    assert (got["ETag"], got["Metadata"]) == (put["ETag"], {"colour": "blue"})
    again = aws("s3api", "put-object", *where, "--body", "body", "--if-none-match", "*", code=255)
    assert "PreconditionFailed" in again
    copied = ("--copy-source", f"{bucket}/k", "--bucket", bucket, "--key", "copy")
    assert json.loads(aws("s3api", "copy-object", *copied))["CopyObjectResult"]["ETag"]
    listed = json.loads(aws("s3api", "list-objects-v2", "--bucket", bucket, "--max-items", "1"))
    assert [entry["Key"] for entry in listed["Contents"]] == ["copy"]
    assert listed["NextToken"]
    deletion = '{"Objects": [{"Key": "k"}, {"Key": "copy"}], "Quiet": true}'
    aws("s3api", "delete-objects", "--bucket", bucket, "--delete", deletion)
    acl = json.loads(aws("s3api", "get-bucket-acl", "--bucket", bucket))
    assert [grant["Permission"] for grant in acl["Grants"]] == ["FULL_CONTROL"]
    refused = aws("s3api", "get-object-torrent", *where, "/dev/null", code=255)
    assert "NotImplemented" in refused
    assert "404" in aws("s3api", "head-object", *where, code=255)
