"""S3Remote with a server in memory whose answers a test writes down."""

from contextlib import aclosing, asynccontextmanager

import trio

from stratum.adapters.remote_s3 import S3Remote
from stratum.adapters.s3_client import Credentials
from tests.support.scripted_http import ScriptedServer

NAME = "0192f0c1a2b37c4d8e5f60718293a4b5"
SECRET = "very-secret"
NOW_MS = 1_767_225_600_000
DATA = b"0123456789" * 10_000


def s3_remote(endpoint="http://remote.test:9000", **options):
    options = {"random": lambda: 1.0, **options}
    credentials = Credentials("AKIAREMOTE", SECRET)
    return S3Remote(endpoint, "bucket", credentials, now_ms=lambda: NOW_MS, **options)


@asynccontextmanager
async def scripted(*scripts, **options):
    """A remote whose connections in memory are served by the scripts, one after the other."""
    async with trio.open_nursery() as nursery:
        server = ScriptedServer(nursery, *scripts)
        async with aclosing(s3_remote(connect=server.connect, **options)) as remote:
            yield remote, server
        nursery.cancel_scope.cancel()


def answering(*answers):
    """A script: a whole request, then the answer `answers` has for it, and so on."""

    async def script(connection):
        for answer in answers:
            await connection.request()
            await answer(connection)
        await connection.head()

    return script


def ok(body=b"", **headers):
    return lambda connection: connection.answer(200, body, **headers)


def error(status, code):
    return lambda connection: connection.error(status, code)


def part(data, start, stop, **headers):
    """A right answer to a request for a range."""
    announced = f"bytes {start}-{stop - 1}/{len(data)}"
    return lambda connection: connection.answer(
        206, data[start:stop], content_range=announced, etag='"e"', **headers
    )


async def pieces(*data):
    for piece in data:
        yield piece


async def put(remote, data=DATA):
    async with aclosing(pieces(data)) as body:
        await remote.put(NAME, len(data), body)


async def get(remote, start, stop):
    received = bytearray()
    async with remote.read(NAME, start, stop) as body:
        async for piece in body:
            received += piece
    return bytes(received)
