"""Events to fill journals and catalogs with, and everything a catalog can be asked."""

from dataclasses import replace

from stratum.domain.attributes import VersionAttributes
from stratum.domain.catalog import copy_key
from stratum.domain.checksums import Checksum, ChecksumAlgorithm, ChecksumType
from stratum.domain.events import (
    BucketConfigured,
    BucketCreated,
    BucketDeleted,
    CopiesReclaimed,
    DeleteMarkerCreated,
    DeleteMarkerRemoved,
    DiskAdded,
    MoveAbandoned,
    MoveDeclined,
    PartStored,
    PricesAdopted,
    RemoteUsed,
    ShardsRebuilt,
    SpendCapReached,
    TierDecided,
    TierPinned,
    TierUnpinned,
    UploadAborted,
    UploadCompleted,
    UploadStarted,
    VersionChanged,
    VersionCommitted,
    VersionRemoved,
    VolumeMoved,
)
from stratum.domain.listing import ListRequest, Position
from stratum.domain.names import Tier
from stratum.domain.settings import BucketSettings, Versioning
from stratum.domain.tiering import Decision
from stratum.domain.volume import CompletedPart, Extent, Location, Metadata, RemoteObject

BUCKETS = ("alpha", "beta")
KEYS = ("a", "a/b", "a/b/c", "a//b", "é", "z/😀")
PREFIXES = ("", "a", "a/", "a/b", "z", "é")


def volume_id(number: int) -> str:
    return f"0192f0c1a2b3{number:020x}"


def local(number: int, tier: Tier = Tier.HOT, *missing: int) -> Location:
    return Location(tier, (Extent(f"e{number}", 4096, 1 << 20, missing),))


def remote(number: int) -> Location:
    return Location(Tier.COLD, remote=RemoteObject(f"r{number}", 512, 4096))


def bucket_created(name: str = "alpha") -> BucketCreated:
    return BucketCreated(name, "owner", "Owner", "us-east-1")


def committed(number: int, key: str = "a", bucket: str = "alpha", **changes) -> VersionCommitted:
    values = {
        "volume_id": volume_id(number),
        "bucket": bucket,
        "key": key,
        "version_id": "null",
        "size_bytes": 1000 + number,
        "etag": f"{number:032x}",
        "checksum": f"{number:016x}",
        "location": local(number),
        "metadata": Metadata({"content-type": "text/plain"}, {"colour": "blue"}),
        "checksums": (Checksum(ChecksumAlgorithm.CRC64NVME, "AAAAAAAAAAA="),),
    }
    return VersionCommitted(**(values | changes))


def decided(volume: str, copy: str, target: Tier = Tier.COLD) -> TierDecided:
    decision = Decision(
        Tier.HOT, target, "break-even.1", "It is idle.", "p1", {"idle_days": 31.0}, {"saving": 0.5}
    )
    return TierDecided(volume, decision, copy)


