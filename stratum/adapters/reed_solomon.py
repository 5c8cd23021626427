"""The Reed-Solomon code of `reedsolo.RSCodec(2, nsize=6)`, computed on whole cells with numpy.

reedsolo defines the code: the six bytes at one offset of the six cells are one of its codewords,
data first, with first consecutive root 0, generator 2 and field polynomial 0x11d. Its generator
polynomial is (x - 1)(x - 2), so a codeword c satisfies two parity checks over GF(256):

    c0 + c1 + c2 + c3 + c4 + c5 = 0                           (its value at 1)
    32 c0 + 16 c1 + 8 c2 + 4 c3 + 2 c4 + c5 = 0               (its value at 2)

Everything here is XOR and multiplication by 2, by Horner's rule, plus one multiplication by a
constant (a table) where two cells are missing. The constants come from reedsolo's field, and a
`ReedSolomon` compares itself with reedsolo before its first use.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from functools import cache, lru_cache
from typing import Final

import numpy as np
import numpy.typing as npt
import reedsolo
import xxhash

from stratum.domain.errors import InsufficientShards
from stratum.domain.stripes import CELLS, DATA_CELLS, PARITY_CELLS, Buffer

Octets = npt.NDArray[np.uint8]

FIELD_POLYNOMIAL: Final = 0x11D
KERNEL_BLOCK_BYTES = 128 * 1024
"""Cells are worked on in pieces of this size, so that what a piece touches stays in the cache."""
PAIR_TABLES_MAX = 4
"""Multiplication tables kept, 128 KiB each; one serves as long as the same two disks are down."""

_ORACLE = reedsolo.RSCodec(
    PARITY_CELLS, nsize=CELLS, fcr=0, prim=FIELD_POLYNOMIAL, generator=2, c_exp=8
)
_REDUCTION = np.uint8(FIELD_POLYNOMIAL & 0xFF)
_SELF_TEST_LENGTH = 19


def cell_checksum(extent: bytes, stripe: int, index: int, cell: Buffer) -> bytes:
    """16-byte XXH3-128 of a cell, seeded by where it belongs.

    `extent` is the extent id as 16 bytes. A cell of another extent, stripe or shard does not
    match, so data that a disk returns from the wrong place is noticed.
    """
    place = extent + stripe.to_bytes(8, "little") + bytes((index,))
    return xxhash.xxh3_128_digest(cell, xxhash.xxh3_64_intdigest(place))


def reedsolo_parity(stripe: Buffer) -> bytes:
    """The two parity cells of a stripe of four cells, by reedsolo itself: slow, for checking."""
    length = len(stripe) // DATA_CELLS
    columns = np.frombuffer(stripe, np.uint8).reshape(DATA_CELLS, length).T.tobytes()
    coded = np.frombuffer(bytes(_ORACLE.encode(columns)), np.uint8).reshape(length, CELLS)
    return coded[:, DATA_CELLS:].T.tobytes()


class ReedSolomon:
    """The kernel and its scratch memory. Not thread-safe: one instance per thread of control.

    Raises AssertionError when made on a machine where numpy and reedsolo do not agree.
    """

    def __init__(self, block_bytes: int = KERNEL_BLOCK_BYTES) -> None:
        assert block_bytes % 2 == 0, "a block is made of pairs of bytes"
        self._block = block_bytes
        self._scratch = np.empty((4, block_bytes), np.uint8)
        self._self_test()

    def encode(self, stripe: Buffer, parity: bytearray | memoryview) -> None:
        """Write the two parity cells of four data cells that lie one after the other.

        `stripe` is four cells long, `parity` (writable) two; a cell may have any length.
        """
        length, rest = divmod(len(stripe), DATA_CELLS)
        if rest or len(parity) != PARITY_CELLS * length:
            raise ValueError(f"parity of {len(stripe)} bytes does not fit in {len(parity)}")
        data = np.frombuffer(stripe, np.uint8).reshape(DATA_CELLS, length)
        out = np.frombuffer(parity, np.uint8).reshape(PARITY_CELLS, length)
        for start in range(0, length, self._block):
            piece = slice(start, start + self._block)
            self._encode_block(data[:, piece], out[0, piece], out[1, piece])

    def reconstruct(
        self, cells: Sequence[Buffer | None], *, parity: bool = False
    ) -> Sequence[Buffer]:
        """The four data cells (all six with `parity`), from six of which two may be None.

        Cells that are there are returned as they are; the others are new memory. Raises
        InsufficientShards if more than two are missing.
        """
        missing = [index for index, cell in enumerate(cells) if cell is None]
        if len(missing) > PARITY_CELLS:
            raise InsufficientShards(f"{CELLS - len(missing)} cells of {DATA_CELLS} needed")
        wanted = range(CELLS if parity else DATA_CELLS)
        rebuilt = self._rebuild(cells, missing) if any(i in wanted for i in missing) else {}
        whole: list[Buffer] = []
        for index in wanted:
            cell = cells[index]
            whole.append(rebuilt[index] if cell is None else cell)
        return whole

    def _rebuild(
        self, cells: Sequence[Buffer | None], missing: Sequence[int]
    ) -> dict[int, memoryview]:
        present = {
            i: np.frombuffer(cell, np.uint8) for i, cell in enumerate(cells) if cell is not None
        }
        length = len(next(iter(present.values())))
        if any(len(cell) != length for cell in present.values()):
            raise ValueError("the cells of a stripe have one length")
        # Tables map pairs of bytes: memory for a cell of odd length has one byte more.
        rebuilt = [np.empty(length + length % 2, np.uint8) for _ in missing]
        for start in range(0, length, self._block):
            stop = min(start + self._block, length)
            pieces = {index: cell[start:stop] for index, cell in present.items()}
            if len(missing) == 1:
                _add(list(pieces.values()), rebuilt[0][start:stop])
            else:
                self._rebuild_pair(pieces, missing, rebuilt, start, stop)
        return {index: cell.data[:length] for index, cell in zip(missing, rebuilt, strict=True)}

    def _encode_block(self, data: Octets, first: Octets, second: Octets) -> None:
        # With s_i = d0 + ... + d_i, the second parity cell is 16 s0 + 8 s1 + 4 s2 + 2 s3; by the
        # first parity check the other is s3 plus that.
        carry = self._scratch[0, : len(first)]
        np.bitwise_xor(data[0], data[1], out=first)
        second[:] = data[0]
        _double(second, carry)
        np.bitwise_xor(second, first, out=second)
        for cell in data[2:]:
            np.bitwise_xor(first, cell, out=first)
            _double(second, carry)
            np.bitwise_xor(second, first, out=second)
        _double(second, carry)
        np.bitwise_xor(first, second, out=first)

    def _rebuild_pair(
        self,
        pieces: dict[int, Octets],
        missing: Sequence[int],
        rebuilt: Sequence[Octets],
        start: int,
        stop: int,
    ) -> None:
        # For lost cells a < b the checks give  ca + cb = s  and  wa ca + wb cb = t, with the
        # weights w of the second check. So (wa + wb) ca = t + wb s: Horner's rule with s put in
        # b's place and zeros in a's, then one multiplication by 1 / (wa + wb).
        a, b = missing
        length, even = stop - start, stop - start + (stop - start) % 2
        carry, total, product = (row[:length] for row in self._scratch[:3])
        _add(list(pieces.values()), total)
        pieces[b] = total
        first, *rest = (i for i in range(CELLS) if i != a)
        product[:] = pieces[first]
        previous = first
        for index in rest:
            for _ in range(index - previous):
                _double(product, carry)
            np.bitwise_xor(product, pieces[index], out=product)
            previous = index
        for _ in range(CELLS - 1 - previous):
            _double(product, carry)
        lost_a = rebuilt[0][start : start + even]
        pairs = self._scratch[2, :even].view(np.uint16)
        np.take(_pair_table(_divisor(a, b)), pairs, out=lost_a.view(np.uint16), mode="clip")
        np.bitwise_xor(total, lost_a[:length], out=rebuilt[1][start:stop])

    def _self_test(self) -> None:
        length = _SELF_TEST_LENGTH
        stripe = bytes((37 * i + 11 * (i // length)) % 256 for i in range(DATA_CELLS * length))
        parity = bytearray(PARITY_CELLS * length)
        self.encode(stripe, parity)
        assert parity == reedsolo_parity(stripe), "numpy's parity is not reedsolo's"
        coded = stripe + parity
        cells = [coded[i * length : (i + 1) * length] for i in range(CELLS)]
        for lost in itertools.combinations(range(CELLS), PARITY_CELLS):
            left = [None if i in lost else cell for i, cell in enumerate(cells)]
            rebuilt = self.reconstruct(left, parity=True)
            assert list(map(bytes, rebuilt)) == cells, f"cells {lost} are not rebuilt"


def _add(cells: Sequence[Octets], total: Octets) -> None:
    """Sum in the field, which is XOR, of two cells or more."""
    np.bitwise_xor(cells[0], cells[1], out=total)
    for cell in cells[2:]:
        np.bitwise_xor(total, cell, out=total)


def _double(octets: Octets, carry: Octets) -> None:
    """Multiply each byte by 2 in the field, in place; `carry` is scratch of the same length."""
    np.less(octets.view(np.int8), 0, out=carry.view(np.bool_))
    np.multiply(carry, _REDUCTION, out=carry)
    np.add(octets, octets, out=octets)
    np.bitwise_xor(octets, carry, out=octets)


@cache
def _divisor(a: int, b: int) -> int:
    """1 / (wa + wb) for the weights of two cells in the second parity check."""
    exp, log = _ORACLE.gf_exp, _ORACLE.gf_log
    weight_sum = exp[CELLS - 1 - a] ^ exp[CELLS - 1 - b]
    return int(exp[255 - log[weight_sum]])


@lru_cache(maxsize=PAIR_TABLES_MAX)
def _pair_table(factor: int) -> npt.NDArray[np.uint16]:
    """factor * x for both bytes of every 16-bit x."""
    exp = np.frombuffer(_ORACLE.gf_exp, np.uint8)
    log = np.frombuffer(_ORACLE.gf_log, np.uint8).astype(np.uint16)
    products = exp[log + log[factor]].astype(np.uint16)
    products[0] = 0
    table: npt.NDArray[np.uint16] = products[None, :] | (products[:, None] << 8)
    return table.reshape(-1)
