"""The contract of RemoteStore, passed by each implementation and by encryption over it."""

import itertools
import os
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass
from typing import Any

import pytest
import trio

from stratum.adapters.master_keys import Keyring, MasterKey
from stratum.adapters.memory_remote import MemoryRemote
from stratum.adapters.metered_remote import MeteredRemote
from stratum.adapters.remote_s3 import S3Remote
from stratum.adapters.s3_client import Credentials
from stratum.adapters.sealed_remote import SealedRemote
from stratum.app.spending import RemoteMeter
from stratum.domain.errors import RemoteFailed
from tests.support.moto_server import (
    ACCESS_KEY_ID,
    SECRET_ACCESS_KEY,
    boto3_client,
    moto_server,
)

NAME = "0192f0c1a2b37c4d8e5f60718293a4b5"
NOW_MS = 1_767_225_600_000
numbers = itertools.count()
MIB = 1024 * 1024


@pytest.fixture(scope="module")
def endpoint():
    with moto_server() as url:
        yield url


@pytest.fixture
def boto3_s3(endpoint):
    with boto3_client(endpoint) as client:
        yield client


def s3_remote(endpoint, bucket, **options):
    credentials = Credentials(ACCESS_KEY_ID, SECRET_ACCESS_KEY)
    return S3Remote(
        endpoint, bucket, credentials, now_ms=lambda: NOW_MS, random=lambda: 0.0, **options
    )


@dataclass
class MotoBucket:
    """A remote under a prefix of its own bucket, and boto3's view of it."""

    remote: S3Remote
    s3: Any
    name: str

    def stored(self):
        listing = self.s3.list_objects_v2(Bucket=self.name)
        return [entry["Key"] for entry in listing.get("Contents", [])]


@pytest.fixture
async def moto(endpoint, boto3_s3, request):
    """Small limits, so that a few MiB go through every way of uploading."""
    bucket = f"bucket-{next(numbers)}"
    boto3_s3.create_bucket(Bucket=bucket)
    options = getattr(request, "param", {})
    async with aclosing(s3_remote(endpoint, bucket, prefix="tier/cold", **options)) as remote:
        yield MotoBucket(remote, boto3_s3, bucket)


WAYS = {
    "from memory": {},
    "as it comes": {"replay_max_bytes": 0},
    "in parts": {"multipart_threshold_bytes": 0, "part_size_bytes": 5 * MIB},
}


@pytest.fixture(params=[False, True], ids=["plain", "sealed"])
def is_sealed(request):
    return request.param


@pytest.fixture(params=["in memory", "metered", *WAYS])
async def remote(request, is_sealed, endpoint, boto3_s3):
    async with AsyncExitStack() as stack:
        if request.param == "in memory":
            inner = MemoryRemote()
        elif request.param == "metered":
            inner = MeteredRemote(MemoryRemote(), RemoteMeter())
        else:
            bucket = f"bucket-{next(numbers)}"
            boto3_s3.create_bucket(Bucket=bucket)
            options = WAYS[request.param]
            inner = s3_remote(endpoint, bucket, prefix="p", **options)
            await stack.enter_async_context(aclosing(inner))
        keys = Keyring([MasterKey(bytes(32))], "this test")
        yield SealedRemote(inner, keys) if is_sealed else inner


async def pieces(*data):
    for piece in data:
        await trio.lowlevel.checkpoint()
        yield piece


async def put(remote, name, *data):
    async with aclosing(pieces(*data)) as body:
        await remote.put(name, sum(map(len, data)), body)


async def get(remote, name, start, stop):
    received = bytearray()
    async with remote.read(name, start, stop) as body:
        async for piece in body:
            assert len(piece)
            received += piece
    return bytes(received)


async def names(remote):
    return [name async for name in remote.names()]


# -- the contract ---------------------------------------------------------------------------------
async def test_what_is_put_can_be_read(remote):
    data = os.urandom(300_000)
    await put(remote, NAME, data[:1], b"", bytearray(data[1:1000]), memoryview(data)[1000:])
    assert await remote.size(NAME) == len(data)
    assert await get(remote, NAME, 0, len(data)) == data
    assert await get(remote, NAME, 1, len(data) - 1) == data[1:-1]
    assert await get(remote, NAME, 299_999, 300_000) == data[-1:]
    assert await get(remote, NAME, 5, 5) == b""


async def test_put_replaces(remote):
    await put(remote, NAME, b"first, and longer")
    await put(remote, NAME, b"second")
    assert await get(remote, NAME, 0, 6) == b"second"
    assert await remote.size(NAME) == 6


async def test_an_empty_object(remote):
    await put(remote, NAME)
    assert await remote.size(NAME) == 0
    assert await names(remote) == [NAME]
    assert await get(remote, NAME, 0, 0) == b""


async def test_objects_that_are_not_there(remote):
    assert await remote.size(NAME) is None
    with pytest.raises(RemoteFailed, match="NoSuchKey"):
        await get(remote, NAME, 0, 1)
    await remote.delete(NAME)


