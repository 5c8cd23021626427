"""How the command line finds and calls the running server."""

from __future__ import annotations

import hashlib
import html
import http.client
import json
import os
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from stratum.adapters.identity import RootCredentials
from stratum.adapters.s3.signature import encode_query
from stratum.adapters.s3.signing import sign_headers
from stratum.domain.errors import StratumError, Unavailable

SERVER_FILE = "server.json"
TIMEOUT_S = 30.0
FOLLOW_TIMEOUT_S = 300.0
"""Between two lines of an answer; progress comes about every second, unless a disk hangs."""


class CommandFailed(StratumError):
    """The server refused a command."""


@contextmanager
def write_server_url(data: Path, url: str) -> Iterator[None]:
    """Leave a note where the server listens, as long as it does."""
    path = data / SERVER_FILE
    path.write_text(json.dumps({"url": url, "pid": os.getpid()}))
    try:
        yield
    finally:
        with suppress(OSError, ValueError, KeyError):
            if json.loads(path.read_text())["pid"] == os.getpid():
                path.unlink()


def server_url(data: Path) -> str | None:
    """Where the server listens; None if none is running on this data directory."""
    try:
        note = json.loads((data / SERVER_FILE).read_text())
        os.kill(note["pid"], 0)
    except (OSError, ValueError, KeyError):
        return None
    return str(note["url"])


def call_server(
    data: Path,
    root: RootCredentials,
    region: str,
    method: str,
    path: str,
    parameters: Mapping[str, str],
    body: bytes = b"",
) -> Any:
    """Send a signed command and return the JSON answer. Raises Unavailable, CommandFailed."""
    with _answer(data, root, region, method, path, parameters, TIMEOUT_S, body) as response:
        return json.loads(response.read())


def follow_server(
    data: Path,
    root: RootCredentials,
    region: str,
    method: str,
    path: str,
    parameters: Mapping[str, str],
) -> Iterator[dict[str, Any]]:
    """Send a signed command and yield the lines of its answer as they come.

    Raises Unavailable, also when the server goes away before the end; CommandFailed.
    """
    with _answer(data, root, region, method, path, parameters, FOLLOW_TIMEOUT_S) as response:
        for line in response:
            document = json.loads(line)
            if "error" in document:
                raise CommandFailed(document["error"])
            if not document:
                return
            yield document
    raise Unavailable("The server broke off before it was done")


@contextmanager
def _answer(
    data: Path,
    root: RootCredentials,
    region: str,
    method: str,
    path: str,
    parameters: Mapping[str, str],
    timeout_s: float,
    body: bytes = b"",
) -> Iterator[http.client.HTTPResponse]:
    url = server_url(data)
    if url is None:
        raise Unavailable(f"No server is running on {data}")
    host = urlsplit(url).netloc
    raw_query = encode_query(parameters)
    headers = sign_headers(
        method,
        host,
        path.encode(),
        raw_query,
        {},
        hashlib.sha256(body).hexdigest(),
        int(time.time()),
        root.access_key_id,
        root.secret_access_key,
        region,
    )
    connection = http.client.HTTPConnection(host, timeout=timeout_s)
    try:
        connection.request(method, f"{path}?{raw_query.decode()}", body, dict(headers))
        response = connection.getresponse()
        if response.status != 200:
            message = _message(response.read())
            raise CommandFailed(message or f"The server answered {response.status}")
        yield response
    except (OSError, http.client.HTTPException) as error:
        raise Unavailable(f"The server at {url} does not answer: {error}") from error
    finally:
        connection.close()


def _message(body: bytes) -> str:
    """Code and message of an error document."""
    found = [
        re.search(f"<{name}>(.*?)</{name}>", body.decode(errors="replace"), re.DOTALL)
        for name in ("Code", "Message")
    ]
    return ": ".join(html.unescape(match[1]) for match in found if match)
