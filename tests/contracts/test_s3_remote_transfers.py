"""S3Remote: downloads that break or lie about their length, uploads in parts that fail."""

import pytest
import trio

from stratum.adapters.s3_client import ATTEMPTS_MAX
from stratum.domain.errors import RemoteFailed
from tests.support.scripted_remote import (
    DATA,
    NAME,
    answering,
    error,
    get,
    ok,
    part,
    put,
    scripted,
)


# -- answers of the wrong length ------------------------------------------------------------------
async def test_a_broken_download_goes_on_where_it_was(autojump_clock):
    async def breaks(connection):
        request = await connection.request()
        assert request.headers["range"] == "bytes=10-89"
        await part(DATA, 10, 90, content_length=80)(connection)

    async def cut(connection):
        await connection.request()
        announced = f"bytes 10-89/{len(DATA)}"
        await connection.answer(
            206, DATA[10:40], content_length=80, content_range=announced, etag='"e"'
        )

    async def rest(connection):
        request = await connection.request()
        assert request.headers["range"] == "bytes=40-89"
        assert request.headers["if-match"] == '"e"'
        await part(DATA, 40, 90)(connection)

    async with scripted(cut, rest, breaks) as (remote, _):
        assert await get(remote, 10, 90) == DATA[10:90]
        assert await get(remote, 10, 90) == DATA[10:90]


async def test_a_download_that_never_gets_anywhere_fails(autojump_clock):
    async def cut(connection):
        await connection.request()
        await connection.answer(206, content_length=100, content_range="bytes 0-99/100")

    async with scripted(*[cut] * 20) as (remote, server):
        with pytest.raises(RemoteFailed, match="incomplete"):
            await get(remote, 0, 100)
        assert server.connections < 10


async def test_an_object_replaced_during_a_download_is_not_mixed(autojump_clock):
    async def cut(connection):
        await connection.request()
        await connection.answer(
            206, DATA[:40], content_length=80, content_range="bytes 0-79/80", etag='"e"'
        )

    replaced = answering(error(412, "PreconditionFailed"))
    async with scripted(cut, replaced) as (remote, _):
        with pytest.raises(RemoteFailed, match="PreconditionFailed"):
            await get(remote, 0, 80)


@pytest.mark.parametrize(
    "answer",
    [
        ok(DATA[:50]),
        ok(DATA[:150]),
        ok(b"", transfer_encoding="chunked"),
        part(DATA, 0, 50),
        part(DATA, 0, 150),
        part(DATA, 1, 101),
        lambda connection: connection.answer(206, DATA[:100]),
        lambda connection: connection.answer(206, DATA[:100], content_range="bytes 0-99"),
        lambda connection: connection.answer(204),
    ],
)
async def test_other_ranges_than_asked_for(autojump_clock, answer):
    async with scripted(answering(answer)) as (remote, _):
        with pytest.raises(RemoteFailed):
            await get(remote, 0, 100)


async def test_a_whole_object_may_come_without_a_range():
    async with scripted(answering(ok(DATA[:100]))) as (remote, _):
        assert await get(remote, 0, 100) == DATA[:100]


@pytest.mark.parametrize(("sent", "outcome"), [(5, "fewer"), (10, ""), (11, "more")])
async def test_bodies_without_announced_length(autojump_clock, sent, outcome):
    async def chunked(connection):
        await connection.request()
        head = (
            b"HTTP/1.1 206 P\r\ntransfer-encoding: chunked\r\ncontent-range: bytes 0-9/10\r\n\r\n"
        )
        await connection.send(head + b"%x\r\n%s\r\n0\r\n\r\n" % (sent, b"x" * sent))

    async with scripted(*[chunked] * 4) as (remote, _):
        if outcome:
            with pytest.raises(RemoteFailed, match=outcome):
                await get(remote, 0, 10)
        else:
            assert await get(remote, 0, 10) == b"x" * 10


async def test_an_answer_that_is_not_http(autojump_clock):
    async def garbage(connection):
        await connection.request()
        await connection.send(b"SSH-2.0-OpenSSH_9.2\r\n\r\n")

    async with scripted(*[garbage] * ATTEMPTS_MAX) as (remote, _):
        with pytest.raises(RemoteFailed, match="malformed"):
            await remote.size(NAME)


# -- uploads in parts -----------------------------------------------------------------------------
PARTS = {"multipart_threshold_bytes": 10, "part_size_bytes": 40_000}
CREATED = ok(
    b"<InitiateMultipartUploadResult><UploadId>u/1</UploadId></InitiateMultipartUploadResult>"
)
SENT = ok(etag='"p"')
COMPLETED = ok(b"\n\n<CompleteMultipartUploadResult/>")


async def test_a_part_is_sent_again(autojump_clock):
    answers = [CREATED, SENT, error(500, "InternalError"), SENT, SENT, COMPLETED]
    async with scripted(answering(*answers), **PARTS) as (remote, server):
        await put(remote)
        assert server.connections == 1


async def test_a_completion_that_fails_under_status_200(autojump_clock):
    trouble = error(200, "InternalError")
    answers = [CREATED, SENT, SENT, SENT, trouble, COMPLETED]
    async with scripted(answering(*answers), **PARTS) as (remote, _):
        await put(remote)


@pytest.mark.parametrize("size", [len(DATA), len(DATA) - 1])
async def test_a_completion_whose_answer_was_lost(autojump_clock, size):
    async def loses(connection):
        for answer in (CREATED, SENT, SENT, SENT):
            await connection.request()
            await answer(connection)
        await connection.request()

    async def later(connection):
        await connection.request()
        await connection.error(404, "NoSuchUpload")
        assert (await connection.request()).method == "HEAD"
        await connection.answer(200, content_length=size)
        if size != len(DATA):
            assert (await connection.request()).method == "DELETE"
            await connection.error(404, "NoSuchUpload")

    async with scripted(loses, later, **PARTS) as (remote, _):
        if size == len(DATA):
            await put(remote)
        else:
            with pytest.raises(RemoteFailed, match="NoSuchUpload"):
                await put(remote)


async def test_a_cancelled_upload_in_parts_is_aborted():
    aborted = trio.Event()
    second_part = trio.Event()

    async def script(connection):
        await connection.request()
        await CREATED(connection)
        await connection.request()
        await SENT(connection)
        await connection.request()
        second_part.set()
        await connection.head()

    async def abort(connection):
        request = await connection.request()
        assert (request.method, request.target.partition("?")[2]) == ("DELETE", "uploadId=u%2F1")
        aborted.set()
        await connection.answer(204)

    async with scripted(script, abort, **PARTS) as (remote, _):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(put, remote)
            await second_part.wait()
            nursery.cancel_scope.cancel()
        assert aborted.is_set()
