"""Reading and writing the files of a bundle: a folder, or one uncompressed zip.

What is read is hostile until its hash is checked, so: names are looked at before anything is opened, nothing is ever
extracted to a path an archive names, links and special files are refused, and no more bytes are read than the
manifest states. Compression is refused too: it saves little on weights and is what makes zip bombs.
"""

from __future__ import annotations

import os
import shutil
import stat
import struct
import tempfile
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import BinaryIO, Protocol

from qcface_sdk.errors import ModelError, ModelFormatError, ModelHashError, OptionError
from qcface_sdk.manifest import MANIFEST_NAME, is_bundle_file_name

ARCHIVE_SUFFIX = ".qcface"
MAX_FILES = 64
MAX_BUNDLE_BYTES = 1 << 30
MAX_MANIFEST_BYTES = 4 << 20

# Zip format, PKWARE APPNOTE 6.3.10, section 4.3.16: an end record without comment is the last 22 bytes of the file.
_END_BYTES = 22
_END_MARK = b"PK\x05\x06"
_ZIP64_LOCATOR_MARK = b"PK\x06\x07"
_ZIP64_LOCATOR_BYTES = 20
_LOCAL_MARK = b"PK\x03\x04"
_MAX_DIRECTORY_BYTES = 64 << 10
# What zipfile raises on damaged headers, by trial of every byte (tests/sdk/test_bundle_files.py).
_ZIP_FAULTS = (zipfile.BadZipFile, EOFError, NotImplementedError, OSError, RuntimeError, ValueError, struct.error)
# The oldest time a zip can state: equal bundles give equal bytes.
_ZIP_TIME = (1980, 1, 1, 0, 0, 0)


class FileSource(Protocol):
    """The files of a bundle before they are trusted."""

    def sizes(self) -> Mapping[str, int]:
        """Return name to size in bytes of every file."""

    def read(self, name: str, limit: int) -> bytes:
        """Return at most `limit` bytes of one file."""


