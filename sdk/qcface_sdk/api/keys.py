"""API keys: made once, shown once, kept as hashes.

A key is 256 random bits, so a plain SHA-256 of it cannot be searched; a slow password hash would only slow down the
door. The file is JSON, readable by its owner alone, and is replaced in one step: a reader never sees half of it.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import re
import secrets
import tempfile
import threading
from dataclasses import dataclass
from datetime import datetime, timezone
from enum import IntEnum
from pathlib import Path
from typing import Any

from qcface_sdk.errors import KeyFileError, OptionError

_SCHEMA = 1
_PREFIX = "qcf_"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


class Role(IntEnum):
    """What a key may do; each role may do what the ones before it may."""

    READ = 1
    """Look: faces, verification, identification, subjects' names, events, live view."""
    ENROL = 2
    """Also add people and templates."""
    ADMIN = 3
    """Also remove people and export what is known of one."""

    @classmethod
    def of(cls, text: str) -> Role:
        """Return the role of that name."""
        try:
            return cls[text.upper()]
        except KeyError:
            known = ", ".join(role.name.lower() for role in cls)
            raise OptionError(f"role must be one of {known}, got {text!r}") from None


@dataclass(frozen=True, slots=True)
class ApiKey:
    """One key as the file knows it: not the key itself."""

    name: str
    """Who holds it; goes into the log."""
    role: Role
    """What it may do."""
    sha256: str
    """Hash of the key, 64 hex digits."""
    created: str
    """UTC time, ``YYYY-MM-DDTHH:MM:SSZ``."""


class KeyFile:
    """The keys of one API, in a JSON file. Thread-safe; a changed file is noticed at the next look-up.

    Parameters
    ----------
    path : Path
        The file; `add` makes it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._stamp: tuple[int, int, int] | None = None
        self._keys: tuple[ApiKey, ...] = ()

    def add(self, name: str, role: Role) -> str:
        """Make a key and return it; it is not stored and cannot be shown again.

        Raises
        ------
        OptionError
            If the name is not 1..64 letters, digits, dots, dashes or underscores, or is taken.
        KeyFileError
            If the file is damaged or cannot be written.
        """
        if _NAME.fullmatch(name) is None:
            raise OptionError(f"a key's name is 1 to 64 letters, digits, '.', '-' or '_', got {name!r}")
        with self._lock:
            keys = self._read() if self.path.exists() else ()
            if any(key.name == name for key in keys):
                raise OptionError(f"{self.path} has a key named {name} already; revoke it first or choose another name")
            secret = _PREFIX + secrets.token_urlsafe(32)
            now = datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
            self._write((*keys, ApiKey(name, role, _hash(secret), now)))
        return secret

    def revoke(self, name: str) -> None:
        """Remove a key; requests with it are refused from now on.

        Raises
        ------
        OptionError
            If there is no key of that name.
        KeyFileError
            If the file is missing, damaged or cannot be written.
        """
        with self._lock:
            keys = self._read()
            if all(key.name != name for key in keys):
                raise OptionError(f"{self.path} has no key named {name}; qcface keys list shows them")
            self._write(tuple(key for key in keys if key.name != name))

    def all(self) -> tuple[ApiKey, ...]:
        """Return all keys, in the order they were made.

        Raises
        ------
        KeyFileError
            If the file is missing, damaged, or readable by others than its owner.
        """
        with self._lock:
            return self._current()

    def find(self, secret: str) -> ApiKey | None:
        """Return the key that `secret` is, or ``None``. Compares with all, in a time that tells nothing.

        Raises
        ------
        KeyFileError
            As `keys`; then nobody is let in.
        """
        digest = _hash(secret)
        found = None
        for key in self.all():
            if hmac.compare_digest(key.sha256, digest):
                found = key
        return found

    def _current(self) -> tuple[ApiKey, ...]:
        try:
            state = self.path.stat()
        except OSError as error:
            raise KeyFileError(
                f"cannot read key file {self.path}: {error.strerror}; make a key with: "
                f"qcface keys add {self.path} NAME --role read"
            ) from error
        stamp = (state.st_mtime_ns, state.st_size, state.st_ino)
        if stamp != self._stamp:
            self._keys, self._stamp = self._read(), stamp
        return self._keys

    def _read(self) -> tuple[ApiKey, ...]:
        try:
            if os.name == "posix" and self.path.stat().st_mode & 0o077:
                raise KeyFileError(f"key file {self.path} can be read by others; chmod 600 it")
            document = json.loads(self.path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise KeyFileError(f"key file {self.path} cannot be read ({error}); restore or remove it") from error
        return _parse(document, self.path)

    def _write(self, keys: tuple[ApiKey, ...]) -> None:
        document = {
            "schema": _SCHEMA,
            "keys": [
                {"name": key.name, "role": key.role.name.lower(), "sha256": key.sha256, "created": key.created}
                for key in keys
            ],
        }
        try:
            handle, temporary = tempfile.mkstemp(prefix=f".{self.path.name}.", dir=self.path.parent)
            try:
                with os.fdopen(handle, "w", encoding="utf-8") as file:  # mkstemp makes it 0600
                    json.dump(document, file, indent=1)
                    file.flush()
                    os.fsync(file.fileno())
                os.replace(temporary, self.path)
            except BaseException:
                os.unlink(temporary)
                raise
        except OSError as error:
            raise KeyFileError(f"cannot write key file {self.path}: {error.strerror or error}") from error


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def _parse(document: Any, path: Path) -> tuple[ApiKey, ...]:
    try:
        if document["schema"] != _SCHEMA:
            raise KeyFileError(f"key file {path} has schema {document['schema']!r}, this version reads {_SCHEMA}")
        keys = tuple(
            ApiKey(str(row["name"]), Role.of(row["role"]), str(row["sha256"]), str(row["created"]))
            for row in document["keys"]
        )
    except (TypeError, KeyError, AttributeError, OptionError) as error:
        raise KeyFileError(f"{path} is not a key file of this program ({error!r}); restore or remove it") from error
    return keys
