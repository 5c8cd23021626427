"""Encrypted objects in a store in memory: what moves and crashes do to them."""

import pytest
import trio

from stratum.domain.encryption import SEGMENT_SIZE_BYTES
from stratum.domain.errors import SealBroken
from stratum.domain.names import Tier
from stratum.domain.ranges import Span
from stratum.domain.sealing import Segments
from tests.support.store import Store
from tests.support.tiering_world import BUCKET, content_of

HOT, WARM, COLD = Tier
CONTENT = content_of(SEGMENT_SIZE_BYTES + 9)
PART_MIN = 5 * 1024**2


def store():
    return Store(encrypted=True)


def stored_size(size):
    return Segments(size, SEGMENT_SIZE_BYTES).sealed_size_bytes


@pytest.mark.parametrize("content", [CONTENT, b"x", b""], ids=["segments", "a byte", "nothing"])
async def test_round_trip_through_all_tiers(autojump_clock, content):
    world = store()
    async with world.running():
        volume = await world.put("k", content)
        assert volume.size_bytes == len(content)
        for target in (WARM, COLD, WARM, COLD, HOT):
            await world.move("k", target)
            await world.settled()
            moved = world.volume("k")
            assert moved.tier is target
            assert moved.location.size_bytes == stored_size(len(content))
            assert moved.checksum == volume.checksum
            assert await world.get("k") == content
        await trio.sleep(120)
        assert await world.stored() == world.referenced("k")
    assert not world.damage
    assert await world.findings() == []


async def test_ranges_of_what_was_moved(autojump_clock):
    world = store()
    edge = SEGMENT_SIZE_BYTES
    async with world.running():
        await world.put("k", CONTENT)
        for target in (HOT, COLD):
            if target is not HOT:
                await world.move("k", target)
                await world.settled()
            for first, last in ((0, 0), (edge - 1, edge), (edge, edge + 8), (3, len(CONTENT) - 1)):
                assert await world.get_range("k", first, last) == CONTENT[first : last + 1]


async def test_a_copy_is_encrypted_with_a_key_of_its_own(autojump_clock):
    world = store()
    async with world.running():
        await world.put("a", CONTENT)
        await world.copy("a", "b")
        catalog = world.journal.catalog
        a, b = (catalog.version(BUCKET, key) for key in ("a", "b"))
        assert a.attributes.encryption.wrapped_key != b.attributes.encryption.wrapped_key
        assert a.checksum != b.checksum
        assert a.etag == b.etag
        assert await world.get("b") == CONTENT


async def test_what_the_store_keeps_is_not_what_was_put(autojump_clock):
    world = store()
    async with world.running():
        volume = await world.put("k", CONTENT)
        version = world.journal.catalog.version(BUCKET, "k")
        shown = world.objects.unlocked(version)
        assert shown.checksums[0].value != version.checksums[0].value
        span = Span(0, volume.location.size_bytes)
        async with world.datapath.read(volume.location, span) as pieces:
            kept = b"".join([bytes(piece) async for piece in pieces])
    assert len(kept) == stored_size(len(CONTENT))
    assert CONTENT[:32] not in kept


async def test_an_upload_goes_on_after_a_restart(autojump_clock):
    world = store()
    first, second = content_of(PART_MIN), content_of(1000)
    async with world.running():
        upload = await world.start_upload("k")
        one = await world.put_part(upload, 1, first)
    world = world.restarted()
    async with world.running():
        upload = world.uploads.get(BUCKET, "k", upload.id)
        two = await world.put_part(upload, 2, second)
        version = await world.complete(upload, [one, two])
        assert version.size_bytes == PART_MIN + 1000
    world = world.restarted()
    async with world.running():
        assert await world.get("k") == first + second
        assert await world.get_range("k", PART_MIN - 2, PART_MIN + 1) == first[-2:] + second[:2]
        await world.move("k", COLD)
        await world.settled()
        assert await world.get_range("k", PART_MIN - 2, PART_MIN + 1) == first[-2:] + second[:2]


async def test_another_objects_bytes_are_not_taken_for_its_own(autojump_clock):
    """Somebody who can write the disks and the journal, but has no key."""
    world = store()
    async with world.running():
        await world.put("a", CONTENT)
        await world.put("b", CONTENT)
        catalog = world.journal.catalog
        a, b = (catalog.version(BUCKET, key) for key in ("a", "b"))
        forged = type(a)(**{**vars(a), "location": b.location})
        with pytest.raises(SealBroken):
            async with world.objects.read(forged, Span(0, 1)):
                pass
