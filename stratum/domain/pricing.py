"""What it costs to keep, read and move an object, and when a move pays.

The model: total cost = storage + requests + retrieval + moves + waiting. All money in US dollars,
sizes in GB (10^9 bytes), storage per month of 30.4375 days. Days are those of the tiering clock
(`tiering.day_s`). Prices are data an operator edits: a tier that they make dearer to keep *and*
dearer to read than another drops out by arithmetic, not by a rule about sizes.

The break-even rule is ski rental: Karlin, Manasse, Rudolph, Sleator, "Competitive snoopy caching"
(1988); with several slopes Lotker, Patt-Shamir, Rawitz (2012).
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from stratum.domain.errors import InvalidConfig
from stratum.domain.names import Tier

DAYS_PER_MONTH = 30.4375
BYTES_PER_GB = 1e9
PATIENCES = ("thrifty", "balanced", "fast")
DEFAULT_PATIENCE = "balanced"
VERSION_LENGTH_DIGITS = 16

DEFAULT_PRICES_TOML = """\
# What the tiers cost. Stratum weighs these numbers whenever it asks where an object belongs;
# edit them to match your disks, your provider and your time, then restart the server.
#
#   storage_per_gb_month   $ to keep 1 GB (10^9 bytes) for a month of 30.4375 days
#   put, get               $ per write and per read request
#   retrieval_per_gb       $ per GB read out of the tier
#   ingest_per_gb          $ per GB moved into the tier (wear, bandwidth)
#   ttfb_s                 seconds until the first byte of a read arrives
#   throughput_gb_per_s    GB per second from then on

[hot]
storage_per_gb_month = 0.040
put = 1e-7
get = 1e-8
retrieval_per_gb = 0.0
ingest_per_gb = 1e-4
ttfb_s = 0.0005
throughput_gb_per_s = 1.5

[warm]
storage_per_gb_month = 0.012
put = 1e-7
get = 3e-8
retrieval_per_gb = 0.0
ingest_per_gb = 3e-5
ttfb_s = 0.012
throughput_gb_per_s = 0.15

[cold]
storage_per_gb_month = 0.006
put = 5e-6
get = 4e-7
retrieval_per_gb = 0.010
ingest_per_gb = 1e-4
ttfb_s = 0.150
throughput_gb_per_s = 0.05

# What a second of waiting for a read is worth, in $. `tiering.patience` in stratum.toml picks one:
# about 0.025, 0.25 and 2.5 $ an hour.
[waiting]
thrifty = 7e-6
balanced = 7e-5
fast = 7e-4
"""


@dataclass(frozen=True)
class TierPrice:
    """Prices and speed of one tier; the units are in `DEFAULT_PRICES_TOML`."""

    storage_per_gb_month: float
    put: float
    get: float
    retrieval_per_gb: float
    ingest_per_gb: float
    ttfb_s: float
    throughput_gb_per_s: float


@dataclass(frozen=True)
class PriceList:
    """All a decision needs to know about money. Sizes are in GB, results in $ (or days)."""

    hot: TierPrice
    warm: TierPrice
    cold: TierPrice
    patience: str
    waiting_per_s: float
    """$ that a second of a reader's waiting is worth."""

    def of(self, tier: Tier) -> TierPrice:
        if tier is Tier.HOT:
            return self.hot
        return self.warm if tier is Tier.WARM else self.cold

    def storage_per_day(self, tier: Tier, size_gb: float) -> float:
        """c_i·s: $ to keep the object for one day."""
        return self.of(tier).storage_per_gb_month * size_gb / DAYS_PER_MONTH

    def read_cost(self, tier: Tier, size_gb: float) -> float:
        """r_i: $ of one whole read served from a tier, waiting included."""
        price = self.of(tier)
        waiting = self.waiting_per_s * self.wait_s(tier, size_gb)
        return price.get + price.retrieval_per_gb * size_gb + waiting

    def wait_s(self, tier: Tier, size_gb: float) -> float:
        """Seconds until a whole read from a tier has arrived."""
        price = self.of(tier)
        return price.ttfb_s + size_gb / price.throughput_gb_per_s

    def move_cost(self, source: Tier, target: Tier, size_gb: float) -> float:
        """m(i→j): $ to read the object from one tier and write it to another."""
        price = self.of(source)
        fetched = price.get + price.retrieval_per_gb * size_gb
        return self.in_flight_cost(target, size_gb) + fetched

    def in_flight_cost(self, target: Tier, size_gb: float) -> float:
        """m⁺(→j): $ to write the object to a tier while its bytes are at hand from a read."""
        price = self.of(target)
        return price.put + price.ingest_per_gb * size_gb

    def cycle_cost(self, source: Tier, target: Tier, size_gb: float) -> float:
        """K_ij: $ lost by going i→j in vain: there, one read from there, and back with it."""
        return (
            self.read_cost(target, size_gb)
            - self.read_cost(source, size_gb)
            + self.in_flight_cost(source, size_gb)
            + self.move_cost(source, target, size_gb)
        )

    def break_even_days(self, source: Tier, target: Tier, size_gb: float) -> float:
        """B_ij: days without a read after which the storage saved has paid for K_ij.

        Infinite if the target does not store the object for less (always so for 0 bytes).
        """
        saved_per_day = self.storage_per_day(source, size_gb) - self.storage_per_day(
            target, size_gb
        )
        if saved_per_day <= 0:
            return math.inf
        return self.cycle_cost(source, target, size_gb) / saved_per_day

    def usable(self, tiers: Iterable[Tier], size_gb: float) -> tuple[Tier, ...]:
        """Those of the configured tiers that make sense for an object of this size.

        A tier that costs no less to keep and no less to read than another one is dominated and
        drops out; of two equal ones the first stays.
        """
        configured = tuple(tiers)
        return tuple(
            tier
            for tier in configured
            if not any(self._dominates(other, tier, size_gb) for other in configured)
        )

    def _dominates(self, tier: Tier, other: Tier, size_gb: float) -> bool:
        if tier is other:
            return False
        mine = (self.of(tier).storage_per_gb_month, self.read_cost(tier, size_gb))
        theirs = (self.of(other).storage_per_gb_month, self.read_cost(other, size_gb))
        if mine == theirs:
            order = list(Tier)
            return order.index(tier) < order.index(other)
        return mine[0] <= theirs[0] and mine[1] <= theirs[1]

    def document(self) -> str:
        """The list as canonical JSON: equal lists give equal text, and `parse_document` reads it
        back without loss."""
        return json.dumps(asdict(self), sort_keys=True, separators=(",", ":"))

    def version(self) -> str:
        """A short digest of the document, 16 hex digits."""
        return hashlib.sha256(self.document().encode()).hexdigest()[:VERSION_LENGTH_DIGITS]


