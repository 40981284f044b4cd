"""Move people between galleries: into an export file, out of one, and in bulk from other galleries."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

from qcface_sdk.checks import check_choice
from qcface_sdk.errors import (
    ContractMismatchError,
    DuplicateSubjectError,
    GalleryFormatError,
    OptionError,
    TemplateFormatError,
)
from qcface_sdk.gallery import rows, store
from qcface_sdk.gallery.database import Database
from qcface_sdk.gallery.keyring import Keyring
from qcface_sdk.gallery.subject import check_subject
from qcface_sdk.gallery.transfer import from_text, read_about, read_export, to_text, write_export
from qcface_sdk.template import Template

Conflict = Literal["refuse", "skip", "add", "replace"]
"""What an import does with an id that is enrolled already."""

_TOGETHER = 500
"""People whose keys are synced to disk together."""


@dataclass(frozen=True, slots=True)
class Imported:
    """Outcome of an import."""

    added: tuple[str, ...]
    """Ids that were not there."""

    extended: tuple[str, ...]
    """Ids that got more templates."""

    replaced: tuple[str, ...]
    skipped: tuple[str, ...]
    """Ids left as they were."""

    templates: int
    """Templates written."""

    def to_dict(self) -> dict[str, Any]:
        """Return plain Python values ready for JSON."""
        return {name: getattr(self, name) for name in ("added", "extended", "replaced", "skipped", "templates")}


@dataclass(frozen=True, slots=True)
class Plan:
    """An export that was read through once and is whole."""

    contract: str | None
    dimension: int | None
    conflict: Conflict
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Mover:
    """One person on the way, with everything that is held about them."""

    name: str
    templates: tuple[store.NewTemplate, ...]
    consent: str | None = None
    consented: float | None = None
    expires: float | None = None
    origin: str = store.LOCAL


def export_people(
    database: Database,
    path: str,
    keys: Callable[[], Keyring],
    destination: str,
    passphrase: str,
    subjects: Sequence[str] | None,
    progress: Callable[[int], None] | None,
) -> int:
    """Write people as they are at one moment; see `Upkeep.export`."""
    with database.reading() as connection:
        head, keyring = store.read_head(connection, path), keys()
        chosen: Iterable[store.Person] = store.people(connection)
        if subjects is not None:
            chosen = [store.known_person(connection, path, check_subject(name)) for name in dict.fromkeys(subjects)]

        def records() -> Iterator[dict[str, Any]]:
            for person in list(chosen):
                yield _record(connection, path, head, keyring, person)
                if progress is not None:
                    progress(1)

        about = {
            "contract": head.contract,
            "dimension": head.dimension,
            "gallery": head.gallery_id.hex(),
            "created": head.now(),
        }
        return write_export(destination, passphrase, about, records())


def _record(
    connection: sqlite3.Connection, path: str, head: store.Head, keyring: Keyring, person: store.Person
) -> dict[str, Any]:
    (key,) = store.key_of(keyring, [person])
    kept = rows.crops_of(connection, path, head, key, person)
    return {
        "subject": person.name,
        "consent": person.consent,
        "consented": person.consented,
        "expires": person.expires,
        "origin": person.origin,
        "templates": [
            {
                "uid": held.uid,
                "quality": held.quality,
                "data": to_text(held.template.to_bytes()),
                "crops": [to_text(crop) for crop in kept.get(held.template_id, [])],
            }
            for held in rows.templates_of(connection, path, head, keyring, person)
        ],
    }


def read_plan(path: str, passphrase: str, gallery: str, conflict: str) -> Plan:
    """Read an export through: everything in it must be whole before anything of it is written."""
    check_choice("conflict", conflict, get_args(Conflict))
    about, names = read_about(path), dict[str, None]()
    contract, dimension = about.get("contract"), about.get("dimension")
    for mover in _movers(path, passphrase):
        if mover.name in names:
            raise DuplicateSubjectError(f"{path} holds subject {mover.name!r} twice; it was not made by this SDK")
        names[mover.name] = None
        for new in mover.templates:
            if (new.template.contract, new.template.vector.size) != (contract, dimension):
                raise ContractMismatchError(
                    f"{path} is of contract {contract}, but holds a template of {new.template.contract} of "
                    f"{mover.name!r}; nothing was imported"
                )
    return Plan(contract, dimension, conflict, tuple(names))  # type: ignore[arg-type]


def import_people(
    connection: sqlite3.Connection,
    path: str,
    keyring: Keyring,
    source: str,
    passphrase: str,
    plan: Plan,
    progress: Callable[[int], None] | None,
) -> Imported:
    """Write the people of an export inside the caller's transaction; see `Upkeep.import_from`."""
    head = store.read_head(connection, path)
    if plan.contract is not None:
        head = store.bind(connection, path, plan.contract, plan.dimension)
    known = {name for name in plan.names if store.person_of(connection, name) is not None}
    if known and plan.conflict == "refuse":
        some = ", ".join(map(repr, sorted(known)[:5]))
        raise DuplicateSubjectError(
            f"gallery {path} holds {some} already ({len(known)} of {len(plan.names)}); choose to skip, add or replace. "
            "Nothing was imported"
        )
    if plan.conflict == "replace":
        for name in known:
            store.delete_person(connection, store.known_person(connection, path, name))
    movers = (mover for mover in _movers(source, passphrase) if plan.conflict != "skip" or mover.name not in known)
    written = add_movers(connection, path, keyring, head, movers, progress)
    of = {name: tuple(sorted(known)) if plan.conflict == name else () for name in ("skip", "add", "replace")}
    added = tuple(name for name in plan.names if name not in known)
    done = Imported(added, of["add"], of["replace"], of["skip"], written)
    store.write_audit(
        connection, head, "import", people=len(added), templates=written, conflict=plan.conflict, known=len(known)
    )
    return done


