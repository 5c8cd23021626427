"""Users of a running server, made with its own command, and requests for every operation."""

import json
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, replace

from stratum.adapters.s3.operations import (
    BUCKET,
    BUCKET_SUBRESOURCES,
    OBJECT,
    OBJECT_SUBRESOURCES,
    SERVICE,
    WITH_COPY_SOURCE,
    WITHOUT_PARAMETER,
    Operation,
)
from tests.support.server import BIN, Server


@dataclass(frozen=True)
class User:
    """A user, and the server as it sees it."""

    name: str
    id: str
    account: str
    server: Server

    def client(self, **settings):
        """A boto3 client that signs with the user's key."""
        return self.server.client(**settings)


def add_user(server: Server, name: str) -> User:
    """Make a user with the email address NAME@example.com."""
    environ = {
        **os.environ,
        "STRATUM_ROOT_ACCESS_KEY_ID": server.access_key_id,
        "STRATUM_ROOT_SECRET_ACCESS_KEY": server.secret_access_key,
    }
    command = [BIN / "stratum", "user", "add", name, "--email", f"{name}@example.com"]
    ended = subprocess.run(
        [*command, "--data", server.data, "--format", "json"],
        capture_output=True,
        text=True,
        timeout=60,
        env=environ,
    )
    assert ended.returncode == 0, ended.stderr
    issued = json.loads(ended.stdout)
    own = replace(
        server,
        access_key_id=issued["access_key_id"],
        secret_access_key=issued["secret_access_key"],
    )
    return User(name, issued["id"], issued["account"], own)


@dataclass(frozen=True)
class Shape:
    """What a request for an operation looks like."""

    operation: Operation
    method: str
    path: str
    query: str
    headers: dict[str, str]


def every_operation(bucket: str, key: str, source: str) -> Iterator[Shape]:
    """A request for each operation that can be reached, on a bucket and a key in it; `source` is
    copied from."""
    on = {"bucket": f"/{bucket}", "object": f"/{bucket}/{key}"}
    rows = [(op, method, "/", "") for method, op in SERVICE.items()]
    for place, plain, named in (
        ("bucket", BUCKET, BUCKET_SUBRESOURCES),
        ("object", OBJECT, OBJECT_SUBRESOURCES),
    ):
        rows += [(op, method, on[place], "") for method, op in plain.items()]
        for name, methods in named.items():
            rows += [(op, method, on[place], f"{name}=") for method, op in methods.items()]
    rows.append((Operation.LIST_OBJECTS_V2, "GET", on["bucket"], "list-type=2"))
    for operation, method, path, query in rows:
        if query == "uploadId=":
            query = "partNumber=1&uploadId=x" if method == "PUT" else "uploadId=x"
        if operation in WITHOUT_PARAMETER:
            parameter, instead = WITHOUT_PARAMETER[operation]
            yield Shape(instead, method, path, query, {})
            query = "&".join(sorted([query, f"{parameter}=x"]))
        yield Shape(operation, method, path, query, {})
        if operation in WITH_COPY_SOURCE:
            copying = {"x-amz-copy-source": source}
            yield Shape(WITH_COPY_SOURCE[operation], method, path, query, copying)
