"""The policy of the hazard table as a function of what a decision records, with its reasons.

A decision carries the vectors of the object's cell and of all above it. Plan, probability and
sentence follow from these, the price list and the facts; the server's plans, made in advance for
many objects at once, are the same bit for bit.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from stratum.domain import wording
from stratum.domain.hazard import bin_of
from stratum.domain.hazard_plan import (
    EVIDENCE_MIN,
    UNKNOWN_ACCESSES_MIN,
    Kind,
    Plan,
    probability,
)
from stratum.domain.names import Tier
from stratum.domain.pricing import PriceList
from stratum.domain.tiering import Decision, Facts, Move, Stay, Verdict, look_again


class Hazard:
    """See the module."""

    name = "hazard.1"

    def decide(self, facts: Facts, prices: PriceList, now_ms: int) -> Verdict:
        """Raises KeyError if nothing is known of the object's kind."""
        if facts.kind is None:
            raise KeyError("kind")
        case = _Case(facts, facts.kind, prices)
        if case.just_read:
            target = case.plan.after_read(case.here, int(facts.sessions), facts.gap_days)
            if target != case.here:
                return Move(case.promotion(target))
        target = case.plan.when_idle(case.here, facts.idle_days, case.residence_days)
        if target != case.here:
            return Move(case.demotion(target))
        return case.stay(now_ms)


