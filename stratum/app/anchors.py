"""Writes anchors to the places that keep copies of the journal, and checks them.

The journal is in one place and the anchors are in others: whoever rewrites the journal would have
to rewrite all of them, and sign them with the server's key.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Sequence

import trio

from stratum.app.audit import Finding
from stratum.domain.anchor import (
    ANCHOR,
    ANCHORS_FILE,
    RECOVERED,
    Anchor,
    Sign,
    Verify,
    format_anchor,
    make_anchor,
    parse_anchors,
    valid_anchors,
)
from stratum.domain.errors import DiskFailed, RemoteFailed
from stratum.domain.event_archive import is_segment, parse_segment, segment_name
from stratum.domain.events import JournalRecovered
from stratum.domain.hash_chain import GENESIS_DIGEST, first_broken
from stratum.domain.recovery_events import RECOVERIES
from stratum.ports import EventArchive, Head, Journal, NowMs

ANCHOR_INTERVAL_S = 3600.0
LAST_ANCHOR_LIMIT_S = 5.0
"""How long a stopping server tries to write one more anchor."""

log = logging.getLogger("stratum.anchors")


class AnchorWriter:
    """Signs the journal's head every `interval_s` seconds, if it has grown, and when it stops."""

    def __init__(
        self,
        journal: Journal,
        archives: Sequence[EventArchive],
        sign: Sign,
        public_key: bytes,
        now_ms: NowMs,
        *,
        interval_s: float = ANCHOR_INTERVAL_S,
    ) -> None:
        self._journal = journal
        self._archives = archives
        self._sign = sign
        self.public_key = public_key
        self._now_ms = now_ms
        self._interval_s = interval_s
        self.last: Anchor | None = None

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Write anchors until cancelled."""
        task_status.started()
        try:
            while True:
                await self.write()
                await trio.sleep(self._interval_s)
        finally:
            with trio.move_on_after(LAST_ANCHOR_LIMIT_S, shield=True):
                await self.write()

    async def write(self, kind: str = ANCHOR) -> None:
        """One anchor of the head as it is now to every archive; none if it is the last one's."""
        head = await self._journal.head()
        if not head.seq or (self.last is not None and self.last.seq == head.seq):
            return
        anchor = self._signed(kind, head)
        async with trio.open_nursery() as nursery:
            for archive in self._archives:
                nursery.start_soon(self._write_to, archive, anchor)

    def _signed(self, kind: str, head: Head) -> Anchor:
        return make_anchor(kind, head.seq, head.digest, self._now_ms(), self.public_key, self._sign)

    async def _write_to(self, archive: EventArchive, anchor: Anchor) -> None:
        try:
            try:
                await append_anchor(archive, anchor)
            except RemoteFailed:
                # Not there, or damaged: then the other places have the same lines.
                lines = await self._lines_elsewhere(archive)
                await archive.write_at(ANCHORS_FILE, 0, lines + format_anchor(anchor))
        except (DiskFailed, RemoteFailed) as error:
            log.warning("no anchor in %s: %s", archive.describe(), error)
        else:
            self.last = anchor

    async def _lines_elsewhere(self, damaged: EventArchive) -> bytes:
        """The longest file of anchors that another place has; nothing if none has one."""
        found = b""
        for archive in self._archives:
            if archive is damaged:
                continue
            try:
                data = await archive.read(ANCHORS_FILE)
            except (DiskFailed, RemoteFailed):
                continue
            found = max(found, data[: parse_anchors(data)[1]], key=len)
        return found


async def append_anchor(archive: EventArchive, anchor: Anchor) -> None:
    """Raises DiskFailed or RemoteFailed."""
    _, whole = parse_anchors(await archive.read(ANCHORS_FILE))
    await archive.write_at(ANCHORS_FILE, whole, format_anchor(anchor))


