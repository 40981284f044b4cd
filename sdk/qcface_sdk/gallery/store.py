"""The rows of a gallery: every SQL statement that reads or writes people, and what is sealed in them.

Each function runs inside a transaction of the caller's.
"""

from __future__ import annotations

import json
import secrets
import sqlite3
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from qcface_sdk.errors import (
    ContractMismatchError,
    GalleryFormatError,
    GalleryKeyError,
    ShapeError,
    UnknownSubjectError,
)
from qcface_sdk.gallery import codes
from qcface_sdk.gallery.keyring import ID_BYTES, Keyring
from qcface_sdk.gallery.master import KEY_BYTES
from qcface_sdk.gallery.sealing import Kind, bound_to, seal
from qcface_sdk.template import Template

LOCAL, CENTRAL = "local", "central"
"""Where a person was enrolled: in this file, or in the gallery it is synchronised from."""


@dataclass(frozen=True, slots=True)
class Head:
    """What holds for the whole gallery."""

    gallery_id: bytes
    """Random, made with the gallery; its keyring carries it too."""

    contract: str | None
    """Embedding contract id; ``None`` until the first enrolment, or until the gallery is opened with one."""

    dimension: int | None
    """Length of the vectors; ``None`` until the first enrolment."""

    created: float
    """Unix seconds."""

    clock: float
    """Latest time ever written here: time in a gallery does not go back when the machine's clock does."""

    removals: int
    """Removals so far: tells whether rows known from before may be gone."""

    def now(self) -> float:
        """Return the time in unix seconds, never before what was already written."""
        return max(time.time(), self.clock)


@dataclass(frozen=True, slots=True)
class Person:
    """A subject's row."""

    subject_id: int
    name: str
    slot: int
    key_id: bytes
    created: float
    consent: str | None
    consented: float | None
    expires: float | None
    origin: str


@dataclass(frozen=True, slots=True)
class NewTemplate:
    """One template to be stored, and what comes with it."""

    template: Template
    quality: float | None = None
    crops: tuple[bytes, ...] = ()
    uid: str | None = None


_PERSON = "subject_id, name, slot, key_id, created, consent, consented, expires, origin"


def read_head(connection: sqlite3.Connection, path: str) -> Head:
    """Return what holds for the whole gallery."""
    found = connection.execute("SELECT gallery_id, contract, dimension, created, clock, removals FROM head").fetchall()
    if len(found) != 1:
        raise GalleryFormatError(f"gallery {path} is damaged: {len(found)} heads; restore it from a backup")
    return Head(*found[0])


def check_contract(head: Head, contract: str | None, path: str) -> None:
    """Raise `ContractMismatchError` if the gallery is bound to another contract."""
    if head.contract is not None and head.contract != contract:
        raise ContractMismatchError(
            f"gallery {path} holds embeddings of {head.contract}, got {contract}; open it with the model it was made "
            "with, or enrol everyone again into a new gallery (`qcface gallery re-enroll`, where crops were kept)"
        )


def bind(connection: sqlite3.Connection, path: str, contract: str, dimension: int | None) -> Head:
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
    return read_head(connection, path)


def person_of(connection: sqlite3.Connection, subject: str) -> Person | None:
    """Return a subject's row, or ``None``."""
    found = connection.execute(f"SELECT {_PERSON} FROM subject WHERE name = ?", (subject,)).fetchone()
    return None if found is None else Person(*found)


def known_person(connection: sqlite3.Connection, path: str, subject: str) -> Person:
    """Return a subject's row.

    Raises
    ------
    UnknownSubjectError
        If there is no such subject.
    """
    person = person_of(connection, subject)
    if person is None:
        raise UnknownSubjectError(
            f"gallery {path} holds no subject {subject!r}; gallery.subjects() lists those it holds"
        )
    return person


def people(connection: sqlite3.Connection, condition: str = "1", values: Sequence[Any] = ()) -> Iterator[Person]:
    """Yield the rows of all subjects that fulfil a condition of this module's or its neighbours'."""
    for row in connection.execute(f"SELECT {_PERSON} FROM subject WHERE {condition} ORDER BY subject_id", values):
        yield Person(*row)