class FolderSource:
    """The files of a folder; the sizes are those at the time of the call, `read` is what counts."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __enter__(self) -> FolderSource:
        return self

    def __exit__(self, *exception: object) -> None:
        return None

    def sizes(self) -> Mapping[str, int]:
        """Return name to size in bytes; a sub-folder, link or special file is a `ModelHashError`."""
        result: dict[str, int] = {}
        try:
            with os.scandir(self._folder) as entries:
                for entry in entries:
                    if not entry.is_file(follow_symlinks=False):
                        raise ModelHashError(f"{entry.path} is a folder, link or special file; remove it")
                    result[entry.name] = entry.stat(follow_symlinks=False).st_size
                    _check_count(str(self._folder), len(result))
        except OSError as error:
            raise _unreadable(self._folder, error) from error
        return result

    def read(self, name: str, limit: int) -> bytes:
        """Return at most `limit` bytes of a regular file, without following a link put there meanwhile."""
        flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
        try:
            descriptor = os.open(self._folder / name, flags)
            with open(descriptor, "rb") as file:
                if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                    raise ModelHashError(f"{self._folder / name} is no regular file; remove it")
                return file.read(limit)
        except OSError as error:
            raise _unreadable(self._folder / name, error) from error


class ArchiveSource:
    """The files of a ``.qcface`` archive, held open so that what is checked is what is read."""

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._file: BinaryIO = open(path, "rb")  # noqa: SIM115 - closed by __exit__
        except OSError as error:
            raise _unreadable(path, error) from error
        try:
            self._check_end_record()
            self._zip = zipfile.ZipFile(self._file)
            self._infos = self._checked_infos()
        except _ZIP_FAULTS as error:
            self._file.close()
            raise ModelHashError(f"{path} is truncated or altered ({error}); copy it again") from error
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> ArchiveSource:
        return self

    def __exit__(self, *exception: object) -> None:
        self._zip.close()
        self._file.close()

    def sizes(self) -> Mapping[str, int]:
        """Return name to size in bytes."""
        return {name: info.file_size for name, info in self._infos.items()}

    def read(self, name: str, limit: int) -> bytes:
        """Return at most `limit` bytes of one entry."""
        try:
            with self._zip.open(self._infos[name]) as entry:
                return entry.read(limit)
        except _ZIP_FAULTS as error:
            raise ModelHashError(f"{self._path}: {name!r} is truncated or altered ({error}); copy it again") from error

    def _check_end_record(self) -> None:
        """Bound the directory before zipfile reads it into memory."""
        size = os.fstat(self._file.fileno()).st_size
        if size > MAX_BUNDLE_BYTES:
            raise ModelFormatError(f"{self._path} must have at most {MAX_BUNDLE_BYTES:,} bytes, got {size:,}")
        head = self._file.read(len(_LOCAL_MARK))
        if head != _LOCAL_MARK:
            raise ModelFormatError(
                f"{self._path} is no bundle: want a folder with {MANIFEST_NAME} or a {ARCHIVE_SUFFIX} file, "
                f"got a file that starts with {head!r}"
            )
        self._file.seek(max(0, size - _END_BYTES - _ZIP64_LOCATOR_BYTES))
        tail = self._file.read()
        end = tail[-_END_BYTES:]
        if not end.startswith(_END_MARK):
            raise ModelHashError(f"{self._path} is truncated or has bytes after its end; copy it again")
        count = int.from_bytes(end[10:12], "little")
        directory_bytes = int.from_bytes(end[12:16], "little")
        _check_count(str(self._path), count)
        if directory_bytes > _MAX_DIRECTORY_BYTES or tail.startswith(_ZIP64_LOCATOR_MARK):
            raise ModelHashError(f"{self._path} has a directory no bundle has; pack the folder with Bundle.pack")

    def _checked_infos(self) -> dict[str, zipfile.ZipInfo]:
        infos: dict[str, zipfile.ZipInfo] = {}
        for info in self._zip.infolist():
            where = f"{self._path}: entry {info.orig_filename!r}"
            if not is_bundle_file_name(info.orig_filename):
                raise ModelHashError(f"{where} is no plain file name; do not use this file")
            if info.filename in infos:
                raise ModelHashError(f"{where} stands twice; do not use this file")
            if stat.S_IFMT(info.external_attr >> 16) not in (0, stat.S_IFREG):
                raise ModelHashError(f"{where} is a link or special file; do not use this file")
            if info.compress_type != zipfile.ZIP_STORED or info.flag_bits & 1 or info.compress_size != info.file_size:
                raise ModelFormatError(f"{where} is compressed or encrypted; pack the folder with Bundle.pack")
            infos[info.filename] = info
        # Stored entries cannot hold more than the file does, unless they overlap (D. Fifield, USENIX WOOT 2019).
        if sum(info.file_size for info in infos.values()) > os.fstat(self._file.fileno()).st_size:
            raise ModelHashError(f"{self._path} has overlapping entries; do not use this file")
        return infos


def _unreadable(path: Path, error: OSError) -> ModelError:
    return ModelError(f"{path} cannot be read ({error.strerror}); check its permissions or copy it again")


def _check_count(where: str, count: int) -> None:
    if count > MAX_FILES:
        raise ModelHashError(f"{where} has more than {MAX_FILES} files; is this a bundle?")


def write_folder(folder: Path, files: Mapping[str, bytes], *, overwrite: bool) -> None:
    """Write files as a folder, whole or not at all; an older bundle there is replaced only if `overwrite`."""
    if folder.exists() and not (overwrite and (folder / MANIFEST_NAME).is_file()):
        why = "is no bundle" if overwrite else "exists"
        raise OptionError(f"{folder} {why}; choose another place{'' if overwrite else ' or pass overwrite'}")
    _guarded(folder, lambda: _write_folder(folder, files))


def _write_folder(folder: Path, files: Mapping[str, bytes]) -> None:
    folder.parent.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        fresh = work / "new"
        fresh.mkdir()
        for name, data in files.items():
            _write_synced(fresh / name, data)
        old = work / "old"
        if folder.exists():
            os.rename(folder, old)
        try:
            os.rename(fresh, folder)
        except OSError:
            if old.exists():
                os.rename(old, folder)
            raise
    finally:
        shutil.rmtree(work, ignore_errors=True)


def write_archive(path: Path, files: Mapping[str, bytes], *, overwrite: bool) -> None:
    """Write files as one uncompressed zip, whole or not at all; equal files give equal bytes."""
    if path.is_dir() or (path.exists() and not overwrite):
        raise OptionError(f"{path} exists; choose another place or pass overwrite")
    _guarded(path, lambda: _write_archive(path, files))


def _write_archive(path: Path, files: Mapping[str, bytes]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
    try:
        fresh = work / "new"
        with open(fresh, "wb") as file:
            with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
                for name in sorted(files, key=lambda name: (name != MANIFEST_NAME, name)):
                    archive.writestr(_zip_info(name), files[name])
            file.flush()
            os.fsync(file.fileno())
        os.replace(fresh, path)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _zip_info(name: str) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name, _ZIP_TIME)
    info.create_system = 3  # Unix, on every platform
    info.external_attr = (stat.S_IFREG | 0o644) << 16
    return info


def _write_synced(path: Path, data: bytes) -> None:
    with open(path, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _guarded(path: Path, write: Callable[[], None]) -> None:
    try:
        write()
    except OSError as error:
        raise ModelError(f"cannot write {path} ({error.strerror}); free space or choose another place") from error
