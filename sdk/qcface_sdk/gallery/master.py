"""Where a gallery's master key comes from: a file, the environment, or a function of the caller's.

The master key wraps one key per person and encrypts nothing else, so it can be changed in a moment.
"""

from __future__ import annotations

import base64
import binascii
import logging
import os
import secrets
import stat
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any, Protocol

from qcface_sdk.errors import GalleryKeyError, GalleryStorageError

_log = logging.getLogger("qcface_sdk")

KEY_BYTES = 32
"""AES-256."""

ENVIRONMENT_VARIABLE = "QCFACE_GALLERY_KEY"
"""Used by galleries that are opened without `key`, if it is set."""

_PREFIX = "qcface-key-1:"


class MasterKeySource(Protocol):
    """Something that can give the master key, and perhaps make or replace it."""

    @property
    def name(self) -> str:
        """What messages call it; never the key."""
        ...

    def load(self) -> bytes:
        """Return the 32 bytes, or raise `GalleryKeyError`."""
        ...

    def create(self) -> bytes:
        """Return the key for a new gallery, making it if this source can."""
        ...

    def candidates(self) -> Iterator[bytes]:
        """Yield the key, and then one that an interrupted change of keys may have left."""
        ...

    def settle(self, key: bytes) -> None:
        """Make `key`, which was found to be the right one, the one that `load` gives."""
        ...


class FileKey:
    """A key in a file for the owner alone (mode 0600)."""

    def __init__(self, path: str) -> None:
        self.path = path

    @property
    def name(self) -> str:
        """The file."""
        return f"key file {self.path}"

    def load(self) -> bytes:
        """Read the file; refuse one that others may read."""
        try:
            with open(self.path, "rb") as file:
                mode = os.fstat(file.fileno()).st_mode
                text = file.read(1000)
        except OSError as error:
            raise GalleryKeyError(
                f"cannot read {self.name}: {error.strerror or error}; put the gallery's key there, or pass key="
            ) from error
        if stat.S_IMODE(mode) & 0o077:
            raise GalleryKeyError(f"{self.name} can be read by others (mode {stat.S_IMODE(mode):o}); chmod 600 it")
        return parse_key(text.decode("ascii", "replace"), self.name)

    def create(self) -> bytes:
        """Return the key of the file, and make the file if there is none."""
        if not os.path.exists(self.path):
            try:
                write_key(self.path, secrets.token_bytes(KEY_BYTES))
            except FileExistsError:
                pass
            else:
                _log.warning(
                    "made %s (owner only). Who has it and the gallery can read the gallery; who loses it loses the "
                    "gallery. Keep a copy elsewhere",
                    self.name,
                )
        return self.load()

    @property
    def _next(self) -> str:
        return f"{self.path}.next"

    def prepare(self, key: bytes) -> None:
        """Lay the next key beside the present one, on disk when this returns."""
        with suppress(FileNotFoundError):
            os.unlink(self._next)
        write_key(self._next, key)

    def candidates(self) -> Iterator[bytes]:
        """Yield the key, and then the one a change of keys that was cut off had prepared."""
        yield self.load()
        if os.path.exists(self._next):
            yield FileKey(self._next).load()

    def settle(self, key: bytes) -> None:
        """Put a prepared key in the place of the present one, if it is the one in use."""
        if key == self.load():
            return
        try:
            os.replace(self._next, self.path)
            sync_folder(self.path)
        except FileNotFoundError:
            return  # another process was faster
        except OSError as error:
            raise GalleryStorageError(
                f"cannot put {self._next} in the place of {self.path}: {error.strerror or error}; do it by hand"
            ) from error


class EnvironmentKey:
    """A key in an environment variable, in the same text form as in a file."""

    def __init__(self, variable: str) -> None:
        self.variable = variable

    @property
    def name(self) -> str:
        """The variable."""
        return f"environment variable {self.variable}"

    def load(self) -> bytes:
        """Read the variable."""
        text = os.environ.get(self.variable)
        if not text:
            raise GalleryKeyError(f"{self.name} is not set; put a key there, as `qcface gallery new-key` prints it")
        return parse_key(text, self.name)

    def create(self) -> bytes:
        """Read the variable: it must be there before the gallery is."""
        return self.load()

    def candidates(self) -> Iterator[bytes]:
        """Yield the key."""
        yield self.load()

    def settle(self, key: bytes) -> None:
        """Do nothing: this source is changed from outside."""