def parse_prices(
    table: Mapping[str, Any], patience: str = DEFAULT_PATIENCE, origin: str = "prices.toml"
) -> PriceList:
    """A price list from what a TOML reader made of the file; raise InvalidConfig.

    `origin` is what error messages call the file.
    """
    if patience not in PATIENCES:
        raise InvalidConfig(
            f"tiering.patience is thrifty, balanced or fast, not {str(patience)[:40]!r}"
        )
    expected = (*Tier, "waiting")
    for name in table:
        if name not in expected:
            raise InvalidConfig(
                f"{origin}: unknown section [{name}]; there are hot, warm, cold and waiting"
            )
    prices = {tier: _tier_price(_section(table, tier, origin), tier, origin) for tier in Tier}
    waiting = _section(table, "waiting", origin)
    amounts = _numbers(waiting, "waiting", PATIENCES, origin)
    return PriceList(
        prices[Tier.HOT], prices[Tier.WARM], prices[Tier.COLD], patience, amounts[patience]
    )


def parse_document(document: str) -> PriceList:
    """A price list from its canonical JSON document; raise InvalidConfig."""
    origin = "price document"
    try:
        table = json.loads(document)
        patience, waiting = table["patience"], float(table["waiting_per_s"])
        prices = {tier: _tier_price(table[tier], tier, origin) for tier in Tier}
    except (ValueError, KeyError, TypeError) as error:
        raise InvalidConfig(f"{origin}: not a price list: {error!r}") from None
    return PriceList(prices[Tier.HOT], prices[Tier.WARM], prices[Tier.COLD], patience, waiting)


def _section(table: Mapping[str, Any], name: str, origin: str) -> Mapping[str, Any]:
    section = table.get(name)
    if section is None:
        raise InvalidConfig(f"{origin}: section [{name}] is missing")
    if not isinstance(section, Mapping):
        raise InvalidConfig(f"{origin}: {name} must be a section [{name}], not a value")
    return section


def _tier_price(section: Mapping[str, Any], tier: Tier, origin: str) -> TierPrice:
    names = tuple(field.name for field in fields(TierPrice))
    price = TierPrice(**_numbers(section, tier, names, origin))
    if price.throughput_gb_per_s == 0:
        raise InvalidConfig(f"{origin}: [{tier}] throughput_gb_per_s must be above 0")
    return price


def _numbers(
    section: Mapping[str, Any], name: str, keys: tuple[str, ...], origin: str
) -> dict[str, float]:
    for key in section:
        if key not in keys:
            raise InvalidConfig(
                f"{origin}: unknown key {key!r} in [{name}]; there are {', '.join(keys)}"
            )
    numbers = {}
    for key in keys:
        if key not in section:
            raise InvalidConfig(f"{origin}: [{name}] {key} is missing")
        value = section[key]
        valid = isinstance(value, int | float) and not isinstance(value, bool)
        if not valid or not math.isfinite(value) or value < 0:
            raise InvalidConfig(
                f"{origin}: [{name}] {key} must be a number, 0 or more, not {value!r}"
            )
        numbers[key] = float(value)
    return numbers
