"""The break-even policy: ski rental between the tiers, down by idle time, up by renewed reads.

Down: a volume goes to a cheaper tier when it has been idle for the break-even time B (see
`pricing`); the storage it could have saved by then pays for a move there and back. This costs at
most twice what a clairvoyant would pay (Karlin et al. 1988).

Up: reads from a slow tier add up their extra cost until it pays for the move. They must come in
at least two sessions, near enough to each other that the faster tier is the cheaper one at that
rate: one scan over everything must not pull everything up.
"""

from __future__ import annotations

from stratum.domain import wording
from stratum.domain.hazard import DAY_S
from stratum.domain.names import Tier
from stratum.domain.pricing import DAYS_PER_MONTH, PriceList
from stratum.domain.tiering import Decision, Facts, Move, Stay, Verdict, look_again
from stratum.domain.watched import ACCESS_S

PROMOTION_SESSIONS_MIN = 2
RESIDENCE_MIN_DAYS = 7.0
"""How long a volume stays at least where it was moved, or the break-even time if that is less.
It gives a move made by hand a chance and rules out flapping."""


class BreakEven:
    """See the module."""

    name = "break-even.1"

    def decide(self, facts: Facts, prices: PriceList, now_ms: int) -> Verdict:
        usable = prices.usable(facts.tiers, facts.size_gb)
        up = self._promotion(facts, prices, usable)
        if up is not None:
            return Move(up)
        days_left = {
            tier: _days_left(facts, prices, tier)
            for tier in usable
            if prices.of(tier).storage_per_gb_month < prices.of(facts.tier).storage_per_gb_month
        }
        ripe = [tier for tier, days in days_left.items() if days <= 0]
        if ripe:
            return Move(self._demotion(facts, prices, _cheapest(facts, prices, ripe)))
        why_not_up = _why_not_up(facts, prices, usable)
        if not facts.size_gb or not days_left:
            return Stay(0, _settled(facts) + why_not_up, None)
        target = min(days_left, key=days_left.__getitem__)
        break_even_days = prices.break_even_days(facts.tier, target, facts.size_gb)
        return Stay(
            look_again(facts, days_left[target], now_ms),
            f"{_subject(facts)}: a move to {target} pays after"
            f" {wording.duration(break_even_days, facts.day_s)} without a read{why_not_up}",
            target,
            _demotion_numbers(facts, prices, target),
        )

    def _demotion(self, facts: Facts, prices: PriceList, target: Tier) -> Decision:
        numbers = _demotion_numbers(facts, prices, target)
        break_even = wording.duration(numbers["break_even_days"], facts.day_s)
        sentence = (
            f"{_subject(facts)}: {facts.tier} → {target}, because {target} saves"
            f" {wording.money(numbers['saving_per_month'])} of storage a month and has thereby paid"
            f" for a move there and back ({wording.money(numbers['cycle_cost'])}) after the"
            f" break-even time of {break_even}"
        )
        return _decision(facts, prices, target, sentence, numbers)

    def _promotion(
        self, facts: Facts, prices: PriceList, usable: tuple[Tier, ...]
    ) -> Decision | None:
        if facts.sessions < PROMOTION_SESSIONS_MIN:
            return None
        # A pause longer than the gap speaks against the rate that the gap suggests.
        gap_days = max(facts.gap_days, facts.idle_days, ACCESS_S / DAY_S)
        read_here = prices.read_cost(facts.tier, facts.size_gb)

        def cost_per_day(tier: Tier) -> float:
            storage = prices.storage_per_day(tier, facts.size_gb)
            return storage + prices.read_cost(tier, facts.size_gb) / gap_days

        target = min((facts.tier, *usable), key=cost_per_day)
        read_there = prices.read_cost(target, facts.size_gb)
        if target is facts.tier or read_there >= read_here:
            return None
        extra = facts.sessions * (read_here - read_there)
        move = prices.move_cost(facts.tier, target, facts.size_gb)
        if extra < move:
            return None
        sentence = (
            f"{wording.size(facts.size_gb)} in {facts.tier}, read again in"
            f" {wording.count(int(facts.sessions), 'session')} since it came there,"
            f" {wording.duration(gap_days, facts.day_s)} apart: {facts.tier} → {target}, because at"
            f" that rate {target} costs {wording.money(cost_per_day(target))} a day and"
            f" {facts.tier} {wording.money(cost_per_day(facts.tier))}, and these reads cost"
            f" {wording.money(extra)} more than from {target}, which pays for the move"
            f" ({wording.money(move)})"
        )
        numbers = {
            "gap_days": gap_days,
            "extra_read_cost": extra,
            "move_cost": move,
            "cost_per_day_here": cost_per_day(facts.tier),
            "cost_per_day_there": cost_per_day(target),
        }
        return _decision(facts, prices, target, sentence, numbers)


def _days_left(facts: Facts, prices: PriceList, target: Tier) -> float:
    """Days until a demotion pays, if no read comes; infinite if it never does."""
    break_even_days = prices.break_even_days(facts.tier, target, facts.size_gb)
    residence_left = min(break_even_days, RESIDENCE_MIN_DAYS) - facts.residence_days
    return max(break_even_days - facts.idle_days, residence_left)


def _cheapest(facts: Facts, prices: PriceList, targets: list[Tier]) -> Tier:
    """Of several tiers past break-even, the one where an idle period as long as the one behind
    us costs least: after a long time without looking, hot may go straight to cold."""

    def cost(tier: Tier) -> float:
        storage = prices.storage_per_day(tier, facts.size_gb) * facts.idle_days
        return prices.cycle_cost(facts.tier, tier, facts.size_gb) + storage

    return min(targets, key=cost)


def _demotion_numbers(facts: Facts, prices: PriceList, target: Tier) -> dict[str, float]:
    here = prices.storage_per_day(facts.tier, facts.size_gb)
    there = prices.storage_per_day(target, facts.size_gb)
    return {
        "break_even_days": prices.break_even_days(facts.tier, target, facts.size_gb),
        "cycle_cost": prices.cycle_cost(facts.tier, target, facts.size_gb),
        "saving_per_month": (here - there) * DAYS_PER_MONTH,
    }


def _decision(
    facts: Facts, prices: PriceList, target: Tier, sentence: str, numbers: dict[str, float]
) -> Decision:
    return Decision(
        source=facts.tier,
        target=target,
        policy=BreakEven.name,
        sentence=sentence,
        prices=prices.version(),
        facts=facts.record(),
        numbers=numbers,
    )


def _subject(facts: Facts) -> str:
    idle = wording.duration(facts.idle_days, facts.day_s)
    return f"{wording.size(facts.size_gb)} in {facts.tier}, idle for {idle}"


def _settled(facts: Facts) -> str:
    if not facts.size_gb:
        return f"0 bytes in {facts.tier}: there is no storage to save"
    return f"{_subject(facts)}: no configured tier stores it for less"


def _why_not_up(facts: Facts, prices: PriceList, usable: tuple[Tier, ...]) -> str:
    here = prices.read_cost(facts.tier, facts.size_gb)
    if not any(prices.read_cost(tier, facts.size_gb) < here for tier in usable):
        return ""
    if facts.sessions < PROMOTION_SESSIONS_MIN:
        sessions = wording.count(int(facts.sessions), "session")
        return (
            f"; reads in {PROMOTION_SESSIONS_MIN} sessions can bring it up, since it came there it"
            f" was read in {sessions}"
        )
    gap_days = max(facts.gap_days, facts.idle_days)
    return (
        f"; read in sessions {wording.duration(gap_days, facts.day_s)} apart, which is too rare for"
        " a faster tier to be cheaper"
    )
