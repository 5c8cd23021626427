"""What an audit shows, and what it finds: everything that was tampered with or lost, and nothing
else, also beside a store at work."""

import pytest

from stratum.adapters.master_keys import Keyring, MasterKey
from stratum.adapters.memory_journal import MemoryJournal
from stratum.adapters.sealed_remote import SealedRemote
from stratum.app.audit import Filter, Verifier, as_document, as_line, events
from stratum.domain.names import Tier
from stratum.domain.object import Target
from tests.support.store import COLD, HOT, WARM, Store, cancelled_at_step, source_of
from tests.support.tiering_world import ALICE, BUCKET, STRIPE_SIZE_BYTES, content_of

CONTENT = content_of(2 * STRIPE_SIZE_BYTES + 11)


async def filled():
    store = Store()
    await store.put("a/1", CONTENT)
    await store.put("a/2", b"")
    await store.put("b/1", b"x")
    return store


def kinds(findings):
    return [finding.kind for finding in findings]


# -- verifying ------------------------------------------------------------------------------------
async def test_a_whole_store_has_no_findings(autojump_clock):
    store = await filled()
    upload = await store.start_upload("up")
    await store.put_part(upload, 1, CONTENT)
    await store.put_part(upload, 2, CONTENT)
    await store.put_part(upload, 2, b"again")  # the first one is garbage now
    await store.put("b/1", b"overwritten")
    async with store.running("mover"):
        await store.move("a/1", WARM)
        await store.move("a/2", COLD)
        await store.settled()
    assert await store.findings() == []
    async with store.running("reclaimer") as nursery:
        await store.days(1000)
        nursery.cancel_scope.cancel()
    assert await store.findings() == []


@pytest.mark.parametrize("key", ["a/1", "a/2"])
@pytest.mark.parametrize(
    ("how", "kind"),
    [
        ("lost", "shard-missing"),
        ("truncated", "shard-corrupt"),
        ("empty", "shard-corrupt"),
        ("garbage", "shard-corrupt"),
        ("garbage in trailer", "shard-corrupt"),
    ],
)
async def test_every_damaged_shard_is_found(key, how, kind):
    store = await filled()
    store.damage_shard(key, 4, how)
    (finding,) = await store.findings()
    assert finding.kind == kind
    assert finding.subject == f"{BUCKET}/{key}"
    assert "shard 4 of " + store.extents(key)[0] in finding.detail
    assert "hot4" in finding.detail


async def test_one_byte_too_few_or_too_many_is_found():
    store = await filled()
    (first,), (second,) = store.extents("a/1"), store.extents("b/1")
    del store.hot[0].data(first)[-1]
    store.hot[0].data(second).append(0)
    assert kinds(await store.findings()) == ["shard-corrupt", "shard-corrupt"]


async def test_a_shard_in_anothers_place_is_found():
    store = await filled()
    (name,) = store.extents("a/1")
    store.hot[0].data(name)[:] = bytes(store.hot[1].data(name))
    assert kinds(await store.findings()) == ["shard-corrupt"]
    await store.put("c", CONTENT)
    store.hot[0].data(name)[:] = bytes(store.hot[0].data(*store.extents("c")))
    assert kinds(await store.findings()) == ["shard-corrupt"]


async def test_a_shard_that_was_never_written_is_a_finding():
    store = Store()
    store.hot[2].fail()
    await store.put("k", CONTENT)
    store.hot[2].recover()
    (finding,) = await store.findings()
    assert finding.kind == "shard-missing"
    assert "shard 2" in finding.detail
    assert "was not written" in finding.detail


async def test_damaged_parts_of_an_upload_are_found():
    """A part was acknowledged: it is as much the client's as an object."""
    store = await filled()
    upload = await store.start_upload("up")
    await store.put_part(upload, 3, CONTENT)
    (part,) = store.journal.catalog.parts(upload.id)
    store.hot[1].lose(part.location.extents[0].id)
    (finding,) = await store.findings()
    assert finding.kind == "shard-missing"
    assert finding.subject == f"{BUCKET}/up part 3 of upload {upload.id}"


async def test_a_missing_disk_is_one_finding_not_thousands():
    store = Store()
    for number in range(20):
        await store.put(f"k{number}", CONTENT)
    store.hot[5].fail()
    (finding,) = await store.findings()
    assert (finding.kind, finding.subject) == ("disk", "hot5")
    assert "taken away" in finding.detail


