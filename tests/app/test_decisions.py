"""Decisions from made-up histories, recorded and derived again: a small run of `bench.engine`."""

from dataclasses import replace

import trio

from bench.engine import PRICES, decisions
from stratum.adapters.memory_journal import MemoryJournal
from stratum.app.rederive import rederive
from stratum.domain.events import PricesAdopted, TierDecided
from stratum.domain.names import ExtentId, VolumeId
from stratum.domain.policies import RULES


async def differences(*made):
    journal = MemoryJournal(lambda: 1)
    events = [PricesAdopted(PRICES.version(), PRICES.document())]
    events += [
        TierDecided(VolumeId(f"{n:032x}"), each, ExtentId(f"{n:032x}"))
        for n, each in enumerate(made)
    ]
    await journal.transact(lambda _: events, by="policy")
    return [derived.difference async for derived in rederive(journal, RULES)]


async def test_all_are_derived_again_bit_for_bit_and_a_changed_one_is_found():
    made = await trio.to_thread.run_sync(lambda: list(decisions(150, objects=50)))
    assert len(made) == 150
    assert {len(each.vectors) for each in made} >= {1, 4}
    assert len({(each.source, each.target) for each in made}) >= 3
    assert await differences(*made) == [""] * 150
    last = made[-1]
    forged = replace(last, numbers=last.numbers | {"probability": 0.5})
    (difference,) = await differences(forged)
    assert difference.startswith("numbers: recorded")
    (difference,) = await differences(replace(last, vectors=()))
    assert "kind" in difference
