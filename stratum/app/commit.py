"""The one shape of a write: stage, commit, publish.

Before the commit everything is garbage and is thrown away; after it everything is idempotent and
is finished by whoever comes next: this code, a reader that finds the staged shards, or recovery.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

import trio

from stratum.app.datapath import DataPath
from stratum.domain.errors import DiskFailed, JournalCorrupt, Overloaded, StratumError, Unavailable
from stratum.domain.events import Recorded
from stratum.domain.names import ExtentId
from stratum.domain.volume import Location
from stratum.ports import Decide, Journal

PUBLISH_LIMIT_S = 30.0
"""How long renaming six files may hold up an answer; unfinished ones stay readable as staged."""

log = logging.getLogger("stratum.commit")


async def commit(
    journal: Journal,
    datapath: DataPath,
    decide: Decide,
    staged: Location,
    copy_id: ExtentId,
    *,
    by: str,
) -> Sequence[Recorded]:
    """Append what `decide` decides about a staged copy, then publish the copy.

    If `decide` refuses, or the caller is cancelled before the journal took the request, the copy
    is thrown away. When the journal itself fails it stays staged, because the commit may have
    happened: a COMMIT whose fsync failed is found in the write-ahead log after a crash, and the
    version before is then gone. Recovery asks the journal.
    """
    try:
        recorded = await journal.transact(decide, by=by)
    except Overloaded:
        await datapath.discard(staged.tier, copy_id)
        raise
    except (DiskFailed, JournalCorrupt, Unavailable):
        log.warning("copy %s stays staged on %s: the journal failed", copy_id, staged.tier)
        raise
    except (StratumError, trio.Cancelled):
        await datapath.discard(staged.tier, copy_id)
        raise
    with trio.move_on_after(PUBLISH_LIMIT_S, shield=True):
        await datapath.publish(staged)
    return recorded
