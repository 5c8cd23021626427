"""What clients and operators meet below S3: connections, bodies, health, metrics, Hypercorn."""

import socket
import struct
import sys
import time

import pytest
from botocore.config import Config
from prometheus_client.parser import text_string_to_metric_families

from tests.support.payloads import payload
from tests.support.refusals import refused
from tests.support.server import BIN, started_process

MIB = 1 << 20
LIMIT_S = 30.0


def staged_files(server):
    return [path for path in server.data.glob("*/disk*/staged/*") if path.is_file()]


def wait_until(condition):
    """Poll for what another process does on its own account."""
    deadline = time.monotonic() + LIMIT_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


# -- refusals before the body is read -----------------------------------------------------------
def test_a_client_goes_on_after_a_large_upload_was_refused(server, bucket):
    """With boto3's own settings: Expect: 100-continue, keep-alive, retries."""
    body = payload(8 * MIB)
    config = Config(s3={"addressing_style": "path"}, max_pool_connections=1)
    with server.client(config=config) as client:
        for _ in range(3):
            with refused("NoSuchBucket", 404):
                client.put_object(Bucket="missing-bucket", Key="k", Body=body)
            client.put_object(Bucket=bucket, Key="k", Body=b"next")
            assert client.get_object(Bucket=bucket, Key="k")["Body"].read() == b"next"
    with (
        server.client(config=config, aws_secret_access_key="wrong") as client,
        refused("SignatureDoesNotMatch", 403),
    ):
        client.put_object(Bucket=bucket, Key="k", Body=body)


def test_a_small_refused_body_costs_no_connection(server, bucket):
    path, body = "/missing-bucket/k", payload(200_000)
    with server.connection() as connection:
        connection.request("PUT", path, body, server.signed("PUT", path, body))
        response = connection.getresponse()
        assert response.status == 404
        response.read()
        used = connection.sock
        assert used is not None
        path = f"/{bucket}/k"
        connection.request("PUT", path, body, server.signed("PUT", path, body))
        assert connection.getresponse().status == 200
        assert connection.sock is used


def test_a_large_refused_body_still_gets_its_answer(server):
    """The client doesn't wait for 100 Continue and sends all of it."""
    path, body = "/missing-bucket/k", payload(8 * MIB)
    status, headers, answer = server.request("PUT", path, body, server.signed("PUT", path, body))
    assert (status, b"NoSuchBucket" in answer) == (404, True)
    assert headers["connection"] == "close"


def expecting(server, path, body):
    """The head of a PUT that waits for 100 Continue."""
    length = {"content-length": str(len(body)), "expect": "100-continue"}
    return raw_head("PUT", path, {**server.signed("PUT", path, body), **length})


@pytest.mark.parametrize("body", [b"the body", b""])
def test_a_wanted_body_is_asked_for(server, bucket, body):
    with socket.create_connection(server.address, timeout=LIMIT_S) as sock:
        for _ in range(2):
            sock.sendall(expecting(server, f"/{bucket}/k", body))
            # One that is empty may be answered at the same time.
            answer = sock.recv(65536)
            assert answer.startswith(b"HTTP/1.1 100 Continue\r\n\r\n")
            sock.sendall(body)
            answer = answer.partition(b"\r\n\r\n")[2] or sock.recv(65536)
            assert answer.startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize("body", [b"the body", b""])
def test_a_refused_body_is_not_asked_for(server, body):
    """And then nobody knows whether it will come, so the connection ends."""
    with socket.create_connection(server.address, timeout=LIMIT_S) as sock:
        sock.sendall(expecting(server, "/missing-bucket/k", body))
        answer = b""
        while piece := sock.recv(65536):
            answer += piece
    assert answer.startswith(b"HTTP/1.1 404 ")
    assert b"\r\nconnection: close\r\n" in answer


def raw_head(method, path, headers):
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


# -- clients that go away -----------------------------------------------------------------------
def test_an_upload_broken_off_leaves_nothing(server, s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"before")
    path, body = f"/{bucket}/k", payload(6 * MIB)
    headers = {**server.signed("PUT", path, body), "content-length": str(len(body))}
    with socket.create_connection(server.address, timeout=LIMIT_S) as sock:
        sock.sendall(raw_head("PUT", path, headers) + body[: 5 * MIB])
        wait_until(lambda: staged_files(server))
    wait_until(lambda: not staged_files(server))
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"before"


def test_a_download_broken_off_disturbs_nobody(server, s3, bucket):
    body = payload(12 * MIB)
    s3.put_object(Bucket=bucket, Key="k", Body=body)
    path = f"/{bucket}/k"
    for _ in range(3):
        with socket.create_connection(server.address, timeout=LIMIT_S) as sock:
            sock.sendall(raw_head("GET", path, server.signed("GET", path)))
            assert sock.recv(65536).startswith(b"HTTP/1.1 200 ")
            # Close with a reset, as a process that is killed does.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == body


