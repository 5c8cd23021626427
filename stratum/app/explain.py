"""Why an object is where it is: `stratum explain`, as a value and as text.

Only reads, so that another process than the server can answer from the same files.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from stratum.domain import wording
from stratum.domain.access import Access
from stratum.domain.events import MoveAbandoned, MoveDeclined, Recorded, TierDecided, VolumeMoved
from stratum.domain.lifecycle_outlook import lifecycle_outlook
from stratum.domain.lifecycle_schedule import clock_of
from stratum.domain.names import BucketName, ObjectKey, Tier
from stratum.domain.object import require_version
from stratum.domain.pin import Pin
from stratum.domain.pinning import pin_on
from stratum.domain.pricing import BYTES_PER_GB
from stratum.domain.rules import Rules
from stratum.domain.tiering import Decision, Move
from stratum.domain.volume import Volume
from stratum.ports import AccessLog, Journal

PLACED_WHEN_WRITTEN = "placed hot when it was written"
MOVED = "moved"
ABANDONED = "abandoned"
UNDER_WAY = "under way"
DECLINED_SHOWN_MAX = 5


@dataclass(frozen=True)
class PastMove:
    """One decision about the volume and what became of it."""

    decided_at_ms: int
    by: str
    decision: Decision
    outcome: str
    """`moved`, `abandoned` or `under way`."""
    ended_at_ms: int
    """When it was moved or abandoned; 0 while it is under way."""
    reason: str
    """Why it was abandoned."""


@dataclass(frozen=True)
class Declined:
    """A move that was wanted and not begun."""

    at_ms: int
    by: str
    to: Tier
    policy: str
    reason: str


@dataclass(frozen=True)
class Outlook:
    """Why a volume has not moved, and what comes next."""

    sentence: str
    look_at_ms: int
    would_do: str


@dataclass(frozen=True)
class Explanation:
    """Everything there is to say about a volume's tier. Times in Unix ms."""

    bucket: BucketName
    key: ObjectKey
    version_id: str
    volume_id: str
    size_bytes: int
    tier: Tier
    since_ms: int
    placed_because: str
    """The sentence of the decision that put it there."""
    last_read_at_ms: int
    """0: not read as far as is known."""
    reads: int
    sessions: int
    verdict: str
    """Why it has not moved, or why it is about to."""
    look_at_ms: int
    """When the policy looks at it next; 0: not before it is read."""
    would_do: str
    """What would be done then if it isn't read before."""
    tiering_enabled: bool
    policy: str
    prices: str
    """Version of the price list in force."""
    pin: Pin | None
    """The pin that counts for the key."""
    moves: tuple[PastMove, ...]
    """All decisions, oldest first."""
    declined: tuple[Declined, ...]
    """The latest refusals, oldest first, DECLINED_SHOWN_MAX at most."""
    lifecycle: tuple[str, ...] = ()
    """What lifecycle rules will do to it, soonest first."""

    def to_json(self) -> dict[str, Any]:
        """Plain values for `--format json`."""
        return asdict(self)


async def explain(
    journal: Journal,
    access_log: AccessLog,
    rules: Rules,
    bucket: BucketName,
    key: ObjectKey,
    now_ms: int,
    *,
    enabled: bool = True,
    version_id: str | None = None,
) -> Explanation:
    """Explain a version's tier. Raises what `require_version` raises."""
    version = require_version(journal.catalog, bucket, key, version_id)
    volume = journal.catalog.volume(version.volume_id)
    assert volume is not None, "a version has its volume"
    row = await access_log.get(volume.id)
    known = row or rules.written(volume)
    history = await journal.history(volume.id)
    moves, declined = past_moves(history), past_refusals(history)
    pin = pin_on(journal.catalog, volume, now_ms)
    outlook = _outlook(volume, known, rules, now_ms, pin)
    if declined and declined[-1].at_ms >= volume.placed_at_ms and volume.pending is None:
        refused = f"{wording.moment(declined[-1].at_ms)}: {declined[-1].reason}"
        outlook = replace(outlook, sentence=f"{outlook.sentence}; not moved {refused}")
    if moves and moves[-1].outcome == ABANDONED:
        outlook = replace(outlook, sentence=f"{outlook.sentence}; {_failed(moves[-1])}")
    if not enabled:
        outlook = Outlook(f"tiering is switched off; otherwise: {outlook.sentence}", 0, "")
    return Explanation(
        bucket=bucket,
        key=key,
        version_id=version.version_id,
        volume_id=volume.id,
        size_bytes=volume.size_bytes,
        tier=volume.tier,
        since_ms=volume.placed_at_ms,
        placed_because=_placed_because(moves),
        last_read_at_ms=known.last_at_ms if known.reads else 0,
        reads=known.reads,
        sessions=known.sessions,
        verdict=outlook.sentence,
        look_at_ms=outlook.look_at_ms,
        would_do=outlook.would_do,
        tiering_enabled=enabled,
        policy=rules.policy_name,
        prices=rules.prices.version(),
        pin=pin,
        moves=moves,
        declined=declined,
        lifecycle=lifecycle_outlook(journal.catalog, version, clock_of(now_ms, rules.day_s)),
    )


