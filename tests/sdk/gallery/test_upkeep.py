"""Backups, retention, reports, the audit log, the clock."""

from __future__ import annotations

import base64
import sqlite3
from contextlib import closing
from datetime import datetime, timezone
from pathlib import Path

import numpy as np
import pytest

from qcface_sdk.errors import (
    GalleryFormatError,
    GalleryKeyError,
    GalleryStorageError,
    OptionError,
    ShapeError,
    UnknownSubjectError,
)
from qcface_sdk.gallery import Gallery, database, moving, reenroll, restore, store, upkeep
from qcface_sdk.gallery.keyring import RECORD_BYTES
from qcface_sdk.gallery.schema import PAGE_BYTES
from qcface_sdk.results import Outcome
from qcface_sdk.template import Template

CROP = np.arange(112 * 112 * 3, dtype=np.uint32).reshape(112, 112, 3).astype(np.uint8)


def test_backup_while_in_use_restores_everybody(path, gallery, person, tmp_path):
    assert gallery.backup(tmp_path / "copy") == 10
    gallery.enroll("late", person(50))
    assert gallery.identify(person(50), threshold=0.9).subject == "late"
    gallery.close()
    done = restore(tmp_path / "copy", path, replace=True)
    assert (done.subjects, done.left_out) == (10, ())
    with Gallery.open(path) as again:
        assert again.subjects() == tuple(f"p{number}" for number in range(10))
        assert again.identify(person(7), threshold=0.9).subject == "p7"
        assert again.check() == 10
        again.enroll("new", person(60))
        assert again.identify(person(60), threshold=0.9).subject == "new"


def test_backup_is_of_one_moment_whatever_is_written_meanwhile(gallery, person, tmp_path, monkeypatch):
    """SQLite starts a copy again when somebody writes, and would never end at a busy door."""
    monkeypatch.setattr(database, "_COPIED_PAGES", 4)
    steps, people = [], iter(range(50, 1000))

    def busy(done: int) -> None:
        steps.append(done)
        gallery.enroll("late", person(next(people)))

    pages = gallery.statistics().file_bytes // PAGE_BYTES
    assert gallery.backup(tmp_path / "copy", progress=busy) == 10
    assert 1 < len(steps) <= pages // 4
    with closing(sqlite3.connect(tmp_path / "copy")) as copy:
        assert copy.execute("SELECT count(*) FROM template").fetchone() == (10,)
        assert copy.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_backup_and_restoration_on_a_full_disk_leave_nothing_behind(path, gallery, person, tmp_path, monkeypatch):
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(upkeep.os, "fsync", full)
    with pytest.raises(GalleryStorageError, match="No space left on device; free some space"):
        gallery.backup(tmp_path / "copy")
    with pytest.raises(GalleryStorageError, match="No space left on device; free some space"):
        gallery.backup_keys(tmp_path / "keys")
    monkeypatch.undo()
    assert not list(tmp_path.glob("copy*")) + list(tmp_path.glob("keys*"))
    gallery.backup(tmp_path / "copy")
    gallery.close()
    before = path.read_bytes()
    monkeypatch.setattr(upkeep.os, "fsync", full)
    with pytest.raises(GalleryStorageError, match="No space left"):
        restore(tmp_path / "copy", path, replace=True)
    monkeypatch.undo()
    assert path.read_bytes() == before
    assert not list(tmp_path.glob("*.restoring"))


BACKUP = """
import resource, sys
from qcface_sdk.errors import GalleryStorageError
with Gallery.open(sys.argv[1]) as gallery:
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, hard))
    try:
        gallery.backup(sys.argv[2])
    except GalleryStorageError as error:
        print(error)
"""


def test_backup_beyond_the_size_a_file_may_have_says_where_and_leaves_nothing(gallery, child, tmp_path):
    output, _ = child(BACKUP, gallery.path, tmp_path / "copy").communicate()
    assert f"cannot copy gallery {gallery.path} to {tmp_path / 'copy'}" in output
    assert not list(tmp_path.glob("copy*"))


def test_long_works_count_what_they_do(gallery):
    templates: list[int] = []
    keys: list[int] = []
    assert gallery.check(progress=templates.append) == sum(templates) == 10
    assert gallery.rotate_key(progress=keys.append) == sum(keys) == 10