def add_people(
    connection: sqlite3.Connection,
    keyring: Keyring,
    head: Head,
    names: Sequence[str],
    origins: Mapping[str, str] | None = None,
) -> dict[str, tuple[Person, bytes]]:
    """Return the rows and keys of some subjects; those that are new get both, the keys on disk first."""
    found = {name: person for name in names if (person := person_of(connection, name)) is not None}
    new = [name for name in dict.fromkeys(names) if name not in found]
    slots = _free_slots(connection, len(new))
    ids = [secrets.token_bytes(ID_BYTES) for _ in new]
    keys = [secrets.token_bytes(KEY_BYTES) for _ in new]
    if new:
        keyring.put(slots, ids, keys)
    for name, slot, key_id in zip(new, slots, ids, strict=True):
        connection.execute(
            "INSERT INTO subject (name, slot, key_id, created, origin) VALUES (?, ?, ?, ?, ?)",
            (name, slot, key_id, head.now(), (origins or {}).get(name, LOCAL)),
        )
        found[name] = known_person(connection, keyring.path, name)
    held = dict(zip(new, keys, strict=True))
    old = [found[name] for name in dict.fromkeys(names) if name not in held]
    for person, key in zip(old, key_of(keyring, old), strict=True):
        held[person.name] = key
    return {name: (found[name], held[name]) for name in held}


def key_of(keyring: Keyring, persons: Sequence[Person]) -> list[bytes]:
    """Return the keys of some people.

    Raises
    ------
    GalleryKeyError
        If one is gone.
    """
    keys = keyring.unwrap([person.slot for person in persons], [person.key_id for person in persons])
    for person, key in zip(persons, keys, strict=True):
        if key is None:
            raise missing_key(keyring.path, person.name)
    return [key for key in keys if key is not None]


def insert_templates(
    connection: sqlite3.Connection, head: Head, person: Person, key: bytes, new: Sequence[NewTemplate]
) -> list[tuple[int, str]]:
    """Seal and add templates of one person; return their numbers and uids."""
    contract = head.contract or ""
    sealed = {kind: bound_to(kind, person.name, contract) for kind in Kind}
    numbers = []
    for item, code in zip(new, codes.to_bytes(np.stack([item.template.vector for item in new])), strict=True):
        uid = item.uid or secrets.token_hex(16)
        number = connection.execute(
            "INSERT INTO template (subject_id, uid, quality, data) VALUES (?, ?, ?, ?)",
            (person.subject_id, uid, item.quality, seal(key, item.template.to_bytes(), sealed[Kind.TEMPLATE])),
        ).lastrowid
        connection.execute(
            "INSERT INTO code VALUES (?, ?, ?)", (number, person.subject_id, seal(key, code, sealed[Kind.CODE]))
        )
        for crop in item.crops:
            connection.execute(
                "INSERT INTO crop (template_id, data) VALUES (?, ?)", (number, seal(key, crop, sealed[Kind.CROP]))
            )
        numbers.append((int(number or 0), uid))
    return numbers


def count_templates(connection: sqlite3.Connection, person: Person | None = None) -> int:
    """Return how many templates there are, of one person or of all."""
    if person is None:
        return int(connection.execute("SELECT count(*) FROM code").fetchone()[0])
    values = (person.subject_id,)
    return int(connection.execute("SELECT count(*) FROM template WHERE subject_id = ?", values).fetchone()[0])


def delete_person(connection: sqlite3.Connection, person: Person) -> tuple[int, int]:
    """Delete a subject's rows, note its key as to be shredded, and return how many templates and crops it had."""
    values = (person.subject_id,)
    of_person = "template_id IN (SELECT template_id FROM template WHERE subject_id = ?)"
    connection.execute("UPDATE head SET removals = removals + 1")
    connection.execute(
        "INSERT INTO gone SELECT (SELECT removals FROM head), template_id FROM template WHERE subject_id = ?", values
    )
    crops = connection.execute(f"DELETE FROM crop WHERE {of_person}", values).rowcount
    connection.execute(f"DELETE FROM code WHERE {of_person}", values)
    templates = connection.execute("DELETE FROM template WHERE subject_id = ?", values).rowcount
    connection.execute("DELETE FROM subject WHERE subject_id = ?", values)
    connection.execute("INSERT INTO spare_slot VALUES (?, 0)", (person.slot,))
    return templates, crops


