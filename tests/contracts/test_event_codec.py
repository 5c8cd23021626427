"""Events and shard records as bytes: they come back as they went, and old bytes stay readable."""

import dataclasses
from dataclasses import replace

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stratum.adapters.event_codec import decode_event, encode_event
from stratum.adapters.record_codec import decode_record, encode_record
from stratum.domain import events
from stratum.domain.attributes import VersionAttributes
from stratum.domain.checksums import Checksum, ChecksumAlgorithm, ChecksumType
from stratum.domain.errors import JournalCorrupt, ShardCorrupt
from stratum.domain.events import (
    BucketConfigured,
    BucketCreated,
    BucketDeleted,
    CopiesReclaimed,
    DeleteMarkerCreated,
    DeleteMarkerRemoved,
    DiskAdded,
    MoveAbandoned,
    PartStored,
    PricesAdopted,
    ShardsRebuilt,
    TierPinned,
    TierUnpinned,
    UploadAborted,
    UploadCompleted,
    UploadStarted,
    VersionChanged,
    VersionRemoved,
    VolumeMoved,
)
from stratum.domain.names import Tier
from stratum.domain.settings import BucketSettings, Versioning
from stratum.domain.tiering import Decision
from stratum.domain.volume import (
    CompletedPart,
    Extent,
    Location,
    Metadata,
    RemoteObject,
    ShardRecord,
)
from tests.support.histories import committed, decided, local, remote, volume_id

CRC = Checksum(ChecksumAlgorithm.CRC32, "AAAAAA==", ChecksumType.COMPOSITE)
PINNED = TierPinned("alpha", "", Tier.HOT, "It is shown on the front page.")
EXAMPLES = [
    BucketCreated("alpha", "o", "O", "us-east-1"),
    BucketDeleted("alpha"),
    BucketConfigured("alpha", "versioning", BucketSettings(versioning=Versioning.ENABLED)),
    BucketConfigured("alpha", "versioning", BucketSettings()),
    committed(1, "a/é", parts=(CompletedPart(1, 5, CRC), CompletedPart(2, 6))),
    committed(2, location=remote(2), checksums=()),
    VersionRemoved(volume_id(1), "alpha", "a", "null", "deleted"),
    VersionChanged(volume_id(1), "alpha", "a", "v1", "tags", VersionAttributes(tags={"a": "b"})),
    DeleteMarkerCreated("m1", "alpha", "a", "m1", "o", "O"),
    DeleteMarkerRemoved("m1", "alpha", "a", "m1", "deleted"),
    decided(volume_id(1), "c1"),
    VolumeMoved(volume_id(1), local(1, Tier.HOT, 2, 5), remote(3), "0" * 16),
    MoveAbandoned(volume_id(1), Tier.COLD, "c1", "the remote is down"),
    ShardsRebuilt(volume_id(1), "e1", (2, 5)),
    UploadStarted("u", "alpha", "k", "o", "O", Metadata({}, {"a": "b"}), CRC.algorithm, CRC.type),
    UploadStarted("u", "alpha", "k", "o", "O"),
    PartStored("u", 1, 5, "f" * 32, "0" * 16, local(4), (CRC,)),
    UploadCompleted("u", "alpha", "k", volume_id(1), (1, 3)),
    UploadAborted("u"),
    CopiesReclaimed(("e1", "r2")),
    DiskAdded(Tier.WARM, 3, "d3"),
    PricesAdopted("p1", "{}"),
    TierUnpinned("alpha", "a/é"),
    PINNED,
    events.JournalRecovered(7, "0" * 64, 1000, "hot0", 1, 2, 3, 4, ("hot5",)),
    events.UserAdded("a" * 64, "alice", "alice@example.com", "111111111111"),
    events.UserRemoved("a" * 64, "alice"),
    events.AccessKeyAdded("a" * 64, "AKALICE"),
    events.AccessKeyRemoved("a" * 64, "AKALICE"),
    events.IdentityChanged("a" * 64, "role/reader", "PutRolePolicy", "read-all"),
    events.MoveDeclined(volume_id(1), Tier.HOT, "manual", "256 moves are under way"),
    events.RemoteUsed("2026-11", 3, 5, 1 << 40),
    events.SpendCapReached("2026-11", 9.75, 10.0),
]
RECORD = ShardRecord(
    volume_id(1), "e1", "alpha", "a/é", "null", 5, "f" * 32, "0" * 16, 1000, Tier.HOT, 2,
    Metadata({"content-type": "x"}, {}), (CRC,), (CompletedPart(1, 5, CRC),),
    (Extent("e1", 5, 1 << 20, (3,)),), "u", 1,
)  # fmt: skip

