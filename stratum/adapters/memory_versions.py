"""All versions of all keys in memory: for each key a stack, the newest on top."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterator
from dataclasses import replace

from stratum.domain.catalog import ListedObject, ListedVersion, is_version_order, version_order
from stratum.domain.listing import ListRequest, Page, Position, paginate
from stratum.domain.volume import DeleteMarker, Location, ObjectVersion

AnyVersion = ObjectVersion | DeleteMarker


class MemoryVersions:
    def __init__(self) -> None:
        self._stacks: dict[str, dict[bytes, list[tuple[str, AnyVersion]]]] = {}
        self._keys: dict[str, list[bytes]] = {}
        self._of_volume: dict[str, ObjectVersion] = {}

    def is_empty(self, bucket: str) -> bool:
        return not self._keys.get(bucket)

    def latest(self, bucket: str, key: str) -> AnyVersion | None:
        """The newest version of a key, be it a delete marker."""
        stack = self._stack(bucket, key)
        return stack[0][1] if stack else None

    def by_id(self, bucket: str, key: str, version_id: str) -> AnyVersion | None:
        stack = self._stack(bucket, key)
        return next((each for _, each in stack if each.version_id == version_id), None)

    def of_volume(self, volume_id: str) -> ObjectVersion | None:
        return self._of_volume.get(volume_id)

    def push(self, seq: int, version: AnyVersion) -> None:
        """A version that event `seq` brought: the latest of its key."""
        key = version.key.encode()
        stacks = self._stacks.setdefault(version.bucket, {})
        if key not in stacks:
            insort(self._keys.setdefault(version.bucket, []), key)
        stacks.setdefault(key, []).insert(0, (version_order(seq), version))
        if isinstance(version, ObjectVersion):
            self._of_volume[version.volume_id] = version

    def remove(self, bucket: str, key: str, name: str) -> None:
        """Take away the version with that volume id or marker id."""
        self._of_volume.pop(name, None)
        stack = self._stack(bucket, key)
        stack[:] = [entry for entry in stack if _name(entry[1]) != name]
        raw, keys = key.encode(), self._keys.get(bucket, [])
        if not stack and self._stacks.get(bucket, {}).pop(raw, None) is not None:
            del keys[bisect_left(keys, raw)]

    def change(self, version: ObjectVersion) -> None:
        """Put a version in the place of the one with the same volume."""
        stack = self._stack(version.bucket, version.key)
        stack[:] = [
            (order, version if _name(each) == version.volume_id else each) for order, each in stack
        ]
        self._of_volume[version.volume_id] = version

    def relocate(self, volume_id: str, location: Location) -> None:
        version = self._of_volume.get(volume_id)
        if version is not None:
            self.change(replace(version, location=location))

    def list_objects(self, bucket: str, request: ListRequest) -> Page[ListedObject]:
        def seek(lower: bytes) -> Iterator[ListedObject]:
            for stack in self._from(bucket, lower):
                latest = stack[0][1]
                if isinstance(latest, ObjectVersion):
                    yield _listed(latest)

        return paginate(seek, request, lambda listed: listed.key)

    def list_versions(self, bucket: str, request: ListRequest) -> Page[ListedVersion]:
        after = request.after
        if after is not None and after.within and not is_version_order(after.within):
            order = next(
                (
                    order
                    for order, each in self._stack(bucket, after.key)
                    if each.version_id == after.within
                ),
                "",
            )
            request = replace(request, after=Position(after.key, within=order))

        def seek(lower: bytes) -> Iterator[ListedVersion]:
            for stack in self._from(bucket, lower):
                for at, (order, each) in enumerate(stack):
                    shown = _listed(each) if isinstance(each, ObjectVersion) else each
                    yield ListedVersion(each.key, each.version_id, at == 0, order, shown)

        return paginate(seek, request, lambda each: each.key, lambda each: each.order)

    def _stack(self, bucket: str, key: str) -> list[tuple[str, AnyVersion]]:
        return self._stacks.get(bucket, {}).get(key.encode(), [])

    def _from(self, bucket: str, lower: bytes) -> Iterator[list[tuple[str, AnyVersion]]]:
        keys = self._keys.get(bucket, [])
        for at in range(bisect_left(keys, lower), len(keys)):
            yield self._stacks[bucket][keys[at]]


def _name(version: AnyVersion) -> str:
    return version.volume_id if isinstance(version, ObjectVersion) else version.marker_id


def _listed(version: ObjectVersion) -> ListedObject:
    first = version.checksums[0] if version.checksums else None
    return ListedObject(
        version.key,
        version.size_bytes,
        version.etag,
        version.modified_at_ms,
        version.tier,
        first.algorithm if first else None,
        first.type if first else None,
        version.attributes.owner_id,
        version.attributes.owner_name,
        version.attributes.storage_class,
    )
