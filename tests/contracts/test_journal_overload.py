"""A journal whose writer does not keep up refuses early, and does nothing of what it refused."""

import trio

from stratum.adapters import journal
from stratum.domain.errors import Overloaded
from tests.support.histories import bucket_created


async def test_a_full_queue_refuses_after_a_while_and_recovers(tmp_path, monkeypatch):
    monkeypatch.setattr(journal, "QUEUE_LENGTH_MAX", 4)
    monkeypatch.setattr(journal, "QUEUE_WAIT_S", 0.05)
    outcomes = []
    go_on = trio.Event()

    async with journal.open_journal(tmp_path / "journal.db", lambda: 1000) as opened:
        run = opened._writer.run

        async def stuck(requests):
            await go_on.wait()
            return await run(requests)

        monkeypatch.setattr(opened._writer, "run", stuck)

        async def append(number):
            try:
                await opened.transact(lambda _: [bucket_created(f"bucket-{number}")], by="root")
            except Overloaded:
                outcomes.append(None)
                go_on.set()
            else:
                outcomes.append(f"bucket-{number}")

        async with trio.open_nursery() as nursery:
            for number in range(300):
                nursery.start_soon(append, number)
        there = {bucket.name for bucket in opened.catalog.buckets()}
        assert None in outcomes
        assert there == {name for name in outcomes if name}
        await append(1000)
        assert outcomes[-1] == "bucket-1000"
