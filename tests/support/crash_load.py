"""Clients that write to a server that will be killed, and remember what they were promised.

Every key has one writer, so what it may hold is known exactly: the last acknowledged content, or
that of a request that got no answer. A set of contents is kept for each key; an acknowledgement
makes it one.
"""

import http.client
import random
import re
import threading
import time
from dataclasses import dataclass, field
from xml.sax.saxutils import escape

from tests.support.payloads import payload
from tests.support.server import Server

BUCKET = "crash"
PART_SIZE_MIN_BYTES = 5 << 20


@dataclass(frozen=True)
class Content:
    """Bytes that can be made again; `parts` of a multipart upload follow each other."""

    parts: tuple[tuple[int, int], ...]
    """(size in bytes, seed) of each."""

    def bytes(self) -> bytes:
        return b"".join(payload(size, seed) for size, seed in self.parts)


NOTHING = None
"""The content of a key without an object."""


class NoAnswer(Exception):
    """The server went away in the middle of a request."""


@dataclass
class UploadInProgress:
    key: str
    id: str
    parts: dict[int, set[tuple[int, int] | None]] = field(default_factory=dict)
    """Number -> what may be stored: (size in bytes, seed), or None if there may be nothing."""


class Api:
    """S3 requests on one kept-alive connection, without any retry."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._connection = http.client.HTTPConnection(*server.address, timeout=30)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._connection.close()

    def call(self, method, key="", body=b"", query="", headers=None) -> tuple[int, dict, bytes]:
        """Status, headers and body. Raises NoAnswer."""
        path = f"/{BUCKET}/{key}" if key else f"/{BUCKET}"
        signed = self._server.signed(
            method, path, body, headers, query=query, payload_hash="UNSIGNED-PAYLOAD"
        )
        try:
            self._connection.request(method, f"{path}?{query}" if query else path, body, signed)
            response = self._connection.getresponse()
            found = {name.lower(): value for name, value in response.getheaders()}
            return response.status, found, response.read()
        except (OSError, http.client.HTTPException) as error:
            self._connection.close()
            raise NoAnswer(repr(error)) from error

    def get(self, key: str) -> bytes | None:
        status, _, body = self.call("GET", key)
        if status == 404:
            return None
        assert status == 200, (status, body[:500])
        return body

    def start_upload(self, key: str) -> str:
        status, _, body = self.call("POST", key, query="uploads=")
        assert status == 200, body
        found = re.search(rb"<UploadId>([^<]+)</UploadId>", body)
        assert found, body
        return found[1].decode()

    def put_part(self, key: str, upload: str, number: int, body: bytes) -> str:
        """The part's ETag."""
        query = f"partNumber={number}&uploadId={upload}"
        status, headers, answer = self.call("PUT", key, body, query)
        assert status == 200, answer
        return headers["etag"]

    def complete(self, key: str, upload: str, etags: dict[int, str]) -> None:
        listed = "".join(
            f"<Part><PartNumber>{number}</PartNumber><ETag>{escape(etag)}</ETag></Part>"
            for number, etag in sorted(etags.items())
        )
        document = f"<CompleteMultipartUpload>{listed}</CompleteMultipartUpload>".encode()
        status, _, answer = self.call("POST", key, document, f"uploadId={upload}")
        assert status == 200, answer

    def listed(self) -> set[str]:
        """All keys of the bucket."""
        keys, token = set(), ""
        while True:
            more = f"continuation-token={token}&" if token else ""
            status, _, body = self.call("GET", query=f"{more}list-type=2")
            assert status == 200, body
            keys |= {key.decode() for key in re.findall(rb"<Key>([^<]+)</Key>", body)}
            found = re.search(rb"<NextContinuationToken>([^<]+)<", body)
            if not found:
                return keys
            token = found[1].decode().replace("+", "%2B").replace("/", "%2F").replace("=", "%3D")

    def parts(self, key: str, upload: str) -> dict[int, tuple[int, str]] | None:
        """Number -> (size in bytes, ETag) of an upload in progress; None if there is none."""
        status, _, body = self.call("GET", key, query=f"uploadId={upload}")
        if status == 404:
            return None
        assert status == 200, body
        parts = {}
        for part in re.findall(rb"<Part>.*?</Part>", body, re.DOTALL):
            number, size, etag = (
                re.search(rb"<%b>(.*?)</%b>" % (name, name), part)[1].decode()
                for name in (b"PartNumber", b"Size", b"ETag")
            )
            parts[int(number)] = (int(size), etag.replace("&quot;", '"').replace("&#34;", '"'))
        return parts