class History:
    """Turns small numbers into events that may follow what `catalog` says, and some that may not.

    `step` is deterministic, so that a failing example shrinks.
    """

    def __init__(self) -> None:
        self._next = 0
        self.uploads = []
        self.volumes = []
        self.markers = []

    def step(self, catalog, kind: str, which: int, other: int) -> list:
        return getattr(self, f"_{kind}")(catalog, which, other)

    def _fresh(self) -> int:
        self._next += 1
        return self._next

    def _volume(self, which):
        return self.volumes[which % len(self.volumes)] if self.volumes else volume_id(10**6)

    def _upload(self, which):
        return self.uploads[which % len(self.uploads)] if self.uploads else "nothing"

    def _bucket(self, catalog, which, other):
        name = BUCKETS[which % 2]
        if catalog.bucket(name) and catalog.is_empty(name) and other % 2:
            return [BucketDeleted(name)]
        return [bucket_created(name)]

    def _put(self, catalog, which, other):
        number = self._fresh()
        bucket, key = BUCKETS[other % 2], KEYS[which % len(KEYS)]
        # A key has one version `null` at most, also below a marker.
        current = catalog.version_by_id(bucket, key, "null") or catalog.version(bucket, key)
        location = local(number, Tier.WARM, *range(other % 3)) if which % 2 else local(number)
        new = committed(number, key, bucket, location=location)
        self.volumes.append(new.volume_id)
        if current is None:
            return [new]
        old = VersionRemoved(current.volume_id, bucket, key, current.version_id, "overwritten")
        return [new, old] if which % 2 else [old, new]

    def _version(self, catalog, which, other):
        number = self._fresh()
        bucket, key = BUCKETS[other % 2], KEYS[which % len(KEYS)]
        attributes = VersionAttributes("bob", "Bob") if which % 2 else VersionAttributes()
        new = committed(number, key, bucket, version_id=volume_id(number), attributes=attributes)
        self.volumes.append(new.volume_id)
        return [new]

    def _mark(self, catalog, which, other):
        bucket, key = BUCKETS[other % 2], KEYS[which % len(KEYS)]
        marker = f"m{self._fresh()}"
        self.markers.append((bucket, key, marker))
        return [DeleteMarkerCreated(marker, bucket, key, marker, "o", "O")]

    def _unmark(self, catalog, which, other):
        if not self.markers:
            return []
        bucket, key, marker = self.markers[which % len(self.markers)]
        return [DeleteMarkerRemoved(marker, bucket, key, marker, "deleted")]

    def _attribute(self, catalog, which, other):
        value = VersionAttributes(tags={"n": str(other)})
        return [VersionChanged(self._volume(which), "alpha", "a", "null", "tags", value)]

    def _class(self, catalog, which, other):
        versions = [catalog.version_of(each) for each in self.volumes]
        found = [each for each in versions if each is not None]
        if not found:
            return []
        it = found[which % len(found)]
        name = ("storage_class", "restored_until_ms")[other % 2]
        value = VersionAttributes(storage_class="GLACIER", restored_until_ms=other)
        return [VersionChanged(it.volume_id, it.bucket, it.key, it.version_id, name, value)]

    def _configure(self, catalog, which, other):
        value = (None, *Versioning)[which % 3]
        return [
            BucketConfigured(BUCKETS[other % 2], "versioning", BucketSettings(versioning=value))
        ]

    def _delete(self, catalog, which, other):
        volume = catalog.volume(self._volume(which))
        if volume is None:
            return [VersionRemoved(self._volume(which), "alpha", "a", "null", "deleted")]
        version = catalog.version_of(volume.id)
        return [VersionRemoved(volume.id, volume.bucket, volume.key, version.version_id, "deleted")]

    def _decide(self, catalog, which, other):
        return [decided(self._volume(which), f"c{self._fresh()}", list(Tier)[other % 3])]

    def _move(self, catalog, which, other):
        volume = catalog.volume(self._volume(which))
        source = volume.location if volume else local(10**6)
        number = self._fresh()
        target = remote(number) if other % 2 else local(number, Tier.WARM, *range(other % 3))
        return [VolumeMoved(self._volume(which), source, target, "0" * 16)]

    def _abandon(self, catalog, which, other):
        return [MoveAbandoned(self._volume(which), Tier.COLD, "c", "it was overwritten")]

    def _rebuild(self, catalog, which, other):
        volume = catalog.volume(self._volume(which))
        extents = volume.location.extents if volume else ()
        name = extents[other % len(extents)].id if extents else "nothing"
        return [ShardsRebuilt(self._volume(which), name, (other % 3,))]

    def _start(self, catalog, which, other):
        upload = f"u{self._fresh()}"
        self.uploads.append(upload)
        kind = (ChecksumAlgorithm.CRC32, ChecksumType.COMPOSITE) if other % 2 else (None, None)
        key = KEYS[which % len(KEYS)]
        return [UploadStarted(upload, BUCKETS[other % 2], key, "o", "O", Metadata(), *kind)]

    def _part(self, catalog, which, other):
        number = self._fresh()
        sums = (Checksum(ChecksumAlgorithm.CRC32, "AAAAAA=="),) if other % 2 else ()
        return [
            PartStored(self._upload(which), 1 + other, 5, "f" * 32, "0" * 16, local(number), sums)
        ]

    def _complete(self, catalog, which, other):
        upload = catalog.upload(self._upload(which))
        if upload is None:
            return []
        parts = catalog.parts(upload.id)[other % 2 :]
        if not parts:
            return [UploadAborted(upload.id)]
        number = self._fresh()
        tier = parts[0].location.tier
        extents = tuple(e for part in parts for e in part.location.extents)
        new = committed(
            number,
            upload.key,
            upload.bucket,
            location=Location(tier, extents),
            parts=tuple(CompletedPart(part.number, 5, None) for part in parts),
        )
        self.volumes.append(new.volume_id)
        current = catalog.version(upload.bucket, upload.key)
        numbers = tuple(part.number for part in parts)
        events = [
            new,
            UploadCompleted(upload.id, upload.bucket, upload.key, new.volume_id, numbers),
        ]
        if current is not None:
            removed = VersionRemoved(
                current.volume_id,
                current.bucket,
                current.key,
                current.version_id,
                "overwritten",
            )
            events.insert(1, removed)
        return events

    def _abort(self, catalog, which, other):
        return [UploadAborted(self._upload(which))]

    def _reclaim(self, catalog, which, other):
        garbage = catalog.garbage(10**15, 1 + which)
        return [CopiesReclaimed(tuple(copy_key(each.location) for each in garbage))]

    def _disk(self, catalog, which, other):
        return [DiskAdded(list(Tier)[which % 2], other % 3, f"disk{self._fresh()}")]

    def _prices(self, catalog, which, other):
        return [PricesAdopted(f"p{which % 3}", f'{{"n":{other}}}')]

    def _pin(self, catalog, which, other):
        return [TierPinned(BUCKETS[other % 2], PREFIXES[which % 6], list(Tier)[other % 3], "why")]

    def _unpin(self, catalog, which, other):
        return [TierUnpinned(BUCKETS[other % 2], PREFIXES[which % 6])]

    def _decline(self, catalog, which, other):
        volumes = catalog.volumes()
        if not volumes:
            return []
        volume = volumes[which % len(volumes)]
        return [MoveDeclined(volume.id, list(Tier)[other % 3], "manual", "full")]

    def _use(self, catalog, which, other):
        return [RemoteUsed(f"2026-{which % 3}", which, other, which * other)]

    def _cap(self, catalog, which, other):
        return [SpendCapReached(f"2026-{which % 3}", which, other)]