def test_backup_holds_no_key_and_nobody_who_was_removed_can_be_read_in_it(path, gallery, person, tmp_path):
    gallery.backup(tmp_path / "copy")
    record = Path(f"{path}.keyring").read_bytes()[4 * RECORD_BYTES : 5 * RECORD_BYTES]
    assert record[32:80] not in (tmp_path / "copy").read_bytes()
    gallery.remove("p3")
    gallery.enroll("p3", person(70))  # the same id again, and likely the same slot
    gallery.close()
    done = restore(tmp_path / "copy", path, replace=True)
    assert (done.subjects, done.left_out) == (9, ("p3",))
    with Gallery.open(path) as again:
        assert "p3" not in again.subjects()
        assert again.identify(person(3), threshold=0.5).subject is None


def test_restore_elsewhere_needs_keyring_and_master_key(path, gallery, tmp_path, person):
    gallery.backup(tmp_path / "copy")
    assert gallery.backup_keys(tmp_path / "keys") == 10
    gallery.remove("p1")
    gallery.backup_keys(tmp_path / "keys2")
    new = tmp_path / "new"
    with pytest.raises(GalleryKeyError, match=r"Without them nobody"):
        restore(tmp_path / "copy", new, key=f"{path}.key")
    with pytest.raises(GalleryKeyError, match="another key"):
        restore(tmp_path / "copy", new, keyring=tmp_path / "keys", key=bytes(32))
    assert not new.exists()
    assert restore(tmp_path / "copy", new, keyring=tmp_path / "keys", key=f"{path}.key").left_out == ()
    with pytest.raises(GalleryStorageError, match="is there already"):
        restore(tmp_path / "copy", new, keyring=tmp_path / "keys2", key=f"{path}.key")
    done = restore(tmp_path / "copy", new, keyring=tmp_path / "keys2", key=f"{path}.key", replace=True)
    assert done.left_out == ("p1",)
    with Gallery.open(new, key=f"{path}.key") as again:
        assert again.identify(person(4), threshold=0.9).subject == "p4"


def test_restoring_an_old_backup_keeps_the_keys_of_a_newer_one(path, gallery, person, tmp_path):
    gallery.backup(tmp_path / "old")
    gallery.enroll("late", person(50))
    gallery.backup(tmp_path / "new")
    gallery.close()
    restore(tmp_path / "old", path, replace=True)
    with Gallery.open(path) as again:
        again.enroll("other", person(60))
    done = restore(tmp_path / "new", path, replace=True)
    assert (done.subjects, done.left_out) == (11, ())


def test_restore_of_something_else_raises(path, tmp_path):
    (tmp_path / "text").write_text("not a gallery " * 20)
    with pytest.raises(GalleryFormatError, match="not a gallery"):
        restore(tmp_path / "text", path)
    assert not path.exists()


@pytest.mark.parametrize("share", [0.1, 0.5, 0.95])
def test_restore_of_half_a_backup_raises_and_leaves_the_gallery(path, gallery, person, tmp_path, share):
    gallery.backup(tmp_path / "copy")
    gallery.close()
    data = (tmp_path / "copy").read_bytes()
    (tmp_path / "copy").write_bytes(data[: int(share * len(data))])
    with pytest.raises(GalleryFormatError, match="damaged"):
        restore(tmp_path / "copy", path, replace=True)
    assert not list(tmp_path.glob("*.restoring*"))
    with Gallery.open(path) as again:
        assert again.identify(person(7), threshold=0.9).subject == "p7"


def test_backup_never_overwrites(gallery, tmp_path):
    (tmp_path / "there").write_text("mine")
    with pytest.raises(GalleryStorageError, match="choose a new name"):
        gallery.backup(tmp_path / "there")
    assert (tmp_path / "there").read_text() == "mine"


def test_expired_person_is_not_recognised_and_then_removed(gallery, person):
    gallery.set_terms("p4", expires=1000.0)
    found = gallery.identify(person(4), threshold=0.5)
    assert found.decision is Outcome.REJECT
    assert "p4" not in {candidate.subject for candidate in found.candidates}
    assert gallery.get("p4") == ()
    assert gallery.get("p4", expired=True) == (person(4),)
    assert gallery.statistics().expired == 1
    assert gallery.expire(dry_run=True) == ("p4",)
    (receipt,) = gallery.expire()
    assert (receipt.subject, receipt.templates) == ("p4", 1)
    assert gallery.expire() == ()
    assert len(gallery) == 9