async def test_ranges_beyond_the_end(remote):
    await put(remote, NAME, b"0123456789")
    for start, stop in ((0, 11), (9, 11), (10, 11), (100, 200)):
        with pytest.raises(RemoteFailed):
            await get(remote, NAME, start, stop)


async def test_delete_is_idempotent(remote):
    await put(remote, NAME, b"x")
    await remote.delete(NAME)
    await remote.delete(NAME)
    assert await remote.size(NAME) is None
    assert await names(remote) == []


async def test_names(remote):
    wanted = [f"{number:032x}" for number in range(7)]
    for name in reversed(wanted):
        await put(remote, name, b"x")
    assert sorted(await names(remote)) == wanted


@pytest.mark.parametrize("announced", [0, 1, 999, 1001, 5000])
async def test_a_body_of_another_length_stores_nothing(remote, announced):
    async with aclosing(pieces(b"x" * 400, b"y" * 600)) as body:
        with pytest.raises(RemoteFailed):
            await remote.put(NAME, announced, body)
    assert await remote.size(NAME) is None


async def test_a_body_that_breaks_stores_nothing(remote):
    class SourceBroke(Exception):
        pass

    async def broken():
        yield b"x" * 1000
        raise SourceBroke

    async with aclosing(broken()) as body:
        with pytest.raises(SourceBroke):
            await remote.put(NAME, 2000, body)
    assert await remote.size(NAME) is None
    await put(remote, NAME, b"good")
    assert await get(remote, NAME, 0, 4) == b"good"


async def test_a_reader_may_stop_early(remote):
    await put(remote, NAME, b"x" * 200_000)
    async with remote.read(NAME, 0, 200_000) as body:
        async for _ in body:
            break
    assert await get(remote, NAME, 0, 3) == b"xxx"


async def test_a_cancelled_put_stores_nothing(remote):
    async def endless():
        yield b"x"
        await trio.sleep_forever()

    async with aclosing(endless()) as body:
        with trio.move_on_after(0.05):
            await remote.put(NAME, 10, body)
    assert await remote.size(NAME) is None


async def test_describe_has_no_secret(remote):
    assert remote.describe()
    assert SECRET_ACCESS_KEY not in remote.describe()
    assert SECRET_ACCESS_KEY not in repr(remote)


# -- S3Remote and a real server -------------------------------------------------------------------
async def test_keys_carry_the_prefix_and_other_objects_do_not_count(moto):
    await put(moto.remote, "a+b c/é%2F", b"x")
    for key in ("tier/cold", "tier/cold/", "tier/colder", "other"):
        moto.s3.put_object(Bucket=moto.name, Key=key, Body=b"")
    assert "tier/cold/a+b c/é%2F" in moto.stored()
    assert await names(moto.remote) == ["a+b c/é%2F"]
    assert moto.remote.describe().endswith(f"/{moto.name}/tier/cold/")
    await moto.remote.delete("a+b c/é%2F")
    assert len(moto.stored()) == 4


PARTS = {"multipart_threshold_bytes": 6 * MIB, "part_size_bytes": 5 * MIB}


@pytest.mark.parametrize("moto", [PARTS], indirect=True)
async def test_an_object_in_parts(moto):
    data = os.urandom(12 * MIB)
    await put(moto.remote, NAME, data[: 7 * MIB], data[7 * MIB :])
    head = moto.s3.head_object(Bucket=moto.name, Key=f"tier/cold/{NAME}")
    assert head["ETag"].endswith('-3"')
    assert await get(moto.remote, NAME, 0, len(data)) == data


@pytest.mark.parametrize("moto", [PARTS], indirect=True)
async def test_a_failed_upload_in_parts_is_aborted(moto):
    async def broken():
        yield b"x" * (6 * MIB)
        raise RuntimeError("source broke")

    async with aclosing(broken()) as body:
        with pytest.raises(RuntimeError):
            await moto.remote.put(NAME, 12 * MIB, body)
    assert "Uploads" not in moto.s3.list_multipart_uploads(Bucket=moto.name)
    assert moto.stored() == []


async def test_a_bucket_that_does_not_exist_is_not_an_empty_tier(endpoint):
    async with aclosing(s3_remote(endpoint, "no-such-bucket")) as remote:
        for call in (
            lambda: remote.size(NAME),
            lambda: remote.delete(NAME),
            lambda: put(remote, NAME, b"x"),
            lambda: get(remote, NAME, 0, 1),
            lambda: names(remote),
        ):
            with pytest.raises(RemoteFailed, match="NoSuchBucket"):
                await call()


async def test_many_at_once_over_few_connections(endpoint, boto3_s3):
    boto3_s3.create_bucket(Bucket="few-connections")
    wanted = {f"{number:032x}": os.urandom(1000) for number in range(12)}
    async with (
        aclosing(s3_remote(endpoint, "few-connections", connections_max=2)) as remote,
        trio.open_nursery() as nursery,
    ):

        async def there_and_back(name, data):
            await put(remote, name, data)
            assert await get(remote, name, 0, len(data)) == data

        for name, data in wanted.items():
            nursery.start_soon(there_and_back, name, data)
