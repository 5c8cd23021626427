"""Error codes and statuses a client can meet."""

import json
import re

import pytest

from tests.support.refusals import refused


def test_what_is_not_there(s3, bucket):
    with refused("NoSuchBucket", 404) as refusal:
        s3.get_object(Bucket="missing-bucket", Key="k")
    assert refusal.response["Error"]["BucketName"] == "missing-bucket"
    with refused("NoSuchBucket", 404):
        s3.put_object(Bucket="missing-bucket", Key="k", Body=b"x")
    with refused("NoSuchBucket", 404):
        s3.list_objects_v2(Bucket="missing-bucket")
    with refused("NoSuchBucket", 404):
        s3.delete_object(Bucket="missing-bucket", Key="k")
    with refused("NoSuchBucket", 404):
        s3.delete_bucket(Bucket="missing-bucket")
    with refused("NoSuchKey", 404) as refusal:
        s3.get_object(Bucket=bucket, Key="missing/key")
    assert refusal.response["Error"]["Key"] == "missing/key"
    with refused("NoSuchVersion", 404):
        s3.get_object(Bucket=bucket, Key="k", VersionId="0123456789")


def test_creating_a_bucket_again_changes_nothing(s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    s3.create_bucket(Bucket=bucket)
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"x"


def test_a_bucket_with_something_in_it(s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    with refused("BucketNotEmpty", 409):
        s3.delete_bucket(Bucket=bucket)
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"x"


@pytest.mark.parametrize(
    "name",
    ["ab", "a" * 64, "Upper", "under_score", "-dash", "dot.", "a..b", "192.168.0.1", "_stratum"],
)
def test_bucket_names_that_are_none(server, name):
    headers = server.signed("PUT", f"/{name}")
    status, _, body = server.request("PUT", f"/{name}", headers=headers)
    assert (status, code(body)) == (400, "InvalidBucketName")


def test_a_bucket_in_another_region(s3):
    with refused("InvalidArgument", 400) as refusal:
        s3.create_bucket(
            Bucket="far-away", CreateBucketConfiguration={"LocationConstraint": "eu-central-1"}
        )
    assert refusal.response["Error"]["ArgumentValue"] == "eu-central-1"


def test_credentials_that_are_wrong(server, bucket):
    with server.client(aws_access_key_id="AKIDNOBODY") as stranger:
        with refused("InvalidAccessKeyId", 403):
            stranger.list_buckets()
        with refused("403", 403):
            stranger.head_bucket(Bucket=bucket)
    with (
        server.client(aws_secret_access_key="guessed") as guesser,
        refused("SignatureDoesNotMatch", 403),
    ):
        guesser.put_object(Bucket=bucket, Key="k", Body=b"x")


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", ""), ("GET", "/k"), ("PUT", "/k"), ("DELETE", "/k"), ("POST", "?delete")],
)
def test_nobody_comes_in_without_credentials(server, s3, bucket, method, path):
    s3.put_object(Bucket=bucket, Key="k", Body=b"untouched")
    status, headers, body = server.request(
        method, f"/{bucket}{path}", b"" if method != "GET" else None
    )
    assert (status, code(body)) == (403, "AccessDenied")
    assert headers["content-type"] == "application/xml"
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"untouched"


def test_commands_need_credentials(server):
    status, _, body = server.request("GET", "/_stratum/api/status")
    assert (status, code(body)) == (401, "AccessDenied")
    path = "/_stratum/api/status"
    status, headers, body = server.request("GET", path, headers=server.signed("GET", path))
    assert (status, headers["content-type"]) == (200, "application/json")
    assert json.loads(body)["journal_position"] > 0
    status, _, body = server.request("POST", "/_stratum/api/move?bucket=b&key=k&to=warm")
    assert (status, code(body)) == (401, "AccessDenied")


@pytest.mark.parametrize(
    "call",
    [
        lambda s3, bucket: s3.get_object_torrent(Bucket=bucket, Key="k"),
        lambda s3, bucket: s3.put_bucket_accelerate_configuration(
            Bucket=bucket, AccelerateConfiguration={"Status": "Enabled"}
        ),
        lambda s3, bucket: s3.put_bucket_metrics_configuration(
            Bucket=bucket, Id="a", MetricsConfiguration={"Id": "a"}
        ),
    ],
)
def test_what_is_not_built_says_so_and_changes_nothing(s3, bucket, call):
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    with refused("NotImplemented", 501):
        call(s3, bucket)
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"x"


def test_what_cannot_be_configured_is_not_configured(s3, bucket):
    """Terraform and its like read every sub-resource."""
    with refused("ReplicationConfigurationNotFoundError", 404):
        s3.get_bucket_replication(Bucket=bucket)
    s3.delete_bucket_replication(Bucket=bucket)
    assert "Status" not in s3.get_bucket_accelerate_configuration(Bucket=bucket)
    for kind in ("analytics", "inventory", "metrics", "intelligent_tiering"):
        listed = getattr(s3, f"list_bucket_{kind}_configurations")(Bucket=bucket)
        assert listed["IsTruncated"] is False
        with refused("NoSuchConfiguration", 404):
            getattr(s3, f"get_bucket_{kind}_configuration")(Bucket=bucket, Id="a")
        with refused("NoSuchConfiguration", 404):
            getattr(s3, f"delete_bucket_{kind}_configuration")(Bucket=bucket, Id="a")
    with refused("404", 404):
        s3.head_bucket(Bucket="no-such-bucket")
    with refused("NoSuchBucket", 404):
        s3.get_bucket_replication(Bucket="no-such-bucket")


def test_documents_that_cannot_be_read(server, bucket):
    for body in (b"<Delete>", b"<Other/>", b"<!DOCTYPE x [<!ENTITY e 'x'>]><Delete>&e;</Delete>"):
        headers = server.signed("POST", f"/{bucket}", body, query="delete=")
        status, _, answer = server.request("POST", f"/{bucket}?delete=", body, headers)
        assert (status, code(answer)) == (400, "MalformedXML"), body


def test_methods_that_do_not_fit(server, bucket):
    for method, path in (("POST", f"/{bucket}/k"), ("PATCH", f"/{bucket}"), ("DELETE", "/")):
        headers = server.signed(method, path)
        status, answered, body = server.request(method, path, b"", headers)
        assert (status, code(body)) == (405, "MethodNotAllowed")
        assert answered["allow"]


def test_every_answer_names_its_request(server, bucket):
    _, headers, body = server.request("GET", f"/{bucket}/k")
    assert headers["x-amz-request-id"]
    assert f"<RequestId>{headers['x-amz-request-id']}</RequestId>".encode() in body
    _, other, _ = server.request("GET", f"/{bucket}/k")
    assert other["x-amz-request-id"] != headers["x-amz-request-id"]


def code(body: bytes) -> str:
    match = re.search(rb"<Code>(\w+)</Code>", body)
    assert match, body
    return match[1].decode()
