"""Shards lost or spoilt under a running server: two of six may go."""

import http.client
import re

import pytest

from stratum.domain.stripes import whole_index
from tests.support.payloads import payload
from tests.support.refusals import refused
from tests.support.server import running_server
from tests.support.shards import all_shards

SIZES = {"small": 1000, "large": 3_300_000}
THREE_DISKS = ("disk0", "disk2", "disk5")


@pytest.fixture(scope="module")
def harmed(module_folder):
    """A server for this file alone, since it complains loudly, and a client of it."""
    with running_server(module_folder / "data") as server, server.client() as client:
        client.create_bucket(Bucket="bucket")
        yield server, client


@pytest.fixture
def store(harmed):
    """The server, a client and the ids of the volumes of two new objects."""
    server, client = harmed
    volumes = {}
    for key, size in SIZES.items():
        stored = client.put_object(Bucket="bucket", Key=key, Body=payload(size))
        volumes[key] = stored["ResponseMetadata"]["HTTPHeaders"]["x-stratum-volume-id"]
    return server, client, volumes


def shards(server, disks, volumes):
    """The shards of these volumes on these hot disks."""
    found = [
        shard
        for disk in disks
        for name, shard in all_shards(server.data / "hot" / disk).items()
        if name in volumes
    ]
    assert len(found) == len(disks) * len(volumes)
    return found


def damaged_shards(server):
    metrics = server.request("GET", "/_stratum/metrics")[2]
    match = re.search(rb'stratum_damaged_shards_total{tier="hot"} (\S+)', metrics)
    return float(match[1]) if match else 0.0


def remove(path):
    path.unlink()


def spoil(path):
    """Flip one bit in the middle."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def wipe(path, begin=0):
    content = path.read_bytes()
    path.write_bytes(content[:begin] + bytes(len(content) - begin))


@pytest.mark.parametrize("harm", [remove, spoil, wipe])
@pytest.mark.parametrize(
    ("disks", "noticed"),
    [(("disk0", "disk3"), True), (("disk1", "disk5"), True), (("disk4", "disk5"), False)],
)
def test_any_two_disks_may_be_harmed(store, harm, disks, noticed):
    """What is not read as long as the rest is good, nobody notices: parity, and of a small object
    all but the shard that has it as a whole."""
    server, client, volumes = store
    noticed |= f"disk{whole_index(volumes['small'])}" in disks
    before = damaged_shards(server)
    for path in shards(server, disks, volumes.values()):
        harm(path)
    for key, size in SIZES.items():
        assert client.get_object(Bucket="bucket", Key=key)["Body"].read() == payload(size)
        got = client.get_object(Bucket="bucket", Key=key, Range="bytes=500-799")
        assert got["Body"].read() == payload(size)[500:800]
    assert (damaged_shards(server) > before) == noticed


@pytest.mark.parametrize("harm", [remove, wipe])
def test_three_are_too_many(store, harm):
    server, client, volumes = store
    for path in shards(server, THREE_DISKS, volumes.values()):
        harm(path)
    for key in SIZES:
        if key == "small" and f"disk{whole_index(volumes[key])}" not in THREE_DISKS:
            continue  # one disk is enough when it has the whole
        with refused("ServiceUnavailable", 503):
            client.get_object(Bucket="bucket", Key=key)
        client.put_object(Bucket="bucket", Key=key, Body=b"written anew")
        assert client.get_object(Bucket="bucket", Key=key)["Body"].read() == b"written anew"


def test_a_download_that_cannot_go_on_breaks_off(store):
    """Its first stripes are good, so it has begun: what it must not do is end as if whole."""
    server, _, volumes = store
    for file in shards(server, THREE_DISKS, [volumes["large"]]):
        wipe(file, file.stat().st_size // 2)
    path = "/bucket/large"
    with server.connection() as connection:
        connection.request("GET", path, headers=server.signed("GET", path))
        response = connection.getresponse()
        assert response.status == 200
        with pytest.raises((http.client.IncompleteRead, ConnectionResetError)) as broken:
            response.read()
    if isinstance(broken.value, http.client.IncompleteRead):
        received = broken.value.partial
        assert received == payload(SIZES["large"])[: len(received)]
