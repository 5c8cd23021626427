"""The state of the store in one page: tiers, disks, redundancy, moves, journal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import trio

from stratum.app.config import Config
from stratum.app.crew import Crew
from stratum.app.disk_watch import DiskCondition
from stratum.app.journal_mirror import ArchiveStatus
from stratum.app.replacement import REBUILDING
from stratum.app.upkeep import PassState
from stratum.domain import wording
from stratum.domain.catalog import TierTotals
from stratum.domain.disk_health import Condition
from stratum.domain.errors import DiskFailed
from stratum.domain.names import Tier
from stratum.domain.pricing import PriceList
from stratum.domain.stripes import ErasureProfile
from stratum.ports import Journal, RemoteStore, ShardStore


@dataclass(frozen=True)
class DiskStatus:
    path: str
    state: str
    """`online`, `missing`, or what is wrong."""
    total_bytes: int
    free_bytes: int
    device: int


@dataclass(frozen=True)
class TierStatus:
    tier: str
    volumes: int
    size_bytes: int
    place: str
    """`6 disks`, or the remote's endpoint and bucket."""
    disks: tuple[DiskStatus, ...]
    redundancy: dict[str, int]
    """Number of surviving shards -> count of volumes, as the disks that answer now allow."""
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class Status:
    tiers: tuple[TierStatus, ...]
    moves_pending: int
    garbage_copies: int
    journal_position: int
    journal_digest: str
    journal_copies: tuple[ArchiveStatus, ...]
    """Copies of the journal on disks and in the remote tier, and how far they are."""
    anchor_key: str
    """Public key of the anchors, in hexadecimal; empty before there is one."""
    remote: RemoteSpending | None
    scrub: PassState | None = None
    """How far the scrub that runs by itself is."""


@dataclass(frozen=True)
class TieringLimits:
    """What money and room are held against."""

    prices: PriceList
    spend_per_month: float
    high_watermark: float


@dataclass(frozen=True)
class RemoteSpending:
    """What requests and egress of the remote have cost in the latest month it was used."""

    month: str
    puts: int
    gets: int
    egress_bytes: int
    spent: float
    """$ by the price list."""
    cap: float
    """$ a month; 0: none."""
    capped: bool
    """Whether the cap was reached: nothing is brought up from cold until the month is over."""


async def status(
    journal: Journal,
    disks: Mapping[Tier, Sequence[ShardStore]],
    remote: RemoteStore | None,
    profile: ErasureProfile,
    copies: Sequence[ArchiveStatus] = (),
    anchor_key: bytes = b"",
    limits: TieringLimits | None = None,
    conditions: Sequence[DiskCondition] = (),
    scrub: PassState | None = None,
) -> Status:
    """Ask every disk and count. Works beside a running server, too."""
    totals = await journal.query(lambda catalog: catalog.totals())
    moves = await journal.query(lambda catalog: len(catalog.pending_moves()))
    garbage = await journal.query(
        lambda catalog: len(catalog.garbage(1 << 60, GARBAGE_COUNTED_MAX))
    )
    head = await journal.head()
    labels = await journal.query(lambda catalog: catalog.disks())
    known = {(label.tier, label.index): label.disk_id for label in labels}
    tiers = []
    for tier, members in disks.items():
        found = await _disks(tier, members, known, {each.path: each for each in conditions})
        local = _local(tier, found, totals.get(tier, NOTHING), profile)
        suspects = [each for each in conditions if each.tier is tier]
        local = _with_suspects(local, suspects)
        tiers.append(_with_watermark(local, limits.high_watermark) if limits else local)
    if remote is not None:
        held = totals.get(Tier.COLD, NOTHING)
        tiers.append(
            TierStatus("cold", held.volumes, held.size_bytes, remote.describe(), (), {}, ())
        )
    return Status(
        tuple(tiers),
        moves,
        garbage,
        head.seq,
        head.digest.hex(),
        tuple(copies),
        anchor_key.hex(),
        await _spending(journal, limits) if limits else None,
        scrub,
    )


def tiering_limits(config: Config, prices: PriceList) -> TieringLimits:
    """As they are configured."""
    return TieringLimits(prices, config.spend_per_month, config.high_watermark)


async def _spending(journal: Journal, limits: TieringLimits) -> RemoteSpending | None:
    use = await journal.query(lambda catalog: catalog.remote_use())
    if use is None:
        return None
    spent, cap = use.cost(limits.prices), limits.spend_per_month
    return RemoteSpending(use.month, use.puts, use.gets, use.egress_bytes, spent, cap, use.capped)


DISK_LIMIT_S = 5.0
"""How long a disk has to answer."""
NOTHING = TierTotals(0, 0, {})
GARBAGE_COUNTED_MAX = 100_000


def _local(
    tier: Tier, found: Sequence[DiskStatus], held: TierTotals, profile: ErasureProfile
) -> TierStatus:
    down = sum(1 for disk in found if disk.state != "online")
    # Which shards a volume misses is known by number only: assume the worst, that they were
    # not on the disks that are down.
    redundancy: dict[str, int] = {}
    for missing, count in sorted(held.missing.items()):
        surviving = str(max(0, profile.shards - missing - down))
        redundancy[surviving] = redundancy.get(surviving, 0) + count
    warnings = []
    devices = [disk.device for disk in found if disk.state == "online"]
    if len(set(devices)) < len(devices):
        warnings.append("disks share a device: its failure takes several of them at once")
    if down:
        warnings.append(f"{down} of {len(found)} disks do not answer")
    return TierStatus(
        tier.value,
        held.volumes,
        held.size_bytes,
        f"{len(found)} disks",
        tuple(found),
        redundancy,
        tuple(warnings),
    )


