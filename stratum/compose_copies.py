"""The part of `compose` that is about copies of the journal: where they are, who signs anchors."""

from __future__ import annotations

from collections.abc import Callable

from stratum.adapters.anchor_key import open_anchor_key, verify_signature
from stratum.adapters.directory_archive import DirectoryArchive
from stratum.adapters.remote_archive import RemoteArchive
from stratum.app.config import Config
from stratum.app.datapath import REMOTE_MAGIC
from stratum.app.journal_copies import JournalCopies, make_copies
from stratum.ports import EventArchive, Journal, NowMs, RemoteStore


def archives_on_disks(config: Config) -> list[EventArchive]:
    """The copies of the journal on the disks of a tier; nothing touches them yet."""
    tier = config.copies.tier
    return [DirectoryArchive(path) for path in config.disks[tier]] if tier else []


def archive_in_remote(config: Config, remote: RemoteStore | None) -> EventArchive | None:
    """The copy of the journal in the cold tier."""
    if remote is None or not config.copies.in_remote:
        return None
    return RemoteArchive(remote, REMOTE_MAGIC)


def archives(config: Config, remote: RemoteStore | None) -> list[EventArchive]:
    """All copies of the journal."""
    in_remote = archive_in_remote(config, remote)
    return [*archives_on_disks(config), *([in_remote] if in_remote else [])]


async def open_copies(
    config: Config,
    journal: Journal,
    remote: RemoteStore | None,
    now_ms: NowMs,
    announce: Callable[[str], None],
) -> JournalCopies:
    """What keeps the journal's copies; it makes the key of the anchors if there is none yet."""
    key = open_anchor_key(config.anchor_key, create=True)
    assert key is not None
    if key.is_new:
        announce(
            f"the journal's anchors are signed with the key in {config.anchor_key}: its public half"
            f" is {key.public.hex()}; note it elsewhere"
        )
    return await make_copies(
        journal,
        archives_on_disks(config),
        archive_in_remote(config, remote),
        key.sign,
        verify_signature,
        key.public,
        now_ms,
        config.copies,
    )
