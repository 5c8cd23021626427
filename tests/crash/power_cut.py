"""Cut the power of a real server again and again: `python -m tests.crash.power_cut --runs 50`.

The data lies on an ext4 file system in an image file, mounted through a loop device; the kernel is
told not to write anything back by itself. Under load the server is stopped, the image is copied as
it is at that moment, and the server is killed. The copy lacks whatever nobody synced, as a disk
does after a power cut. It is mounted instead, ext4 replays its journal, the server starts, and all
that was acknowledged must be there.

Needs root, `mount` and `mkfs.ext4`, and changes the kernel's write-back interval while it runs, so
it is a command and no part of the test suite. `--preload LIBRARY` is put into the server's
LD_PRELOAD: with a library that makes fsync do nothing this must fail, or it proves nothing.
"""

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.crash_run import SETTINGS, CrashRun
from tests.support.server import Server

IMAGE_SIZE_BYTES = 4 << 30
WRITEBACK = Path("/proc/sys/vm/dirty_writeback_centisecs")
IN_FLIGHT_S = 0.3
"""An fsync that a stopped process is in the middle of ends by then; nobody hears of it."""


class Disk:
    """An ext4 file system in a file, and what a power cut leaves of it."""

    def __init__(self, folder: Path) -> None:
        self._image, self._cut = folder / "disk.img", folder / "cut.img"
        self.mounted_at = folder / "mounted"
        self.mounted_at.mkdir()
        with self._image.open("wb") as file:
            file.truncate(IMAGE_SIZE_BYTES)
        _run("mkfs.ext4", "-q", "-E", "lazy_itable_init=0", str(self._image))
        self._mount()

    def cut(self) -> None:
        """Take what is on the disk now."""
        _run("cp", "--sparse=always", str(self._image), str(self._cut))

    def power_on(self) -> None:
        """Go on with what was there at the cut."""
        self.unmount()
        self._cut.replace(self._image)
        self._mount()

    def unmount(self) -> None:
        _run("umount", str(self.mounted_at))

    def _mount(self) -> None:
        # A long commit interval: ext4 writes its journal when somebody syncs, not by the clock.
        _run("mount", "-o", "loop,commit=300", str(self._image), str(self.mounted_at))


class PowerCutRun(CrashRun):
    """A crash run in which the crash takes what was not synced along."""

    def __init__(self, disk: Disk, seed: int, settings: dict[str, str]) -> None:
        super().__init__(disk.mounted_at / "data", seed, settings)
        self._disk = disk

    def crash(self, server: Server) -> None:
        os.killpg(server.pid, signal.SIGSTOP)
        time.sleep(IN_FLIGHT_S)
        self._disk.cut()
        server.kill()

    def cut_under_load(self) -> None:
        self.kill_under_load()
        self._disk.power_on()


@contextmanager
def no_writeback() -> Iterator[None]:
    """Dirty pages stay in memory until somebody syncs them."""
    before = WRITEBACK.read_text()
    WRITEBACK.write_text("0\n")
    try:
        yield
    finally:
        WRITEBACK.write_text(before)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--preload", default="")
    options = parser.parse_args()
    settings = {**SETTINGS, **({"LD_PRELOAD": options.preload} if options.preload else {})}
    acknowledged = 0
    with tempfile.TemporaryDirectory(prefix="stratum-power-") as folder, no_writeback():
        disk = Disk(Path(folder))
        try:
            run = PowerCutRun(disk, options.seed, settings)
            for number in range(1, options.runs + 1):
                run.cut_under_load()
                outcome = run.verify()
                acknowledged += outcome.acknowledged
                print(f"run {number}: {outcome}", flush=True)
        finally:
            disk.unmount()
    print(f"{options.runs} power cuts, {acknowledged} requests acknowledged, nothing lost")
    return 0


def _run(*command: str) -> None:
    subprocess.run(command, check=True)


if __name__ == "__main__":
    sys.exit(main())