def test_expiry_ahead_is_noticed_when_it_comes(gallery, person, monkeypatch):
    now = store.time.time()
    gallery.set_terms("p4", expires=now + 50)
    assert gallery.identify(person(4), threshold=0.9).subject == "p4"
    assert gallery.get("p4") == (person(4),)
    monkeypatch.setattr(store.time, "time", lambda: now + 51)
    assert gallery.identify(person(4), threshold=0.9).subject is None
    assert gallery.get("p4") == ()


def test_clock_going_back_brings_nobody_back_and_keeps_the_log_in_order(gallery, person, monkeypatch):
    now = store.time.time()
    gallery.set_terms("p4", expires=now + 50)
    monkeypatch.setattr(store.time, "time", lambda: now + 100)
    gallery.enroll("later", person(50))
    monkeypatch.setattr(store.time, "time", lambda: now - 1e6)
    gallery.enroll("after", person(51))
    assert gallery.identify(person(4), threshold=0.9).subject is None
    assert gallery.get("p4") == ()
    times = [entry.at for entry in gallery.audit()]
    assert times == sorted(times)
    assert times[-1] == now + 100


def test_terms_are_kept_changed_and_taken_away(path, gallery, person):
    end = datetime(2090, 1, 2, tzinfo=timezone.utc)
    gallery.enroll("ada", person(50), consent="form 17", expires=end)
    gallery.enroll("ada", person(51))
    (ada,) = (entry for entry in gallery.people() if entry.subject == "ada")
    assert (ada.templates, ada.consent, ada.expires) == (2, "form 17", end.timestamp())
    gallery.set_terms("ada", consent="form 18", forever=True)
    (ada,) = (entry for entry in gallery.people() if entry.subject == "ada")
    assert (ada.consent, ada.expires) == ("form 18", None)


@pytest.mark.parametrize(
    "terms",
    [
        {"consent": ""},
        {"consent": 5},
        {"consent": "x" * 1001},
        {"expires": datetime(2030, 1, 1)},
        {"expires": float("nan")},
        {"expires": -1},
        {"expires": "tomorrow"},
        {"expires": 5.0, "forever": True},
    ],
    ids=str,
)
def test_unusable_terms_raise_and_change_nothing(gallery, terms):
    before = gallery.people()
    with pytest.raises(OptionError):
        gallery.set_terms("p1", **terms)
    assert gallery.people() == before


def test_report_holds_everything_and_is_audited(gallery, person):
    gallery.enroll("ada", person(50), consent="form 17", crops=CROP[None])
    report = gallery.report("ada", vectors=True, crops=True)
    (template,) = report.templates
    vector = np.frombuffer(base64.b64decode(template["vector"]), "<f4")
    np.testing.assert_array_equal(vector, person(50).vector)
    assert len(base64.b64decode(template["crops"][0])) > 100
    assert [entry["action"] for entry in report.audit] == ["enroll"]
    plain = gallery.report("ada")
    assert not {"vector", "crops"} & plain.templates[0].keys()
    assert [entry.action for entry in gallery.audit("ada")] == ["enroll", "report", "report"]
    with pytest.raises(UnknownSubjectError):
        gallery.report("nobody")


def test_audit_log_holds_no_biometrics_and_outlives_the_person(gallery, person):
    gallery.enroll("ada", person(50))
    gallery.remove("ada")
    entries = gallery.audit("ada")
    assert [entry.action for entry in entries] == ["enroll", "remove"]
    assert max(len(str(entry.detail)) for entry in gallery.audit()) < 300
    assert gallery.audit(last=1) == entries[-1:]


def test_removal_receipt_says_what_was_destroyed(gallery, person):
    gallery.enroll("ada", person(50), crops=np.stack([CROP, CROP]))
    receipt = gallery.remove("ada")
    assert (receipt.subject, receipt.templates, receipt.crops) == ("ada", 1, 2)
    assert receipt.gallery == gallery.statistics().gallery
    assert receipt.key == gallery.audit("ada")[-1].detail["key"]
    assert len(receipt.key) == 16


@pytest.mark.parametrize("crops", [CROP, CROP[None, :50], CROP[None].astype(float)], ids=["one", "small", "float"])
def test_unusable_crops_raise(gallery, person, crops):
    with pytest.raises(ShapeError, match="crops must be aligned"):
        gallery.enroll("ada", person(50), crops=crops)


