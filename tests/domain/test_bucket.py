"""Decisions about buckets, on a catalog in memory."""

from functools import partial

import pytest

from stratum.adapters.memory_journal import MemoryJournal
from stratum.domain.bucket import create_bucket, delete_bucket
from stratum.domain.errors import (
    BucketAlreadyExists,
    BucketAlreadyOwnedByYou,
    BucketNotEmpty,
    NoSuchBucket,
)
from stratum.domain.events import BucketDeleted, UploadAborted, UploadStarted, VersionCommitted
from stratum.domain.names import Caller, Tier, VolumeId
from stratum.domain.volume import Extent, Location

OWNER = Caller("id-1", "owner")
OTHER = Caller("id-2", "other")


@pytest.fixture
async def journal():
    journal = MemoryJournal(lambda: 1)
    await create(journal, OWNER)
    return journal


def create(journal, owner):
    decide = partial(create_bucket, name="films", owner=owner, region="here")
    return journal.transact(decide, by="test")


def delete(journal):
    return journal.transact(partial(delete_bucket, name="films"), by="test")


async def test_a_name_is_taken_once_and_the_error_says_by_whom(journal):
    with pytest.raises(BucketAlreadyOwnedByYou):
        await create(journal, OWNER)
    with pytest.raises(BucketAlreadyExists):
        await create(journal, OTHER)


async def test_an_object_keeps_the_bucket(journal):
    volume_id = VolumeId("0" * 32)
    location = Location(Tier.HOT, (Extent(volume_id, 0, 1 << 20),))
    committed = VersionCommitted(volume_id, "films", "k", "null", 0, "etag", "0" * 16, location)
    await journal.transact(lambda _: [committed], by="test")
    with pytest.raises(BucketNotEmpty):
        await delete(journal)
    assert journal.catalog.bucket("films")


async def test_uploads_in_progress_end_with_the_bucket(journal):
    started = UploadStarted("u" * 32, "films", "k", OWNER.id, OWNER.name)
    await journal.transact(lambda _: [started], by="test")
    events = [recorded.event for recorded in await delete(journal)]
    assert events == [UploadAborted("u" * 32), BucketDeleted("films")]
    assert journal.catalog.upload("u" * 32) is None
    with pytest.raises(NoSuchBucket):
        await delete(journal)
