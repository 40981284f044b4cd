"""JSON to frozen dataclasses and back, refusing everything that was not asked for.

The dataclass *is* the schema: its type hints are followed, and an unknown key, a missing key or a value of another
type is a `ManifestError` that names the path of the key (``detector.iou_threshold``). A key added later is a field
with a default and the metadata `OPTIONAL`: files from before lack it, and it is not written while it holds its default.
"""

from __future__ import annotations

import dataclasses
import json
import math
import typing
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, TypeVar

from qcface_sdk.errors import ManifestError

OPTIONAL = MappingProxyType({"optional": True})
"""Metadata of a field, with a default, whose key may be missing."""

_T = TypeVar("_T")
_SCALARS = {str: "text", int: "a whole number", float: "a number", bool: "true or false"}


def parse_object(data: bytes, what: str) -> dict[str, Any]:
    """Parse UTF-8 JSON that must be an object without repeated keys, NaN or infinity."""
    try:
        value = json.loads(data.decode("utf-8"), object_pairs_hook=_unique_keys, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise ManifestError(f"{what} must be JSON in UTF-8, got {len(data)} bytes that are not: {error}") from error
    if not isinstance(value, dict):
        raise ManifestError(f"{what} must be a JSON object, got {_kind(value)}")
    return value


def dump_object(value: Any) -> bytes:
    """Return a dataclass as readable JSON; the same value always gives the same bytes."""
    text = json.dumps(_plain(value), indent=1, ensure_ascii=False, allow_nan=False)
    return (text + "\n").encode("utf-8")


def decode(kind: type[_T], value: Any, path: str) -> _T:
    """Build the dataclass `kind` from parsed JSON; `path` names the value in errors, empty for the whole file."""
    if not isinstance(value, dict):
        raise ManifestError(f"{path or 'the file'} must be an object, got {_kind(value)}")
    fields = {field.name: field for field in dataclasses.fields(kind)}  # type: ignore[arg-type]
    if unknown := sorted(value.keys() - fields.keys()):
        raise ManifestError(f"unknown key {_join(path, unknown[0])}; this schema knows {', '.join(fields)}")
    needed = {name for name, field in fields.items() if not field.metadata.get("optional")}
    if missing := sorted(needed - value.keys()):
        raise ManifestError(f"missing key {_join(path, missing[0])}")
    hints = typing.get_type_hints(kind)
    decoded = {name: _decode_any(hints[name], item, _join(path, name)) for name, item in value.items()}
    try:
        return kind(**decoded)
    except ManifestError as error:
        raise ManifestError(_join(path, str(error))) from error


def _decode_any(hint: Any, value: Any, path: str) -> Any:
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        return decode(hint, value, path)
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is tuple:
        return _decode_tuple(arguments, value, path)
    if origin is not None and issubclass(origin, Mapping):
        return _decode_mapping(arguments[1], value, path)
    return _decode_scalar(hint, value, path)


def _decode_tuple(arguments: tuple[Any, ...], value: Any, path: str) -> tuple[Any, ...]:
    if not isinstance(value, list):
        raise ManifestError(f"{path} must be a list, got {_kind(value)}")
    hints = [arguments[0]] * len(value) if arguments[-1] is Ellipsis else list(arguments)
    if len(hints) != len(value):
        raise ManifestError(f"{path} must be a list of {len(hints)}, got {len(value)}")
    pairs = zip(hints, value, strict=True)
    return tuple(_decode_any(hint, item, f"{path}[{index}]") for index, (hint, item) in enumerate(pairs))


def _decode_mapping(hint: Any, value: Any, path: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise ManifestError(f"{path} must be an object, got {_kind(value)}")
    return MappingProxyType({key: _decode_any(hint, item, _join(path, key)) for key, item in value.items()})


def _decode_scalar(hint: type, value: Any, path: str) -> Any:
    number = hint is float and type(value) in (int, float)
    if type(value) is not hint and not number:
        raise ManifestError(f"{path} must be {_SCALARS[hint]}, got {_kind(value)}")
    if not number:
        return value
    try:
        result = float(value)
    except OverflowError:
        result = math.inf
    if not math.isfinite(result):
        raise ManifestError(f"{path} must be a finite number, got one too large")
    return result


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value):
        return {field.name: _plain(getattr(value, field.name)) for field in _written(value)}
    if isinstance(value, Mapping):
        return {key: _plain(value[key]) for key in sorted(value)}
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return value


def _written(value: Any) -> list[dataclasses.Field[Any]]:
    """Return the fields of a dataclass that are written: all but optional ones at their default."""

    def at_default(field: dataclasses.Field[Any]) -> bool:
        return bool(field.metadata.get("optional")) and getattr(value, field.name) == field.default

    return [field for field in dataclasses.fields(value) if not at_default(field)]


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        names = [name for name, _ in pairs]
        repeated = next(name for name in names if names.count(name) > 1)
        raise ManifestError(f"key {repeated!r} stands twice in one object")
    return result


def _refuse_constant(text: str) -> Any:
    raise ManifestError(f"numbers must be finite, got {text}")


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _kind(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, (dict, list)):
        return "an object" if isinstance(value, dict) else "a list"
    return f"{_SCALARS[type(value)]} {value!r:.60}"
