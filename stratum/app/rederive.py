"""Deriving every decision again from its own record: the proof that the record is complete.

A decision carries the facts it was made from and the version of its price list, whose document is
an event, too; so is the pin that a pinned one obeys. The same policy on the same numbers must give
the same decision, bit for bit.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from dataclasses import asdict, dataclass

from stratum.domain.errors import InvalidConfig
from stratum.domain.events import PricesAdopted, Recorded, TierDecided, TierPinned
from stratum.domain.pin import Pin
from stratum.domain.pinning import pin_from
from stratum.domain.pricing import PriceList, parse_document
from stratum.domain.tiering import NO_PINS, Decision, Policy, derive_again
from stratum.domain.watermark import WATERMARK, derive_room
from stratum.ports import Journal

PAGE_LENGTH = 1000


@dataclass(frozen=True)
class Derived:
    """One recorded decision and what came of deriving it again; `difference` is empty if equal."""

    recorded: Recorded
    difference: str


async def rederive(
    journal: Journal, policies: Mapping[str, Policy]
) -> AsyncGenerator[Derived, None]:
    """Every decision of the journal, oldest first."""
    prices: dict[str, PriceList] = {}
    unreadable: dict[str, str] = {}
    pins: dict[float, Pin] = {}
    after = 0
    while page := await journal.read(after, PAGE_LENGTH):
        after = page[-1].seq
        for recorded in page:
            if isinstance(recorded.event, PricesAdopted):
                try:
                    prices[recorded.event.version] = parse_document(recorded.event.document)
                except InvalidConfig as error:
                    unreadable[recorded.event.version] = str(error)
            elif isinstance(recorded.event, TierPinned):
                pins[recorded.seq] = pin_from(recorded)
            elif isinstance(recorded.event, TierDecided):
                decision = recorded.event.decision
                if decision.prices in prices:
                    difference = compare(decision, policies, prices[decision.prices], pins)
                else:
                    why = unreadable.get(decision.prices, "the journal has no such list")
                    difference = f"price list {decision.prices}: {why}"
                yield Derived(recorded, difference)


def compare(
    decision: Decision,
    policies: Mapping[str, Policy],
    prices: PriceList,
    pins: Mapping[float, Pin] = NO_PINS,
) -> str:
    """What is different when a decision is derived again; empty if nothing is."""
    try:
        if decision.policy == WATERMARK:
            again = derive_room(decision, prices)
        else:
            again = derive_again(decision, policies, prices, pins)
    except KeyError as error:
        return f"the record cannot be derived: {error} is unknown"
    if again is None:
        return f"recorded {decision.source} → {decision.target}, derived: stay in {decision.source}"
    if again == decision:
        return ""
    ours, theirs = asdict(decision), asdict(again)
    return "; ".join(
        f"{name}: recorded {ours[name]!r}, derived {theirs[name]!r}"
        for name in ours
        if ours[name] != theirs[name]
    )