async def proved_recovery(
    journal: Journal, archives: Sequence[EventArchive], key: bytes, verify: Verify
) -> Anchor | None:
    """The statement that the journal's last recovery left beside the anchors, signed with our
    key; None if there was no recovery, or nobody can prove it.

    Places that lack it, because they were away, get it now. Without proof, whoever rewrote the
    journal could have the copies of the true one thrown away by claiming a recovery.
    """
    history = await journal.history(RECOVERIES)
    told = history[-1].event if history else None
    if not isinstance(told, JournalRecovered):
        return None
    digest = bytes.fromhex(told.restored_digest)
    found: Anchor | None = None
    lacking = []
    for archive in archives:
        try:
            anchors, _ = parse_anchors(await archive.read(ANCHORS_FILE))
        except (DiskFailed, RemoteFailed):
            continue
        own = [
            each
            for each in anchors
            if each is not None
            and (each.kind, each.seq, each.digest) == (RECOVERED, told.restored_seq, digest)
            and each.key == key
            and each.is_genuine(verify)
        ]
        found = own[-1] if own else found
        if not own:
            lacking.append(archive)
    for archive in lacking:
        if found is None:
            break
        try:
            await append_anchor(archive, found)
        except (DiskFailed, RemoteFailed) as error:
            log.warning("%s does not know of the recovery: %s", archive.describe(), error)
    return found


async def archive_findings(
    journal: Journal,
    archives: Sequence[EventArchive],
    verify: Verify,
    trusted_key: bytes | None = None,
) -> AsyncGenerator[Finding, None]:
    """Check all anchors and all copies of the events against the journal.

    With `trusted_key`, noted elsewhere by the operator, only its anchors count, and one of them
    must be there.
    """
    trusted = 0
    for archive in archives:
        place = archive.describe()
        try:
            anchors, _ = parse_anchors(await archive.read(ANCHORS_FILE))
            for found in [f async for f in _anchor_findings(journal, place, anchors, verify)]:
                yield found
            for found in [f async for f in _copy_findings(journal, archive)]:
                yield found
        except (DiskFailed, RemoteFailed) as error:
            yield Finding("archive", place, str(error))
            continue
        for anchor in anchors:
            if anchor is None or trusted_key is None:
                continue
            trusted += anchor.key == trusted_key
            if anchor.key != trusted_key:
                yield Finding("anchor", place, f"that of event {anchor.seq} has another key")
    if trusted_key is not None and not trusted:
        yield Finding("anchor", "journal", "no anchor was signed with the given key")


async def _anchor_findings(
    journal: Journal, place: str, anchors: Sequence[Anchor | None], verify: Verify
) -> AsyncGenerator[Finding, None]:
    genuine: list[Anchor] = []
    for number, anchor in enumerate(anchors, 1):
        if anchor is None or not anchor.is_genuine(verify):
            yield Finding("anchor", place, f"line {number} is not what was signed")
        else:
            genuine.append(anchor)
    for anchor in valid_anchors(genuine):
        rows = await journal.rows(anchor.seq - 1, 1)
        if not rows:
            end = (await journal.head()).seq
            detail = f"the journal once had event {anchor.seq}, now it ends at event {end}"
            yield Finding("anchor", place, detail)
        elif rows[0].digest != anchor.digest:
            yield Finding("anchor", place, f"event {anchor.seq} or one before it was another")


async def _copy_findings(journal: Journal, archive: EventArchive) -> AsyncGenerator[Finding, None]:
    """Follow the chain through an archive, and compare its end with the journal."""
    seq, digest, place = 0, GENESIS_DIGEST, archive.describe()
    for name in filter(is_segment, await archive.names()):
        data = await archive.read(name)
        if not data:
            continue  # it was emptied: see `empty_segments`
        segment = parse_segment(data)
        if segment is None or segment_name(segment.first_seq) != name:
            yield Finding("archive", place, f"{name} is not a segment of events")
            return
        if (segment.first_seq, segment.previous) != (seq + 1, digest):
            yield Finding("archive", place, f"{name} does not follow event {seq}")
            return
        broken = first_broken(digest, segment.rows)
        if broken is not None:
            yield Finding("archive", place, f"event {broken} does not follow the one before")
            return
        seq, digest = segment.last_seq, segment.digest
    if not seq:
        return
    rows = await journal.rows(seq - 1, 1)
    if not rows or rows[0].digest != digest:
        what = "is another" if rows else "is missing"
        yield Finding("archive", place, f"event {seq} of the journal {what}")
