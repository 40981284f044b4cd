"""Addresses of galleries in a vector server: ``milvus://host:19530/name``."""

from __future__ import annotations

import re
from dataclasses import dataclass

from qcface_sdk.errors import OptionError

SCHEME = "milvus://"
_DEFAULT_PORT = 19530
_COLLECTION = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,254}")
_HOST = re.compile(r"(?P<host>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9.-]+)(?::(?P<port>[0-9]{1,5}))?")


@dataclass(frozen=True, slots=True)
class Address:
    """One collection and where it is."""

    uri: str
    """What pymilvus connects to."""

    collection: str

    @property
    def text(self) -> str:
        """The address for messages; it never holds credentials."""
        return f"{self.uri}/{self.collection}"


def parse_address(text: str, *, tls: bool = False) -> Address:
    """Return the parts of ``milvus://host:port/name``, or of ``milvus:///path/to/file.db/name`` (milvus-lite).

    Raises
    ------
    OptionError
        If it is neither; credentials do not belong into it.
    """
    wanted = f"a vector server's address must be {SCHEME}host:{_DEFAULT_PORT}/name"
    place, _, collection = text.removeprefix(SCHEME).rpartition("/")
    if not text.startswith(SCHEME) or not _COLLECTION.fullmatch(collection):
        raise OptionError(f"{wanted}, name of letters, digits and _; got {_without_user(text)!r}")
    if place.startswith("/"):
        if not place.endswith(".db"):
            raise OptionError(f"{wanted}, or a milvus-lite file that ends with .db; got {text!r}")
        return Address(place, collection)
    found = _HOST.fullmatch(place)
    if found is None:
        raise OptionError(f"{wanted}, with user and password in token=; got {_without_user(text)!r}")
    return Address(f"{'https' if tls else 'http'}://{found['host']}:{found['port'] or _DEFAULT_PORT}", collection)


def _without_user(text: str) -> str:
    return re.sub(r"//[^/]*@", "//...@", text)[:80]
