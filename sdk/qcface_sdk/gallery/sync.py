"""Keep a door's embedded gallery like the central one, so that the door goes on while the centre cannot be reached."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from qcface_sdk.errors import GalleryError
from qcface_sdk.gallery import moving, store
from qcface_sdk.gallery.embedded import EmbeddedGallery
from qcface_sdk.gallery.milvus import MilvusGallery
from qcface_sdk.gallery.server_row import (
    Listing,
    consent_of_row,
    expires_of_row,
    quality_of_row,
    template_of_row,
)

_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class Synced:
    """What a synchronisation changed at the door."""

    added: tuple[str, ...]
    changed: tuple[str, ...]
    removed: tuple[str, ...]
    kept_local: tuple[str, ...]
    """People enrolled at the door whom the centre does not have; they stay."""

    templates: int
    """Templates fetched."""

    def to_dict(self) -> dict[str, Any]:
        """Return plain Python values ready for JSON."""
        return {name: getattr(self, name) for name in ("added", "changed", "removed", "kept_local", "templates")}


def sync(
    door: EmbeddedGallery,
    central: MilvusGallery,
    *,
    allow_empty: bool = False,
    progress: Callable[[int], None] | None = None,
) -> Synced:
    """Make the people of a door those of the central gallery.

    **The centre wins.** Whoever the centre has is at the door with exactly the centre's templates and terms; whoever
    came from the centre and is there no more is removed at the door. People enrolled at the door whom the centre does
    not know stay; once the centre has the same id, its templates replace theirs.

    Ids are compared first, and only what is missing is fetched. What has to go is removed last. A synchronisation that
    is cut off leaves a gallery that works and is completed by the next one; the door searches all the while.

    Parameters
    ----------
    door : EmbeddedGallery
    central : MilvusGallery
    allow_empty : bool
        Whether an empty central gallery may empty the door; else that is an error, as it is usually a mistake.
    progress : callable or None
        Called with the number of people just written.

    Raises
    ------
    GalleryUnreachableError
        If the centre does not answer; the door is as it was, or with a part of what is new.
    ContractMismatchError
        If the two are of different models.
    GalleryError
        If the centre is empty and the door is not.
    """
    plan = _compare(door, central)
    if plan.gone and not plan.wanted and not allow_empty:
        raise GalleryError(
            f"{central.path} is empty, and {door.path} holds {len(plan.gone)} people from it; nothing was changed. If "
            "that is meant, allow it (allow_empty, --allow-empty)"
        )
    rows = central.rows(plan.missing)
    _add(door, rows, progress)
    _change(door, {name: plan.wanted[name] for name in plan.changed})
    if plan.gone:
        door._remove(plan.gone, "sync-remove")
    # Somebody may have been removed at the centre since it was listed.
    fetched = {str(row["subject"]) for row in rows}
    return Synced(tuple(name for name in plan.added if name in fetched), plan.changed, plan.gone, plan.local, len(rows))


@dataclass(frozen=True, slots=True)
class _Wanted:
    """A person as the centre has it."""

    uids: frozenset[str]
    consent: str | None
    expires: float | None


@dataclass(frozen=True, slots=True)
class _Plan:
    """What has to be done at the door."""

    wanted: dict[str, _Wanted]
    """Everybody whom the centre has."""

    missing: list[str]
    """Templates to be fetched."""

    added: tuple[str, ...]
    changed: tuple[str, ...]
    gone: tuple[str, ...]
    local: tuple[str, ...]


def _compare(door: EmbeddedGallery, central: MilvusGallery) -> _Plan:
    """Compare by ids and terms alone; nothing biometric is fetched."""
    listed: dict[str, list[Listing]] = {}
    for one in central.listing():
        listed.setdefault(one.subject, []).append(one)
    wanted = {
        name: _Wanted(frozenset(one.uid for one in own), own[0].consent, own[0].expires) for name, own in listed.items()
    }
    held, people = _held(door)

    def differs(name: str, one: _Wanted) -> bool:
        there = people[name]
        return (frozenset(held.get(name, ())), there.consent, there.expires, there.origin) != (
            one.uids,
            one.consent,
            one.expires,
            store.CENTRAL,
        )

    return _Plan(
        wanted,
        [uid for name, one in sorted(wanted.items()) for uid in sorted(one.uids - held.get(name, set()))],
        tuple(sorted(wanted.keys() - people.keys())),
        tuple(sorted(name for name, one in wanted.items() if name in people and differs(name, one))),
        tuple(sorted(name for name, one in people.items() if one.origin == store.CENTRAL and name not in wanted)),
        tuple(sorted(name for name, one in people.items() if one.origin == store.LOCAL and name not in wanted)),
    )


def _held(door: EmbeddedGallery) -> tuple[dict[str, set[str]], dict[str, store.Person]]:
    """Return the uids and the rows of everybody at the door."""
    held: dict[str, set[str]] = {}
    with door._database.reading() as connection:
        people = {person.name: person for person in store.people(connection)}
        for name, uid in connection.execute("SELECT name, uid FROM template JOIN subject USING (subject_id)"):
            held.setdefault(name, set()).add(uid)
    return held, people


def _add(door: EmbeddedGallery, rows: list[dict[str, Any]], progress: Callable[[int], None] | None) -> None:
    """Write what is new, some people at a time."""
    by_subject: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        by_subject.setdefault(str(row["subject"]), []).append(row)
    names = sorted(by_subject)
    for start in range(0, len(names), _AT_ONCE):
        movers = [_mover(name, by_subject[name]) for name in names[start : start + _AT_ONCE]]
        with door._changing() as (connection, _):
            first = movers[0].templates[0].template
            head = store.bind(connection, door.path, first.contract, first.vector.size)
            written = moving.add_movers(connection, door.path, door._keys(), head, movers, progress)
            store.write_audit(connection, head, "sync-add", people=len(movers), templates=written)


def _change(door: EmbeddedGallery, wanted: dict[str, _Wanted]) -> None:
    """Take off what the centre does not have, and note its terms."""
    if not wanted:
        return
    with door._changing() as (connection, head):
        for name, one in wanted.items():
            person = store.known_person(connection, door.path, name)
            store.delete_templates(connection, person, keep=one.uids)
            connection.execute(
                "UPDATE subject SET origin = ?, expires = ?, consent = ? WHERE subject_id = ?",
                (store.CENTRAL, one.expires, one.consent, person.subject_id),
            )
            if one.consent != person.consent:
                noted = None if one.consent is None else head.now()
                connection.execute("UPDATE subject SET consented = ? WHERE subject_id = ?", (noted, person.subject_id))
            store.write_audit(connection, head, "sync-change", name)


def _mover(name: str, rows: list[dict[str, Any]]) -> moving.Mover:
    templates = tuple(
        store.NewTemplate(template_of_row(row), quality_of_row(row), (), str(row["uid"]))
        for row in sorted(rows, key=lambda row: int(row["enrolled"]))
    )
    consent, expires = consent_of_row(rows[0]), expires_of_row(rows[0])
    return moving.Mover(name, templates, consent, None, expires, store.CENTRAL)
