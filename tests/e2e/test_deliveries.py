"""What a bucket reports to others: notifications to a webhook, access logs to a bucket."""

import http.server
import json
import queue
import threading
import time

import pytest

from tests.support.refusals import refused
from tests.support.server import running_server

LIMIT_S = 30
PART_BYTES = 5 * 1024**2


class Receiver(http.server.BaseHTTPRequestHandler):
    """Refuses the first request, puts the documents of the others into `server.received`."""

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        refuse = self.server.refusals > 0
        self.server.refusals -= refuse
        if not refuse:
            self.server.received.put(json.loads(body))
        self.send_response(503 if refuse else 200)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *arguments):
        pass


@pytest.fixture(scope="module")
def receiver():
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Receiver) as server:
        server.received, server.refusals = queue.Queue(), 1
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def telling(receiver, module_folder):
    settings = {
        "STRATUM_NOTIFICATIONS_WEBHOOKS": (
            f"orders=http://127.0.0.1:{receiver.server_address[1]}/hook?a=b"
        ),
        "STRATUM_LOGGING_INTERVAL_S": "0.5",
    }
    with running_server(module_folder / "data", settings) as running:
        yield running
        assert "Traceback" not in running.log(), running.log()


@pytest.fixture(scope="module")
def client(telling):
    with telling.client() as client:
        yield client


ARN = "arn:stratum:sqs:us-east-1:orders:webhook"


def heard(receiver):
    """The next record."""
    [record] = receiver.received.get(timeout=LIMIT_S)["Records"]
    return record


def test_changes_of_objects_are_told(telling, client, receiver):
    client.create_bucket(Bucket="told")
    configuration = {
        "QueueConfigurations": [
            {
                "Id": "all",
                "QueueArn": ARN,
                "Events": ["s3:ObjectCreated:*", "s3:ObjectRemoved:*"],
                "Filter": {"Key": {"FilterRules": [{"Name": "Prefix", "Value": "in/"}]}},
            }
        ]
    }
    client.put_bucket_notification_configuration(
        Bucket="told", NotificationConfiguration=configuration
    )
    kept = client.get_bucket_notification_configuration(Bucket="told")
    assert kept["QueueConfigurations"] == configuration["QueueConfigurations"]
    test = receiver.received.get(timeout=LIMIT_S)  # after the refusal
    assert (test["Event"], test["Bucket"]) == ("s3:TestEvent", "told")

    put = client.put_object(Bucket="told", Key="in/a b", Body=b"hello")
    record = heard(receiver)
    assert record["eventName"] == "ObjectCreated:Put"
    assert record["s3"]["bucket"]["name"] == "told"
    assert record["s3"]["object"]["key"] == "in/a+b"
    assert record["s3"]["object"]["size"] == 5
    assert record["s3"]["object"]["eTag"] == put["ETag"].strip('"')
    assert record["s3"]["configurationId"] == "all"
    assert record["requestParameters"]["sourceIPAddress"] == "127.0.0.1"
    assert record["responseElements"]["x-amz-request-id"] == put["ResponseMetadata"]["RequestId"]

    client.put_object(Bucket="told", Key="out/a", Body=b"")  # nobody asked
    client.copy_object(Bucket="told", Key="in/copy", CopySource="told/in/a b")
    assert heard(receiver)["eventName"] == "ObjectCreated:Copy"
    upload = client.create_multipart_upload(Bucket="told", Key="in/big")["UploadId"]
    named = {"Bucket": "told", "Key": "in/big", "UploadId": upload}
    etag = client.upload_part(**named, PartNumber=1, Body=b"x" * PART_BYTES)["ETag"]
    parts = [{"PartNumber": 1, "ETag": etag}]
    client.complete_multipart_upload(**named, MultipartUpload={"Parts": parts})
    record = heard(receiver)
    assert record["eventName"] == "ObjectCreated:CompleteMultipartUpload"
    assert record["s3"]["object"]["size"] == PART_BYTES
    client.delete_object(Bucket="told", Key="in/big")
    assert heard(receiver)["eventName"] == "ObjectRemoved:Delete"
    client.put_bucket_versioning(Bucket="told", VersioningConfiguration={"Status": "Enabled"})
    client.delete_objects(Bucket="told", Delete={"Objects": [{"Key": "in/copy"}, {"Key": "out/a"}]})
    record = heard(receiver)
    assert record["eventName"] == "ObjectRemoved:DeleteMarkerCreated"
    assert record["s3"]["object"]["versionId"]


def test_targets_that_are_not_configured_are_refused(client):
    client.create_bucket(Bucket="untold")
    with refused("InvalidArgument", 400):
        client.put_bucket_notification_configuration(
            Bucket="untold",
            NotificationConfiguration={
                "TopicConfigurations": [
                    {"TopicArn": "arn:aws:sns:us-east-1:1:t", "Events": ["s3:ObjectCreated:*"]}
                ]
            },
        )


def test_requests_are_logged_into_another_bucket(telling, client):
    for name in ("logged", "the-logs"):
        client.create_bucket(Bucket=name)
    assert "LoggingEnabled" not in client.get_bucket_logging(Bucket="logged")
    wanted = {"LoggingEnabled": {"TargetBucket": "the-logs", "TargetPrefix": "l/"}}
    client.put_bucket_logging(Bucket="logged", BucketLoggingStatus=wanted)
    assert client.get_bucket_logging(Bucket="logged")["LoggingEnabled"] == {
        **wanted["LoggingEnabled"],
        "TargetObjectKeyFormat": {"SimplePrefix": {}},
    }
    client.put_object(Bucket="logged", Key="k", Body=b"hello")
    client.get_object(Bucket="logged", Key="k")["Body"].read()
    telling.request("GET", "/logged/secret", headers={"user-agent": "somebody"})
    deadline = time.monotonic() + LIMIT_S
    lines = []
    while sum(" REST." in line for line in lines) < 3 and time.monotonic() < deadline:
        listed = client.list_objects_v2(Bucket="the-logs").get("Contents", [])
        assert all(entry["Key"].startswith("l/2") for entry in listed)
        bodies = [client.get_object(Bucket="the-logs", Key=e["Key"])["Body"] for e in listed]
        lines = [line for body in bodies for line in body.read().decode().splitlines()]
        lines = [line for line in lines if "LOGGING" not in line]
    put, got, refusal = sorted(lines, key=lambda line: ("secret" in line, "REST.GET" in line))
    assert ' REST.PUT.OBJECT k "PUT /logged/k HTTP/1.1" 200 - - 5 ' in put
    assert ' REST.GET.OBJECT k "GET /logged/k HTTP/1.1" 200 - 5 5 ' in got
    assert " SigV4 - AuthHeader " in got
    assert " - " in refusal
    assert " 403 AccessDenied " in refusal
    assert '"somebody"' in refusal
    with refused("InvalidTargetBucketForLogging", 400):
        client.put_bucket_logging(
            Bucket="logged",
            BucketLoggingStatus={
                "LoggingEnabled": {"TargetBucket": "no-such-bucket", "TargetPrefix": ""}
            },
        )
    client.put_bucket_logging(Bucket="logged", BucketLoggingStatus={})
    assert "LoggingEnabled" not in client.get_bucket_logging(Bucket="logged")