@dataclass(frozen=True)
class _Case:
    facts: Facts
    kind: Kind
    prices: PriceList

    @property
    def plan(self) -> Plan:
        return self.kind.plan

    @property
    def here(self) -> int:
        return self.facts.tiers.index(self.facts.tier)

    @property
    def just_read(self) -> bool:
        return self.facts.sessions > 0 and bin_of(self.facts.idle_days) == 0

    @property
    def residence_days(self) -> float:
        """Since it was moved here; infinity if it was written here."""
        moved = self.facts.residence_days < self.facts.age_days
        return self.facts.residence_days if moved else math.inf

    # -- decisions --------------------------------------------------------------------------------
    def demotion(self, target: int) -> Decision:
        facts, plan, here = self.facts, self.plan, self.here
        number = bin_of(facts.idle_days)
        break_even_days = plan.costs.break_even_days[here]
        there = facts.tiers[target]
        if plan.schedule.target(number, here) == here:
            why = f"which is twice the break-even time of {self._duration(break_even_days)}"
        else:
            why = f"because {self._chance(here)}"
        sentence = (
            f"{self._subject()}: {facts.tier} → {there} after {self._duration(facts.idle_days)}"
            f" idle, {why}"
        )
        saving = plan.workings.saving_by_going_down(plan.costs, number, here, target)
        return self._decision(there, sentence, self._numbers(here, saving))

    def promotion(self, target: int) -> Decision:
        facts, plan, here = self.facts, self.plan, self.here
        there = facts.tiers[target]
        if plan.up_evident[target]:
            why = f"because {self._chance(target)}"
        else:
            why = (
                f"because two accesses came within {self._duration(facts.gap_days)}, less than the"
                f" break-even time of {self._duration(plan.costs.break_even_days[target])}"
            )
        sentence = f"{self._subject()}, read in {facts.tier}: {facts.tier} → {there}, {why}"
        saving = plan.workings.saving_by_coming_up(plan.costs, here, target)
        return self._decision(there, sentence, self._numbers(target, saving))

    def _numbers(self, tier: int, saving: float) -> dict[str, float]:
        """`tier` is the faster one of source and target."""
        plan, facts = self.plan, self.facts
        break_even_days = plan.costs.break_even_days[tier]
        threshold_days = facts.idle_days
        if tier == self.here:
            left = plan.schedule.leave_days(tier, 0)
            threshold_days = min(max(left, plan.hold_days[tier]), plan.costs.cap[tier][0])
        return {
            "break_even_days": break_even_days,
            "threshold_days": threshold_days,
            "probability": probability(plan.rates, facts.idle_days, break_even_days),
            "like_periods": self._like(),
            "expected_saving": saving,
        }

    def _decision(self, there: Tier, sentence: str, numbers: dict[str, float]) -> Decision:
        facts, kind = self.facts, self.kind
        return Decision(
            source=facts.tier,
            target=there,
            policy=Hazard.name,
            sentence=sentence,
            prices=self.prices.version(),
            facts=facts.record()
            | {"active_days": float(kind.active_days), "log_gap_days": kind.log_gap},
            numbers=numbers,
            kind=kind.template,
            vectors=self.plan.vectors,
        )

    # -- staying ----------------------------------------------------------------------------------
    def stay(self, now_ms: int) -> Stay:
        facts, plan, here = self.facts, self.plan, self.here
        idle = self._duration(facts.idle_days)
        subject = f"{self._subject()}, in {facts.tier}, idle for {idle}"
        leave_days = plan.leave_days(here, facts.idle_days, self.residence_days)
        target = self._target_later(leave_days)
        if target == here:
            leave_days = self._next_leave(leave_days)
            target = self._target_later(leave_days)
        why_not_up = self._why_not_up()
        if leave_days == math.inf or target == here:
            settled = "no configured tier stores it for less"
            return Stay(0, f"{subject}: {settled}{why_not_up}", None)
        there = facts.tiers[target]
        sentence = (
            f"{subject}: it goes to {there} when it has been idle for"
            f" {self._duration(leave_days)}, because {self._chance(here)}{why_not_up}"
        )
        look_at_ms = look_again(facts, leave_days - facts.idle_days, now_ms)
        return Stay(look_at_ms, sentence, there)

    def _target_later(self, idle_days: float) -> int:
        if idle_days == math.inf:
            return self.here
        return self.plan.when_idle(self.here, idle_days, self._residence_then(idle_days))

    def _residence_then(self, idle_days: float) -> float:
        return self.residence_days + (idle_days - self.facts.idle_days)

    def _next_leave(self, idle_days: float) -> float:
        """The schedule may want it to stay again by the time a guard lets it go."""
        while idle_days < math.inf and self._target_later(idle_days) == self.here:
            idle_days = self.plan.leave_days(self.here, idle_days, self._residence_then(idle_days))
        return idle_days

    def _why_not_up(self) -> str:
        up = self.plan.schedule.landing[self.here]
        if up >= self.here:
            fast = self.facts.tiers[0]
            return f"; reads are expected too seldom to pay for {fast}" if self.here else ""
        if self.plan.up_evident[up]:
            return f"; the next read brings it up to {self.facts.tiers[up]}"
        days = self._duration(self.plan.costs.break_even_days[up])
        accesses = int(self.facts.sessions)
        came = "1 access" if accesses == 1 else f"{accesses} accesses"
        return (
            f"; {UNKNOWN_ACCESSES_MIN} accesses within {days} bring it up, since it came there"
            f" it had {came}"
        )

    # -- words ------------------------------------------------------------------------------------
    def _subject(self) -> str:
        kind = self.kind
        if not kind.active_days:
            habit = "never read"
        elif kind.active_days == 1:
            habit = "1 active day"
        else:
            gap = self._duration(math.exp(kind.log_gap))
            habit = f"{kind.active_days:,} active days, typically {gap} apart"
        return f"`{kind.template}`, {wording.size(self.facts.size_gb)}, {habit}"

    def _chance(self, tier: int) -> str:
        """How many of the like were read again, within the break-even time of a tier."""
        break_even_days = self.plan.costs.break_even_days[tier]
        chance = probability(self.plan.rates, self.facts.idle_days, break_even_days)
        only = "only " if tier == self.here and chance < 0.5 else ""
        within = f"within the break-even time of {self._duration(break_even_days)}"
        like = self._like()
        if like < EVIDENCE_MIN:
            seen = wording.count(round(like), "period")
            return (
                f"{only}{chance:.0%} of all objects are read again {within} by the rule to begin"
                f" with; {seen} of its like got that far until now"
            )
        return f"{only}{chance:.0%} of {round(like):,} like periods were read again {within}"

    def _like(self) -> float:
        """How many periods of the nearest kind that has seen enough got as far as this one."""
        days = self.facts.idle_days
        seen = [self.plan.periods(days, level) for level in range(len(self.plan.vectors))]
        return next((n for n in reversed(seen) if n >= EVIDENCE_MIN), seen[0])

    def _duration(self, days: float) -> str:
        return wording.duration(days, self.facts.day_s)
