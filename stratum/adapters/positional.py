"""Dataclasses as compact msgpack: fields by position instead of by name.

msgspec writes a dataclass as a map, which repeats every field name in every row (442 bytes for a
plain `VersionCommitted`, 258 by position). Here each dataclass gets a mirror `Struct` written as
an array, made once from its annotations; the conversion both ways checks every type, so a row
that could not be read again is refused before it is written.

Fields may only ever be added at the end and with a default: older rows, which lack them, then
decode with the default.
"""

from __future__ import annotations

import dataclasses
import types
from functools import cache
from typing import Any, Generic, TypeVar, Union, get_args, get_origin, get_type_hints

import msgspec

T = TypeVar("T")


class PositionalCodec(Generic[T]):
    """Encodes and decodes values of one type: a dataclass, or a tuple that contains some."""

    def __init__(self, kind: type[T]) -> None:
        self._kind = kind
        self._mirror = _mirrored(kind)
        self._encoder = msgspec.msgpack.Encoder()
        self._decoder = msgspec.msgpack.Decoder(self._mirror)

    def encode(self, value: T) -> bytes:
        """Raises TypeError for a value whose fields do not have their declared types."""
        try:
            mirror = msgspec.convert(value, self._mirror, from_attributes=True)
        except msgspec.ValidationError as error:
            raise TypeError(f"{type(value).__name__} cannot be written: {error}") from error
        return self._encoder.encode(mirror)

    def decode(self, data: bytes) -> T:
        """Raises ValueError for bytes that are not such a value."""
        try:
            mirror = self._decoder.decode(data)
            return msgspec.convert(mirror, self._kind, from_attributes=True)
        except (msgspec.MsgspecError, AssertionError, UnicodeDecodeError) as error:
            raise ValueError(str(error)) from error


@cache
def _struct(cls: type[Any]) -> type[msgspec.Struct]:
    hints = get_type_hints(cls)
    fields: list[Any] = []
    for field in dataclasses.fields(cls):
        kind = _mirrored(hints[field.name])
        if field.default is not dataclasses.MISSING:
            default = field.default
            if dataclasses.is_dataclass(default):
                default = _shared(msgspec.convert(default, kind, from_attributes=True))
            fields.append((field.name, kind, default))
        elif field.default_factory is not dataclasses.MISSING:
            factory = msgspec.field(default_factory=field.default_factory)
            fields.append((field.name, kind, factory))
        else:
            fields.append((field.name, kind))
    return msgspec.defstruct(cls.__name__, fields, array_like=True, frozen=True, gc=False)


def _shared(value: Any) -> Any:
    """A default that every instance shares; msgspec takes only a factory for a struct."""
    return msgspec.field(default_factory=lambda: value)


def _mirrored(kind: Any) -> Any:
    """The annotation with every dataclass in it replaced by its mirror."""
    if isinstance(kind, type) and dataclasses.is_dataclass(kind):
        return _struct(kind)
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is tuple:
        return tuple[tuple(a if a is Ellipsis else _mirrored(a) for a in arguments)]  # type: ignore[misc]
    if origin in (Union, types.UnionType):
        return Union[tuple(_mirrored(a) for a in arguments)]  # noqa: UP007 - made at run time
    return kind
