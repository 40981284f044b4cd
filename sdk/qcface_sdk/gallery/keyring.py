"""The file of wrapped keys: one key per person, encrypted with the master key, in a slot of its own.

It lies beside the gallery and not in it, so that a backup of the gallery holds no keys. Overwriting a slot makes the
person's templates unreadable everywhere at once, in every backup too.

Little endian. Header, 128 bytes: ``QCFK``, version (uint16), 2 zero bytes, gallery id (16), nonce (12), sealed check
(32), CRC-32 of all before. Then one record of 128 bytes per slot: ``KEY1``, key id (16), nonce (12), wrapped key (48),
CRC-32; or 128 zero bytes where nobody is. A record never crosses a disk sector, so a power cut leaves it old or new.
"""

from __future__ import annotations

import os
import struct
import threading
import zlib
from collections.abc import Callable, Sequence
from contextlib import suppress

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from qcface_sdk.errors import GalleryKeyError, GalleryStorageError
from qcface_sdk.gallery.master import MasterKeySource, sync_folder
from qcface_sdk.gallery.sealing import NONCE_BYTES

RECORD_BYTES = 128
ID_BYTES = 16

_HEADER = struct.Struct("<4sH2x16s12s32s")
_RECORD = struct.Struct("<4s16s12s48s")
_CHECKSUM = struct.Struct("<I")
_MAGIC, _VERSION, _RECORD_MAGIC = b"QCFK", 1, b"KEY1"
_CHECK = b"qcface key check"
_EMPTY = bytes(RECORD_BYTES)


