"""SIGTERM: what is under way is finished, what is new is refused, what was acknowledged stays."""

import signal
import socket
import time

import pytest

from tests.support.payloads import payload
from tests.support.server import running_server

MIB = 1 << 20
LIMIT_S = 30.0


@pytest.fixture
def settings():
    return {}


@pytest.fixture
def own(folder, settings):
    """A server for one test, with a bucket."""
    with running_server(folder / "data", settings) as server, server.client() as client:
        client.create_bucket(Bucket="bucket")
        yield server


def wait_until_refused(server):
    """Connections are refused from some moment after SIGTERM on."""
    deadline = time.monotonic() + LIMIT_S
    while True:
        try:
            socket.create_connection(server.address, timeout=LIMIT_S).close()
        except OSError:
            return
        assert time.monotonic() < deadline, "the server still accepts connections"
        time.sleep(0.01)


def test_a_slow_download_is_finished(own):
    body = payload(48 * MIB)
    path = "/bucket/k"
    assert own.request("PUT", path, body, own.signed("PUT", path, body))[0] == 200
    with own.connection() as connection:
        connection.request("GET", path, headers=own.signed("GET", path))
        response = connection.getresponse()
        received = response.read(MIB)
        own.process.send_signal(signal.SIGTERM)
        wait_until_refused(own)
        assert own.process.poll() is None
        received += response.read()
    assert received == body
    assert own.process.wait(LIMIT_S) == 0


def test_an_upload_under_way_is_stored(own):
    body = payload(4 * MIB)
    path = "/bucket/k"
    with own.connection() as connection:
        connection.putrequest("PUT", path, skip_host=True, skip_accept_encoding=True)
        headers = {**own.signed("PUT", path, body), "content-length": str(len(body))}
        for name, value in headers.items():
            connection.putheader(name, value)
        connection.endheaders()
        connection.send(body[: 2 * MIB])
        own.process.send_signal(signal.SIGTERM)
        wait_until_refused(own)
        connection.send(body[2 * MIB :])
        assert connection.getresponse().status == 200
    assert own.process.wait(LIMIT_S) == 0
    with running_server(own.data) as again, again.client() as client:
        assert client.get_object(Bucket="bucket", Key="k")["Body"].read() == body


def test_idle_connections_do_not_hold_it_up(own):
    with own.connection() as connection:
        connection.request("GET", "/_stratum/health/live")
        assert connection.getresponse().read() == b"live\n"
        assert own.stop(LIMIT_S / 3) == 0


@pytest.mark.parametrize("settings", [{"STRATUM_SERVER_SHUTDOWN_GRACE_S": "0.5"}])
def test_a_client_that_stopped_reading_gets_no_more_than_the_grace(own):
    body = payload(48 * MIB)
    path = "/bucket/k"
    assert own.request("PUT", path, body, own.signed("PUT", path, body))[0] == 200
    with own.connection() as connection:
        connection.request("GET", path, headers=own.signed("GET", path))
        assert connection.getresponse().read(1000) == body[:1000]
        assert own.stop(LIMIT_S / 3) == 0


def test_everything_is_there_after_a_restart(own):
    with own.client() as client:
        client.put_object(Bucket="bucket", Key="kept", Body=payload(2 * MIB), Metadata={"a": "1"})
        client.put_object(Bucket="bucket", Key="deleted", Body=b"x")
        client.delete_object(Bucket="bucket", Key="deleted")
        upload = {"Bucket": "bucket", "Key": "parts"}
        upload["UploadId"] = client.create_multipart_upload(**upload)["UploadId"]
        etag = client.upload_part(**upload, PartNumber=1, Body=b"part")["ETag"]
    assert own.stop() == 0
    with running_server(own.data) as again, again.client() as client:
        got = client.get_object(Bucket="bucket", Key="kept")
        assert (got["Body"].read(), got["Metadata"]) == (payload(2 * MIB), {"a": "1"})
        parts = {"Parts": [{"PartNumber": 1, "ETag": etag}]}
        client.complete_multipart_upload(**upload, MultipartUpload=parts)
        listed = client.list_objects_v2(Bucket="bucket")["Contents"]
        assert [entry["Key"] for entry in listed] == ["kept", "parts"]


def test_what_was_acknowledged_survives_a_kill(own):
    bodies = {f"k{number}": payload(number * 300_000 + 10, number) for number in range(6)}
    with own.client() as client:
        for key, body in bodies.items():
            client.put_object(Bucket="bucket", Key=key, Body=body)
    own.kill()
    with running_server(own.data) as again, again.client() as client:
        for key, body in bodies.items():
            assert client.get_object(Bucket="bucket", Key=key)["Body"].read() == body
        client.put_object(Bucket="bucket", Key="new", Body=b"x")


def test_a_second_server_on_the_same_data_is_refused(own):
    with (
        pytest.raises(AssertionError, match="the server ended"),
        running_server(own.data),
    ):
        pass
    assert own.request("GET", "/_stratum/health/ready")[0] == 200
