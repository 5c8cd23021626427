"""Patterns of the policy language: `*`, `?` and variables such as `${aws:username}`.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_variables.html
A variable's value is text, never a pattern: a user called `*` does not match everybody.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache

PATTERNS_CACHED = 4096

Context = Mapping[str, Sequence[str]]
"""Condition keys in lower case with their values; a key that doesn't apply is absent."""

_ANY, _ONE = 1, 2
_Token = str | int
_VARIABLE = re.compile(r"\$\{([^{}]*)\}")
_DEFAULT = re.compile(r"\s*([^,\s]+)\s*,\s*'([^']*)'\s*").fullmatch
_LITERALS = {"*": "*", "?": "?", "$": "$"}


def matches(pattern: str, text: str, context: Context | None = None) -> bool:
    """Whether all of `text` fits. With `context`, variables in the pattern are filled in; one
    that has no value fits nothing."""
    if pattern == "*":
        return True
    if context is None or "${" not in pattern:
        tokens = _tokens(pattern)
    else:
        filled = _filled(pattern, context)
        if filled is None:
            return False
        tokens = filled
    return _match(tokens, text)


def fill(text: str, context: Context) -> str | None:
    """Text in which variables stand for themselves; None if one has no value."""
    if "${" not in text:
        return text
    filled = _expand(text, context)
    return None if filled is None else "".join(piece for piece, _ in filled)


@lru_cache(PATTERNS_CACHED)
def _tokens(pattern: str) -> tuple[_Token, ...]:
    return tuple(_ANY if c == "*" else _ONE if c == "?" else c for c in pattern)


def _filled(pattern: str, context: Context) -> tuple[_Token, ...] | None:
    expanded = _expand(pattern, context)
    if expanded is None:
        return None
    tokens: list[_Token] = []
    for piece, is_value in expanded:
        tokens += piece if is_value else _tokens(piece)
    return tuple(tokens)


def _expand(text: str, context: Context) -> list[tuple[str, bool]] | None:
    """Pieces of the text, and whether each is a variable's value."""
    pieces: list[tuple[str, bool]] = []
    end = 0
    for found in _VARIABLE.finditer(text):
        pieces.append((text[end : found.start()], False))
        value = _value(found[1], context)
        if value is None:
            return None
        pieces.append((value, True))
        end = found.end()
    pieces.append((text[end:], False))
    return pieces


def _value(name: str, context: Context) -> str | None:
    if name in _LITERALS:
        return _LITERALS[name]
    with_default = _DEFAULT(name)
    key, default = (with_default[1], with_default[2]) if with_default else (name.strip(), None)
    values = context.get(key.lower(), ())
    # A key with several values can't be a variable.
    return values[0] if len(values) == 1 else default


def _match(tokens: Sequence[_Token], text: str) -> bool:
    """Greedy, going back to the last `*` only: at worst their product, never exponential."""
    at = token = 0
    star = resume = -1
    while at < len(text):
        if token < len(tokens) and (tokens[token] == _ONE or tokens[token] == text[at]):
            at += 1
            token += 1
        elif token < len(tokens) and tokens[token] == _ANY:
            star, resume = token, at
            token += 1
        elif star >= 0:
            resume += 1
            at, token = resume, star + 1
        else:
            return False
    return all(rest == _ANY for rest in tokens[token:])