class CallbackKey:
    """A key that a function fetches, from a TPM or a key server for example."""

    def __init__(self, function: Callable[[], bytes]) -> None:
        self._function = function

    @property
    def name(self) -> str:
        """The function."""
        return f"key function {getattr(self._function, '__qualname__', type(self._function).__name__)}"

    def load(self) -> bytes:
        """Call the function."""
        key = self._function()
        if not isinstance(key, (bytes, bytearray)) or len(key) != KEY_BYTES:
            got = f"{len(key)} bytes" if isinstance(key, (bytes, bytearray)) else type(key).__name__
            raise GalleryKeyError(f"{self.name} must return {KEY_BYTES} bytes, got {got}")
        return bytes(key)

    def create(self) -> bytes:
        """Call the function: it must know the key before there is a gallery."""
        return self.load()

    def candidates(self) -> Iterator[bytes]:
        """Yield the key."""
        yield self.load()

    def settle(self, key: bytes) -> None:
        """Do nothing: this source is changed from outside."""


def key_source(key: Any, path: str) -> MasterKeySource:
    """Return the source that `key` names for the gallery at `path`.

    Parameters
    ----------
    key : str, path, bytes, callable or None
        File name; ``"env:NAME"``; 32 bytes; a function that returns 32 bytes. ``None`` is the environment variable
        ``QCFACE_GALLERY_KEY`` if it is set, else the file ``PATH.key`` beside the gallery.

    Raises
    ------
    GalleryKeyError
        If it is none of these.
    """
    if key is None:
        return EnvironmentKey(ENVIRONMENT_VARIABLE) if os.environ.get(ENVIRONMENT_VARIABLE) else FileKey(f"{path}.key")
    if isinstance(key, str) and key.startswith("env:"):
        return EnvironmentKey(key[4:])
    if isinstance(key, (str, os.PathLike)) and os.fspath(key):
        return FileKey(os.path.abspath(os.fsdecode(key)))
    if isinstance(key, (bytes, bytearray)):
        fixed = bytes(key)
        return CallbackKey(lambda: fixed)
    if callable(key):
        return CallbackKey(key)
    raise GalleryKeyError(
        f"key must be a file name, 'env:NAME', {KEY_BYTES} bytes or a function that returns them, got "
        f"{type(key).__name__}"
    )


def new_key_text() -> str:
    """Return a new random key in the text form of files and environment variables."""
    return _PREFIX + base64.urlsafe_b64encode(secrets.token_bytes(KEY_BYTES)).decode("ascii")


def parse_key(text: str, name: str) -> bytes:
    """Return the bytes of a key in text form; `name` says where it came from.

    Raises
    ------
    GalleryKeyError
        If it is not one. The message does not repeat the text.
    """
    body = text.strip()
    try:
        if not body.startswith(_PREFIX):
            raise ValueError
        key = base64.b64decode(body[len(_PREFIX) :], altchars=b"-_", validate=True)
    except (ValueError, binascii.Error):
        key = b""
    if len(key) != KEY_BYTES:
        raise GalleryKeyError(f"{name} holds no key: it must be {_PREFIX} and 44 characters, on one line")
    return key


def write_key(path: str, key: bytes) -> None:
    """Write a new key file for the owner alone; on disk when this returns, whole or not at all.

    Raises
    ------
    FileExistsError
        If there is a file of that name; it is left as it is.
    GalleryStorageError
        If the folder cannot be written.
    """
    text = _PREFIX + base64.urlsafe_b64encode(key).decode("ascii") + "\n"
    draft = f"{path}.{secrets.token_hex(4)}"
    try:
        handle = os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        try:
            os.write(handle, text.encode("ascii"))
            os.fsync(handle)
        finally:
            os.close(handle)
        try:
            os.link(draft, path)
        finally:
            os.unlink(draft)
        sync_folder(path)
    except FileExistsError:
        raise
    except OSError as error:
        raise GalleryStorageError(f"cannot write key file {path}: {error.strerror or error}") from error


def sync_folder(path: str) -> None:
    """Make the folder's entry of a file that was made, renamed or deleted survive a power cut."""
    handle = os.open(os.path.dirname(path) or ".", os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