MOVED_ROW = bytes.fromhex(
    "93cd03e8a57465737431"
    "94d920303139326630633161326233303030303030303030303030303030303030303193a3686f7491"
    "94a26531cd1000ce00100000920205c093a4636f6c649093a27233cd0200cd1000b0"
    "30303030303030303030303030303030"
)
"""A row as the first release wrote it."""

FIELDS = {
    BucketCreated: "bucket owner_id owner_name region",
    BucketDeleted: "bucket",
    BucketConfigured: "bucket setting value",
    BucketSettings: "versioning",
    VersionAttributes: "owner_id owner_name tags",
    events.VersionCommitted: "volume_id bucket key version_id size_bytes etag checksum location"
    " metadata checksums parts attributes",
    VersionRemoved: "volume_id bucket key version_id reason",
    VersionChanged: "volume_id bucket key version_id attribute value",
    DeleteMarkerCreated: "marker_id bucket key version_id owner_id owner_name",
    DeleteMarkerRemoved: "marker_id bucket key version_id reason",
    events.TierDecided: "volume_id decision copy_id",
    VolumeMoved: "volume_id source target checksum",
    MoveAbandoned: "volume_id to copy_id reason",
    ShardsRebuilt: "volume_id extent_id indices",
    UploadStarted: "upload_id bucket key owner_id owner_name metadata checksum_algorithm"
    " checksum_type attributes",
    PartStored: "upload_id number size_bytes etag checksum location checksums",
    UploadCompleted: "upload_id bucket key volume_id numbers",
    UploadAborted: "upload_id",
    CopiesReclaimed: "copies",
    DiskAdded: "tier index disk_id",
    PricesAdopted: "version document",
    TierPinned: "bucket prefix tier why",
    TierUnpinned: "bucket prefix",
    events.JournalRecovered: "restored_seq restored_digest restored_at_ms source versions parts"
    " moves dropped absent",
    events.UserAdded: "user_id name email account",
    events.UserRemoved: "user_id name",
    events.AccessKeyAdded: "user_id access_key_id",
    events.AccessKeyRemoved: "user_id access_key_id",
    events.IdentityChanged: "user_id subject action detail",
    events.MoveDeclined: "volume_id to policy reason",
    events.RemoteUsed: "month puts gets egress_bytes",
    events.SpendCapReached: "month spent cap",
    Decision: "source target policy sentence prices facts numbers",
    Location: "tier extents remote",
    Extent: "id size_bytes stripe_size_bytes missing",
    RemoteObject: "name payload_offset_bytes size_bytes",
    Metadata: "system user",
    Checksum: "algorithm value type",
    CompletedPart: "number size_bytes checksum",
    ShardRecord: "volume_id extent_id bucket key version_id size_bytes etag checksum created_at_ms"
    " tier generation metadata checksums parts extents upload_id part_number attributes",
}
"""What is stored by position. Fields may be added at the end, with a default, and nothing else."""


@pytest.mark.parametrize("cls", FIELDS, ids=lambda cls: cls.__name__)
def test_stored_fields_keep_their_places(cls):
    promised = FIELDS[cls].split()
    fields = dataclasses.fields(cls)
    assert [field.name for field in fields[: len(promised)]] == promised
    for added in fields[len(promised) :]:
        assert (added.default, added.default_factory) != (dataclasses.MISSING,) * 2


def test_all_that_is_stored_has_its_fields_promised():
    assert set(events.ALL) <= set(FIELDS)