async def test_orphans_are_found_on_every_disk_that_has_one():
    store = await filled()
    store.hot[0].add("0" * 32, b"whatever")
    store.disks[WARM][3].add("1" * 32, b"whatever")
    findings = await store.findings()
    assert [(f.kind, f.subject) for f in findings] == [
        ("shard-orphan", "hot0"),
        ("shard-orphan", "warm3"),
    ]
    assert "0" * 32 in findings[0].detail


async def test_the_remote_tier_is_checked(autojump_clock):
    store = await filled()
    async with store.running("mover"):
        for key in ("a/1", "b/1"):
            await store.move(key, COLD)
        await store.settled()
    first, second = (store.volume(key).location.remote.name for key in ("a/1", "b/1"))
    store.remote.lose(first)
    store.remote._objects[second] += b"more"
    store.remote._objects["volumes/00/unknown"] = bytearray(b"x")
    found = sorted((finding.kind, finding.subject) for finding in await store.findings())
    assert found == [
        ("remote-missing", f"{BUCKET}/a/1"),
        ("remote-orphan", "volumes/00/unknown"),
        ("remote-size", f"{BUCKET}/b/1"),
    ]


async def test_a_sealed_remote(autojump_clock):
    """Sizes are those the journal knows; what can't be opened is reported, each for itself."""
    store = await filled()
    inner = store.remote
    key = MasterKey(bytes(32))
    store.remote = SealedRemote(inner, Keyring([key], "the file"))
    store.datapath._remote = store.remote
    async with store.running("mover"):
        for name in ("a/1", "b/1"):
            await store.move(name, COLD)
        await store.settled()
    assert await store.findings() == []
    first, second = (store.volume(name).location.remote.name for name in ("a/1", "b/1"))
    del inner._objects[first][-1]
    inner._objects["volumes/00/junk"] = bytearray(1000)
    inner._objects["volumes/01/stolen"] = bytearray(inner._objects[second])
    store.remote = SealedRemote(inner, Keyring([key], "the file"))
    found = {finding.subject: finding for finding in await store.findings()}
    assert {subject: finding.kind for subject, finding in found.items()} == {
        f"{BUCKET}/a/1": "remote-size",
        "volumes/00/junk": "remote",
        "volumes/01/stolen": "remote",
    }
    store.remote = SealedRemote(inner, Keyring([], "the file"))
    missing = [finding for finding in await store.findings() if finding.subject == f"{BUCKET}/b/1"]
    assert [finding.kind for finding in missing] == ["remote"]
    assert f"master key {key.id.hex()}, which is not in the file" in missing[0].detail


async def test_a_remote_that_does_not_answer(autojump_clock):
    store = await filled()
    async with store.running("mover"):
        await store.move("a/1", COLD)
        await store.settled()
    store.remote.fail_next(1000, "down")
    findings = await store.findings()
    assert set(kinds(findings)) == {"remote"}
    assert "down" in findings[0].detail
    store = Store(cold=False, before=store, journal=store.journal.reopened())
    verifier = Verifier(store.journal, store.disks, None, [])
    assert [(f.kind, f.subject) async for f in verifier.findings()] == [("remote", f"{BUCKET}/a/1")]


async def test_a_broken_chain_and_a_tampered_catalog_come_first():
    store = await filled()
    stream, version, topic, state, digest = store.journal._rows[2]
    store.journal._rows[2] = (stream, version, topic, state + b"\0", digest)
    store.damage_shard("a/1", 0, "lost")
    findings = await store.findings(["objects ('a',): live (1,), from events (2,)"])
    assert kinds(findings) == ["chain", "catalog", "shard-missing"]
    assert "Event 3" in findings[0].detail
    assert "live (1,)" in findings[1].detail


async def test_the_number_of_volumes_looked_at():
    store = await filled()
    verifier = Verifier(store.journal, store.disks, store.remote, [])
    assert [finding async for finding in verifier.findings()] == []
    assert verifier.volumes == 3


# -- beside a store at work -----------------------------------------------------------------------
class Busy(MemoryJournal):
    """Does something before the audit's query number `at`."""

    at = 0
    act = None

    async def query(self, question):
        self.at -= 1
        if self.at == 0:
            await self.act()
        return await super().query(question)