class Keyring:
    """The open key file. Writers must hold the gallery's write lock; readers need none."""

    def __init__(self, path: str, gallery_id: bytes, source: MasterKeySource, *, read_only: bool) -> None:
        self.path, self._gallery_id, self._source, self._read_only = path, gallery_id, source, read_only
        self._handle = -1
        self._lock = threading.RLock()
        self._open()

    @staticmethod
    def create(path: str, gallery_id: bytes, source: MasterKeySource) -> None:
        """Write a keyring without keys; it replaces one that was left by a gallery that no longer exists."""
        _write_new(path, [_header(gallery_id, source.create())])

    def _open(self) -> None:
        flags = os.O_RDONLY if self._read_only else os.O_RDWR
        try:
            handle = os.open(self.path, flags)
        except OSError as error:
            raise GalleryKeyError(
                f"cannot open the wrapped keys {self.path}: {error.strerror or error}. Without them nobody in the "
                "gallery can be read; put the file back, or restore the gallery with a copy of it"
            ) from error
        try:
            master = _check_header(os.pread(handle, RECORD_BYTES, 0), self.path, self._gallery_id, self._source)
        except BaseException:
            os.close(handle)
            raise
        with self._lock:
            self.close()
            self._handle, self._master = handle, master
            self._identity = _identity(os.fstat(handle))

    def refresh(self) -> None:
        """Notice that the master key was changed by another process, and take the new one from the source."""
        try:
            current = _identity(os.stat(self.path))
        except OSError:
            current = (-1, -1)
        with self._lock:
            if current != self._identity:
                self._open()

    def unwrap(self, slots: Sequence[int], key_ids: Sequence[bytes]) -> list[bytes | None]:
        """Return the keys of some people, ``None`` where a slot is empty.

        Raises
        ------
        GalleryKeyError
            If a slot holds another person's key or a damaged one.
        """
        with self._lock:
            # Both of one moment: another thread may be taking a new master key just now.
            records, master = self._records(slots), self._master
        return [
            None if record == _EMPTY or not record else self._unwrapped(master, slot, key_id, record)
            for slot, key_id, record in zip(slots, key_ids, records, strict=True)
        ]

    def holds(self, slot: int, key_id: bytes) -> bool:
        """Whether a slot holds this key, whole or not."""
        with self._lock:
            record = self._read(RECORD_BYTES, RECORD_BYTES * (slot + 1))
        return record[4 : 4 + ID_BYTES] == key_id

    def empty_slots(self) -> tuple[list[int], int]:
        """Return the slots without a key, and the number of slots."""
        with self._lock:
            count = os.fstat(self._handle).st_size // RECORD_BYTES - 1
            return [
                slot for slot in range(count) if self._read(RECORD_BYTES, RECORD_BYTES * (slot + 1)) == _EMPTY
            ], count

    def _unwrapped(self, master: AESGCM, slot: int, key_id: bytes, record: bytes) -> bytes:
        found = self._parse(slot, record)
        if found[0] != key_id:
            raise GalleryKeyError(
                f"{self.path}, slot {slot}, holds another person's key: the file is older or newer than the gallery. "
                "Put back the file that belongs to it, or use `qcface gallery restore`"
            )
        try:
            return master.decrypt(found[1], found[2], self._gallery_id + key_id)
        except InvalidTag:
            raise GalleryKeyError(f"{self.path}, slot {slot}, was altered; put back a copy of the file") from None

    def _parse(self, slot: int, record: bytes) -> tuple[bytes, bytes, bytes]:
        body = record[: _RECORD.size]
        if len(record) < RECORD_BYTES or zlib.crc32(body) != _CHECKSUM.unpack_from(record, _RECORD.size)[0]:
            raise GalleryKeyError(f"{self.path}, slot {slot}, is damaged; put back a copy of the file")
        _, key_id, nonce, wrapped = _RECORD.unpack(body)
        return key_id, nonce, wrapped

    def _records(self, slots: Sequence[int]) -> list[bytes]:
        if not slots:
            return []
        first, last = min(slots), max(slots)
        if last - first < 8 * len(slots):
            span = self._read(RECORD_BYTES * (last - first + 1), RECORD_BYTES * (first + 1))
            starts = (RECORD_BYTES * (slot - first) for slot in slots)
            return [span[start : start + RECORD_BYTES] for start in starts]
        return [self._read(RECORD_BYTES, RECORD_BYTES * (slot + 1)) for slot in slots]

    def _read(self, count: int, offset: int) -> bytes:
        try:
            return os.pread(self._handle, count, offset)
        except OSError as error:
            raise GalleryStorageError(f"cannot read {self.path}: {error.strerror or error}") from error

    def put(self, slots: Sequence[int], key_ids: Sequence[bytes], keys: Sequence[bytes]) -> None:
        """Write the keys of new people; on disk when this returns."""
        for slot, key_id, key in zip(slots, key_ids, keys, strict=True):
            self._write(self._record(self._master, key_id, key), slot)
        self._sync()

    def shred(self, slots: Sequence[int]) -> None:
        """Overwrite the keys of some people; gone from the file when this returns."""
        for slot in slots:
            self._write(_EMPTY, slot)
        self._sync()

    def rewrap(self, source: MasterKeySource, key: bytes, progress: Callable[[int], None] | None = None) -> int:
        """Wrap every key with another master key, into a new file that replaces this one; return how many."""
        master, size = AESGCM(key), os.fstat(self._handle).st_size
        pieces, count = [_header(self._gallery_id, key)], 0
        for slot in range(size // RECORD_BYTES - 1):
            record = self._read(RECORD_BYTES, RECORD_BYTES * (slot + 1))
            if record != _EMPTY:
                key_id = self._parse(slot, record)[0]
                record = self._record(master, key_id, self._unwrapped(self._master, slot, key_id, record))
                count += 1
                if progress is not None:
                    progress(1)
            pieces.append(record)
        _write_new(self.path, pieces)
        with self._lock:
            self._source = source
            self._open()
        return count

    def copy(self, path: str) -> int:
        """Write a copy of the file as it is, for a safe place; return how many keys it holds."""
        size = os.fstat(self._handle).st_size
        pieces = [self._read(RECORD_BYTES, start) for start in range(0, size, RECORD_BYTES)]
        _write_new(path, pieces)
        return sum(piece != _EMPTY for piece in pieces[1:])

    def _record(self, master: AESGCM, key_id: bytes, key: bytes) -> bytes:
        nonce = os.urandom(NONCE_BYTES)
        body = _RECORD.pack(_RECORD_MAGIC, key_id, nonce, master.encrypt(nonce, key, self._gallery_id + key_id))
        return (body + _CHECKSUM.pack(zlib.crc32(body))).ljust(RECORD_BYTES, b"\0")

    def _write(self, record: bytes, slot: int) -> None:
        try:
            if os.pwrite(self._handle, record, RECORD_BYTES * (slot + 1)) != RECORD_BYTES:
                raise OSError("written in part")
        except OSError as error:
            raise self._refused(error) from error

    def _sync(self) -> None:
        try:
            os.fsync(self._handle)
        except OSError as error:
            raise self._refused(error) from error

    def _refused(self, error: OSError) -> GalleryStorageError:
        return GalleryStorageError(
            f"cannot write the wrapped keys {self.path}: {error.strerror or error}; free some space or check the disk. "
            "Nothing was changed"
        )

    def close(self) -> None:
        """Close the file. Harmless when repeated."""
        with self._lock:
            handle, self._handle = self._handle, -1
            if handle >= 0:
                os.close(handle)


def _header(gallery_id: bytes, key: bytes) -> bytes:
    nonce = os.urandom(NONCE_BYTES)
    check = AESGCM(key).encrypt(nonce, _CHECK, gallery_id)
    body = _HEADER.pack(_MAGIC, _VERSION, gallery_id, nonce, check)
    return (body + _CHECKSUM.pack(zlib.crc32(body))).ljust(RECORD_BYTES, b"\0")


def _check_header(header: bytes, path: str, gallery_id: bytes, source: MasterKeySource) -> AESGCM:
    """Return the master key's cipher if the file is this gallery's and the key fits."""
    body = header[: _HEADER.size]
    if (
        len(header) < RECORD_BYTES
        or not header.startswith(_MAGIC)
        or zlib.crc32(body) != _CHECKSUM.unpack_from(header, _HEADER.size)[0]
    ):
        raise GalleryKeyError(f"{path} is not a file of wrapped keys, or damaged; put back a copy of it")
    _, version, found, nonce, check = _HEADER.unpack(body)
    if version != _VERSION:
        raise GalleryKeyError(f"{path} has version {version}, this SDK reads version {_VERSION}; use a newer SDK")
    if found != gallery_id:
        raise GalleryKeyError(f"{path} belongs to another gallery; put back the file of this one")
    for key in source.candidates():
        master = AESGCM(key)
        try:
            master.decrypt(nonce, check, gallery_id)
        except InvalidTag:
            continue
        source.settle(key)
        return master
    raise GalleryKeyError(
        f"{source.name} holds another key than {path} was written with; pass the right one with key=. "
        "Nothing was changed"
    )


def _write_new(path: str, pieces: Sequence[bytes]) -> None:
    draft = f"{path}.new"
    try:
        handle = os.open(draft, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.writelines(pieces)
            file.flush()
            os.fsync(file.fileno())
        os.replace(draft, path)
        sync_folder(path)
    except OSError as error:
        # What a full disk let be written of the draft would keep it full.
        with suppress(OSError):
            os.unlink(draft)
        raise GalleryStorageError(
            f"cannot write the wrapped keys {path}: {error.strerror or error}; free some space or check the disk"
        ) from error


def _identity(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino
