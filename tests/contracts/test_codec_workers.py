"""What the codec must survive: workers that die, hang or can't start, and its own end."""

import os
import select
import signal
import subprocess
import sys

import pytest
import trio
import trio.testing

from stratum.adapters import workers as workers_module
from stratum.adapters.stripe_codec import InlineCodec
from stratum.adapters.workers import open_codec
from tests.support.stripes import (
    ORACLE,
    STRIPE_SIZE_BYTES,
    columns,
    content,
    decoded,
    encoded,
    started,
    without,
)


@pytest.fixture
async def parallel():
    async with open_codec(
        workers=1, buffers=2, stripe_size_bytes=STRIPE_SIZE_BYTES, offload_min_bytes=0
    ) as codec:
        await started(codec)
        yield codec


async def worker_pid(codec):
    return await codec.workers.context.run_sync(os.getpid)


def kill_and_wait(pid):
    """The process has ended afterwards, and its parent doesn't know it yet."""
    os.kill(pid, signal.SIGKILL)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)


async def assert_codes_right(codec):
    data = content(STRIPE_SIZE_BYTES)
    frames = await encoded(codec, data)
    assert all(word == bytes(ORACLE.encode(word[:4])) for word in columns(frames)[:50])
    assert await decoded(codec, without(frames, (0, 1)), len(data)) == (data, frozenset())


async def test_a_worker_killed_at_work_costs_nothing_but_time(parallel):
    pid = await worker_pid(parallel)
    os.kill(pid, signal.SIGSTOP)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(assert_codes_right, parallel)
        await trio.testing.wait_all_tasks_blocked(0.01)
        os.kill(pid, signal.SIGKILL)
    assert parallel.counts.fallbacks == 1
    await started(parallel)
    await assert_codes_right(parallel)
    assert parallel.counts.offloaded == 1


async def test_a_worker_that_hangs_is_killed(parallel, monkeypatch):
    monkeypatch.setattr(workers_module, "JOB_TIMEOUT_S", 0.05)
    pid = await worker_pid(parallel)
    os.kill(pid, signal.SIGSTOP)
    await assert_codes_right(parallel)
    assert parallel.counts.fallbacks == 1
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


async def test_a_cancelled_user_does_not_free_a_buffer_that_a_worker_writes_to(parallel):
    pid = await worker_pid(parallel)
    os.kill(pid, signal.SIGSTOP)
    ended = []

    async def cancelled(scope):
        with scope:
            await encoded(parallel, content(STRIPE_SIZE_BYTES))
        ended.append(scope)

    scope = trio.CancelScope()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(cancelled, scope)
        await trio.testing.wait_all_tasks_blocked(0.01)
        scope.cancel()
        await trio.testing.wait_all_tasks_blocked(0.01)
        assert not ended
        os.kill(pid, signal.SIGCONT)
    assert ended
    assert parallel.counts.offloaded == 1


async def test_nobody_waits_for_a_worker_to_start():
    async with open_codec(buffers=1, stripe_size_bytes=STRIPE_SIZE_BYTES, offload_min_bytes=0) as c:
        await encoded(c, content(100))
        assert (c.counts.inline, c.counts.offloaded) == (1, 0)
        with trio.fail_after(30):
            while not c.counts.offloaded:
                await encoded(c, content(100))
                await trio.lowlevel.checkpoint()


async def test_a_worker_that_cannot_start_is_not_tried_again_at_once(parallel, caplog):
    async with parallel.stripe_buffer() as buffer:
        wrong = buffer.slot._replace(path="/proc/self/fd/0")
        assert not await parallel.workers.warm(wrong)
        assert "no coding worker could be started" in caplog.text
    pid = await worker_pid(parallel)
    kill_and_wait(pid)
    await assert_codes_right(parallel)
    await assert_codes_right(parallel)
    assert (parallel.counts.inline, parallel.counts.offloaded) == (2, 0)


async def test_workers_that_were_killed_while_idle_do_not_spoil_the_end():
    async def fail():
        async with open_codec(stripe_size_bytes=STRIPE_SIZE_BYTES) as codec:
            await started(codec)
            os.kill(await worker_pid(codec), signal.SIGKILL)
            raise LookupError("mine")

    with pytest.raises(LookupError, match="mine"):
        await fail()


async def test_without_shared_memory_everything_is_inline(monkeypatch, caplog):
    monkeypatch.delattr(os, "memfd_create")
    async with open_codec(stripe_size_bytes=STRIPE_SIZE_BYTES, offload_min_bytes=0) as codec:
        assert type(codec) is InlineCodec
        await assert_codes_right(codec)
    assert "no shared memory" in caplog.text


async def test_a_buffer_that_gets_no_shared_memory_is_an_ordinary_one(monkeypatch, caplog):
    def full(*args):
        raise OSError(28, "No space left on device")

    async with open_codec(stripe_size_bytes=STRIPE_SIZE_BYTES, offload_min_bytes=0) as codec:
        monkeypatch.setattr(os, "posix_fallocate", full)
        await assert_codes_right(codec)
        assert codec.counts.inline == 1
    assert "No space left" in caplog.text


def test_workers_do_not_load_what_they_do_not_need():
    code = "import stratum.adapters.stripe_jobs, sys; print(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = {name.partition(".")[0] for name in run.stdout.split()}
    assert "numpy" in loaded
    assert not loaded & {"trio", "quart", "hypercorn", "msgspec", "eventsourcing", "asyncio"}


SERVER = """
import os, sys, trio
from stratum.adapters.workers import open_codec

async def main():
    async with open_codec() as codec:
        async with codec.stripe_buffer() as buffer:
            assert await codec.workers.warm(buffer.slot)
        print(await codec.workers.context.run_sync(os.getpid), flush=True)
        await trio.sleep_forever()

if __name__ == "__main__":
    trio.run(main)
"""


def test_nothing_is_left_of_a_server_that_was_killed(tmp_path):
    script = tmp_path / "server.py"
    script.write_text(SERVER)
    names = set(os.listdir("/dev/shm"))
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(
        [sys.executable, script], stdout=subprocess.PIPE, env=environment
    ) as server:
        assert server.stdout is not None
        worker = os.pidfd_open(int(server.stdout.readline()))
        try:
            server.kill()
            ended, _, _ = select.select([worker], [], [], 30)
            assert ended, "the worker outlives its server"
        finally:
            os.close(worker)
    assert set(os.listdir("/dev/shm")) <= names