@pytest.mark.parametrize("query", range(1, 8))
@pytest.mark.parametrize("what", ["complete", "abort", "move", "overwrite", "delete", "reclaim"])
async def test_what_happens_during_an_audit_is_no_finding(autojump_clock, query, what):
    store = Store(grace_s=0)
    journal = Busy(store.now_ms)
    store = Store(journal=journal, grace_s=0)
    for number in range(3):
        await store.put(f"k{number}", CONTENT)
    upload = await store.start_upload("k1")
    part = await store.put_part(upload, 1, CONTENT)

    async def act():
        match what:
            case "complete":
                await store.complete(upload, [part])
            case "abort":
                await store.abort(upload)
            case "move":
                async with store.running("mover"):
                    for number, tier in enumerate((WARM, COLD, WARM)):
                        await store.move(f"k{number}", tier)
                    await store.settled()
            case "overwrite":
                await store.put("k1", b"new")
            case "delete":
                await store.objects.delete(ALICE, Target(BUCKET, store.volume("k1").key))
            case "reclaim":
                await store.put("k0", b"new")
                await store.abort(upload)
                await store.reclaimer.reclaim()

    journal.at, journal.act = query, act
    assert await store.findings() == []


async def test_an_audit_can_be_cancelled_anywhere():
    store = await filled()
    step = 1
    while not await cancelled_at_step(step, store.findings):
        step += 1
    assert step > 20
    assert await store.findings() == []


async def test_staged_shards_of_writes_under_way_are_no_orphans():
    store = await filled()
    await cancelled_at_step(30, lambda: store.put_source("k", source_of(CONTENT)))
    store.hot[0]._unsealed["2" * 32] = bytearray(b"being written")
    store.hot[0]._staged["3" * 32] = bytearray(b"sealed")
    assert await store.findings() == []


# -- showing events -------------------------------------------------------------------------------
async def shown(store, **wanted):
    return [recorded async for recorded in events(store.journal, Filter(**wanted))]


def names(found):
    return [type(recorded.event).__name__ for recorded in found]


async def test_all_events_in_order():
    store = await filled()
    found = await shown(store)
    assert names(found) == ["BucketCreated", *["VersionCommitted"] * 3]
    assert [recorded.seq for recorded in found] == [1, 2, 3, 4]


async def test_events_of_a_key_include_those_that_do_not_name_it(autojump_clock):
    store = await filled()
    async with store.running("mover"):
        await store.move("a/1", WARM)
        await store.settled()
    upload = await store.start_upload("a/1")
    await store.complete(upload, [await store.put_part(upload, 1, b"x")])
    found = await shown(store, bucket=BUCKET, prefix="a/1")
    assert names(found) == [
        "VersionCommitted",
        "TierDecided",
        "VolumeMoved",
        "UploadStarted",
        "PartStored",
        "VersionRemoved",
        "VersionCommitted",
        "UploadCompleted",
    ]
    assert names(await shown(store, bucket=BUCKET, prefix="b/")) == ["VersionCommitted"]
    assert await shown(store, bucket="another") == []
    assert names(await shown(store, type="TierDecided")) == ["TierDecided"]


async def test_pins_concern_all_that_is_under_their_prefix():
    store = await filled()
    for prefix in ("", "a/", "a/1x", "b/"):
        await store.pin(prefix, WARM, "because")
    await store.unpin("a/")

    async def pinned(prefix, bucket=BUCKET):
        found = await shown(store, bucket=bucket, prefix=prefix)
        return [as_line(each) for each in found if each.stream.startswith("pin/")]

    of_all, of_a, of_1x, of_b = [
        f"bucket=bucket{shown_prefix} tier=warm why=because"
        for shown_prefix in ("", " prefix=a/", " prefix=a/1x", " prefix=b/")
    ]
    assert await pinned("a/1") == [of_all, of_a, of_1x, "bucket=bucket prefix=a/"]
    assert await pinned("b/1") == [of_all, of_b]
    assert await pinned("c") == [of_all]
    assert await pinned("a/1", "another") == []


async def test_events_of_a_time(autojump_clock):
    store = Store()
    await store.put("1", b"")
    await store.days(1)
    middle = store.now_ms()
    await store.put("2", b"")
    assert [r.event.key for r in await shown(store, since_ms=middle)] == ["2"]
    assert [r.event.key for r in await shown(store, until_ms=middle, type="VersionCommitted")] == [
        "1"
    ]


async def test_an_event_as_a_line_and_as_a_document(autojump_clock):
    store = await filled()
    async with store.running("mover"):
        await store.move("a/1", WARM)
        await store.settled()
    found = await shown(store, bucket=BUCKET, prefix="a/1")
    committed, decided, moved = found
    assert "key=a/1" in as_line(committed)
    assert "location=hot" in as_line(committed)
    assert as_line(decided).startswith("hot → warm (")
    assert "source=hot target=warm" in as_line(moved)
    document = as_document(committed)
    assert document["type"] == "VersionCommitted"
    assert document["seq"] == committed.seq
    assert document["location"]["tier"] is Tier(HOT)
