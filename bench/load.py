"""A small load generator: signed requests over raw sockets, one process, many connections.

Requests are signed before the clock starts. Answers are checked for status and length, and every
GET's bytes for being those that were put. CPU and memory are those of the server's processes.
"""

from __future__ import annotations

import hashlib
import os
import selectors
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from stratum.adapters.s3.signing import sign_headers

KEYS = 64
"""Objects that a scenario works on, one after the other."""
TIMEOUT_S = 30.0
TICKS_PER_S = os.sysconf("SC_CLK_TCK")
RECEIVE_BYTES = 1 << 20


@dataclass(frozen=True)
class Endpoint:
    """A server; `pids` are processes whose CPU counts, with their descendants."""

    name: str
    host: str
    port: int
    access_key_id: str = ""
    secret: str = ""
    region: str = "us-east-1"
    pids: tuple[int, ...] = ()
    bucket: str = "bench"


@dataclass(frozen=True)
class Scenario:
    """So many connections repeat one kind of request."""

    method: str
    size_bytes: int
    connections: int

    def __str__(self) -> str:
        size = f"{self.size_bytes >> 20} MiB" if self.size_bytes >> 20 else ""
        size = size or f"{self.size_bytes >> 10} KiB"
        return f"{self.method} {size} × {self.connections}"


@dataclass
class Sample:
    """What came of a scenario."""

    requests: int = 0
    errors: int = 0
    wall_s: float = 0.0
    cpu_s: float = 0.0
    rss_bytes: int = 0
    latencies_s: list[float] = field(default_factory=list)

    def __iadd__(self, other: Sample) -> Sample:
        self.requests += other.requests
        self.errors += other.errors
        self.wall_s += other.wall_s
        self.cpu_s += other.cpu_s
        self.rss_bytes = max(self.rss_bytes, other.rss_bytes)
        self.latencies_s += other.latencies_s
        return self

    @property
    def rate(self) -> float:
        """Requests per second."""
        return self.requests / self.wall_s if self.wall_s else 0.0

    @property
    def cpu_us(self) -> float:
        """Of the server, per request."""
        return self.cpu_s / self.requests * 1e6 if self.requests else 0.0

    def percentile_ms(self, part: float) -> float:
        ordered = sorted(self.latencies_s)
        return ordered[int(part * (len(ordered) - 1))] * 1e3 if ordered else 0.0


def content(size_bytes: int) -> bytes:
    """What is put, and must come back."""
    return hashlib.shake_128(b"bench").digest(size_bytes)


def request(endpoint: Endpoint, method: str, path: str, body: bytes = b"") -> bytes:
    """Head and body as they go over the wire, signed unless there is no access key."""
    host = f"{endpoint.host}:{endpoint.port}"
    headers = {"host": host}
    if endpoint.access_key_id:
        headers = sign_headers(
            method,
            host,
            path.encode(),
            b"",
            {},
            hashlib.sha256(body).hexdigest(),
            int(time.time()),
            endpoint.access_key_id,
            endpoint.secret,
            endpoint.region,
        )
    if method == "PUT":
        headers["content-length"] = str(len(body))
    lines = [f"{method} {path} HTTP/1.1", *(f"{k}: {v}" for k, v in headers.items()), "", ""]
    return "\r\n".join(lines).encode() + body


class _Connection:
    """One request after the other; `step` is called when there is something to read."""

    def __init__(self, endpoint: Endpoint, requests: Sequence[bytes], expected: bytes, head: bool):
        self._socket = socket.create_connection((endpoint.host, endpoint.port), TIMEOUT_S)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._requests = requests
        self._expected = expected
        self._is_head = head
        self._next = 0
        self._received = bytearray()
        self.begun_s = 0.0

    def fileno(self) -> int:
        return self._socket.fileno()

    def send(self) -> None:
        self._received.clear()
        self.begun_s = time.perf_counter()
        self._socket.sendall(self._requests[self._next % len(self._requests)])
        self._next += 1

    def step(self) -> bool | None:
        """None while the answer is not complete; then whether it is right."""
        piece = self._socket.recv(RECEIVE_BYTES)
        if not piece:
            raise ConnectionError("the server closed the connection")
        self._received += piece
        end = self._received.find(b"\r\n\r\n")
        if end < 0:
            return None
        head = bytes(self._received[:end]).lower()
        length = 0
        if not self._is_head and (at := head.find(b"\r\ncontent-length:")) >= 0:
            length = int(head[at + 17 :].split(b"\r\n", 1)[0])
        if len(self._received) < end + 4 + length:
            return None
        is_good = head.split(b" ", 2)[1][:1] == b"2"
        return is_good and (not self._expected or self._received[end + 4 :] == self._expected)

    def close(self) -> None:
        self._socket.close()


