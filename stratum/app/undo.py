"""Undoing a batch of moves: what was moved in a time, by a policy, under a prefix, goes back to
where it was before. Each is a decision of its own, with who and why.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import dataclass

from stratum.app.orders import Orders
from stratum.domain import tiering
from stratum.domain.errors import InvalidArgument, MoveRefused, NoSuchVolume
from stratum.domain.events import Recorded, TierDecided
from stratum.domain.names import Tier, VolumeId
from stratum.domain.pinning import REASON_LENGTH_MAX
from stratum.domain.volume import Volume
from stratum.ports import Journal

PAGE_LENGTH = 1000
UNDO_VOLUMES_MAX = 100_000
"""Volumes in one batch; more are refused, with the advice to narrow it."""

MOVING = "moving back"
WOULD_MOVE = "would move back"
KEPT = "kept"


@dataclass(frozen=True)
class Batch:
    """Which moves: those decided in [since_ms, until_ms), in a bucket or in all of them, under a
    prefix, by a policy or, with an empty one, by any. Times in Unix ms."""

    since_ms: int
    until_ms: int
    bucket: str = ""
    prefix: str = ""
    policy: str = ""
    """As in the decisions (`break-even.1`), or without its version (`break-even`)."""

    def decided(self, recorded: Recorded) -> TierDecided | None:
        """The decision that a record is, if it is one of the batch by time and policy."""
        event = recorded.event
        if not isinstance(event, TierDecided) or recorded.at_ms < self.since_ms:
            return None
        policy = event.decision.policy
        return event if self.policy in ("", policy, policy.partition(".")[0]) else None


@dataclass(frozen=True)
class Undone:
    """What came of one volume of the batch."""

    bucket: str
    key: str
    volume_id: str
    source: Tier
    """Where it is."""
    target: Tier
    """Where it was before."""
    outcome: str
    """`moving back`, `would move back` or `kept`."""
    detail: str
    """Why it was kept."""


@dataclass
class _Moved:
    before: Tier
    after: Tier
    seq: int
    """Of the latest decision."""
    sentence: str


async def undo(
    journal: Journal,
    orders: Orders,
    batch: Batch,
    who: str,
    why: str = "",
    *,
    dry_run: bool = False,
) -> AsyncGenerator[Undone, None]:
    """Bring back every volume of the batch that is still where the batch brought it, waiting for
    room in the queue of moves. Raises InvalidArgument."""
    if len(why) > REASON_LENGTH_MAX or not why.isprintable():
        raise InvalidArgument(
            f"A reason is one line of at most {REASON_LENGTH_MAX} characters", "why"
        )
    for volume_id, moved in (await _moves(journal, batch)).items():
        volume = journal.catalog.volume(volume_id)
        if volume is None or not _concerns(batch, volume) or moved.before is moved.after:
            continue
        outcome, detail = KEPT, _obstacle(volume, moved)
        if not detail and dry_run:
            outcome = WOULD_MOVE
        elif not detail:
            detail = await _bring_back(orders, volume, moved, who, why)
            outcome = KEPT if detail else MOVING
        yield Undone(
            volume.bucket, volume.key, volume.id, volume.tier, moved.before, outcome, detail
        )


async def _moves(journal: Journal, batch: Batch) -> dict[VolumeId, _Moved]:
    """By volume, where it was before the first decision of the batch and after the last one."""
    found: dict[VolumeId, _Moved] = {}
    after = await _seq_before(journal, batch.since_ms)
    while page := await journal.read(after, PAGE_LENGTH):
        after = page[-1].seq
        for recorded in page:
            if recorded.at_ms >= batch.until_ms:
                return found
            event = batch.decided(recorded)
            if event is None:
                continue
            decision = event.decision
            earlier = found.get(event.volume_id)
            before = earlier.before if earlier else decision.source
            found[event.volume_id] = _Moved(
                before, decision.target, recorded.seq, decision.sentence
            )
            if len(found) > UNDO_VOLUMES_MAX:
                raise InvalidArgument(
                    f"More than {UNDO_VOLUMES_MAX} volumes were moved: take a shorter time, a"
                    " prefix or a policy"
                )
    return found


async def _seq_before(journal: Journal, at_ms: int) -> int:
    """The number of events before a time. Times never go back along the journal, so it is found
    by halving."""
    low, high = 0, (await journal.head()).seq
    while low < high:
        middle = (low + high) // 2
        (recorded,) = await journal.read(middle, 1)
        if recorded.at_ms < at_ms:
            low = middle + 1
        else:
            high = middle
    return low


def _concerns(batch: Batch, volume: Volume) -> bool:
    return batch.bucket in ("", volume.bucket) and volume.key.startswith(batch.prefix)


def _obstacle(volume: Volume, moved: _Moved) -> str:
    """Why a volume can't be brought back; "" if it can."""
    if volume.pending is not None:
        return f"a move to {volume.pending.to} is under way"
    if volume.tier is moved.before:
        return f"it is in {volume.tier} already"
    if volume.tier is not moved.after:
        return f"it has moved to {volume.tier} since"
    return ""


async def _bring_back(orders: Orders, volume: Volume, moved: _Moved, who: str, why: str) -> str:
    """Decide the move back; return why it was refused, if it was."""
    try:
        orders.require(volume.id, moved.before)
        facts = await orders.facts(volume)
        decision = tiering.undoing(
            facts, moved.before, who, why, orders.prices, moved.seq, moved.sentence
        )
        await orders.start(volume.id, decision, who)
    except (MoveRefused, NoSuchVolume) as error:
        return str(error)
    return ""
