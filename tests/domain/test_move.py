import tomllib
from dataclasses import replace

import pytest

from stratum.domain.errors import Conflict, MoveRefused, NoSuchVolume
from stratum.domain.events import MoveAbandoned, PricesAdopted, TierDecided, VolumeMoved
from stratum.domain.move import abandon_move, adopt_prices, complete_move, decide_move
from stratum.domain.names import BucketName, ExtentId, ObjectKey, Tier, VolumeId
from stratum.domain.pin import Pin
from stratum.domain.pricing import DEFAULT_PRICES_TOML, parse_document, parse_prices
from stratum.domain.tiering import PINNED, Decision
from stratum.domain.volume import Extent, Location, PendingMove, RemoteObject, Volume

ID = VolumeId("0" * 32)
COPY, OTHER = ExtentId("c" * 32), ExtentId("d" * 32)
CHECKSUM = "0123456789abcdef"
SOURCE = Location(Tier.HOT, (Extent(ExtentId("a" * 32), 5, 1024),))
TARGET = Location(Tier.COLD, remote=RemoteObject("volumes/cc/c", 10, 5))
DECISION = Decision(Tier.HOT, Tier.COLD, "manual", "because")
STILL = Volume(ID, BucketName("b"), ObjectKey("k"), 5, CHECKSUM, SOURCE, 0, 0, stream_version=1)
MOVING = replace(STILL, pending=PendingMove(Tier.COLD, COPY, 0, "because"))


class Placed:
    """A catalog with one volume, or none."""

    def __init__(self, volume):
        self._volume = volume

    adopted = None
    pin = None

    def prices(self):
        return self.adopted

    def pin_of(self, bucket, key):
        return self.pin

    def volume(self, volume_id):
        return self._volume if self._volume and volume_id == self._volume.id else None


def decide(volume, decision=DECISION):
    return decide_move(Placed(volume), volume_id=ID, decision=decision, copy_id=COPY)


def complete(volume, copy_id=COPY, checksum=CHECKSUM):
    return complete_move(
        Placed(volume), volume_id=ID, copy_id=copy_id, target=TARGET, checksum=checksum
    )


def abandon(volume, copy_id=COPY):
    return abandon_move(Placed(volume), volume_id=ID, copy_id=copy_id, reason="remote down")


def test_a_decision_is_recorded_with_its_copy():
    assert decide(STILL) == [TierDecided(ID, DECISION, COPY)]


def test_no_decision_without_a_volume():
    with pytest.raises(NoSuchVolume):
        decide(None)


@pytest.mark.parametrize(
    ("volume", "decision"),
    [
        (MOVING, DECISION),
        (STILL, replace(DECISION, target=Tier.HOT)),
        (STILL, replace(DECISION, source=Tier.WARM)),
    ],
    ids=["under way", "there already", "made for another tier"],
)
def test_moves_that_make_no_sense_are_refused(volume, decision):
    with pytest.raises(MoveRefused):
        decide(volume, decision)


def test_no_move_against_a_pin_whoever_decides():
    catalog = Placed(STILL)
    catalog.pin = Pin(STILL.bucket, "", Tier.WARM, "root", 1000, 7)

    def decided(decision):
        return decide_move(catalog, volume_id=ID, decision=decision, copy_id=COPY)

    for policy in ("manual", "break-even.1", PINNED):
        with pytest.raises(MoveRefused, match=r"s3://b/k is pinned to warm by root since 1970-"):
            decided(replace(DECISION, policy=policy))
    assert decided(replace(DECISION, target=Tier.WARM))
    assert decided(replace(DECISION, target=Tier.WARM, policy=PINNED))
    catalog.pin = None
    with pytest.raises(MoveRefused, match="no longer pinned"):
        decided(replace(DECISION, policy=PINNED))


def test_a_verified_copy_becomes_the_location():
    assert complete(MOVING) == [VolumeMoved(ID, SOURCE, TARGET, CHECKSUM)]


@pytest.mark.parametrize(
    ("volume", "copy_id", "checksum"),
    [
        (None, COPY, CHECKSUM),
        (STILL, COPY, CHECKSUM),
        (MOVING, OTHER, CHECKSUM),
        (MOVING, COPY, "f" * 16),
    ],
    ids=["overwritten", "not pending", "another copy", "other bytes"],
)
def test_a_copy_that_lost_its_race_conflicts(volume, copy_id, checksum):
    with pytest.raises(Conflict):
        complete(volume, copy_id, checksum)


def test_giving_up_is_an_event_only_for_the_pending_copy():
    assert abandon(MOVING) == [MoveAbandoned(ID, Tier.COLD, COPY, "remote down")]
    assert abandon(MOVING, OTHER) == []
    assert abandon(STILL) == []
    assert abandon(None) == []


def test_a_price_list_is_adopted_once():
    prices = parse_prices(tomllib.loads(DEFAULT_PRICES_TOML))
    catalog = Placed(None)
    (adopted,) = adopt_prices(catalog, prices=prices)
    assert adopted == PricesAdopted(prices.version(), prices.document())
    assert parse_document(adopted.document) == prices
    catalog.adopted = (adopted.version, adopted.document)
    assert adopt_prices(catalog, prices=prices) == []
    assert adopt_prices(catalog, prices=replace(prices, waiting_per_s=1.0)) != []