def run(endpoint: Endpoint, scenario: Scenario, seconds: float, *, stride: int = 1) -> Sample:
    """Load a server. For GET and HEAD the objects must be there: see `fill`."""
    body = content(scenario.size_bytes) if scenario.method == "PUT" else b""
    expected = content(scenario.size_bytes) if scenario.method == "GET" else b""
    connections = []
    for number in range(scenario.connections):
        paths = (
            f"/{endpoint.bucket}/{scenario.size_bytes}-{(number + n) % KEYS}" for n in range(KEYS)
        )
        requests = [request(endpoint, scenario.method, path, body) for path in paths]
        connections.append(_Connection(endpoint, requests, expected, scenario.method == "HEAD"))
    sample = Sample()
    cpu_before = cpu_seconds(endpoint.pids)
    begun = time.perf_counter()
    end = begun + seconds
    under_way = len(connections)
    with selectors.DefaultSelector() as selector:
        for connection in connections:
            selector.register(connection, selectors.EVENT_READ, connection)
            connection.send()
        while under_way:
            ready = selector.select(TIMEOUT_S)
            assert ready, f"{endpoint.name} does not answer"
            for key, _ in ready:
                connection = key.data
                is_good = connection.step()
                if is_good is None:
                    continue
                now = time.perf_counter()
                sample.requests += 1
                sample.errors += not is_good
                sample.latencies_s.append(now - connection.begun_s)
                if now < end:
                    connection.send()
                else:
                    under_way -= 1
    sample.wall_s = time.perf_counter() - begun
    sample.cpu_s = cpu_seconds(endpoint.pids) - cpu_before
    sample.rss_bytes = rss_bytes(endpoint.pids)
    for connection in connections:
        connection.close()
    return sample


def fill(endpoint: Endpoint, sizes: Sequence[int]) -> None:
    """Make the bucket, and all objects that scenarios read. Raises AssertionError."""
    _one(endpoint, request(endpoint, "PUT", f"/{endpoint.bucket}"), may_fail=True)
    for size in sizes:
        body = content(size)
        for number in range(KEYS):
            _one(endpoint, request(endpoint, "PUT", f"/{endpoint.bucket}/{size}-{number}", body))


def _one(endpoint: Endpoint, raw: bytes, *, may_fail: bool = False) -> None:
    connection = _Connection(endpoint, [raw], b"", head=False)
    connection.send()
    while (is_good := connection.step()) is None:
        pass
    connection.close()
    assert is_good or may_fail, f"{endpoint.name}: {bytes(connection._received)!r}"


def family(pids: Sequence[int]) -> set[int]:
    """Processes with all their descendants."""
    parents: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                stat = (entry / "stat").read_text()
            except OSError:
                continue
            parents[int(entry.name)] = int(stat.rpartition(")")[2].split()[1])
    found = set(pids)
    while more := {pid for pid, parent in parents.items() if parent in found} - found:
        found |= more
    return found


def cpu_seconds(pids: Sequence[int]) -> float:
    """User and system time of processes and their descendants so far."""
    ticks = 0
    for pid in family(pids):
        try:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        ticks += int(fields[11]) + int(fields[12])
    return ticks / TICKS_PER_S


def rss_bytes(pids: Sequence[int]) -> int:
    """Resident memory of processes and their descendants."""
    pages = 0
    for pid in family(pids):
        try:
            pages += int(Path(f"/proc/{pid}/statm").read_text().split()[1])
        except OSError:
            continue
    return pages * os.sysconf("SC_PAGE_SIZE")