def past_moves(history: Sequence[Recorded]) -> tuple[PastMove, ...]:
    """The decisions in a volume's history, each with what became of it."""
    moves: list[PastMove] = []
    for record in history:
        event = record.event
        if isinstance(event, TierDecided):
            moves.append(PastMove(record.at_ms, record.by, event.decision, UNDER_WAY, 0, ""))
        elif isinstance(event, VolumeMoved) and moves:
            moves[-1] = replace(moves[-1], outcome=MOVED, ended_at_ms=record.at_ms)
        elif isinstance(event, MoveAbandoned) and moves:
            moves[-1] = replace(
                moves[-1], outcome=ABANDONED, ended_at_ms=record.at_ms, reason=event.reason
            )
    return tuple(moves)


def past_refusals(history: Sequence[Recorded]) -> tuple[Declined, ...]:
    """The latest moves of a volume that were wanted and not begun."""
    refused = [
        Declined(record.at_ms, record.by, record.event.to, record.event.policy, record.event.reason)
        for record in history
        if isinstance(record.event, MoveDeclined)
    ]
    return tuple(refused[-DECLINED_SHOWN_MAX:])


def render_text(explanation: Explanation, now_ms: int) -> str:
    """What the command prints: one fact a line, then one move a paragraph."""
    it = explanation
    lines = [
        f"s3://{it.bucket}/{it.key}",
        f"  volume:    {it.volume_id}, {wording.size(it.size_bytes / BYTES_PER_GB)}",
        f"  tier:      {it.tier} since {_time(it.since_ms)}",
        f"  because:   {it.placed_because}",
        f"  reads:     {_reads(it)}",
        f"  now:       {it.verdict}",
        f"  next look: {_next_look(it, now_ms)}",
        f"  rules:     {it.policy}, price list {it.prices}",
    ]
    if it.pin is not None:
        lines.insert(4, f"  pin:       {it.pin.describe()}")
    lines += [f"  lifecycle: {sentence}" for sentence in it.lifecycle]
    lines.append("  moves:" if it.moves else "  moves:     none")
    for move in it.moves:
        ended = f" {_time(move.ended_at_ms)}" if move.ended_at_ms else ""
        reason = f": {move.reason}" if move.reason else ""
        lines.append(f"    {_time(move.decided_at_ms)}, by {move.by}: {move.decision.sentence}")
        lines.append(f"      {move.outcome}{ended}{reason}")
    if it.declined:
        lines.append("  not moved:")
    for refusal in it.declined:
        at = _time(refusal.at_ms)
        lines.append(f"    {at}, to {refusal.to} ({refusal.policy}): {refusal.reason}")
    return "\n".join(lines) + "\n"


def _placed_because(moves: Sequence[PastMove]) -> str:
    carried_out = [move for move in moves if move.outcome == MOVED]
    return carried_out[-1].decision.sentence if carried_out else PLACED_WHEN_WRITTEN


def _outlook(volume: Volume, row: Access, rules: Rules, now_ms: int, pin: Pin | None) -> Outlook:
    if volume.pending is not None:
        pending = volume.pending
        return Outlook(f"on its way to {pending.to}: {pending.sentence}", 0, "")
    verdict = rules.verdict(volume, row, now_ms, pin)
    if isinstance(verdict, Move):
        decision = verdict.decision
        return Outlook(
            decision.sentence, row.look_at_ms or now_ms, f"it moves to {decision.target}"
        )
    look_at_ms = row.look_at_ms or verdict.look_again_at_ms
    if not look_at_ms:
        return Outlook(verdict.sentence, 0, "")
    then = rules.verdict(volume, row, max(look_at_ms, now_ms), pin)
    if isinstance(then, Move):
        would_do = f"it moves to {then.decision.target}, unless it is read before"
    elif then.would_do is not None:
        # Timers are not put off with every read, only when they come up.
        due = _time(then.look_again_at_ms)
        would_do = f"nothing; the move to {then.would_do} is due {due}, unless it is read before"
    else:
        would_do = "nothing"
    return Outlook(verdict.sentence, look_at_ms, would_do)


def _failed(move: PastMove) -> str:
    return f"the move to {move.decision.target} failed {_time(move.ended_at_ms)}: {move.reason}"


def _reads(it: Explanation) -> str:
    if not it.reads:
        return "none noted"
    sessions = wording.count(it.sessions, "session")
    reads = wording.count(it.reads, "read")
    return f"{reads}, the last {_time(it.last_read_at_ms)}; {sessions} since it came to {it.tier}"


def _next_look(it: Explanation, now_ms: int) -> str:
    if not it.look_at_ms:
        return "not before it is read" if it.tiering_enabled else "none"
    when = "now" if it.look_at_ms <= now_ms else _time(it.look_at_ms)
    return f"{when}: {it.would_do}"


def _time(at_ms: int) -> str:
    return wording.moment(at_ms)
