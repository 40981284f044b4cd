"""What an acknowledged enrolment and removal guarantee when the power goes at the worst moment.

A power cut may lose whatever was not synced. Each test takes a copy of the files at the moments in question, in the
order in which they are synced, and opens it as the machine would after it came back.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
from pathlib import Path

import pytest

from qcface_sdk.errors import GalleryFormatError, GalleryStorageError, UnknownSubjectError
from qcface_sdk.gallery import Gallery, embedded, keyring, store

ENDINGS = ("", "-wal", ".keyring", ".key")


def after_a_cut(path: Path, to: Path) -> Path:
    """Copy the files of an open gallery, as they are now."""
    to.mkdir()
    for ending in ENDINGS:
        if os.path.exists(f"{path}{ending}"):
            shutil.copy(f"{path}{ending}", to / f"{path.name}{ending}")
    return to / path.name


def test_enroll_syncs_the_key_before_the_database_commits(path, gallery, person, monkeypatch):
    """Else a cut between the two would leave a template that nobody can read."""
    happened: list[str] = []
    sync = os.fsync
    monkeypatch.setattr(keyring.os, "fsync", lambda handle: (happened.append("key synced"), sync(handle))[1])
    gallery._database._writer.set_trace_callback(
        lambda statement: happened.append(statement.split()[0]) if statement.split()[0] in ("BEGIN", "COMMIT") else None
    )
    gallery.enroll("late", person(50))
    assert happened == ["BEGIN", "key synced", "COMMIT"]
    happened.clear()
    gallery.enroll("late", person(51))  # the key is there already
    assert happened == ["BEGIN", "COMMIT"]
    happened.clear()
    gallery.remove("late")
    assert happened == ["BEGIN", "COMMIT", "BEGIN", "key synced", "COMMIT"]


def test_every_commit_is_synced(gallery):
    writer = gallery._database._writer
    assert writer.execute("PRAGMA synchronous").fetchone() == (2,)
    assert writer.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_cut_after_the_key_and_before_the_commit_leaves_the_gallery_as_it_was(
    path, gallery, person, tmp_path, monkeypatch
):
    insert, copies = store.insert_templates, []

    def cut(*arguments):
        copies.append(after_a_cut(path, tmp_path / "cut"))
        return insert(*arguments)

    monkeypatch.setattr(store, "insert_templates", cut)
    gallery.enroll("late", person(50))
    monkeypatch.undo()
    with Gallery.open(copies[0]) as back:
        assert len(back) == 10
        assert back.check() == 10
        back.enroll("next", person(51))  # takes the slot that the cut left used
        assert back.identify(person(51), threshold=0.9).subject == "next"
        assert back.identify(person(3), threshold=0.9).subject == "p3"


def test_cut_after_an_acknowledged_enrolment_loses_nothing(path, gallery, person, tmp_path):
    for number in range(50, 53):
        gallery.enroll(f"late{number}", person(number))
        with Gallery.open(after_a_cut(path, tmp_path / str(number))) as back:
            assert back.identify(person(number), threshold=0.9).subject == f"late{number}"


@pytest.mark.parametrize("kept", [0, 40, 127])
def test_half_written_key_of_an_enrolment_not_acknowledged_harms_nobody(path, gallery, person, kept):
    """The tail of the keyring is torn, the database never heard of it."""
    gallery.close()
    with open(f"{path}.keyring", "ab") as file:
        file.write(b"KEY1" + bytes(range(1, 124))[: max(kept - 4, 0)])
    with Gallery.open(path) as back:
        assert back.check() == 10
        back.enroll("next", person(51))
    with Gallery.open(path) as back:
        assert back.identify(person(51), threshold=0.9).subject == "next"


def test_cut_between_rows_and_key_of_a_removal_is_finished_when_opened(path, gallery, person, tmp_path, monkeypatch):
    copies = []
    monkeypatch.setattr(gallery, "_shred", lambda names: copies.append(after_a_cut(path, tmp_path / "cut")))
    gallery.remove("p3")
    ring = Path(f"{copies[0]}.keyring")
    assert ring.read_bytes()[4 * keyring.RECORD_BYTES :][: keyring.RECORD_BYTES] != bytes(keyring.RECORD_BYTES)
    with Gallery.open(copies[0]) as back:
        assert "p3" not in back.subjects()
        assert back.identify(person(3), threshold=0.5).subject is None
        with pytest.raises(UnknownSubjectError):
            back.get("p3")
    assert ring.read_bytes()[4 * keyring.RECORD_BYTES :][: keyring.RECORD_BYTES] == bytes(keyring.RECORD_BYTES)


def test_key_that_cannot_be_overwritten_is_said_and_done_later(path, gallery, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(keyring.os, "pwrite", full)
    with pytest.raises(GalleryStorageError, match="p3 removed .* but the key is not overwritten yet"):
        gallery.remove("p3")
    monkeypatch.undo()
    assert "p3" not in gallery.subjects()
    gallery.remove("p4")
    data = Path(f"{path}.keyring").read_bytes()
    assert data[4 * keyring.RECORD_BYTES : 6 * keyring.RECORD_BYTES] == bytes(2 * keyring.RECORD_BYTES)


def test_disk_full_for_the_key_enrols_nobody(path, gallery, person, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(keyring.os, "pwrite", full)
    with pytest.raises(GalleryStorageError, match=r"No space left.*Nothing was changed"):
        gallery.enroll("late", person(50))
    monkeypatch.undo()
    assert len(gallery) == 10
    gallery.enroll("late", person(50))
    assert gallery.identify(person(50), threshold=0.9).subject == "late"


KILLED = """
import sys
with Gallery.open(sys.argv[1], timeout=30) as gallery:
    for number in range(200):
        print(gallery.enroll(f"p{number}", person(number)).subject, flush=True)
    sys.stdin.readline()