def add_movers(
    connection: sqlite3.Connection,
    path: str,
    keyring: Keyring,
    head: store.Head,
    movers: Iterable[Mover],
    progress: Callable[[int], None] | None = None,
) -> int:
    """Write people in bulk, keys of many synced together; templates whose uid is there are left out."""
    written, group = 0, list[Mover]()

    def flush() -> int:
        count = 0
        origin = {mover.name: mover.origin for mover in group}
        held = store.add_people(connection, keyring, head, list(origin), origins=origin)
        for mover in group:
            person, key = held[mover.name]
            new = [item for item in mover.templates if not _is_there(connection, path, person, item.uid)]
            if new:
                store.insert_templates(connection, head, person, key, new)
            store.set_terms(connection, head, person, mover.consent, mover.expires, mover.consented)
            count += len(new)
            if progress is not None:
                progress(1)
        group.clear()
        return count

    for mover in movers:
        group.append(mover)
        if len(group) == _TOGETHER:
            written += flush()
    return written + flush() if group else written


def _is_there(connection: sqlite3.Connection, path: str, person: store.Person, uid: str | None) -> bool:
    found = connection.execute("SELECT subject_id FROM template WHERE uid = ?", (uid,)).fetchone()
    if found is not None and found[0] != person.subject_id:
        raise DuplicateSubjectError(
            f"gallery {path} holds a template of {person.name!r} already, under another id; remove that one first"
        )
    return found is not None


def _movers(path: str, passphrase: str) -> Iterator[Mover]:
    for record in read_export(path, passphrase):
        try:
            templates = tuple(
                store.NewTemplate(
                    Template.from_bytes(from_text(item["data"])),
                    None if item["quality"] is None else float(item["quality"]),
                    tuple(from_text(crop) for crop in item["crops"]),
                    str(item["uid"]),
                )
                for item in record["templates"]
            )
            yield Mover(
                check_subject(record["subject"]),
                templates,
                record["consent"],
                record["consented"],
                record["expires"],
                str(record["origin"]),
            )
        except (KeyError, TypeError, ValueError, TemplateFormatError, OptionError) as error:
            raise GalleryFormatError(f"{path} holds a record that is not a person's: {error}") from error
