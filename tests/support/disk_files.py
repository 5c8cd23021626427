"""What tests of a directory disk need of the world around it."""

import errno
import os
import stat
import threading

from stratum.adapters.disk_io import sync_file

NOBODY = 65534


class SyncLog:
    """Remembers what was fsynced, in order; fails where told."""

    def __init__(self):
        self.paths = []
        self.fail = lambda path: False

    def __call__(self, fd, path):
        self.paths.append(path)
        if self.fail(path):
            raise OSError(errno.EIO, "injected")
        sync_file(fd, path)


class BlockingSync:
    """An fsync that takes until it is told to go on."""

    def __init__(self):
        self.entered = threading.Event()
        self.go_on = threading.Event()

    def __call__(self, fd, path):
        self.entered.set()
        assert self.go_on.wait(10)
        sync_file(fd, path)


def open_descriptors():
    """How many files this process has open."""
    return len(os.listdir("/proc/self/fd"))


def mode(path):
    return stat.S_IMODE(os.stat(path).st_mode)


async def content(disk, name):
    """All bytes of a shard."""
    reader = await disk.open(name)
    try:
        return bytes(await reader.read_at(0, reader.size()))
    finally:
        reader.close()


class AsOrdinaryUser:
    """Root may write anywhere: become nobody, owning the directory, for the time being."""

    def __init__(self, path):
        self.path = os.fspath(path)

    def __enter__(self):
        self.root = os.geteuid() == 0
        if not self.root:
            return
        for folder, _, files in os.walk(self.path):
            for entry in (folder, *(os.path.join(folder, file) for file in files)):
                os.chown(entry, NOBODY, -1)
        self.modes = []
        above = os.path.dirname(self.path)
        while above != "/":
            self.modes.append((above, mode(above)))
            os.chmod(above, mode(above) | 0o011)
            above = os.path.dirname(above)
        os.seteuid(NOBODY)

    def __exit__(self, *_):
        if self.root:
            os.seteuid(0)
            for path, old in self.modes:
                os.chmod(path, old)
