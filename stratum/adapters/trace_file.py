"""Reads traces of requests: CSV or Parquet with the columns `t`, `key`, `op`, `size`.

`t` is seconds from any fixed time, in order; `op` PUT, GET or DELETE; `size` the object's bytes,
which only matter for PUT. Parquet needs pyarrow, which is only imported for it.
"""

from __future__ import annotations

import csv
import json
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from stratum.domain.errors import InvalidArgument
from stratum.domain.simulation import OPERATIONS, Request

COLUMNS = ("t", "key", "op", "size")
SAVED_SUFFIX = ".stratum-trace"
"""Of a trace that was saved to be handed to worker processes."""
PARQUET_BATCH_ROWS = 100_000
SPAN_MAX_S = 100 * 366 * 86400
"""A longer trace has its times in another unit."""
_NUMBERS = {name: number for number, name in enumerate(OPERATIONS)}


@dataclass(frozen=True)
class Trace:
    """A trace in columns; can be replayed any number of times. Keys are numbered."""

    keys: Sequence[str]
    times_s: array[int]
    numbers: array[int]
    operations: bytearray
    sizes_bytes: array[int]

    def __len__(self) -> int:
        return len(self.times_s)

    def requests(self) -> Iterator[Request]:
        return zip(self.times_s, self.numbers, self.operations, self.sizes_bytes, strict=True)


def read_trace(path: Path) -> Trace:
    """Read a file whole. Raises InvalidArgument for what isn't a trace, OSError."""
    if path.suffix == SAVED_SUFFIX:
        return _load(path)
    if path.suffix == ".parquet":
        return _collect(_parquet_rows(path), path)
    with path.open(newline="", encoding="utf-8") as file:
        return _collect(_csv_rows(file, path), path)


def save_trace(trace: Trace, path: Path) -> None:
    """Write a trace for `read_trace` of this machine: keys in JSON, then the columns."""
    with path.open("wb") as file:
        keys = json.dumps(list(trace.keys)).encode()
        file.write(b"%d %d\n" % (len(keys), len(trace)))
        file.write(keys)
        for column in (trace.times_s, trace.numbers, trace.sizes_bytes):
            column.tofile(file)
        file.write(trace.operations)


def _load(path: Path) -> Trace:
    with path.open("rb") as file:
        keys_length, length = map(int, file.readline().split())
        keys = json.loads(file.read(keys_length))
        times_s, numbers, sizes_bytes = array("q"), array("q"), array("q")
        for column in (times_s, numbers, sizes_bytes):
            column.fromfile(file, length)
        return Trace(keys, times_s, numbers, bytearray(file.read()), sizes_bytes)


def _collect(rows: Iterator[tuple[int, str, str, int]], path: Path) -> Trace:
    known: dict[str, int] = {}
    times_s, numbers, sizes_bytes = array("q"), array("q"), array("q")
    operations = bytearray()
    try:
        for at_s, key, operation, size_bytes in rows:
            if size_bytes < 0:
                raise ValueError(f"the size {size_bytes} is negative")
            if times_s and at_s < times_s[-1]:
                raise ValueError(f"second {at_s} comes after second {times_s[-1]}")
            if times_s and at_s - times_s[0] > SPAN_MAX_S:
                raise ValueError("more than 100 years from the first; t is in seconds")
            if operation not in _NUMBERS:
                raise ValueError(f"op is PUT, GET or DELETE, not {operation!r}")
            operations.append(_NUMBERS[operation])
            numbers.append(known.setdefault(key, len(known)))
            sizes_bytes.append(size_bytes)
            times_s.append(at_s)
    except (ValueError, TypeError, OverflowError, csv.Error) as error:
        raise InvalidArgument(f"{path}, row {len(times_s) + 1}: {error}") from None
    return Trace(list(known), times_s, numbers, operations, sizes_bytes)


def _csv_rows(lines: Iterator[str], path: Path) -> Iterator[tuple[int, str, str, int]]:
    reader = csv.reader(lines)
    header = next(reader, [])
    if sorted(header) != sorted(COLUMNS):
        raise InvalidArgument(f"{path}: the first line must name the columns t,key,op,size")
    at, key, operation, size = (header.index(name) for name in COLUMNS)
    for row in reader:
        if len(row) != len(COLUMNS):
            raise ValueError(f"{len(COLUMNS)} columns expected, not {len(row)}")
        yield int(row[at]), row[key], row[operation], int(row[size] or 0)


def _parquet_rows(path: Path) -> Iterator[tuple[int, str, str, int]]:
    try:
        import pyarrow as arrow
        from pyarrow import parquet
    except ImportError:
        raise InvalidArgument(f"{path}: reading Parquet needs pyarrow; CSV does not") from None
    try:
        with parquet.ParquetFile(path) as file:
            missing = set(COLUMNS) - set(file.schema_arrow.names)
            if missing:
                raise InvalidArgument(f"{path}: there is no column {', '.join(sorted(missing))}")
            for batch in file.iter_batches(PARQUET_BATCH_ROWS, columns=list(COLUMNS)):
                yield from zip(*(batch[name].to_pylist() for name in COLUMNS), strict=True)
    except arrow.ArrowInvalid as error:
        raise InvalidArgument(f"{path}: {error}") from None
