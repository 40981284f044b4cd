"""Engines of this machine, kept so that they are built once.

An entry is a folder with the engine and its sidecar, named after everything the engine depends on: model, TensorRT,
compute capability, precision and shapes. It is written beside its place and renamed there, so an interrupted build
leaves nothing that could be loaded.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from qcface_sdk.errors import ModelError, ModelNotFoundError
from qcface_sdk.runtime.engine_info import EngineInfo
from qcface_sdk.user_cache import user_cache_folder

ENGINE_FILE = "engine.plan"
INFO_FILE = "engine.json"
MAX_ENGINE_BYTES = 4 << 30
_MAX_INFO_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class EngineKey:
    """What an engine depends on."""

    model_sha256: str
    """ONNX file."""
    tensorrt: str
    """TensorRT's version."""
    sm: str
    """Compute capability."""
    precision: str
    """Precision of the graph."""
    shapes: str
    """Shapes it must serve, in words."""
    options: tuple[str, ...] = ()
    """Other build options, as ``name=value``."""

    @property
    def folder(self) -> str:
        """Name of the entry's folder."""
        text = json.dumps([getattr(self, name) for name in self.__slots__])
        return hashlib.sha256(text.encode()).hexdigest()[:32]


class EngineStore:
    """The engines in one folder. Thread- and process-safe: entries are only ever renamed into place.

    Parameters
    ----------
    folder : Path, optional
        Where entries live; default is ``engines`` in the user's cache.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = user_cache_folder() / "engines" if folder is None else folder

    def path(self, key: EngineKey) -> Path:
        """Return where the entry of a key is or would be."""
        return self._folder / key.folder

    def holds(self, key: EngineKey) -> bool:
        """Return whether there is an entry; whether it is sound is seen on `load`."""
        return (self.path(key) / INFO_FILE).is_file()

    def others(self, key: EngineKey) -> tuple[Path, ...]:
        """Return entries of the same model, precision and machine that were built with other shapes or options.

        The newest comes first. What is unreadable is left out.
        """
        try:
            folders = [path for path in self._folder.iterdir() if not path.name.startswith(".")]
        except OSError:
            return ()
        found = []
        for folder in folders:
            with contextlib.suppress(ModelError):
                info = read_info(folder)
                same = (info.model_sha256, info.precision, info.target.tensorrt, info.target.sm)
                if same == (key.model_sha256, key.precision, key.tensorrt, key.sm) and folder != self.path(key):
                    found.append((info.created, folder))
        return tuple(folder for _, folder in sorted(found, reverse=True))

    def load(self, key: EngineKey) -> tuple[bytes, EngineInfo]:
        """Return an engine and its sidecar; see `read_engine`."""
        return read_engine(self.path(key))

    def save(self, key: EngineKey, engine: bytes, info: EngineInfo) -> Path:
        """Write an entry, replacing an older one, whole or not at all; raise `ModelError` if that is impossible."""
        place = self.path(key)
        write_engine(place, engine, info)
        return place


def read_engine(folder: Path) -> tuple[bytes, EngineInfo]:
    """Return the engine in a folder and its sidecar.

    Raises
    ------
    ModelNotFoundError
        If either is missing.
    ModelFormatError
        If the sidecar is malformed.
    ModelHashError
        If the engine is truncated or altered.
    """
    info = read_info(folder)
    engine = _read(folder / ENGINE_FILE, min(info.engine_bytes + 1, MAX_ENGINE_BYTES))
    info.check_engine(engine, str(folder / ENGINE_FILE))
    return engine, info


def read_info(folder: Path) -> EngineInfo:
    """Return the sidecar in a folder; raises as `read_engine`."""
    return EngineInfo.from_json(_read(folder / INFO_FILE, _MAX_INFO_BYTES), str(folder / INFO_FILE))


def write_engine(folder: Path, engine: bytes, info: EngineInfo) -> None:
    """Write an engine and its sidecar as a folder, whole or not at all, replacing an older one.

    Raises
    ------
    ModelError
        If the folder cannot be written, or something else is there.
    """
    info.check_engine(engine, str(folder))
    if folder.exists() and not (folder / INFO_FILE).is_file() and any(folder.iterdir()):
        raise ModelError(f"{folder} exists and holds no engine; choose another place")
    try:
        _write(folder, {ENGINE_FILE: engine, INFO_FILE: info.to_json()})
    except OSError as error:
        raise ModelError(
            f"cannot write {folder} ({error.strerror or error}); free space or choose another place"
        ) from error


def _write(folder: Path, files: dict[str, bytes]) -> None:
    folder.parent.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        fresh, old = work / "new", work / "old"
        fresh.mkdir()
        for name, data in files.items():
            with open(fresh / name, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
        if folder.exists():
            # Another process may have been quicker to move it away.
            with contextlib.suppress(FileNotFoundError):
                os.rename(folder, old)
        os.rename(fresh, folder)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _read(path: Path, limit: int) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read(limit)
    except OSError as error:
        raise ModelNotFoundError(
            f"{path} cannot be read ({error.strerror}); build the engine with export/build_trt.py"
        ) from error