def delete_templates(connection: sqlite3.Connection, person: Person, keep: Collection[str]) -> int:
    """Delete those templates of a subject whose uid is not in `keep`; return how many."""
    found = connection.execute("SELECT template_id, uid FROM template WHERE subject_id = ?", (person.subject_id,))
    gone = [(number,) for number, uid in found.fetchall() if uid not in keep]
    if gone:
        connection.execute("UPDATE head SET removals = removals + 1")
        connection.executemany("INSERT INTO gone SELECT removals, ? FROM head", gone)
        for table in ("crop", "code", "template"):
            connection.executemany(f"DELETE FROM {table} WHERE template_id = ?", gone)
    return len(gone)


def shred_pending(connection: sqlite3.Connection, keyring: Keyring) -> int:
    """Overwrite the keys that removals left to be shredded, and free their slots."""
    slots = [slot for (slot,) in connection.execute("SELECT slot FROM spare_slot WHERE shredded = 0")]
    if slots:
        keyring.shred(slots)
        connection.execute("UPDATE spare_slot SET shredded = 1 WHERE shredded = 0")
    return len(slots)


def gone_since(connection: sqlite3.Connection, removals: int) -> list[int]:
    """Return the numbers of the templates removed after that many removals."""
    found = connection.execute("SELECT template_id FROM gone WHERE removal > ?", (removals,))
    return [number for (number,) in found]


def set_terms(
    connection: sqlite3.Connection,
    head: Head,
    person: Person,
    consent: str | None,
    expires: float | None,
    consented: float | None = None,
) -> None:
    """Note consent and retention of one person; ``None`` leaves what there is."""
    if consent is not None:
        connection.execute(
            "UPDATE subject SET consent = ?, consented = ? WHERE subject_id = ?",
            (consent, consented or head.now(), person.subject_id),
        )
    if expires is not None:
        connection.execute("UPDATE subject SET expires = ? WHERE subject_id = ?", (expires, person.subject_id))


def write_audit(
    connection: sqlite3.Connection, head: Head, action: str, subject: str | None = None, **detail: Any
) -> float:
    """Note what was done, by id and without biometrics; return the time noted."""
    now = head.now()
    connection.execute("UPDATE head SET clock = max(clock, ?)", (now,))
    connection.execute(
        "INSERT INTO audit (at, action, subject, detail) VALUES (?, ?, ?, ?)",
        (now, action, subject, json.dumps(detail, sort_keys=True)),
    )
    return now


def missing_key(path: str, name: str) -> GalleryKeyError:
    """Return the error for a person whose wrapped key is not in the keyring."""
    return GalleryKeyError(
        f"{path} holds no key for subject {name!r}: the file is older than the gallery. Put back the file that belongs "
        "to it, or use `qcface gallery restore`, which leaves out who has no key"
    )


def _free_slots(connection: sqlite3.Connection, count: int) -> list[int]:
    if count == 0:
        return []
    # Before the spare slots are taken: the last of them may be the highest there is, and is not to be given twice.
    (end,) = connection.execute(
        "SELECT 1 + max(coalesce((SELECT max(slot) FROM subject), -1), "
        "coalesce((SELECT max(slot) FROM spare_slot), -1))"
    ).fetchone()
    spare = connection.execute("SELECT slot FROM spare_slot WHERE shredded = 1 ORDER BY slot LIMIT ?", (count,))
    slots = [slot for (slot,) in spare.fetchall()]
    connection.executemany("DELETE FROM spare_slot WHERE slot = ?", [(slot,) for slot in slots])
    return slots + list(range(end, end + count - len(slots)))
