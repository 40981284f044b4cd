"""The rows of a gallery: every SQL statement that reads or writes people and templates.

Each function runs inside a transaction of the caller's.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from dataclasses import dataclass

from qcface_sdk.errors import (
    ContractMismatchError,
    GalleryFormatError,
    ShapeError,
    TemplateFormatError,
    UnknownSubjectError,
)
from qcface_sdk.template import Template


@dataclass(frozen=True, slots=True)
class Enrolment:
    """Receipt for one enrolled template: it is on disk."""

    subject: str
    """Id of the person."""

    template_id: int
    """Number of the template in this gallery, never used twice."""

    count: int
    """Templates the subject has now, this one included."""

    created: float
    """Time of the template in unix seconds."""


@dataclass(frozen=True, slots=True)
class Head:
    """What holds for the whole gallery."""

    contract: str | None
    """Embedding contract id; ``None`` until the first enrolment, or until the gallery is opened with one."""

    dimension: int | None
    """Length of the vectors; ``None`` until the first enrolment."""

    removals: int
    """Removals so far: tells whether rows known from before may be gone."""


@dataclass(frozen=True, slots=True)
class Row:
    """One template of one subject."""

    template_id: int
    subject: str
    template: Template


def read_head(connection: sqlite3.Connection, path: str) -> Head:
    """Return what holds for the whole gallery."""
    found = connection.execute("SELECT contract, dimension, removals FROM head").fetchall()
    if len(found) != 1:
        raise GalleryFormatError(f"gallery {path} is damaged: {len(found)} heads; restore it from a backup")
    return Head(*found[0])


def check_contract(head: Head, contract: str | None, path: str) -> None:
    """Raise `ContractMismatchError` if the gallery is bound to another contract."""
    if head.contract is not None and head.contract != contract:
        raise ContractMismatchError(
            f"gallery {path} holds embeddings of {head.contract}, got {contract}; open it with the model it was made "
            "with, or enrol everyone again into a new gallery"
        )


def bind(connection: sqlite3.Connection, path: str, contract: str, dimension: int | None) -> None:
    """Fix the gallery's contract and dimension unless they are fixed already; the same ones then.

    Raises
    ------
    ContractMismatchError
        If the gallery is bound to another contract.
    ShapeError
        If the contract is the same and the dimension is not.
    """
    head = read_head(connection, path)
    check_contract(head, contract, path)
    if None not in (head.dimension, dimension) and head.dimension != dimension:
        raise ShapeError(
            f"gallery {path} holds vectors of {head.dimension} numbers, got {dimension} under the same contract "
            f"{contract}; one of them carries a wrong contract id"
        )
    if (head.contract, head.dimension) != (contract, head.dimension or dimension):
        connection.execute("UPDATE head SET contract = ?, dimension = ?", (contract, head.dimension or dimension))


def insert_template(connection: sqlite3.Connection, path: str, subject: str, template: Template) -> Enrolment:
    """Add one template, and its subject if new."""
    bind(connection, path, template.contract, template.vector.size)
    connection.execute(
        "INSERT INTO subject (name, created) VALUES (?, ?) ON CONFLICT (name) DO NOTHING", (subject, time.time())
    )
    (subject_id,) = connection.execute("SELECT subject_id FROM subject WHERE name = ?", (subject,)).fetchone()
    template_id = connection.execute(
        "INSERT INTO template (subject_id, data) VALUES (?, ?)", (subject_id, template.to_bytes())
    ).lastrowid
    (count,) = connection.execute("SELECT count(*) FROM template WHERE subject_id = ?", (subject_id,)).fetchone()
    return Enrolment(subject, int(template_id or 0), count, template.created)


def delete_subject(connection: sqlite3.Connection, path: str, subject: str) -> int:
    """Delete a subject and return how many templates it had.

    Raises
    ------
    UnknownSubjectError
        If there is no such subject.
    """
    found = connection.execute("SELECT subject_id FROM subject WHERE name = ?", (subject,)).fetchone()
    if found is None:
        raise UnknownSubjectError(unknown(subject, path))
    count = connection.execute("DELETE FROM template WHERE subject_id = ?", found).rowcount
    connection.execute("DELETE FROM subject WHERE subject_id = ?", found)
    connection.execute("UPDATE head SET removals = removals + 1")
    return count


def unknown(subject: str, path: str) -> str:
    """Return the message for a subject that is not there."""
    return f"gallery {path} holds no subject {subject!r}; gallery.subjects() lists those it holds"


def template_ids(connection: sqlite3.Connection) -> list[int]:
    """Return the ids of all templates, ascending."""
    return [
        template_id for (template_id,) in connection.execute("SELECT template_id FROM template ORDER BY template_id")
    ]


def rows_after(connection: sqlite3.Connection, path: str, head: Head, template_id: int) -> Iterator[Row]:
    """Yield the templates added after one, in the order of their ids.

    Raises
    ------
    GalleryFormatError
        If a row is damaged or of another contract than the gallery.
    """
    found = connection.execute(
        "SELECT template_id, name, data FROM template LEFT JOIN subject USING (subject_id) "
        "WHERE template_id > ? ORDER BY template_id",
        (template_id,),
    )
    for row in found:
        yield _decoded(path, head, *row)


def rows_of(connection: sqlite3.Connection, path: str, head: Head, subject: str) -> list[Row]:
    """Return the templates of one subject, oldest first; errors as in `rows_after`."""
    found = connection.execute(
        "SELECT template_id, name, data FROM template JOIN subject USING (subject_id) WHERE name = ? "
        "ORDER BY template_id",
        (subject,),
    )
    return [_decoded(path, head, *row) for row in found]


def _decoded(path: str, head: Head, template_id: int, subject: str | None, data: bytes) -> Row:
    where = f"gallery {path}, template row {template_id} of subject {subject!r}"
    remedy = "nobody is identified from a damaged gallery; restore it from a backup"
    if not isinstance(subject, str):
        raise GalleryFormatError(f"{where}: its subject is missing; {remedy}")
    try:
        template = Template.from_bytes(data)
    except TemplateFormatError as error:
        raise GalleryFormatError(f"{where}: {error}; {remedy}") from error
    if (template.contract, template.vector.size) != (head.contract, head.dimension):
        raise GalleryFormatError(f"{where}: it is of contract {template.contract}, not {head.contract}; {remedy}")
    return Row(template_id, subject, template)
