"""What the remote tier costs in a month, and what may still be spent. Requests and egress count,
at the prices of the list; storage there does not: it is what moves are decided for.
"""

from __future__ import annotations

from dataclasses import dataclass

from stratum.domain import wording
from stratum.domain.names import Tier
from stratum.domain.pricing import BYTES_PER_GB, DAYS_PER_MONTH, PriceList

SECONDS_PER_DAY = 86400.0


@dataclass(frozen=True)
class RemoteUse:
    """What was used of the remote tier in one month."""

    month: str
    puts: int = 0
    gets: int = 0
    egress_bytes: int = 0
    capped: bool = False
    """Whether the month's cap was reached."""

    def cost(self, prices: PriceList) -> float:
        """$ for requests and egress."""
        cold = prices.of(Tier.COLD)
        egress = cold.retrieval_per_gb * self.egress_bytes / BYTES_PER_GB
        return cold.put * self.puts + cold.get * self.gets + egress


def month_of(at_ms: int, day_s: float) -> str:
    """The month that a moment (Unix ms) belongs to: one of the calendar, in UTC, if days are real
    ones, else a number of 30.4375 days of the tiering clock."""
    if day_s == SECONDS_PER_DAY:
        return wording.moment(at_ms)[: len("2026-11")]
    return f"month {int(at_ms // (day_s * 1000 * DAYS_PER_MONTH))}"


def move_spending(source: Tier, target: Tier, size_gb: float, prices: PriceList) -> float:
    """$ that a move spends on the remote's requests and egress: read-back included."""
    cold = prices.of(Tier.COLD)
    read = cold.get + cold.retrieval_per_gb * size_gb
    if source is Tier.COLD:
        return read
    return cold.put + read if target is Tier.COLD else 0.0


def refusal(
    use: RemoteUse, cap: float, source: Tier, target: Tier, size_gb: float, prices: PriceList
) -> str:
    """Why a move that brings something up from the remote is not made in this month; "" if it may
    be made. A cap of 0 is none."""
    if not cap or source is not Tier.COLD:
        return ""
    spent, more = use.cost(prices), move_spending(source, target, size_gb, prices)
    if spent + more <= cap:
        return ""
    return (
        f"{wording.size(size_gb)} stay in {source} and are streamed from there: of the"
        f" {wording.money(cap)} that requests and egress of the remote may cost in {use.month},"
        f" {wording.money(spent)} are spent, and a move to {target} would take"
        f" {wording.money(more)}"
    )
