"""From a gallery of another kind to a new one: unencrypted files of schema 1, and galleries of another model."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from qcface_sdk.errors import GalleryFormatError, GalleryStorageError, TemplateFormatError
from qcface_sdk.gallery import moving, rows, store
from qcface_sdk.gallery.database import real_path
from qcface_sdk.gallery.embedded import EmbeddedGallery
from qcface_sdk.gallery.master import key_source, sync_folder
from qcface_sdk.gallery.schema import PLAIN_SCHEMA, ids_of_file
from qcface_sdk.gallery.storage_errors import storage_errors
from qcface_sdk.gallery.terms import decoded_crops
from qcface_sdk.template import Template

Progress = Callable[[int], None]


class Embedder(Protocol):
    """What enrolling again asks of the new model: a `FaceEngine` is one."""

    @property
    def contract(self) -> str:
        """Embedding contract id."""
        ...

    def embed(self, crops: Any) -> NDArray[np.float32]:
        """Return raw embeddings (N, D) of aligned crops (N, 112, 112, 3)."""
        ...

    def quality(self, magnitudes: Any) -> NDArray[np.float64]:
        """Return the quality, 0..100, of embeddings of these magnitudes."""
        ...


@dataclass(frozen=True, slots=True)
class Reenrolled:
    """Outcome of enrolling again under another model."""

    subjects: tuple[str, ...]
    """People who are in the new gallery."""

    without_crops: tuple[str, ...]
    """People of whom no picture was kept: they have to come to the camera again."""

    def to_dict(self) -> dict[str, Any]:
        """Return plain Python values ready for JSON."""
        return {"subjects": list(self.subjects), "without_crops": list(self.without_crops)}


def migrate(path: str | os.PathLike[str], *, key: Any = None, progress: Progress | None = None) -> int:
    """Encrypt a gallery of schema 1 in its place; return how many people it holds.

    A new gallery is written beside the old one, synced and checked, then takes its place; the old file's bytes are
    overwritten. A cut before that leaves the old one as it was. Old backups stay unencrypted: delete them.

    Raises
    ------
    GalleryFormatError
        If it is no gallery of schema 1, or damaged.
    GalleryStorageError
        If another program has it open, or the disk is full.
    GalleryKeyError
        If the master key cannot be had.
    """
    old = real_path(path)
    if ids_of_file(old)[1] != PLAIN_SCHEMA:
        raise GalleryFormatError(f"{old} is not a gallery of schema {PLAIN_SCHEMA}; there is nothing to migrate")
    draft = f"{old}.migrating"
    for ending in ("", "-wal", "-shm", ".keyring"):
        if os.path.exists(draft + ending):
            os.unlink(draft + ending)
    contract, movers = _read_plain(old)
    with EmbeddedGallery.open_file(draft, key=_unnamed(key, old)) as new:
        with new._changing() as (connection, head):
            if contract is not None:
                head = store.bind(connection, draft, contract[0], contract[1])
            moving.add_movers(connection, draft, new._keys(), head, movers, progress)
            store.write_audit(connection, head, "migrate", people=len(movers))
        new.check()
        count = len(new)
    _take_the_place(draft, old)
    return count


def reenroll(
    gallery: EmbeddedGallery,
    embedder: Embedder,
    destination: str | os.PathLike[str],
    *,
    key: Any = None,
    progress: Progress | None = None,
) -> Reenrolled:
    """Make a new gallery for another model of the crops that were kept; the old one stays as it is.

    Consent, retention and the number of templates are carried over; qualities are the new model's. After an error
    there is no new gallery.

    Raises
    ------
    GalleryStorageError
        If there is a file at `destination`.
    GalleryKeyError, GalleryError
        If either gallery cannot be used.
    """
    target = real_path(destination)
    if os.path.exists(target):
        raise GalleryStorageError(f"{target} is there already; choose a new name for the new gallery")
    missing: list[str] = []
    files = [target + ending for ending in ("", "-wal", "-shm", ".keyring")]
    before = {file for file in files if os.path.exists(file)}
    movers = list(_embedded_again(gallery, embedder, missing, progress))
    try:
        _write(target, embedder.contract, key, movers, len(missing))
    except BaseException:
        # The master key stays: one is never deleted, and the next try uses it.
        for file in files:
            if file not in before and os.path.exists(file):
                os.unlink(file)
        raise
    return Reenrolled(tuple(mover.name for mover in movers), tuple(missing))


def _write(target: str, contract: str, key: Any, movers: list[moving.Mover], missing: int) -> None:
    with EmbeddedGallery.open_file(target, contract, key=key) as new, new._changing() as (connection, head):
        if movers:
            head = store.bind(connection, target, contract, movers[0].templates[0].template.vector.size)
        moving.add_movers(connection, target, new._keys(), head, movers)
        store.write_audit(connection, head, "re-enroll", people=len(movers), without_crops=missing)


def _embedded_again(
    gallery: EmbeddedGallery, embedder: Embedder, missing: list[str], progress: Progress | None
) -> Iterator[moving.Mover]:
    for name in gallery.subjects():
        with gallery._database.reading() as connection:
            head, person = store.read_head(connection, gallery.path), store.person_of(connection, name)
            if person is None:
                continue
            (key,) = store.key_of(gallery._keys(), [person])
            kept = rows.crops_of(connection, gallery.path, head, key, person)
            held = rows.templates_of(connection, gallery.path, head, gallery._keys(), person)
        templates = tuple(
            _new_template(embedder, kept[one.template_id], one.template.created)
            for one in held
            if one.template_id in kept
        )
        if progress is not None:
            progress(1)
        if templates:
            yield moving.Mover(name, templates, person.consent, person.consented, person.expires, person.origin)
        else:
            missing.append(name)


def _new_template(embedder: Embedder, crops: list[bytes], created: float) -> store.NewTemplate:
    template = Template.from_embeddings(embedder.embed(decoded_crops(crops)), embedder.contract, created)
    quality = float(embedder.quality(np.array([template.magnitude]))[0])
    return store.NewTemplate(template, quality, tuple(crops))


def _unnamed(key: Any, path: str) -> Any:
    """Return the key so that a draft beside `path` uses what `path` would use."""
    source = key_source(key, path)
    return key if key is not None else getattr(source, "path", None)


def _read_plain(path: str) -> tuple[tuple[str, int] | None, list[moving.Mover]]:
    """Return contract with dimension, and the people of a file of schema 1; nobody else may have it open."""
    with storage_errors(path):
        connection = sqlite3.connect(path, isolation_level=None, timeout=1.0)
        try:
            connection.execute("PRAGMA trusted_schema = OFF")
            # Also folds the log in, which a later exchange of the file would leave behind.
            connection.execute("PRAGMA journal_mode = DELETE")
            connection.execute("BEGIN EXCLUSIVE")
            found = connection.execute("SELECT contract, dimension FROM head").fetchone()
            templates: dict[str, list[store.NewTemplate]] = {}
            for number, name, data in connection.execute(
                "SELECT template_id, name, data FROM template JOIN subject USING (subject_id) ORDER BY template_id"
            ):
                try:
                    templates.setdefault(name, []).append(store.NewTemplate(Template.from_bytes(data)))
                except TemplateFormatError as error:
                    raise GalleryFormatError(
                        f"gallery {path}, template row {number} of subject {name!r}: {error}; it was left as it is"
                    ) from error
        finally:
            connection.close()
    bound = None if found is None or None in found else (str(found[0]), int(found[1]))
    return bound, [moving.Mover(name, tuple(held)) for name, held in templates.items()]


def _take_the_place(draft: str, path: str) -> None:
    """Put the new files in the place of the old one, and overwrite what it held."""
    try:
        if os.path.exists(f"{path}.keyring"):
            os.replace(f"{path}.keyring", f"{path}.keyring.before-migration")
        os.replace(f"{draft}.keyring", f"{path}.keyring")
        handle = os.open(path, os.O_WRONLY)
        try:
            os.replace(draft, path)
            sync_folder(path)
            left = os.fstat(handle).st_size
            while left > 0:
                left -= os.write(handle, bytes(min(left, 2**20)))
            os.fsync(handle)
        finally:
            os.close(handle)
    except OSError as error:
        raise GalleryStorageError(f"cannot put {draft} in the place of {path}: {error.strerror or error}") from error
