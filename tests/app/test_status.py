import json
from dataclasses import asdict

from stratum.app.status import TieringLimits, human_bytes, render_text, status
from stratum.domain.events import RemoteUsed, SpendCapReached
from stratum.domain.stripes import ErasureProfile
from tests.support.store import COLD, HOT, Store
from tests.support.tiering_world import content_of

CONTENT = content_of(50_000)


def tier(state, name):
    return next(tier for tier in state.tiers if tier.tier == name)


async def test_a_healthy_store(autojump_clock):
    store = Store()
    for index, disk in enumerate(store.hot):
        disk.device = index
    await store.claim()
    for number in range(3):
        await store.put(f"k{number}", CONTENT)
    async with store.running("mover"):
        await store.move("k2", COLD)
        await store.settled()
    state = await store.status()
    hot, warm, cold = state.tiers
    assert (hot.volumes, hot.size_bytes, hot.redundancy) == (2, 100_000, {"6": 2})
    assert [disk.state for disk in hot.disks] == ["online"] * 6
    assert hot.warnings == ()
    assert (warm.volumes, warm.redundancy) == (0, {})
    assert (cold.volumes, cold.place, cold.disks) == (1, "memory", ())
    assert (state.moves_pending, state.garbage_copies) == (0, 1)
    head = await store.journal.head()
    assert (state.journal_position, state.journal_digest) == (head.seq, head.digest.hex())
    assert json.loads(json.dumps(asdict(state)))


async def test_disks_that_share_a_device_are_a_warning():
    store = Store()
    await store.claim()
    (warning,) = tier(await store.status(), "hot").warnings
    assert "share a device" in warning


async def test_missing_and_failing_disks_reduce_the_shards_that_survive():
    store = Store()
    await store.claim()
    await store.put("whole", CONTENT)
    store.hot[0].fail()
    await store.put("five", CONTENT)
    store.hot[1]._label = None
    state = await store.status()
    hot = tier(state, "hot")
    assert [disk.state for disk in hot.disks[:3]] == ["hot0: taken away", "missing", "online"]
    # The shard that was never written is on one of the disks that are down, or it is not.
    assert hot.redundancy == {"4": 1, "3": 1}
    assert "2 of 6 disks do not answer" in hot.warnings
    text = render_text(state)
    assert "hot1: missing" in text
    assert "2 of 6 disks do not answer" in text


async def test_a_disk_in_anothers_place_is_not_online():
    """Swapped while the server runs: a start would have refused it."""
    store = Store()
    await store.claim()
    disks = store.hot
    disks[1], disks[2] = disks[2], disks[1]
    hot = tier(await store.status(), "hot")
    assert [disk.state == "online" for disk in hot.disks] == [True, False, False, True, True, True]
    assert "another disk" in hot.disks[1].state


async def test_a_store_before_its_first_start():
    store = Store()
    state = await status(store.journal, {HOT: store.hot}, None, ErasureProfile())
    assert [tier.tier for tier in state.tiers] == ["hot"]
    assert [disk.state for disk in state.tiers[0].disks] == ["missing"] * 6


def test_sizes_for_people():
    assert human_bytes(0) == "0 B"
    assert human_bytes(1023) == "1023 B"
    assert human_bytes(1536) == "1.5 KiB"
    assert human_bytes(5 * 1024**5) == "5120.0 TiB"


async def test_full_disks_and_the_money_spent_on_the_remote(autojump_clock):
    store = Store()
    for disk in store.hot:
        disk.size_bytes, disk._used_bytes = 1000, 950
    await store.claim()
    use = [RemoteUsed("2026-11", 3, 5, 10**9), SpendCapReached("2026-11", 0.02, 0.02)]
    await store.journal.transact(lambda _: use, by="system")
    limits = TieringLimits(store.rules.prices, 0.02, 0.9)
    state = await status(store.journal, store.disks, None, ErasureProfile(), limits=limits)
    text = render_text(state)
    assert "! the fullest disk is 95% full, and may be 90%: volumes move away" in text
    assert (
        "remote in 2026-11: $0.0100 of $0.0200 for 3 writes, 5 reads and 953.7 MiB;"
        " nothing is brought up from cold until it is over" in text
    )
