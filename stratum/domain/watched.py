"""What is remembered of one object in order to decide where it belongs; the same for every policy.

Times are in seconds of the tiering clock (of a trace, or since 1970 with days of 86,400 s). Reads
within an hour of an access's first read are that one access; accesses a day or more apart are
active days. What has to survive a restart is in `access.Access`, about 50 bytes.
"""

from __future__ import annotations

import math

from stratum.domain.hazard import DAY_S, GAP_WEIGHT, HOUR_S

ACCESS_S = HOUR_S
UNKNOWN = -1


class Watched:
    """An object as its policy sees it."""

    __slots__ = (
        "access_s",
        "accesses",
        "active_days",
        "active_s",
        "birth_s",
        "cell",
        "counted",
        "due_s",
        "gap_s",
        "key",
        "last_s",
        "log_gap",
        "more_reads",
        "period",
        "placed_s",
        "reads",
        "size_bytes",
        "template_id",
    )

    def __init__(self, key: str, size_bytes: int, now_s: float) -> None:
        self.key = key
        """Bucket and key, or a trace's key: its name says of what kind it is."""
        self.size_bytes = size_bytes
        self.birth_s = self.placed_s = self.last_s = now_s
        self.reads = 0
        """Since it was written."""
        self.access_s = -math.inf
        """When the latest access began."""
        self.accesses = 0
        """Since it came to its tier."""
        self.gap_s = 0.0
        """Between the beginnings of the latest two of these; 0 with fewer than two."""
        self.active_s = -math.inf
        self.active_days = 0
        self.log_gap = 0.0
        """Moving average of the logarithm of the days between active days."""
        self.more_reads = 0
        """Reads of the latest access after its first."""
        self.period = 0
        """Class of age and size of the idle period that goes on (see `hazard.period_class`)."""
        self.counted = 0
        """The first bin of this period that the hazard table hasn't counted yet."""
        self.due_s = math.inf
        """When the policy wants to look at it; infinity: not before it is read."""
        self.cell = self.template_id = UNKNOWN
        """Where it counts in the hazard table, when that has been looked up."""

    def begins_access(self, now_s: float) -> bool:
        """Whether a read now would begin an access."""
        return now_s - self.access_s > ACCESS_S

    def read_on(self, now_s: float, reads: int = 1) -> None:
        """Note reads of the access that goes on."""
        self.last_s = max(self.last_s, now_s)
        self.reads += reads
        self.more_reads += reads

    def begin_access(self, now_s: float, reads: int = 1) -> None:
        """Note an access that begins with this many reads."""
        if now_s >= self.placed_s:
            self.gap_s = now_s - self.access_s if self.accesses else 0.0
            self.accesses += 1
        self.access_s = now_s
        self.last_s = max(self.last_s, now_s)
        self.reads += reads
        self.more_reads = reads - 1
        since_s = now_s - self.active_s
        if since_s < DAY_S:
            return
        if self.active_days:
            log_gap = math.log(since_s / DAY_S)
            if self.active_days > 1:
                log_gap = GAP_WEIGHT * log_gap + (1 - GAP_WEIGHT) * self.log_gap
            self.log_gap = log_gap
        self.active_days += 1
        self.active_s = now_s

    def moved(self, now_s: float) -> None:
        """Note that it came to another tier: accesses count from here on."""
        self.placed_s = now_s
        self.accesses = 0
        self.gap_s = 0.0