"""


def test_kill_during_200_enrolments_loses_nothing_acknowledged(path, child, person):
    process = child(KILLED, path)
    acknowledged = [process.stdout.readline().strip() for _ in range(120)]
    process.kill()
    acknowledged += process.stdout.read().split()
    process.wait()
    with Gallery.open(path) as gallery:
        assert set(gallery.subjects()) >= set(acknowledged)
        assert len(gallery) <= len(acknowledged) + 1
        assert gallery.check() == len(gallery)
        found = gallery.identify_batch([person(int(name[1:])) for name in acknowledged], threshold=0.99)
        assert [result.subject for result in found] == acknowledged


def test_reader_is_not_disturbed_by_a_removal_in_the_middle(path, gallery, person, monkeypatch):
    """The rows that a search reads may be older than the keys; it looks again."""
    with Gallery.open(path) as other:
        unwrap, calls = keyring.Keyring.unwrap, []

        def late(self, slots, key_ids):
            calls.append(len(slots))
            if len(calls) == 1:
                gallery.remove("p3")
            return unwrap(self, slots, key_ids)

        monkeypatch.setattr(keyring.Keyring, "unwrap", late)
        assert other.identify(person(5), threshold=0.9).subject == "p5"
        assert other.identify(person(3), threshold=0.5).subject is None
    assert embedded._TRIES > 1


def test_schema_of_a_later_version_is_refused_by_this_one(path, gallery):
    gallery.close()
    with sqlite3.connect(path) as connection:
        connection.execute("ALTER TABLE subject ADD COLUMN site TEXT")
        connection.execute("PRAGMA user_version = 3")
    connection.close()
    with pytest.raises(Exception, match="has gallery schema 3, this SDK reads schema 2; use the SDK that wrote it"):
        Gallery.open(path)


def test_gallery_that_a_later_version_changes_while_open_is_not_used_any_more(path, gallery, person):
    """Two versions at once: the older one must not write rows that the newer one's tables have no place for."""
    with sqlite3.connect(path) as newer:
        newer.execute("PRAGMA user_version = 3")
    newer.close()
    before = path.read_bytes() + Path(f"{path}-wal").read_bytes()
    for call in (
        lambda: gallery.identify(person(3), threshold=0.5),
        lambda: gallery.enroll("late", person(50)),
        lambda: gallery.remove("p3"),
        lambda: gallery.get("p3"),
    ):
        with pytest.raises(GalleryFormatError, match="has gallery schema 3, this SDK reads schema 2"):
            call()
    assert path.read_bytes() + Path(f"{path}-wal").read_bytes() == before
