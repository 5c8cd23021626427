"""The longest history that copies of the journal have between them.

A row is taken from whichever copy has it, if it follows the row before in the hash chain; so
damage to a copy costs nothing while another one has the events.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass

from stratum.app.journal_mirror import find_end
from stratum.domain.errors import DiskFailed, RemoteFailed
from stratum.domain.event_archive import ArchivedRow, is_segment, parse_segment, segment_name
from stratum.domain.hash_chain import GENESIS_DIGEST, first_broken
from stratum.ports import EventArchive

log = logging.getLogger("stratum.recover")


@dataclass(frozen=True)
class Source:
    """A copy of the journal, and the last event it says it has."""

    archive: EventArchive
    seq: int


async def find_sources(archives: Sequence[EventArchive]) -> list[Source]:
    """Those that answer and have something, the longest first."""
    found = []
    for archive in archives:
        try:
            end = await find_end(archive)
        except (DiskFailed, RemoteFailed) as error:
            log.warning("no copy of the journal in %s: %s", archive.describe(), error)
            continue
        if end.seq:
            found.append(Source(archive, end.seq))
    return sorted(found, key=lambda source: -source.seq)


async def longest_history(
    sources: Sequence[Source],
) -> AsyncGenerator[tuple[Source, Sequence[ArchivedRow]], None]:
    """Rows from the first event on, each following the one before, and where they were."""
    seq, digest = 0, GENESIS_DIGEST
    preferred = list(sources)
    while True:
        for source in preferred:
            rows = await _rows_after(source, seq, digest)
            if rows:
                yield source, rows
                seq, digest = rows[-1].seq, rows[-1].digest
                # Most likely it has the next ones, too.
                preferred.remove(source)
                preferred.insert(0, source)
                break
        else:
            return


async def _rows_after(source: Source, seq: int, digest: bytes) -> Sequence[ArchivedRow]:
    """Rows of one segment that follow an event; none if the copy has none that do."""
    if source.seq <= seq:
        return ()
    try:
        names = [name for name in await source.archive.names() if is_segment(name)]
        holders = [name for name in names if name <= segment_name(seq + 1)]
        segment = parse_segment(await source.archive.read(max(holders))) if holders else None
    except (DiskFailed, RemoteFailed) as error:
        log.warning("%s: %s", source.archive.describe(), error)
        return ()
    if segment is None:
        return ()
    rows = [row for row in segment.rows if row.seq > seq]
    broken = first_broken(digest, rows)
    return [row for row in rows if broken is None or row.seq < broken]
