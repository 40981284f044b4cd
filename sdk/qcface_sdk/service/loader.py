"""Reads a configuration file into frozen dataclasses and refuses everything that was not asked for, with its line."""

from __future__ import annotations

import dataclasses
import os
import sys
import types
import typing
from collections.abc import Mapping
from datetime import time
from pathlib import Path
from types import MappingProxyType
from typing import Any

from qcface_sdk.camera.address import CameraAddress, SourceKind, scrub_text
from qcface_sdk.errors import ConfigError, OptionError
from qcface_sdk.service.config import KeyText, ServiceConfig, SourceText
from qcface_sdk.service.toml_lines import TomlLines
from qcface_sdk.signatures import is_hex_key

if sys.version_info >= (3, 11):
    import tomllib
else:  # pragma: no cover - the package of the same interface
    import tomli as tomllib

MAX_BYTES = 1_000_000
_WORDS = {str: "text", int: "a whole number", float: "a number", bool: "true or false", time: "a time such as 07:00:00"}


def load_config(path: str | os.PathLike[str]) -> ServiceConfig:
    """Read and check a configuration file. Relative paths in it are relative to its folder.

    Parameters
    ----------
    path : str or path
        A TOML file.

    Raises
    ------
    ConfigError
        If it cannot be read, is not TOML, has an unknown key, lacks one, or has a value that is not as it must be. The
        message names file, line and key.
    """
    file = Path(path)
    try:
        data = file.read_bytes()
    except OSError as error:
        raise ConfigError(f"{file}: {error.strerror or error}") from error
    if len(data) > MAX_BYTES:
        raise ConfigError(f"{file}: a configuration has at most {MAX_BYTES:,} bytes, got {len(data):,}")
    try:
        text = data.decode("utf-8")
        values = tomllib.loads(text)
    except (UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as error:
        raise ConfigError(f"{file}: not TOML in UTF-8: {error}") from error
    reader = _Reader(file, TomlLines(text))
    config: ServiceConfig = reader.table(ServiceConfig, values, ())
    return config


class _Reader:
    def __init__(self, file: Path, lines: TomlLines) -> None:
        self._file = file
        self._lines = lines
        self._folder = file.parent

    def error(self, path: tuple[Any, ...], problem: str) -> ConfigError:
        key = "".join(f"[{part + 1}]" if isinstance(part, int) else f".{part}" for part in path).lstrip(".")
        return ConfigError(f"{self._file}, line {self._lines.of(path)}: {key + ': ' if key else ''}{problem}")

    def table(self, kind: type[Any], values: Any, path: tuple[Any, ...]) -> Any:
        if not isinstance(values, dict):
            raise self.error(path, f"must be a table, got {_shown(values)}")
        fields = {field.name: field for field in dataclasses.fields(kind)}
        for name in values:
            if name not in fields:
                raise self.error((*path, name), f"unknown key; known here: {', '.join(fields)}")
        for name, field in fields.items():
            needed = field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
            if needed and name not in values:
                raise self.error(path, f"missing key {name}")
        hints = typing.get_type_hints(kind)
        read = {name: self.value(hints[name], value, (*path, name)) for name, value in values.items()}
        # A path that is a default is relative to the file's folder too, also in a table that is not there.
        for name, field in fields.items():
            if name not in values and isinstance(field.default, Path):
                read[name] = self._folder / field.default
            elif name not in values and dataclasses.is_dataclass(hints[name]):
                read[name] = self.table(hints[name], {}, (*path, name))
        try:
            return kind(**read)
        except (OptionError, ConfigError) as error:
            named = next((name for name in read if str(error).replace("api.", "").startswith(f"{name} ")), None)
            raise self.error(path if named is None else (*path, named), str(error)) from error

    def value(self, hint: Any, value: Any, path: tuple[Any, ...]) -> Any:
        origin, arguments = typing.get_origin(hint), typing.get_args(hint)
        if origin in (types.UnionType, typing.Union):
            # TOML has no null: an optional value is absent or there.
            (inner,) = [argument for argument in arguments if argument is not type(None)]
            return self.value(inner, value, path)
        if dataclasses.is_dataclass(hint):
            return self.table(typing.cast("type[Any]", hint), value, path)
        if origin is tuple:
            return self._list(arguments, value, path)
        if origin is not None and issubclass(origin, Mapping):
            if not isinstance(value, dict):
                raise self.error(path, f"must be a table, got {_shown(value)}")
            items = {name: self.value(arguments[1], item, (*path, name)) for name, item in value.items()}
            return MappingProxyType(items)
        return self._scalar(hint, value, path)

    def _list(self, arguments: tuple[Any, ...], value: Any, path: tuple[Any, ...]) -> tuple[Any, ...]:
        if not isinstance(value, list):
            raise self.error(path, f"must be a list, got {_shown(value)}")
        hints = [arguments[0]] * len(value) if arguments[-1] is Ellipsis else list(arguments)
        if len(hints) != len(value):
            raise self.error(path, f"must be a list of {len(hints)}, got {len(value)}")
        pairs = zip(hints, value, strict=True)
        return tuple(self.value(hint, item, (*path, index)) for index, (hint, item) in enumerate(pairs))

    def _scalar(self, hint: Any, value: Any, path: tuple[Any, ...]) -> Any:
        if hint is Path:
            if not isinstance(value, str) or not value:
                raise self.error(path, f"must be a path, got {_shown(value)}")
            return self._folder / value
        if hint is SourceText:
            return self._source(value, path)
        if hint is KeyText:
            if not isinstance(value, str) or not value:
                raise self.error(path, f"must be a PEM file or 64 hex digits, got {_shown(value)}")
            return KeyText(value if is_hex_key(value) else self._folder / value)
        if hint is float and type(value) is int:
            return float(value)
        if type(value) is not hint:
            raise self.error(path, f"must be {_WORDS[hint]}, got {_shown(value)}")
        return value

    def _source(self, value: Any, path: tuple[Any, ...]) -> SourceText:
        if type(value) is int:
            value = str(value)
        if not isinstance(value, str):
            raise self.error(path, f"must be an address, a file or a camera's number, got {_shown(value)}")
        try:
            address = CameraAddress.parse(value)
        except OptionError as error:
            raise self.error(path, str(error)) from error
        if address.kind is SourceKind.FILE:
            return SourceText(self._folder / value)
        if scrub_text(value) != value:
            raise self.error(path, "holds a password or token; keep it elsewhere: source_secret = { file = ... }")
        return SourceText(value)


def _shown(value: Any) -> str:
    if isinstance(value, (dict, list)):
        return "a table" if isinstance(value, dict) else "a list"
    return f"{_WORDS.get(type(value), type(value).__name__)} {value!r:.60}"
