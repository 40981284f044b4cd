"""Exports and imports, and the way from an unencrypted gallery."""

from __future__ import annotations

import sqlite3
import struct
from pathlib import Path

import numpy as np
import pytest

from qcface_sdk.errors import (
    ContractMismatchError,
    DuplicateSubjectError,
    GalleryFormatError,
    GalleryKeyError,
    GalleryStorageError,
    OptionError,
    UnknownSubjectError,
)
from qcface_sdk.gallery import Gallery, migrate
from qcface_sdk.gallery.transfer import read_about, to_text, write_export
from qcface_sdk.template import Template

SECRET = "correct horse battery"
CONTRACT = "qc1-0123456789abcdef0123456789abcdef"


@pytest.fixture
def exported(gallery, person, tmp_path: Path) -> Path:
    gallery.enroll("p1", person(11), consent="form 17", expires=5e9, crops=np.zeros((1, 112, 112, 3), np.uint8))
    assert gallery.export(tmp_path / "move.qcfx", SECRET) == 10
    return tmp_path / "move.qcfx"


@pytest.fixture
def other(tmp_path: Path):
    with Gallery.open(tmp_path / "other") as opened:
        yield opened


def test_import_brings_everything_to_another_gallery(gallery, exported, other, person):
    done = other.import_from(exported, SECRET)
    assert (len(done.added), done.templates) == (10, 11)
    assert other.subjects() == gallery.subjects()
    for name in gallery.subjects():
        assert other.get(name) == gallery.get(name)
    ours, theirs = gallery.report("p1", crops=True), other.report("p1", crops=True)
    assert (ours.consent, ours.consented, ours.expires) == (theirs.consent, theirs.consented, theirs.expires)
    assert ours.templates == theirs.templates
    assert other.identify(person(11), threshold=0.9).subject == "p1"


def test_export_of_some_people(gallery, tmp_path, other):
    assert gallery.export(tmp_path / "some", SECRET, subjects=["p3", "p4"]) == 2
    assert other.import_from(tmp_path / "some", SECRET).added == ("p3", "p4")
    with pytest.raises(UnknownSubjectError):
        gallery.export(tmp_path / "none", SECRET, subjects=["p3", "nobody"])
    assert not (tmp_path / "none").exists()


def test_export_of_an_empty_gallery_imports_nobody(tmp_path, other):
    other.export(tmp_path / "empty", SECRET)
    assert other.import_from(tmp_path / "empty", SECRET).added == ()


@pytest.mark.parametrize(
    ("conflict", "subjects", "templates"),
    [("skip", 1, 1), ("add", 1, 2), ("replace", 1, 2)],
)
def test_import_conflicts(gallery, exported, other, person, conflict, subjects, templates):
    other.enroll("p1", person(40))
    with pytest.raises(DuplicateSubjectError, match=r"'p1' already \(1 of 10\)"):
        other.import_from(exported, SECRET)
    assert len(other) == 1
    done = other.import_from(exported, SECRET, conflict=conflict)
    assert len(other) == 10
    assert len(done.added) == 9
    held = other.get("p1")
    assert (person(40) in held) == (conflict != "replace")
    assert (person(11) in held) == (conflict != "skip")
    assert other.check() == len(held) + 9


@pytest.mark.parametrize("gone", [("last",), ("first",), ("last", "middle"), ("first", "last", "middle")])
def test_import_after_removals_gives_every_person_a_key_slot_of_their_own(gallery, exported, other, person, gone):
    for number, name in enumerate(("first", "middle", "last")):
        other.enroll(name, person(60 + number))
    for name in gone:
        other.remove(name)
    assert len(other.import_from(exported, SECRET).added) == 10
    assert [other.get(name) for name in gallery.subjects()] == [gallery.get(name) for name in gallery.subjects()]
    assert other.check() == len(other) + 1  # two templates of p1


