"""What one client may cost: the limits of the HTTP/1.1 connection loop, all in one place."""

from __future__ import annotations

from dataclasses import dataclass

KIB = 1024
MIB = 1024 * KIB


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionLimits:
    """Time-outs in seconds of Trio's clock, sizes in bytes, counts as such.

    `idle_s`            a connection without a request, new or kept alive, is closed after this;
    `head_s`            from the first byte of a request to the end of its headers (slow loris);
    `stall_s`           a body or a response that makes no progress at all;
    `slow_s`, `rate_min_bytes_per_s`  who has kept us waiting for `slow_s` in one request must have
                        moved so many bytes for each second of that, body or response;
    `linger_s`          how long we swallow what a client still sends after its final answer;
    `head_size_bytes`   request line and headers together, beyond it 431;
    `header_count`      number of header lines, beyond it 431;
    `drain_size_bytes`  an unread request body up to this size is read and dropped so that the
                        connection can be kept, a longer one costs the client its connection;
    `connections`       open at the same time, beyond it 503.
    """

    idle_s: float = 75.0
    head_s: float = 20.0
    stall_s: float = 60.0
    slow_s: float = 60.0
    rate_min_bytes_per_s: float = 1024.0
    linger_s: float = 5.0
    head_size_bytes: int = 64 * KIB
    header_count: int = 200
    drain_size_bytes: int = 1 * MIB
    connections: int = 4096

    def __post_init__(self) -> None:
        for name in self.__slots__:
            assert getattr(self, name) > 0, f"{name} must be positive"
