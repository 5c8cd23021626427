"""The part of `compose` for the day the metadata is lost: what a recovery works with."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack, asynccontextmanager

from stratum import compose
from stratum.adapters.anchor_key import AnchorKey, open_anchor_key
from stratum.adapters.identity import ROOT
from stratum.adapters.journal import exclusive, open_journal
from stratum.adapters.journal_restore import put_in_place, restored_journal, unfinished
from stratum.adapters.record_codec import decode_record
from stratum.app.anchors import append_anchor
from stratum.app.config import Config
from stratum.app.datapath import REMOTE_MAGIC
from stratum.app.recover import Clock, Progress, Report, Restored, Store, restore_events, salvage
from stratum.compose_copies import archives
from stratum.compose_disks import open_disks
from stratum.domain.anchor import RECOVERED, make_anchor
from stratum.domain.errors import DiskFailed, InvalidArgument, RemoteFailed, Unavailable
from stratum.domain.salvage import Defaults
from stratum.ports import EventArchive


async def recover_store(
    config: Config, *, replace: bool, progress: Progress, warn: Callable[[str], None]
) -> Report:
    """Make the journal anew; the one that may be there stays beside it.

    Raises InvalidArgument if there is one and `replace` is not said, Unavailable if a server has
    it open, DiskFailed if disks are out of order.
    """
    if config.journal.exists() and not replace:
        raise InvalidArgument(
            f"There is a journal in {config.journal}. To make another one from the copies, and"
            " keep this one beside it, say --replace."
        )
    config.journal.parent.mkdir(parents=True, exist_ok=True)
    built = unfinished(config.journal)
    with ExitStack() as stack:
        try:
            lock = config.journal.with_name(config.journal.name + ".writer")
            stack.enter_context(exclusive(lock))
        except OSError as error:
            raise Unavailable(f"{config.journal.parent} cannot be written: {error}") from error
        async with _store_of(config) as store:
            with restored_journal(built) as journal_file:
                restored = await restore_events(store, journal_file.append, progress)
            clock = Clock(compose.now_ms)
            async with open_journal(built, clock) as journal:
                report = await salvage(store, journal, clock, restored, progress)
            aside = time.strftime(".before-%Y%m%dT%H%M%SZ", time.gmtime())
            moved = put_in_place(built, config.journal, aside)
            if moved is not None:
                warn(f"the journal that was there is now {moved}")
            key = open_anchor_key(config.anchor_key, create=True)
            assert key is not None
            for archive in store.archives:
                await _state_recovery(archive, restored, key, warn)
    return report


@asynccontextmanager
async def _store_of(config: Config) -> AsyncIterator[Store]:
    async with compose.open_remote_of(config) as remote:
        defaults = Defaults(ROOT, config.region)
        disks = open_disks(config)
        places = archives(config, remote)
        yield Store(disks, remote, places, decode_record, REMOTE_MAGIC, defaults)


async def _state_recovery(
    archive: EventArchive, restored: Restored, key: AnchorKey, warn: Callable[[str], None]
) -> None:
    """A signed line beside the anchors: those of events that could not be restored are void."""
    statement = make_anchor(
        RECOVERED, restored.seq, restored.digest, compose.now_ms(), key.public, key.sign
    )
    try:
        await append_anchor(archive, statement)
    except (DiskFailed, RemoteFailed) as error:
        warn(f"{archive.describe()} does not know of the recovery: {error}")
