"""The real server as a process of its own, and clients of it.

`running_server` starts `stratum serve` on a free port and stops it with SIGTERM; it fails unless
that ends the process with exit code 0 within STOP_LIMIT_S. `started_process` is the part that any
command which serves can use.
"""

import hashlib
import http.client
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import boto3
from botocore.config import Config

from stratum.adapters.s3.signing import sign_headers

ACCESS_KEY_ID = "AKIDSTRATUMTESTS0001"
SECRET_ACCESS_KEY = "secret/of+a-server-that-lives-for-one-test"
REGION = "us-east-1"

START_LIMIT_S = 60.0
STOP_LIMIT_S = 20.0

PAGE_SIZE_BYTES = os.sysconf("SC_PAGE_SIZE")
BIN = Path(sys.executable).parent


@dataclass
class Server:
    """A server that runs, or has run."""

    url: str
    data: Path
    process: subprocess.Popen[bytes]
    log_path: Path
    """What it wrote to stderr."""
    access_key_id: str = ACCESS_KEY_ID
    secret_access_key: str = SECRET_ACCESS_KEY
    region: str = REGION

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def address(self) -> tuple[str, int]:
        parts = urlsplit(self.url)
        assert parts.hostname
        assert parts.port
        return parts.hostname, parts.port

    @property
    def host(self) -> str:
        """As in the Host header."""
        return urlsplit(self.url).netloc

    def log(self) -> str:
        return self.log_path.read_text(errors="replace")

    def stop(self, limit_s: float = STOP_LIMIT_S) -> int:
        """SIGTERM, and the exit code. Raises TimeoutExpired when it does not end."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(limit_s)

    def kill(self) -> None:
        """SIGKILL to the server and its worker processes: a crash."""
        _kill_group(self.process)

    def environment(self) -> dict[str, str]:
        """For AWS command line tools, shielded from the user's own configuration."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
        return {
            **kept,
            "AWS_ACCESS_KEY_ID": self.access_key_id,
            "AWS_SECRET_ACCESS_KEY": self.secret_access_key,
            "AWS_DEFAULT_REGION": self.region,
            "AWS_ENDPOINT_URL": self.url,
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_PAGER": "",
        }

    @contextmanager
    def client(self, *, config: Config | None = None, **settings):
        """A boto3 client; `settings` override credentials and region.

        It does not retry: a test wants to see the first answer. Pass `config` for boto3's own
        defaults.
        """
        if config is None:
            config = Config(s3={"addressing_style": "path"}, retries={"total_max_attempts": 1})
        session = boto3.session.Session()
        client = session.client(
            "s3",
            **{
                "endpoint_url": self.url,
                "region_name": self.region,
                "aws_access_key_id": self.access_key_id,
                "aws_secret_access_key": self.secret_access_key,
                "config": config,
                **settings,
            },
        )
        try:
            yield client
        finally:
            client.close()

    def signed(
        self,
        method: str,
        path: str,
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
        *,
        query: str = "",
        at_s: float | None = None,
        payload_hash: str = "",
    ) -> dict[str, str]:
        """The headers of a signed request on the raw `path`, for clients that can't sign."""
        return sign_headers(
            method,
            self.host,
            path.encode(),
            query.encode(),
            headers or {},
            payload_hash or hashlib.sha256(body).hexdigest(),
            int(time.time() if at_s is None else at_s),
            self.access_key_id,
            self.secret_access_key,
            self.region,
        )

    @contextmanager
    def connection(self, timeout_s: float = 30.0) -> Iterator[http.client.HTTPConnection]:
        """A bare HTTP connection."""
        connection = http.client.HTTPConnection(*self.address, timeout=timeout_s)
        try:
            yield connection
        finally:
            connection.close()

    def request(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> tuple[int, dict[str, str], bytes]:
        """One request on a connection of its own: status, headers (lower case) and body."""
        with self.connection() as connection:
            connection.request(method, path, body, dict(headers or {}))
            response = connection.getresponse()
            answered = {name.lower(): value for name, value in response.getheaders()}
            return response.status, answered, response.read()

    def rss_bytes(self) -> int:
        """Resident memory of all processes of the server; pages they share count in each."""
        return sum(_rss_bytes(pid) for pid in _group(self.pid))


@contextmanager
def running_server(
    data: Path, settings: Mapping[str, str] | None = None, arguments: Sequence[str] = ()
) -> Iterator[Server]:
    """`stratum serve` on `data` until the block ends.

    `settings` are STRATUM_* variables. A test may stop or kill the server itself.
    """
    command = [sys.executable, "-m", "stratum", "serve", "--data", str(data)]
    with started_process(
        [*command, "--listen", "127.0.0.1:0", *arguments], data, settings
    ) as server:
        yield server


@contextmanager
def started_process(
    command: Sequence[str],
    data: Path,
    settings: Mapping[str, str] | None = None,
    announcement: str = "listening on ",
    stream: str = "stdout",
) -> Iterator[Server]:
    """Run a command that serves; the word after `announcement` on `stream` is its URL."""
    data.mkdir(parents=True, exist_ok=True)
    log_path = data.with_name(f"{data.name}.{time.monotonic_ns()}.log")
    environment = {k: v for k, v in os.environ.items() if not k.startswith("STRATUM_")}
    environment |= {
        "STRATUM_ROOT_ACCESS_KEY_ID": ACCESS_KEY_ID,
        "STRATUM_ROOT_SECRET_ACCESS_KEY": SECRET_ACCESS_KEY,
        "PYTHONUNBUFFERED": "1",
        **(settings or {}),
    }
    with log_path.open("wb") as log:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE if stream == "stdout" else log,
            stderr=log if stream == "stdout" else subprocess.PIPE,
            env=environment,
            start_new_session=True,
        )
    try:
        url = _announced(process, announcement, log_path)
        server = Server(url, data, process, log_path)
        yield server
        if process.poll() is None:
            try:
                code = server.stop()
            except subprocess.TimeoutExpired:
                raise AssertionError(
                    f"SIGTERM did not end the server within {STOP_LIMIT_S} s\n{server.log()}"
                ) from None
            assert code == 0, f"exit code {code}\n{server.log()}"
    finally:
        _kill_group(process)
        for pipe in (process.stdout, process.stderr):
            if pipe is not None:
                pipe.close()
        log_path.unlink(missing_ok=True)


