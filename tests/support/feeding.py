"""Feeding bytes to a sans-IO reader in different ways, which must not make a difference."""

import random


def whole(data):
    """All at once."""
    return [data]


def bytewise(data):
    """One byte at a time."""
    return [data[i : i + 1] for i in range(len(data))]


def in_pieces(data, seed=0, length_max=100):
    """In pieces of random lengths, empty ones included."""
    rng = random.Random(seed)
    pieces, at = [], 0
    while at < len(data):
        length = rng.randint(0, length_max)
        pieces.append(data[at : at + length])
        at += length
    return pieces


WAYS = [whole, bytewise, in_pieces]
