"""Anchors: the head of the hash chain at a time, signed, kept where the journal is not.

A journal that was rewritten as a whole, or cut off, has a chain without a flaw, and does not
contain what the anchors say it once contained. An anchor is one line of JSON, so that it can be
copied, printed and checked with other tools. Signed (Ed25519, RFC 8032) are the bytes of

    stratum-anchor-1 KIND SEQ DIGEST AT_MS

with single spaces, the digest in lower-case hexadecimal.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass

ANCHORS_FILE = "anchors"
LINE_LENGTH_MAX_BYTES = 1024

ANCHOR = "anchor"
RECOVERED = "recovered"
"""A recovery made the journal anew up to this event: older anchors of later events are void."""

Sign = Callable[[bytes], bytes]
Verify = Callable[[bytes, bytes, bytes], bool]
"""Whether (public key, message, signature) belong together."""


@dataclass(frozen=True)
class Anchor:
    """At `at_ms` (Unix ms) the journal ended at event `seq` with the chain's digest `digest`.

    `key` is the public key of who says so (32 bytes), `signature` has 64 bytes.
    """

    kind: str
    seq: int
    digest: bytes
    at_ms: int
    key: bytes
    signature: bytes

    def is_genuine(self, verify: Verify) -> bool:
        """Whether it was signed with its key."""
        return verify(
            self.key, _message(self.kind, self.seq, self.digest, self.at_ms), self.signature
        )


def make_anchor(kind: str, seq: int, digest: bytes, at_ms: int, key: bytes, sign: Sign) -> Anchor:
    """Sign the head of the chain."""
    return Anchor(kind, seq, digest, at_ms, key, sign(_message(kind, seq, digest, at_ms)))


def format_anchor(anchor: Anchor) -> bytes:
    """One line, with its end."""
    line = json.dumps(
        {
            "kind": anchor.kind,
            "seq": anchor.seq,
            "digest": anchor.digest.hex(),
            "at_ms": anchor.at_ms,
            "key": anchor.key.hex(),
            "signature": anchor.signature.hex(),
        }
    )
    return line.encode() + b"\n"


def parse_anchors(data: bytes) -> tuple[list[Anchor | None], int]:
    """The anchors of a file, None for a line that is none; and how many bytes are whole lines:
    what follows them was torn by a crash."""
    whole = data.rfind(b"\n") + 1
    return [_parse(line) for line in data[:whole].splitlines()], whole


def valid_anchors(anchors: list[Anchor]) -> list[Anchor]:
    """Those that still bind: all but the ones a recovery says it could not keep."""
    kept: list[Anchor] = []
    for anchor in anchors:
        if anchor.kind == RECOVERED:
            kept = [each for each in kept if each.seq <= anchor.seq]
        kept.append(anchor)
    return kept


def _message(kind: str, seq: int, digest: bytes, at_ms: int) -> bytes:
    return f"stratum-anchor-1 {kind} {seq} {digest.hex()} {at_ms}".encode()


def _parse(line: bytes) -> Anchor | None:
    if len(line) > LINE_LENGTH_MAX_BYTES:
        return None
    try:
        found = json.loads(line)
        kind, seq, at_ms = found["kind"], found["seq"], found["at_ms"]
        digest, key = bytes.fromhex(found["digest"]), bytes.fromhex(found["key"])
        signature = bytes.fromhex(found["signature"])
    except (ValueError, KeyError, TypeError):
        return None
    if kind not in (ANCHOR, RECOVERED) or type(seq) is not int or type(at_ms) is not int:
        return None
    return Anchor(kind, seq, digest, at_ms, key, signature)