def _announced(process: subprocess.Popen[bytes], announcement: str, log_path: Path) -> str:
    pipe = process.stdout or process.stderr
    assert pipe is not None
    deadline = time.monotonic() + START_LIMIT_S
    said = b""
    while True:
        for line in said.decode(errors="replace").split("\n")[:-1]:
            if announcement in line:
                return line.partition(announcement)[2].split()[0]
        left = deadline - time.monotonic()
        readable, _, _ = select.select([pipe], [], [], max(left, 0))
        more = os.read(pipe.fileno(), 65536) if readable else b""
        if not more:
            why = "ended" if readable else f"did not listen within {START_LIMIT_S} s"
            log = log_path.read_text(errors="replace")
            raise AssertionError(f"the server {why}:\n{said.decode(errors='replace')}\n{log}")
        said += more


def _kill_group(process: subprocess.Popen[bytes]) -> None:
    """End the process and its children, which share the group made for them, and reap it."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _group(pgid: int) -> list[int]:
    """The processes of a group."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            stat = (entry / "stat").read_text()
        except OSError:
            continue
        # The name in parentheses may hold anything; after it: state, parent, group.
        if int(stat.rpartition(")")[2].split()[2]) == pgid:
            found.append(int(entry.name))
    return found


def _rss_bytes(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE_SIZE_BYTES
    except OSError:
        return 0