def test_a_head_has_the_headers_of_a_get(server, s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=payload(123_456), Metadata={"a": "1"})
    path = f"/{bucket}/k"
    with server.connection() as connection:
        answers = []
        for method in ("HEAD", "GET", "HEAD"):
            connection.request(method, path, headers=server.signed(method, path))
            response = connection.getresponse()
            headers = {name.lower(): value for name, value in response.getheaders()}
            answers.append((response.status, headers, response.read()))
    (head_status, head, head_body), (get_status, get, get_body), _ = answers
    assert (head_status, get_status) == (200, 200)
    assert (head_body, get_body) == (b"", payload(123_456))
    assert head["content-length"] == "123456"
    for name in ("x-amz-request-id", "date"):
        assert head.pop(name)
        assert get.pop(name)
    assert head == get
    assert {"x-stratum-tier", "x-stratum-volume-id", "etag", "last-modified"} <= head.keys()


# -- operators ----------------------------------------------------------------------------------
@pytest.mark.parametrize(("path", "body"), [("live", b"live\n"), ("ready", b"ready\n")])
def test_health_needs_no_credentials(server, path, body):
    status, _, answer = server.request("GET", f"/_stratum/health/{path}")
    assert (status, answer) == (200, body)


def test_metrics_count_requests_and_bytes(server, s3, bucket):
    def metrics():
        status, headers, body = server.request("GET", "/_stratum/metrics")
        assert status == 200
        assert headers["content-type"].startswith("text/plain; version=0.0.4")
        return {
            (sample.name, *sorted(sample.labels.items())): sample.value
            for family in text_string_to_metric_families(body.decode())
            for sample in family.samples
        }

    before = metrics()
    s3.put_object(Bucket=bucket, Key="k", Body=payload(54_321))
    s3.get_object(Bucket=bucket, Key="k")["Body"].read()
    with refused("NoSuchKey", 404):
        s3.get_object(Bucket=bucket, Key="none")
    after = metrics()

    def added(name, **labels):
        key = (name, *sorted(labels.items()))
        return after[key] - before.get(key, 0)

    assert added("stratum_requests_total", operation="PutObject", status="200") == 1
    assert added("stratum_requests_total", operation="GetObject", status="200") == 1
    assert added("stratum_requests_total", operation="GetObject", status="404") == 1
    assert added("stratum_request_seconds_count", operation="GetObject") == 2
    assert added("stratum_bytes", tier="hot") == 54_321
    assert added("stratum_volumes", tier="hot") == 1
    assert added("stratum_journal_position") >= 1


# -- under Hypercorn's own command --------------------------------------------------------------
@pytest.mark.parametrize("stock_loop", ["0", "1"])
def test_hypercorn_serves_the_same(folder, stock_loop):
    data = folder / "data"
    command = [
        *(sys.executable, BIN / "hypercorn", "--worker-class", "trio", "--bind", "127.0.0.1:0"),
        "stratum.adapters.web.asgi:app",
    ]
    settings = {"STRATUM_DATA": str(data), "STRATUM_STOCK_LOOP": stock_loop}
    body = payload(3 * MIB + 5)
    with (
        started_process(command, data, settings, "Running on ", "stderr") as server,
        server.client(config=Config(s3={"addressing_style": "path"})) as client,
    ):
        client.create_bucket(Bucket="bucket")
        for key in ("a", "b//c", "ü %2F"):
            client.put_object(Bucket="bucket", Key=key, Body=body)
            assert client.get_object(Bucket="bucket", Key=key)["Body"].read() == body
        with refused("NoSuchBucket", 404):
            client.put_object(Bucket="missing-bucket", Key="k", Body=body)
        client.put_object(Bucket="bucket", Key="after", Body=b"x")
        listed = client.list_objects_v2(Bucket="bucket")["Contents"]
        assert [entry["Key"] for entry in listed] == ["a", "after", "b//c", "ü %2F"]
        assert server.request("GET", "/_stratum/health/ready")[0] == 200
        with server.connection() as connection:
            connection.request("GET", "/bucket/a", headers=server.signed("GET", "/bucket/a"))
            response = connection.getresponse()
            response.read()
            names = [name.lower() for name, _ in response.getheaders()]
            assert sorted(names) == sorted(set(names)), "a header is there twice"
        assert server.stop() == 0
        assert server.process.stderr is not None
        assert b"Traceback" not in server.process.stderr.read()