class OtherModel:
    contract = "qc1-other"

    def embed(self, crops: np.ndarray) -> np.ndarray:
        return crops.reshape(len(crops), -1)[:, :32].astype(np.float32) + 1

    def quality(self, magnitudes: np.ndarray) -> np.ndarray:
        return np.minimum(100, np.asarray(magnitudes, np.float64) / 5)


def test_reenroll_uses_kept_crops_and_says_whom_it_cannot(gallery, person, tmp_path):
    gallery.enroll("ada", person(50), crops=CROP[None], consent="form 17", expires=5e9)
    gallery.enroll("ada", person(51))
    done = reenroll(gallery, OtherModel(), tmp_path / "new")
    assert done.subjects == ("ada",)
    assert done.without_crops == tuple(f"p{number}" for number in range(10))
    with Gallery.open(tmp_path / "new", "qc1-other") as new:
        (template,) = new.get("ada")
        assert template == Template.from_embeddings(OtherModel().embed(CROP[None]), "qc1-other", created=1.0)
        assert (new.people()[0].consent, new.people()[0].expires) == ("form 17", 5e9)
        quality = new.report("ada").templates[0]["quality"]
        assert quality == OtherModel().quality(np.array([template.magnitude]))[0]
        assert reenroll(new, OtherModel(), tmp_path / "newer").subjects == ("ada",)
    with pytest.raises(GalleryStorageError, match="is there already"):
        reenroll(gallery, OtherModel(), tmp_path / "new")


def test_reenroll_that_fails_leaves_nothing_and_can_be_done_again(gallery, person, tmp_path, monkeypatch):
    gallery.enroll("ada", person(50), crops=CROP[None])

    def broken(*_: object) -> None:
        raise GalleryStorageError("the disk is full")

    for target, name in ((OtherModel, "embed"), (moving, "add_movers")):
        monkeypatch.setattr(target, name, broken)
        with pytest.raises(GalleryStorageError, match="disk is full"):
            reenroll(gallery, OtherModel(), tmp_path / "new")
        monkeypatch.undo()
        assert {file.name for file in tmp_path.glob("new*")} <= {"new.key"}
    assert reenroll(gallery, OtherModel(), tmp_path / "new").subjects == ("ada",)


def test_reenroll_never_takes_the_keys_of_an_earlier_gallery(gallery, person, tmp_path):
    gallery.enroll("ada", person(50), crops=CROP[None])
    reenroll(gallery, OtherModel(), tmp_path / "new")
    (tmp_path / "new").unlink()
    keys = (tmp_path / "new.keyring").read_bytes()
    with pytest.raises(GalleryKeyError, match="of an earlier gallery"):
        reenroll(gallery, OtherModel(), tmp_path / "new")
    assert (tmp_path / "new.keyring").read_bytes() == keys


def test_report_says_where_else_the_data_went(gallery, person, tmp_path):
    gallery.backup(tmp_path / "copy")
    gallery.export(tmp_path / "all", "correct horse battery")
    gallery.export(tmp_path / "some", "correct horse battery", subjects=["p3", "p3", "p4"])
    gallery.enroll("late", person(50))
    went = {name: [line["action"] for line in gallery.report(name).audit] for name in ("p3", "p5", "late")}
    assert went == {
        "p3": ["enroll", "backup", "export", "export"], "p5": ["enroll", "backup", "export"], "late": ["enroll"]
    }  # fmt: skip
    assert gallery.report("p3").audit[3]["detail"] == {"file": "some", "people": 2}


def test_statistics_count(gallery, person):
    gallery.enroll("p1", person(50), crops=CROP[None])
    figures = gallery.statistics()
    assert (figures.subjects, figures.templates, figures.crops, figures.dimension) == (10, 11, 1, 64)
    assert figures.search_bytes == 11 * 76
    assert figures.keyring_bytes == 11 * RECORD_BYTES


def test_sealed_rows_do_not_open_for_another_person(path, gallery):
    """Not even with every page, index and foreign key in order."""
    gallery.close()
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE template SET data = (SELECT data FROM template WHERE template_id = 2)")
        connection.execute("UPDATE code SET data = (SELECT data FROM code WHERE template_id = 2)")
    connection.close()
    with pytest.raises(GalleryFormatError, match="row 1 of subject 'p0': altered, or of another person"):
        Gallery.open(path)