KINDS = (
    "bucket",
    "put",
    "version",
    "mark",
    "unmark",
    "attribute",
    "class",
    "configure",
    "delete",
    "decide",
    "move",
    "abandon",
    "rebuild",
    "start",
    "part",
    "complete",
    "abort",
    "reclaim",
    "disk",
    "prices",
    "pin",
    "unpin",
    "decline",
    "use",
    "cap",
)


def answers(catalog, history: History) -> dict:
    """Everything the catalog says, through its port."""
    versions, listings, uploads = {}, {}, {}
    pages = {}
    for bucket in BUCKETS:
        for request in (ListRequest(), ListRequest(delimiter="/"), ListRequest(prefix="a/")):
            listings[bucket, request] = catalog.list_objects(bucket, request)
            uploads[bucket, request] = catalog.list_uploads(bucket, request)
            pages[bucket, request] = _version_pages(catalog, bucket, request)
        listings[bucket, "empty"] = catalog.is_empty(bucket)
        for key in KEYS:
            ids = ("null", *history.volumes, *(marker for _, _, marker in history.markers))
            versions[bucket, key] = [
                catalog.version(bucket, key),
                catalog.delete_marker(bucket, key),
                *(catalog.version_by_id(bucket, key, each) for each in ids),
            ]
    volumes = catalog.volumes()
    return {
        "version pages": pages,
        "version of": [catalog.version_of(each) for each in history.volumes],
        "buckets": list(catalog.buckets()),
        "bucket": [catalog.bucket(name) for name in BUCKETS],
        "versions": versions,
        "listings": listings,
        "uploads": uploads,
        "upload": [catalog.upload(each) for each in history.uploads],
        "parts": [list(catalog.parts(each)) for each in history.uploads],
        "some parts": [list(catalog.parts(each, 2, 2)) for each in history.uploads],
        "completed": [catalog.completed(each) for each in history.uploads],
        "volumes": list(catalog.volumes()),
        "some volumes": list(catalog.volumes(volume_id(2), 2)),
        "volume": [catalog.volume(each) for each in history.volumes],
        "pending": list(catalog.pending_moves()),
        "residents": [list(catalog.residents(tier, 1000)) for tier in Tier],
        "behind": [
            list(catalog.residents(tier, 2, volume)) for tier in Tier for volume in volumes[:3]
        ],
        "remote use": [catalog.remote_use(month) for month in ("", "2026-0", "2026-1", "2026-9")],
        "garbage": list(catalog.garbage(10**15, 1000)),
        "old garbage": list(catalog.garbage(1010, 3)),
        "totals": catalog.totals(),
        "disks": list(catalog.disks()),
        "pins": [list(catalog.pins(each)) for each in (None, *BUCKETS)],
        "pin": [catalog.pin_of(bucket, key) for bucket in BUCKETS for key in KEYS],
        "prices": [catalog.prices(version) for version in ("", "p0", "p1", "p2", "p9")],
    }


def _version_pages(catalog, bucket, request) -> list:
    """All versions in pages of two, and where each page would begin from the id of its last."""
    found = []
    for _ in range(200):
        page = catalog.list_versions(bucket, replace(request, max_keys=2))
        found.append(page)
        if page.next is None:
            break
        if page.entries and page.next.within:
            by_id = Position(page.next.key, within=page.entries[-1].version_id)
            found.append(catalog.list_versions(bucket, replace(request, after=by_id)))
        request = replace(request, after=page.next)
    return found