def test_import_again_adds_nothing_twice(exported, other):
    other.import_from(exported, SECRET)
    done = other.import_from(exported, SECRET, conflict="add")
    assert (len(done.extended), done.templates) == (10, 0)
    with pytest.raises(OptionError, match="conflict must be one of"):
        other.import_from(exported, SECRET, conflict="perhaps")


def test_import_with_a_wrong_passphrase_raises(exported, other):
    with pytest.raises(GalleryKeyError, match="does not open with this passphrase"):
        other.import_from(exported, "incorrect horse")
    for short in ("", "short", 5):
        with pytest.raises(OptionError, match="at least 12 characters"):
            other.import_from(exported, short)


def frames_of(data: bytes) -> tuple[bytes, list[bytes]]:
    (length,) = struct.unpack_from("<I", data, 6)
    head, rest, frames = data[: 10 + length], data[10 + length :], []
    while rest:
        (size,) = struct.unpack_from("<I", rest)
        frames.append(rest[: 4 + size])
        rest = rest[4 + size :]
    return head, frames


ALTERED = {
    "cut": lambda head, frames: head + b"".join(frames)[:-1],
    "last left out": lambda head, frames: head + b"".join(frames[:-1]),
    "one left out": lambda head, frames: head + b"".join(frames[:3] + frames[4:]),
    "swapped": lambda head, frames: head + b"".join([frames[1], frames[0], *frames[2:]]),
    "bit": lambda head, frames: head + b"".join(frames[:5]) + frames[5][:-1] + b"?" + b"".join(frames[6:]),
    "more": lambda head, frames: head + b"".join(frames) + b"x",
    "contract": lambda head, frames: head.replace(b"qc1-0", b"qc1-1") + b"".join(frames),
    "no export": lambda head, frames: b"PK\3\4" + head,
    "version": lambda head, frames: head[:4] + b"\2\0" + head[6:] + b"".join(frames),
    "header": lambda head, frames: head[:10] + b"?" + head[11:] + b"".join(frames),
    "cost": lambda head, frames: head.replace(b'"n": 32768', b'"n": 9' + b"9" * 4) + b"".join(frames),
    "empty": lambda head, frames: b"",
}


@pytest.mark.parametrize("alter", ALTERED.values(), ids=ALTERED.keys())
def test_import_of_an_altered_file_imports_nothing(exported, other, alter):
    exported.write_bytes(alter(*frames_of(exported.read_bytes())))
    with pytest.raises((GalleryFormatError, GalleryKeyError)):
        other.import_from(exported, SECRET)
    assert len(other) == 0


def test_import_of_another_contract_raises(exported, tmp_path, person):
    with Gallery.open(tmp_path / "foreign", "qc1-other") as foreign:
        with pytest.raises(ContractMismatchError):
            foreign.import_from(exported, SECRET)
        assert len(foreign) == 0


def record(name: str, *templates: Template) -> dict[str, object]:
    held = [
        {"uid": f"{name}{n}", "quality": None, "data": to_text(t.to_bytes()), "crops": []}
        for n, t in enumerate(templates)
    ]
    return {"subject": name, "consent": None, "consented": None, "expires": None, "origin": "local", "templates": held}


def test_import_of_several_contracts_in_one_file_imports_nothing(tmp_path, other, person):
    people = [record("a", person(1)), record("b", person(2, contract="qc1-other"))]
    write_export(str(tmp_path / "x"), SECRET, {"contract": CONTRACT, "dimension": 64}, people)
    with pytest.raises(ContractMismatchError, match="template of qc1-other of 'b'; nothing was imported"):
        other.import_from(tmp_path / "x", SECRET)
    assert len(other) == 0


@pytest.mark.parametrize(
    ("people", "error"),
    [
        ([record("a"), record("a")], DuplicateSubjectError),
        ([record("a\n")], GalleryFormatError),
        ([{"subject": "a"}], GalleryFormatError),
        (
            [{**record("a"), "templates": [{"uid": "1", "quality": None, "data": "AAAA", "crops": []}]}],
            GalleryFormatError,
        ),
    ],
    ids=["twice", "id", "fields", "template"],
)
def test_import_of_records_that_are_not_people_imports_nothing(tmp_path, other, people, error):
    write_export(str(tmp_path / "x"), SECRET, {"contract": CONTRACT, "dimension": 64}, people)
    with pytest.raises(error):
        other.import_from(tmp_path / "x", SECRET)
    assert len(other) == 0


