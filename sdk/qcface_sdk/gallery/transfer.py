"""The export file: a gallery's people under a passphrase, for another machine.

Little endian: ``QCFX``, version (uint16), bytes of the header (uint32), header (JSON: contract, dimension, gallery,
created, scrypt), then frames: length (uint32), nonce, ciphertext and tag of one person (JSON). AES-256-GCM under a key
that scrypt makes of the passphrase; each frame is bound to the header, to its number and to whether it is the last, so
that no frame can be altered, moved, left out or cut off unnoticed.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import secrets
import struct
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, BinaryIO

from qcface_sdk.errors import GalleryFormatError, GalleryKeyError, GalleryStorageError, OptionError
from qcface_sdk.gallery.master import sync_folder
from qcface_sdk.gallery.sealing import seal, unseal

MIN_PASSPHRASE_CHARACTERS = 12
"""Shortest passphrase of an export."""

_START = struct.Struct("<4sHI")
_LENGTH = struct.Struct("<I")
_MAGIC, _VERSION = b"QCFX", 1
_MOST_HEADER_BYTES, _MOST_FRAME_BYTES = 2**16, 2**28
_SCRYPT = {"n": 2**15, "r": 8, "p": 1}
_MOST_SCRYPT_BYTES = 2**28


def write_export(path: str, passphrase: str, about: Mapping[str, Any], people: Iterable[Mapping[str, Any]]) -> int:
    """Write a new file, on disk when this returns; return how many people it holds.

    Raises
    ------
    OptionError
        If the passphrase is too short.
    GalleryStorageError
        If the file exists or cannot be written; nothing of it is left then.
    """
    salt = secrets.token_bytes(16)
    header = json.dumps({**about, "scrypt": {**_SCRYPT, "salt": salt.hex()}}, sort_keys=True).encode("ascii")
    key = _key(passphrase, salt, _SCRYPT)
    try:
        handle = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    except OSError as error:
        raise GalleryStorageError(f"cannot write export {path}: {error.strerror or error}") from error
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(_START.pack(_MAGIC, _VERSION, len(header)) + header)
            count = 0
            for person in people:
                _write_frame(file, key, header, count, person, last=False)
                count += 1
            _write_frame(file, key, header, count, {"people": count}, last=True)
            file.flush()
            os.fsync(file.fileno())
        sync_folder(path)
    except BaseException as error:
        os.unlink(path)
        if isinstance(error, OSError) and not isinstance(error, GalleryStorageError):
            raise GalleryStorageError(f"cannot write export {path}: {error.strerror or error}") from error
        raise
    return count


def read_about(path: str) -> dict[str, Any]:
    """Return what an export says about itself without a passphrase: contract, dimension, gallery, created."""
    with _opened(path) as file:
        about = _header(file, path)[1]
    return {name: value for name, value in about.items() if name != "scrypt"}


def read_export(path: str, passphrase: str) -> Iterator[dict[str, Any]]:
    """Yield the people of an export in their order.

    Raises
    ------
    GalleryFormatError
        If the file is something else, cut off or altered.
    GalleryKeyError
        If the passphrase is another one.
    GalleryStorageError
        If it cannot be read.
    """
    with _opened(path) as file:
        header, about = _header(file, path)
        scrypt = about["scrypt"]
        key, number = _key(passphrase, bytes.fromhex(scrypt["salt"]), scrypt), 0
        while True:
            sealed = _frame(file, path, number)
            plain = unseal(key, sealed, _bound(header, number, last=False))
            if plain is None:
                break
            yield json.loads(plain)
            number += 1
        if unseal(key, sealed, _bound(header, number, last=True)) is None:
            if number == 0:
                raise GalleryKeyError(f"{path} does not open with this passphrase (or its first record was altered)")
            raise GalleryFormatError(f"{path} was altered at record {number}; nothing of it can be trusted")
        if file.read(1):
            raise GalleryFormatError(f"{path} goes on after its last record: it was altered")


def to_text(data: bytes) -> str:
    """Return bytes as they stand in a record."""
    return base64.b64encode(data).decode("ascii")


def from_text(text: str) -> bytes:
    """Return the bytes of `to_text`."""
    return base64.b64decode(text)


def _opened(path: str) -> BinaryIO:
    try:
        return open(path, "rb")
    except OSError as error:
        raise GalleryStorageError(f"cannot read export {path}: {error.strerror or error}; check the path") from error


def _header(file: BinaryIO, path: str) -> tuple[bytes, dict[str, Any]]:
    start = file.read(_START.size)
    if len(start) < _START.size or not start.startswith(_MAGIC):
        raise GalleryFormatError(f"{path} is not an export of a gallery")
    _, version, length = _START.unpack(start)
    if version != _VERSION:
        raise GalleryFormatError(f"{path} has export version {version}, this SDK reads {_VERSION}; use a newer SDK")
    header = file.read(min(length, _MOST_HEADER_BYTES))
    try:
        about = json.loads(header)
        scrypt = about["scrypt"]
        rounds, cost = int(scrypt["n"]), 128 * int(scrypt["n"]) * int(scrypt["r"])
        bytes.fromhex(scrypt["salt"])
    except (ValueError, KeyError, TypeError) as error:
        raise GalleryFormatError(f"{path} has a damaged header") from error
    power_of_two = rounds >= 2 and rounds & (rounds - 1) == 0
    if not power_of_two or not 0 < cost <= _MOST_SCRYPT_BYTES or not 1 <= int(scrypt["p"]) <= 4:
        raise GalleryFormatError(f"{path} asks for {cost:,} bytes to make its key; it is damaged or an attack")
    return header, about


def _frame(file: BinaryIO, path: str, number: int) -> bytes:
    start = file.read(_LENGTH.size)
    length = _LENGTH.unpack(start)[0] if len(start) == _LENGTH.size else 0
    sealed = file.read(length) if length <= _MOST_FRAME_BYTES else b""
    if not length or len(sealed) != length:
        raise GalleryFormatError(f"{path} ends in the middle, at record {number}; export again")
    return sealed


def _write_frame(
    file: BinaryIO, key: bytes, header: bytes, number: int, record: Mapping[str, Any], *, last: bool
) -> None:
    sealed = seal(key, json.dumps(record).encode("ascii"), _bound(header, number, last=last))
    file.write(_LENGTH.pack(len(sealed)) + sealed)


def _bound(header: bytes, number: int, *, last: bool) -> bytes:
    return hashlib.sha256(header).digest() + struct.pack("<QB", number, last)


def _key(passphrase: str, salt: bytes, scrypt: Mapping[str, Any]) -> bytes:
    if not isinstance(passphrase, str) or len(passphrase) < MIN_PASSPHRASE_CHARACTERS:
        raise OptionError(f"a passphrase must have at least {MIN_PASSPHRASE_CHARACTERS} characters")
    return hashlib.scrypt(
        passphrase.encode("utf-8"),
        salt=salt,
        n=int(scrypt["n"]),
        r=int(scrypt["r"]),
        p=int(scrypt["p"]),
        maxmem=2 * _MOST_SCRYPT_BYTES,
        dklen=32,
    )
