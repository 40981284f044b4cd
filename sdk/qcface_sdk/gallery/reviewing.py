"""Look a whole gallery over: whether it is whole, who is in it, who is in it twice, and where the keys are."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Callable, Iterator

from qcface_sdk.gallery import store
from qcface_sdk.gallery.embedded import EmbeddedGallery
from qcface_sdk.gallery.judgement import Limit
from qcface_sdk.gallery.master import FileKey
from qcface_sdk.gallery.review import Double, Doubles, Enrolled, KeyState, Review

_NEIGHBOURS = 6
"""Subjects asked for per template: the person, and at most five others who look alike."""

_AT_ONCE = 256
_REMOVALS = ("remove", "expire", "sync-remove")

Progress = Callable[[int], None]


def review(gallery: EmbeddedGallery, *, doubles: bool = True, progress: Progress | None = None) -> Review:
    """Check an embedded gallery as a whole and say what is in it.

    Parameters
    ----------
    gallery : EmbeddedGallery
        Opened with ``engine=`` if the enrolment gate is to be applied and people enrolled twice are to be looked for.
    doubles : bool
        Whether to compare everybody with everybody: as many searches as there are templates.
    progress : callable or None
        Called with the number of templates just unsealed, and again of those just searched for.

    Raises
    ------
    GalleryFormatError, GalleryKeyError
        If something is damaged, altered, or without its key.
    """
    unsealed = gallery.check(progress=progress)
    judge = gallery._judge
    limit = gallery._duplicate_limit() if doubles else None
    found = None if limit is None else _doubles(gallery, limit, progress)
    with gallery._database.reading() as connection:
        at = store.read_head(connection, gallery.path).now()
        people = tuple(_people(connection))
        qualities = tuple(quality for (quality,) in connection.execute("SELECT quality FROM template"))
        keys = _key_state(gallery, connection)
    return Review(
        gallery.path,
        at,
        gallery.statistics(),
        unsealed,
        people,
        qualities,
        None if judge is None else judge.enroll_below,
        found,
        keys,
    )


def _people(connection: sqlite3.Connection) -> Iterator[Enrolled]:
    crops = dict(
        connection.execute(
            "SELECT subject_id, count(*) FROM crop JOIN template USING (template_id) GROUP BY subject_id"
        )
    )
    for number, *fields in connection.execute(
        "SELECT subject_id, name, count(template_id), max(quality), min(quality), created, consent, expires, origin "
        "FROM subject LEFT JOIN template USING (subject_id) GROUP BY subject_id ORDER BY name"
    ):
        name, templates, best, worst, created, consent, expires, origin = fields
        yield Enrolled(name, templates, best, worst, crops.get(number, 0), created, consent, expires, origin)


def _doubles(gallery: EmbeddedGallery, limit: Limit, progress: Progress | None) -> Doubles:
    best: dict[tuple[str, str], float] = {}
    counts: dict[str, int] = {}
    last = 0
    while held := gallery._after(last, _AT_ONCE):
        last = held[-1].template_id
        nearest = gallery._nearest([one.template.vector for one in held], _NEIGHBOURS)
        for one, candidates in zip(held, nearest, strict=True):
            counts[one.subject] = counts.get(one.subject, 0) + 1
            for other in candidates:
                needed = limit.between(one.template.count, other.pictures).threshold
                if other.subject != one.subject and other.similarity >= needed:
                    pair = (min(one.subject, other.subject), max(one.subject, other.subject))
                    best[pair] = max(best.get(pair, -1.0), other.similarity)
        if progress is not None:
            progress(len(held))
    total = sum(counts.values())
    pairs = (total * total - sum(count * count for count in counts.values())) // 2
    ranked = sorted(best.items(), key=lambda item: (-item[1], item[0]))
    return Doubles(tuple(Double(*pair, score) for pair, score in ranked), limit.threshold, limit.fmr or 0.0, pairs)


def _key_state(gallery: EmbeddedGallery, connection: sqlite3.Connection) -> KeyState:
    def last(action: str) -> tuple[int, float] | None:
        found: tuple[int, float] | None = connection.execute(
            "SELECT audit_id, at FROM audit WHERE action = ? ORDER BY audit_id DESC LIMIT 1", (action,)
        ).fetchone()
        return found

    def enrolled_after(at: tuple[int, float] | None) -> int:
        if at is None:
            return 0
        return int(connection.execute("SELECT count(*) FROM subject WHERE created > ?", (at[1],)).fetchone()[0])

    backup, copy, rotation, source = last("backup"), last("backup-keys"), last("rotate-key"), gallery._source
    (waiting,) = connection.execute("SELECT count(*) FROM spare_slot WHERE shredded = 0").fetchone()
    empty, slots = gallery._keys().empty_slots()
    return KeyState(
        source.name,
        isinstance(source, FileKey) and os.path.dirname(source.path) == os.path.dirname(gallery.path),
        slots - len(empty),
        int(waiting),
        None if backup is None else backup[1],
        None if copy is None else copy[1],
        enrolled_after(backup),
        enrolled_after(copy),
        0 if copy is None else _removed_after(connection, copy[0]),
        copy is not None and rotation is not None and rotation[0] > copy[0],
    )


def _removed_after(connection: sqlite3.Connection, line: int) -> int:
    """Count those whose keys were overwritten after a line of the audit log."""
    marks = ", ".join("?" * len(_REMOVALS))
    (removed,) = connection.execute(
        f"SELECT count(*) FROM audit WHERE audit_id > ? AND action IN ({marks})", (line, *_REMOVALS)
    ).fetchone()
    imports = connection.execute("SELECT detail FROM audit WHERE audit_id > ? AND action = 'import'", (line,))
    details = [json.loads(detail) for (detail,) in imports]
    return int(removed) + sum(int(one["known"]) for one in details if one["conflict"] == "replace")
