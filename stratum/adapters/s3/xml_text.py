"""Text inside XML 1.0: what must be escaped and what cannot be said at all."""

from __future__ import annotations

import re
from urllib.parse import quote

# Char of XML 1.0 §2.2 is the complement. A document with another character, even as a numeric
# reference, is not well-formed; a client that has such keys asks for encoding-type=url.
_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_SPECIAL = re.compile('[&<>"\r]|' + _NOT_XML.pattern)
_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "\r": "&#13;"}


def escape(text: str) -> str:
    """Escape character data; a character XML cannot express becomes U+FFFD.

    A carriage return is written as a reference, because parsers turn a literal one into a newline.
    """
    if _SPECIAL.search(text) is None:
        return text
    return _SPECIAL.sub(lambda match: _ENTITIES.get(match[0], "\ufffd"), text)


def url_encode(text: str) -> str:
    """encoding-type=url: percent-encoded UTF-8, `/` kept, space `%20` and plus `%2B`."""
    return quote(text, safe="/~*")