class Writer:
    """One client with its own keys."""

    def __init__(
        self, number: int, rng: random.Random, keys: int = 8, *, remote_fails: bool = False
    ) -> None:
        self.number = number
        self.remote_fails = remote_fails
        """Whether what lies in the remote may be unavailable, or break off, for a while."""
        self._rng = rng
        self.may_hold: dict[str, set[Content | None]] = {
            f"client{number}/key{index}": {NOTHING} for index in range(keys)
        }
        self.uploads: list[UploadInProgress] = []
        self.acknowledged = 0

    def run(self, server: Server, stop: threading.Event) -> None:
        """Write until the server goes away."""
        with Api(server) as api:
            while not stop.is_set():
                try:
                    self._step(api)
                except NoAnswer:
                    if not self.remote_fails:
                        return
                    time.sleep(0.01)

    def _step(self, api: Api) -> None:
        key = self._rng.choice(list(self.may_hold))
        act = self._rng.choices(
            [self._put, self._put_large, self._read, self._delete, self._copy, self._multipart],
            [8, 2, 3, 2, 2, 1],
        )[0]
        act(api, key)
        self.acknowledged += 1

    def _content(self, size: int) -> Content:
        return Content(((size, self._rng.getrandbits(62)),))

    def _change(self, key: str, content: Content | None, request) -> None:
        """Carry out a request that makes `content` the key's."""
        self.may_hold[key].add(content)
        status, _, body = request()
        if self.remote_fails and status == 503:
            return  # the source of a copy is in the remote: nothing, or everything, was done
        assert status in (200, 204), (status, body)
        self.may_hold[key] = {content}

    def _put(self, api: Api, key: str) -> None:
        content = self._content(self._rng.choice([0, 1, 100, 4096, 65_535, 65_536, 100_000]))
        self._change(key, content, lambda: api.call("PUT", key, content.bytes()))

    def _put_large(self, api: Api, key: str) -> None:
        content = self._content(self._rng.choice([1 << 20, (1 << 20) + 1, 2_500_000]))
        self._change(key, content, lambda: api.call("PUT", key, content.bytes()))

    def _delete(self, api: Api, key: str) -> None:
        self._change(key, NOTHING, lambda: api.call("DELETE", key))

    def _read(self, api: Api, key: str) -> None:
        if self.remote_fails:
            status, _, body = api.call("GET", key)
            if status == 503:
                return
            assert status in (200, 404), (status, body[:500])
            self.settle(key, None if status == 404 else body)
        else:
            self.settle(key, api.get(key))

    def _copy(self, api: Api, key: str) -> None:
        source = self._rng.choice(list(self.may_hold))
        if len(self.may_hold[source]) > 1:
            return
        (content,) = self.may_hold[source]
        if content is NOTHING or source == key:
            return
        headers = {"x-amz-copy-source": f"/{BUCKET}/{source}"}
        self._change(key, content, lambda: api.call("PUT", key, headers=headers))

    def _multipart(self, api: Api, key: str) -> None:
        upload = UploadInProgress(key, api.start_upload(key))
        self.uploads.append(upload)
        sizes = [PART_SIZE_MIN_BYTES, 1000] if self._rng.random() < 0.3 else [70_000]
        etags = {}
        for number, size in enumerate(sizes, 1):
            for _ in range(self._rng.choice([1, 1, 2])):  # some parts are sent twice
                part = (size, self._rng.getrandbits(62))
                upload.parts.setdefault(number, {None}).add(part)
                etags[number] = api.put_part(key, upload.id, number, payload(*part))
                upload.parts[number] = {part}
        if self._rng.random() < 0.3:
            return  # left in progress: somebody will complete it later
        content = Content(tuple(next(iter(upload.parts[n])) for n in sorted(upload.parts)))
        self.uploads.remove(upload)
        if self._rng.random() < 0.2:
            status, _, body = api.call("DELETE", key, query=f"uploadId={upload.id}")
            assert status == 204, body
            return
        self.may_hold[key].add(content)
        api.complete(key, upload.id, etags)
        self.may_hold[key] = {content}

    # -- afterwards -----------------------------------------------------------------------------
    def verify(self, api: Api) -> None:
        """Every key holds what it may, and from now on exactly that."""
        for key in self.may_hold:
            self.settle(key, api.get(key))
        for upload in self.uploads:
            self._finish(api, upload)
        self.uploads.clear()

    def settle(self, key: str, found: bytes | None) -> None:
        """Compare what was read with what the key may hold."""
        for content in self.may_hold[key]:
            if (None if content is NOTHING else content.bytes()) == found:
                self.may_hold[key] = {content}
                return
        allowed = [content and content.parts for content in self.may_hold[key]]
        size = None if found is None else len(found)
        raise AssertionError(f"{key} holds {size} bytes that are none of {allowed}")

    def _finish(self, api: Api, upload: UploadInProgress) -> None:
        """Complete an upload that was in progress when the server was killed: the parts that were
        acknowledged must be there."""
        stored = api.parts(upload.key, upload.id)
        assert stored is not None, f"the upload {upload} is gone"
        chosen: dict[int, tuple[int, int]] = {}
        for number, may_be in upload.parts.items():
            if number not in stored:
                assert None in may_be, f"part {number} of {upload} is gone"
                continue
            fitting = [part for part in may_be if part and part[0] == stored[number][0]]
            assert fitting, f"part {number} of {upload} has {stored[number][0]} bytes"
            # Sizes are the same: the object's bytes tell which of them it is.
            chosen[number] = fitting[0]
            upload.parts[number] = set(fitting)
        if not stored:
            return
        api.complete(upload.key, upload.id, {n: etag for n, (_, etag) in stored.items()})
        options: list[tuple[tuple[int, int], ...]] = [()]
        for number in sorted(stored):
            options = [(*before, part) for before in options for part in upload.parts[number]]
        self.may_hold[upload.key] = {Content(parts) for parts in options}
        self.settle(upload.key, api.get(upload.key))


def make_bucket(server: Server) -> None:
    with Api(server) as api:
        status, _, body = api.call("PUT")
        assert status in (200, 409), body
