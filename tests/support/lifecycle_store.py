"""A store in memory whose lifecycle rules run on the Trio clock, a second being a day."""

from stratum.adapters.lifecycle_timers import MemoryLifecycleTimers
from stratum.app.lifecycle import LifecycleWorker
from stratum.app.lifecycle_acts import LifecycleActs
from stratum.app.payload import Stated
from stratum.domain.attributes import VersionAttributes
from stratum.domain.lifecycle import Filter, Lifecycle, Rule
from stratum.domain.listing import ListRequest
from stratum.domain.names import ObjectKey
from stratum.domain.object import Target
from stratum.domain.settings import BucketSettings, Versioning
from stratum.domain.volume import DeleteMarker, Metadata
from tests.support.store import Store, source_of
from tests.support.tiering_world import ALICE, BUCKET


class LifecycleStore(Store):
    def __init__(self, *, before: "LifecycleStore | None" = None, **options) -> None:
        super().__init__(before=before, **options)
        self.timers = before.timers if before else MemoryLifecycleTimers()
        self.told = []
        """Changes that notifications hear of."""
        self.lifecycle = LifecycleWorker(
            self.journal,
            self.timers,
            LifecycleActs(
                self.journal,
                self.timers,
                self.mover,
                self.rules,
                self.recorder.forget,
                self.new_id,
                self.now_ms,
                self.told.extend,
            ),
            self.rules.day_s,
        )

    def acting(self):
        """The store with its lifecycle and its mover running."""
        return self.running("mover", "lifecycle")

    async def configure(self, setting: str, **value) -> None:
        await self.make_bucket()
        await self.buckets.configure(ALICE, BUCKET, setting, BucketSettings(**value))

    async def set_rules(self, *rules: Rule) -> None:
        await self.configure("lifecycle", lifecycle=Lifecycle(rules) if rules else None)
        self.lifecycle.wake()

    async def version_it(self, versioning=Versioning.ENABLED) -> None:
        await self.configure("versioning", versioning=versioning)

    async def put_with(self, key: str, content: bytes = b"x", **attributes) -> str:
        """Put an object with attributes; returns its version id."""
        await self.make_bucket()
        version = await self.objects.put(
            ALICE,
            BUCKET,
            ObjectKey(key),
            source_of(content),
            Stated(size_bytes=len(content)),
            Metadata(),
            attributes=VersionAttributes(ALICE.id, ALICE.name, **attributes),
        )
        return version.version_id

    async def delete(self, key: str, version_id: str | None = None) -> None:
        await self.objects.delete(ALICE, Target(BUCKET, ObjectKey(key), version_id=version_id))

    async def tag(self, key: str, **tags: str) -> None:
        value = VersionAttributes(tags=tags)
        await self.objects.change(ALICE, BUCKET, ObjectKey(key), None, "tags", value)

    def keys(self) -> list[str]:
        """Keys with a current version."""
        page = self.journal.catalog.list_objects(BUCKET, ListRequest())
        return [listed.key for listed in page.entries]

    def history(self, key: str) -> list[str]:
        """The version ids of a key, newest first; `marker` for delete markers."""
        page = self.journal.catalog.list_versions(BUCKET, ListRequest(key))
        return [
            "marker" if isinstance(listed.shown, DeleteMarker) else listed.version_id
            for listed in page.entries
            if listed.key == key
        ]

    async def events(self, *kinds: type) -> list:
        """Recorded events of some kinds."""
        return [
            each for each in await self.journal.read(0, 100_000) if isinstance(each.event, kinds)
        ]


def rule(name: str = "r", prefix: str = "", tags: dict | None = None, **actions) -> Rule:
    return Rule(name, enabled=True, filter=Filter(prefix, tags or {}), **actions)
