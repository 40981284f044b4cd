"""Read sealed rows: codes in bulk for the search in memory, templates one by one for the exact order."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from qcface_sdk.errors import GalleryFormatError, TemplateFormatError
from qcface_sdk.gallery import codes
from qcface_sdk.gallery.keyring import Keyring
from qcface_sdk.gallery.sealing import Kind, bound_to, unseal
from qcface_sdk.gallery.store import Head, Person, missing_key
from qcface_sdk.template import Template

_ROWS_PER_BATCH = 4096
"""Rows unsealed before they are copied into the index: bounds what loading needs beside it."""

_REMEDY = "nobody is identified from a damaged gallery; restore it from a backup"


@dataclass(frozen=True, slots=True)
class CodeBatch:
    """Some rows of the search, in the order of their ids."""

    ids: NDArray[np.int64]
    codes: NDArray[np.int8]
    scales: NDArray[np.float32]
    losses: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Held:
    """One template of one subject, unsealed."""

    template_id: int
    uid: str
    subject: str
    expires: float | None
    quality: float | None
    template: Template

    def valid(self, now: float) -> bool:
        """Return whether the person may still be recognised."""
        return self.expires is None or self.expires > now


def codes_after(
    connection: sqlite3.Connection, path: str, head: Head, keyring: Keyring, template_id: int
) -> Iterator[CodeBatch]:
    """Yield the codes of templates added after one.

    Raises
    ------
    GalleryFormatError
        If a row is damaged, or was moved from another person.
    GalleryKeyError
        If a person's key is gone.
    """
    found = connection.execute(
        "SELECT code.template_id, name, slot, key_id, data FROM code LEFT JOIN subject "
        "USING (subject_id) WHERE code.template_id > ? ORDER BY code.template_id",
        (template_id,),
    )
    dimension = head.dimension or 0
    while rows := list(islice(found, _ROWS_PER_BATCH)):
        for number, name, *_ in rows:
            if not isinstance(name, str):
                raise GalleryFormatError(f"{_where(path, number, name)}: its subject is missing; {_REMEDY}")
        keys = keyring.unwrap([row[2] for row in rows], [row[3] for row in rows])
        pieces = []
        for (number, name, _, _, data), key in zip(rows, keys, strict=True):
            if key is None:
                raise missing_key(keyring.path, name)
            plain = unseal(key, data, bound_to(Kind.CODE, name, head.contract or ""))
            if plain is None or len(plain) != codes.code_bytes(dimension):
                raise GalleryFormatError(f"{_where(path, number, name)}: altered, or of another person; {_REMEDY}")
            pieces.append(plain)
        table, scales, losses = codes.from_bytes(pieces, dimension)
        ids = np.array([row[0] for row in rows], np.int64)
        yield CodeBatch(ids, table, scales, losses)


def templates_by_id(
    connection: sqlite3.Connection, path: str, head: Head, keyring: Keyring, ids: Sequence[int]
) -> list[Held]:
    """Return those of some templates that are there, in any order; errors as in `codes_after`."""
    marks = ",".join("?" * len(ids))
    return _read(connection, path, head, keyring, f"template_id IN ({marks})", list(ids))


def templates_of(connection: sqlite3.Connection, path: str, head: Head, keyring: Keyring, person: Person) -> list[Held]:
    """Return the templates of one subject, oldest first; errors as in `codes_after`."""
    return _read(connection, path, head, keyring, "template.subject_id = ? ORDER BY template_id", [person.subject_id])


def templates_after(
    connection: sqlite3.Connection, path: str, head: Head, keyring: Keyring, template_id: int, most: int
) -> list[Held]:
    """Return the templates that come after one, in the order of their numbers; errors as in `codes_after`."""
    condition = "template_id > ? ORDER BY template_id LIMIT ?"
    return _read(connection, path, head, keyring, condition, [template_id, most])


def check_templates(
    connection: sqlite3.Connection,
    path: str,
    head: Head,
    keyring: Keyring,
    progress: Callable[[int], None] | None = None,
) -> int:
    """Unseal every template and return how many; errors as in `codes_after`."""
    last = count = 0
    while found := templates_after(connection, path, head, keyring, last, _ROWS_PER_BATCH):
        last, count = found[-1].template_id, count + len(found)
        if progress is not None:
            progress(len(found))
    return count


def crops_of(
    connection: sqlite3.Connection, path: str, head: Head, key: bytes, person: Person
) -> dict[int, list[bytes]]:
    """Return the kept crops of one subject (PNG files), by template; errors as in `codes_after`."""
    bound, found = bound_to(Kind.CROP, person.name, head.contract or ""), dict[int, list[bytes]]()
    for number, data in connection.execute(
        "SELECT template_id, crop.data FROM crop JOIN template USING (template_id) WHERE subject_id = ? "
        "ORDER BY crop_id",
        (person.subject_id,),
    ):
        plain = unseal(key, data, bound)
        if plain is None:
            raise GalleryFormatError(f"{_where(path, number, person.name)}: its crop was altered; {_REMEDY}")
        found.setdefault(number, []).append(plain)
    return found


def _read(
    connection: sqlite3.Connection, path: str, head: Head, keyring: Keyring, condition: str, values: list[int]
) -> list[Held]:
    rows = connection.execute(
        "SELECT template_id, uid, name, slot, key_id, expires, quality, data FROM template JOIN subject "
        f"USING (subject_id) WHERE {condition}",
        values,
    ).fetchall()
    keys = keyring.unwrap([row[3] for row in rows], [row[4] for row in rows])
    found = []
    for (number, uid, name, _, _, expires, quality, data), key in zip(rows, keys, strict=True):
        if key is None:
            raise missing_key(keyring.path, name)
        found.append(Held(number, uid, name, expires, quality, _template(path, head, number, name, key, data)))
    return found


def _template(path: str, head: Head, number: int, name: str, key: bytes, data: bytes) -> Template:
    plain = unseal(key, data, bound_to(Kind.TEMPLATE, name, head.contract or ""))
    if plain is None:
        raise GalleryFormatError(f"{_where(path, number, name)}: altered, or of another person; {_REMEDY}")
    try:
        template = Template.from_bytes(plain)
    except TemplateFormatError as error:
        raise GalleryFormatError(f"{_where(path, number, name)}: {error}; {_REMEDY}") from error
    if (template.contract, template.vector.size) != (head.contract, head.dimension):
        raise GalleryFormatError(
            f"{_where(path, number, name)}: it is of contract {template.contract}, not {head.contract}; {_REMEDY}"
        )
    return template


def _where(path: str, number: int, subject: str | None) -> str:
    return f"gallery {path}, template row {number} of subject {subject!r}"