def test_export_says_what_it_is_but_nobodys_id(exported):
    assert read_about(str(exported))["contract"] == CONTRACT
    assert b"p1" not in exported.read_bytes()[:300]
    assert b"form 17" not in exported.read_bytes()


def test_export_never_overwrites(gallery, exported):
    before = exported.read_bytes()
    with pytest.raises(GalleryStorageError, match="cannot write export"):
        gallery.export(exported, SECRET)
    assert exported.read_bytes() == before


def plain_gallery(path: Path, templates: dict[str, list[Template]]) -> None:
    """A gallery as the version before encryption wrote it."""
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.executescript(
            """CREATE TABLE head (head_id INTEGER PRIMARY KEY CHECK (head_id = 1), contract TEXT, dimension INTEGER,
                created REAL NOT NULL, removals INTEGER NOT NULL);
            CREATE TABLE subject (subject_id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE,
                created REAL NOT NULL);
            CREATE TABLE template (template_id INTEGER PRIMARY KEY AUTOINCREMENT,
                subject_id INTEGER NOT NULL REFERENCES subject, data BLOB NOT NULL);
            PRAGMA application_id = 1363363399; PRAGMA user_version = 1;"""
        )
        connection.execute("INSERT INTO head VALUES (1, ?, 64, 1.0, 0)", (CONTRACT if templates else None,))
        for number, (name, held) in enumerate(templates.items(), 1):
            connection.execute("INSERT INTO subject (name, created) VALUES (?, 1.0)", (name,))
            for template in held:
                connection.execute(
                    "INSERT INTO template (subject_id, data) VALUES (?, ?)", (number, template.to_bytes())
                )
    connection.close()


def test_migrate_encrypts_an_old_gallery_in_its_place(path, person):
    plain_gallery(path, {"ada": [person(1), person(2)], "grace": [person(3)]})
    with pytest.raises(
        GalleryFormatError, match=rf"not encrypted; encrypt it once with: qcface gallery migrate {path}"
    ):
        Gallery.open(path)
    assert person(1).vector.tobytes() in path.read_bytes()
    with path.open("rb") as old:
        assert migrate(path) == 2
        assert not old.read().strip(b"\0")
    assert not any(person(1).vector.tobytes()[:32] in file.read_bytes() for file in path.parent.iterdir())
    assert sorted(file.name for file in path.parent.iterdir()) == [
        path.name,
        f"{path.name}.key",
        f"{path.name}.keyring",
    ]
    with Gallery.open(path) as gallery:
        assert gallery.get("ada") == (person(1), person(2))
        assert gallery.identify(person(3), threshold=0.9).subject == "grace"
    with pytest.raises(GalleryFormatError, match="nothing to migrate"):
        migrate(path)


def test_migrate_of_an_empty_old_gallery(path):
    plain_gallery(path, {})
    assert migrate(path) == 0
    with Gallery.open(path) as gallery:
        assert (len(gallery), gallery.contract) == (0, None)


def test_migrate_damaged_or_open_elsewhere_leaves_it(path, person):
    plain_gallery(path, {"ada": [person(1)]})
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("BEGIN")
    holder.execute("SELECT * FROM head").fetchone()
    with pytest.raises(GalleryStorageError, match="locked"):
        migrate(path)
    holder.execute("ROLLBACK")
    holder.execute("UPDATE template SET data = zeroblob(100)")
    holder.close()
    before = path.read_bytes()
    with pytest.raises(GalleryFormatError, match=r"row 1 of subject 'ada'.*left as it is"):
        migrate(path)
    assert path.read_bytes()[100:] == before[100:]
