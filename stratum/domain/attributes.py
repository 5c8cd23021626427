"""What belongs to one object version besides its bytes and its metadata.

As with `settings`, the event that changes one attribute later carries a `VersionAttributes` with
just that field set.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace

from stratum.domain.acl import Acl
from stratum.domain.encryption import Encryption
from stratum.domain.object_lock import ObjectLock, Protection, Retention, check_asked, with_default


@dataclass(frozen=True)
class VersionAttributes:
    """A new field goes at the end, and has a default that means "as always"."""

    owner_id: str = ""
    """Canonical id of who wrote the version; empty for the bucket's owner."""
    owner_name: str = ""
    tags: dict[str, str] = field(default_factory=dict)
    acl: Acl | None = None
    """None: the owner alone."""
    encryption: Encryption | None = None
    """None: its bytes are stored as they are."""
    retention: Retention | None = None
    legal_hold: bool | None = None
    """None: nobody ever said."""
    storage_class: str = ""
    """The class asked for or moved to; empty: the tiering policy decides where it lies."""
    restored_until_ms: int = 0
    """Until when a version of an archive class is kept in hot (Unix ms); 0: not restored."""

    @property
    def protection(self) -> Protection:
        """What object lock says of the version."""
        return Protection(self.retention, self.legal_hold)

    def born_in(self, lock: ObjectLock | None, now_ms: int) -> VersionAttributes:
        """Those of a version written now to a bucket with this lock, which may have a default.
        Raises what `check_asked` raises."""
        if lock is None and self.retention is None and self.legal_hold is None:
            return self  # as nearly every version
        check_asked(self.protection, lock, now_ms)
        return self.protected(with_default(self.protection, lock, now_ms))

    def protected(self, protection: Protection) -> VersionAttributes:
        """These attributes with another protection."""
        if protection == self.protection:
            return self
        return replace(self, retention=protection.retention, legal_hold=protection.legal_hold)

    def changed(self, attribute: str, value: VersionAttributes) -> VersionAttributes:
        """These attributes with `attribute` taken from `value`. One this version of the program
        does not know is left alone."""
        if attribute not in ATTRIBUTES:
            return self
        return replace(self, **{attribute: getattr(value, attribute)})


ATTRIBUTES = tuple(
    each.name for each in fields(VersionAttributes) if not each.name.startswith("owner_")
)
"""What may change later: a version keeps its owner."""
NO_ATTRIBUTES = VersionAttributes()
