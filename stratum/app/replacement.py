"""Another disk takes the place of one: its label and event before, its shards from a scrub after.

Until its shards are there the label says so, and the disk does not count as a working one: what
`status` says of redundancy stays true however the rebuild ends.
"""

from __future__ import annotations

from functools import partial

from stratum.domain.catalog import Catalog, DiskLabel
from stratum.domain.errors import DiskFailed, InvalidArgument
from stratum.domain.events import DiskAdded
from stratum.domain.names import Tier
from stratum.ports import Journal, NewId, ShardStore

REBUILDING = {"state": "rebuilding"}
"""What the label of a disk has besides, as long as it may lack shards."""


async def begin_replacement(
    journal: Journal, disk: ShardStore, tier: Tier, index: int, new_id: NewId
) -> None:
    """Make an empty disk number `index` of a tier, or go on where a replacement was interrupted.

    Raises InvalidArgument if there never was such a disk, DiskFailed if `disk` belongs elsewhere or
    can't be labelled.
    """
    known = {(each.tier, each.index): each.disk_id for each in journal.catalog.disks()}
    if (tier, index) not in known:
        raise InvalidArgument(f"disk {index} of {tier} is new to this store: start the server")
    label = await disk.label()
    if label is None:
        added = DiskLabel(tier, index, new_id())
        # The event first: a label the journal doesn't know would look like another store's.
        await journal.transact(partial(_replaced, label=added), by="operator")
        own = {"disk_id": added.disk_id, "tier": tier.value, "index": str(index)}
        await disk.label({**own, **REBUILDING})
    elif label.get("disk_id") != known[tier, index]:
        raise DiskFailed(f"{disk.path} is disk {label.get('disk_id')}: an empty one is needed")


async def end_replacement(disk: ShardStore) -> None:
    """All shards are there: the disk counts again."""
    label = await disk.label()
    if label is not None and REBUILDING.items() <= label.items():
        await disk.label({name: label[name] for name in label if name not in REBUILDING})


def _replaced(_catalog: Catalog, *, label: DiskLabel) -> list[DiskAdded]:
    return [DiskAdded(label.tier, label.index, label.disk_id)]