def _with_watermark(tier: TierStatus, high: float) -> TierStatus:
    online = [disk for disk in tier.disks if disk.total_bytes]
    used = max((1 - disk.free_bytes / disk.total_bytes for disk in online), default=0.0)
    if used < high:
        return tier
    full = f"the fullest disk is {used:.0%} full, and may be {high:.0%}: volumes move away"
    return replace(tier, warnings=(*tier.warnings, full))


def _with_suspects(tier: TierStatus, disks: Sequence[DiskCondition]) -> TierStatus:
    """A word on disks that work again, and did not a while ago."""
    warnings = [
        f"{disk.path} is suspect: {disk.reason}"
        for disk in disks
        if disk.condition is Condition.SUSPECT
    ]
    return replace(tier, warnings=(*tier.warnings, *warnings))


async def _disks(
    tier: Tier,
    members: Sequence[ShardStore],
    known: Mapping[tuple[Tier, int], str],
    conditions: Mapping[str, DiskCondition],
) -> list[DiskStatus]:
    """What each disk answers within DISK_LIMIT_S, and what the server thinks of it."""
    asked = Crew().round(
        {
            index: partial(_disk, disk, known.get((tier, index)))
            for index, disk in enumerate(members)
        }
    )
    with trio.move_on_after(DISK_LIMIT_S):
        await asked.until_all()
    found = []
    for index, disk in enumerate(members):
        result = asked.results[index]
        state = result.value or DiskStatus(disk.path, "no answer", 0, 0, 0)
        thought = conditions.get(disk.path)
        if thought is not None and state.state == "online":
            if thought.condition is Condition.FAILED:
                state = replace(state, state=f"{thought.condition}: {thought.reason}")
            elif thought.is_full:
                state = replace(state, state="full")
        found.append(state)
    return found


async def _disk(disk: ShardStore, disk_id: str | None) -> DiskStatus:
    """`disk_id` is that of the disk which belongs here."""
    try:
        label = await disk.label()
        if label is None:
            return DiskStatus(disk.path, "missing", 0, 0, 0)
        if label.get("disk_id") != disk_id:
            return DiskStatus(disk.path, "another disk than the one that belongs here", 0, 0, 0)
        usage = await disk.usage()
        if REBUILDING.items() <= label.items():
            state = "being rebuilt: `disk replace` has not ended"
            return DiskStatus(disk.path, state, usage.total_bytes, usage.free_bytes, usage.device)
    except DiskFailed as error:
        return DiskStatus(disk.path, str(error), 0, 0, 0)
    return DiskStatus(disk.path, "online", usage.total_bytes, usage.free_bytes, usage.device)


def render_text(state: Status) -> str:
    """For a terminal."""
    lines = []
    for tier in state.tiers:
        volumes, size = counted(tier.volumes, "volume"), human_bytes(tier.size_bytes)
        lines.append(f"{tier.tier:5} {volumes:>17} {size:>10}   {tier.place}")
        for disk in tier.disks:
            space = f"{human_bytes(disk.free_bytes)} free of {human_bytes(disk.total_bytes)}"
            lines.append(
                f"        {disk.path}: {disk.state}" + f", {space}" * bool(disk.total_bytes)
            )
        for surviving, count in tier.redundancy.items():
            lines.append(f"        {surviving} shards left of {counted(count, 'volume')}")
        lines += [f"        ! {warning}" for warning in tier.warnings]
    if state.remote is not None:
        it = state.remote
        cap = f" of {wording.money(it.cap)}" if it.cap else ""
        reached = "; nothing is brought up from cold until it is over" if it.capped else ""
        lines.append(
            f"remote in {it.month}: {wording.money(it.spent)}{cap} for {it.puts} writes,"
            f" {it.gets} reads and {human_bytes(it.egress_bytes)}{reached}"
        )
    if state.scrub is not None:
        lines += _scrub_lines(state.scrub)
    lines.append(f"moves pending: {state.moves_pending}")
    lines.append(f"copies waiting to be reclaimed: {state.garbage_copies}")
    lines.append(f"journal: {state.journal_position} events, head {state.journal_digest[:16]}")
    for copy in state.journal_copies:
        behind = state.journal_position - copy.seq
        how_far = "complete" if behind <= 0 else f"{counted(behind, 'event')} behind"
        lines.append(f"        copy in {copy.place}: {copy.fault or how_far}")
    if state.anchor_key:
        lines.append(f"        anchors are signed with {state.anchor_key}")
    return "\n".join(lines)


def _scrub_lines(scrub: PassState) -> list[str]:
    left = scrub.findings - scrub.repaired
    line = f"scrub: {counted(scrub.volumes, 'volume')} read in this pass, {scrub.findings} findings"
    lines = [f"{line}, {left} not repaired" if left else line]
    if scrub.last_ended_at_ms:
        ago_h = f"{scrub.last_findings} findings, {scrub.last_unrepaired} not repaired"
        lines.append(f"        the pass before: {ago_h}")
    if scrub.completed:
        lines.append(f"        {counted(scrub.completed, 'shard')} completed after their objects")
    return lines


def counted(number: int, noun: str) -> str:
    """`1 volume`, `2 volumes`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def human_bytes(size: float) -> str:
    """`1.5 GiB`."""
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if size < 1024 or unit == "TiB":
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    raise AssertionError("unreachable")