def test_there_is_an_example_of_every_event():
    assert {type(event) for event in EXAMPLES} == set(events.ALL)


@pytest.mark.parametrize("event", EXAMPLES, ids=lambda event: event.TOPIC)
def test_an_event_comes_back_as_it_went(event):
    state = encode_event(event, 1790000000123, "operator")
    assert decode_event(event.TOPIC, state) == (1790000000123, "operator", event)


@pytest.mark.parametrize("event", EXAMPLES, ids=lambda event: event.TOPIC)
def test_a_truncated_or_altered_state_is_refused(event):
    state = encode_event(event, 1, "x")
    for length in range(len(state)):
        with pytest.raises(JournalCorrupt):
            decode_event(event.TOPIC, state[:length])
    with pytest.raises(JournalCorrupt):
        decode_event(event.TOPIC, state + b"\0")


def test_a_row_of_the_first_release_decodes():
    event = VolumeMoved(volume_id(1), local(1, Tier.HOT, 2, 5), remote(3), "0" * 16)
    assert decode_event("VolumeMoved.1", MOVED_ROW) == (1000, "test1", event)


def test_fields_added_with_a_default_are_filled_in_for_older_rows():
    whole = committed(1, metadata=Metadata(), checksums=())
    values = msgspec.msgpack.decode(encode_event(whole, 1, "x"))
    values[2] = values[2][:8]  # before metadata, checksums and parts were added
    old = msgspec.msgpack.encode(values)
    assert decode_event(whole.TOPIC, old) == (1, "x", whole)


def test_fields_of_a_later_release_are_passed_over():
    event = BucketDeleted("alpha")
    values = msgspec.msgpack.decode(encode_event(event, 1, "x"))
    values[2].append("new")
    assert decode_event(event.TOPIC, msgspec.msgpack.encode(values)) == (1, "x", event)


@pytest.mark.parametrize("topic", ["BucketDeleted.2", "json.tool:main", ""])
def test_a_topic_that_is_not_registered_is_refused(topic):
    with pytest.raises(JournalCorrupt, match="unknown topic"):
        decode_event(topic, encode_event(BucketDeleted("alpha"), 1, "x"))


@given(st.binary(max_size=60), st.sampled_from([event.TOPIC for event in events.ALL]))
def test_garbage_is_refused(garbage, topic):
    with pytest.raises(JournalCorrupt):
        decode_event(topic, garbage)


@pytest.mark.parametrize(
    "event",
    [
        committed(1, size_bytes="5"),
        committed(1, etag=None),
        committed(1, metadata={"a": "b"}),
        replace(PINNED, tier="lukewarm"),
        CopiesReclaimed((1, 2)),
    ],
    ids=str,
)
def test_an_event_that_could_not_be_read_again_is_not_written(event):
    with pytest.raises(TypeError):
        encode_event(event, 1, "x")


def test_a_location_that_is_nowhere_is_refused():
    state = encode_event(committed(1), 1, "x")
    values = msgspec.msgpack.decode(state)
    values[2][7] = ["hot", [], None]
    with pytest.raises(JournalCorrupt):
        decode_event("VersionCommitted.1", msgspec.msgpack.encode(values))


def test_a_shard_record_comes_back_as_it_went():
    assert decode_record(encode_record(RECORD)) == RECORD
    bare = replace(RECORD, metadata=Metadata(), upload_id=None, extents=(), parts=())
    assert decode_record(encode_record(bare)) == bare


def test_a_shard_record_that_is_torn_or_of_another_version_is_refused():
    data = encode_record(RECORD)
    for length in range(len(data)):
        with pytest.raises(ShardCorrupt):
            decode_record(data[:length])
    values = msgspec.msgpack.decode(data)
    values[0] = 2
    with pytest.raises(ShardCorrupt, match="version 2"):
        decode_record(msgspec.msgpack.encode(values))


@given(st.binary(max_size=100))
def test_garbage_is_no_shard_record(garbage):
    with pytest.raises(ShardCorrupt):
        decode_record(garbage)
