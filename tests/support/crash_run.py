"""Load, SIGKILL, restart, verify; as often as wanted on the same data."""

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support.crash_load import Api, Writer, make_bucket
from tests.support.moto_server import (
    ACCESS_KEY_ID,
    SECRET_ACCESS_KEY,
    boto3_client,
    moto_server,
)
from tests.support.server import Server, running_server

SETTINGS = {
    "STRATUM_TIERING_ENABLED": "false",
    "STRATUM_TIERING_RECLAIM_GRACE_S": "0.5",
    "STRATUM_SERVER_SHUTDOWN_GRACE_S": "5",
}
MOVING = {
    "STRATUM_TIERING_ENABLED": "true",
    # A day is so short that what was written a moment ago has been idle for months.
    "STRATUM_TIERING_DAY_S": "0.02",
    "STRATUM_TIERING_INTERVAL_S": "0.2",
}
COMMAND_LIMIT_S = 120
LOAD_LIMIT_S = 10


@dataclass
class Outcome:
    """What happened between two starts."""

    acknowledged: int
    """Requests answered before the kill."""
    keys: int
    """Keys verified after it."""
    events: int
    """Events in the journal by then."""
    moves: int
    """Moves among them."""

    def __str__(self) -> str:
        return (
            f"{self.acknowledged} requests acknowledged, {self.keys} keys verified,"
            f" {self.events} events, {self.moves} moves"
        )


class CrashRun:
    """Writers and a data directory; `settings` are STRATUM_* variables."""

    def __init__(
        self,
        data: Path,
        seed: int,
        settings: Mapping[str, str] = SETTINGS,
        writers: int = 5,
        *,
        remote_fails: bool = False,
    ) -> None:
        self._data = data
        self._settings = dict(settings)
        self._rng = random.Random(seed)
        self._writers = [
            Writer(number, random.Random(f"{seed} {number}"), remote_fails=remote_fails)
            for number in range(writers)
        ]

    @property
    def acknowledged(self) -> int:
        """Requests answered since the last verification."""
        return sum(writer.acknowledged for writer in self._writers)

    def kill_under_load(self) -> None:
        """Start, load, and kill the server with everything it has started."""
        with running_server(self._data, self._settings) as server:
            make_bucket(server)
            self._load_and_kill(server)

    def crash(self, server: Server) -> None:
        """What happens to the server under load."""
        server.kill()

    def kill_while_starting(self, after_s: float) -> None:
        """Kill a server in the middle of its recovery, or shortly before or after it."""
        environment = {k: v for k, v in os.environ.items() if not k.startswith("STRATUM_")}
        process = subprocess.Popen(
            [sys.executable, "-m", "stratum", "serve", "--listen", "127.0.0.1:0"],
            env={**environment, **self._settings, "STRATUM_DATA": str(self._data)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            time.sleep(after_s)
        finally:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def verify(self) -> Outcome:
        """Start again: everything promised is there, and the audit finds nothing."""
        with running_server(self._data, self._settings) as server:
            self._assert_nothing_staged()
            self._verify_keys(server)
            self.command("audit", "--verify")
            self.command("replay", "--verify")
            moves = self.command("audit", "--type", "VolumeMoved").count("\n")
            events = int(self.command("audit").splitlines()[-1].split()[0])
        acknowledged = self.acknowledged
        keys = sum(len(writer.may_hold) for writer in self._writers)
        for writer in self._writers:
            writer.acknowledged = 0
        return Outcome(acknowledged, keys, events, moves)

    def command(self, *arguments: str, code: int = 0) -> str:
        """Run a command on the data beside whatever else runs; its output."""
        environment = {k: v for k, v in os.environ.items() if not k.startswith("STRATUM_")}
        ended = subprocess.run(
            [sys.executable, "-m", "stratum", *arguments, "--data", str(self._data)],
            env={**environment, **self._settings},
            capture_output=True,
            text=True,
            timeout=COMMAND_LIMIT_S,
            check=False,
        )
        said = f"{arguments}: {ended.returncode}\n{ended.stdout[-5000:]}\n{ended.stderr[-5000:]}"
        assert ended.returncode == code, said
        return ended.stdout

    def _load_and_kill(self, server: Server) -> None:
        stop = threading.Event()
        failures: list[BaseException] = []

        def write(writer: Writer) -> None:
            try:
                writer.run(server, stop)
            except BaseException as error:
                failures.append(error)

        threads = [threading.Thread(target=write, args=(each,)) for each in self._writers]
        for thread in threads:
            thread.start()
        # Some kills come with the first requests, some when reclaiming is under way. Counted in
        # requests, so that a slow machine gets as much done as a fast one.
        enough = self._rng.randint(3, 150)
        deadline = time.monotonic() + LOAD_LIMIT_S
        while self.acknowledged < enough and time.monotonic() < deadline and not failures:
            time.sleep(0.005)
        time.sleep(self._rng.uniform(0, 0.05))
        self.crash(server)
        stop.set()
        for thread in threads:
            thread.join(60)
        assert not failures, f"{failures!r}\n{server.log()}"

    def _assert_nothing_staged(self) -> None:
        if self._settings["STRATUM_TIERING_ENABLED"] == "false":
            left = [str(path) for path in self._data.glob("*/disk*/staged/*")]
            assert not left, f"recovery left staged shards: {left}"

    def _verify_keys(self, server: Server) -> None:
        with Api(server) as api:
            for writer in self._writers:
                writer.verify(api)
            expected = {
                key
                for writer in self._writers
                for key, (content,) in writer.may_hold.items()
                if content is not None
            }
            assert api.listed() == expected
        assert "Traceback" not in server.log(), server.log()


@contextmanager
def remote_settings() -> Iterator[dict[str, str]]:
    """Settings for a cold tier on a server of somebody else's, which is not killed."""
    with moto_server() as endpoint:
        with boto3_client(endpoint) as client:
            client.create_bucket(Bucket="remote")
        yield {
            "STRATUM_TIERS_COLD_ENDPOINT": endpoint,
            "STRATUM_TIERS_COLD_BUCKET": "remote",
            "STRATUM_TIERS_COLD_ACCESS_KEY_ID": ACCESS_KEY_ID,
            "STRATUM_TIERS_COLD_SECRET_ACCESS_KEY": SECRET_ACCESS_KEY,
        }
