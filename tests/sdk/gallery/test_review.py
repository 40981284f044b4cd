"""What a review of a gallery says, and that it says nothing biometric."""

from __future__ import annotations

import json
import re
import sqlite3

import numpy as np
import pytest

from qcface_sdk.errors import EnrolmentRefusedError, GalleryFormatError
from qcface_sdk.gallery import EnrolmentIssue, Gallery, review, store
from qcface_sdk.gallery.keyring import Keyring
from qcface_sdk.template import Template

CONTRACT = "qc1-0123456789abcdef0123456789abcdef"
DAY = 86_400.0


class Engine:
    contract, retry_below, enroll_below = CONTRACT, 20.0, 40.0

    def quality(self, magnitudes: np.ndarray) -> np.ndarray:
        return np.asarray(magnitudes, np.float64) * 10

    def threshold(self, fmr: float) -> float:
        return {1e-5: 0.8, 1e-4: 0.7}[fmr]


@pytest.fixture
def judged(path, gallery):
    gallery.close()
    with Gallery.open(path, engine=Engine()) as opened:
        yield opened


def like(person, number: int, other: int, share: float, magnitude: float = 9.0) -> Template:
    vector = person(number).vector + share * person(other).vector
    return Template.from_embeddings([magnitude * vector / np.linalg.norm(vector)], CONTRACT, created=1.0)


def said(found, start: str) -> str:
    (sentence,) = (sentence for sentence in found.attention if sentence.startswith(start))
    return sentence


def test_review_finds_every_pair_that_looks_like_one_person_and_counts_chance(judged, person):
    judged.enroll("p3", like(person, 3, 60, 0.1))
    judged.enroll("twin", like(person, 3, 61, 0.3), force=True)
    judged.enroll("near", like(person, 5, 62, 1.0), force=True)
    doubles = review(judged).doubles
    assert [(pair.first, pair.second) for pair in doubles.found] == [("p3", "twin")]
    similarities = [one.similarity(judged.get("twin")[0]) for one in judged.get("p3")]
    assert doubles.found[0].similarity == pytest.approx(max(similarities), abs=1e-6)
    # 13 templates of 12 people: every pair but the one of two templates of p3
    assert (doubles.threshold, doubles.fmr, doubles.pairs) == (0.8, 1e-5, 13 * 12 // 2 - 1)
    assert doubles.by_chance == pytest.approx(77e-5)
    assert "chance alone would give about 0.00077" in said(review(judged), "Likely one person under two ids: 1;")
    assert review(judged, doubles=False).doubles is None


def test_review_asks_more_of_fused_templates(path, gallery, person):
    class Stretching(Engine):
        def stretch(self, pictures: int | None) -> float:
            return 1.0 if pictures == 1 else 1.1

    gallery.close()
    near = person(3).vector + 0.6 * person(60).vector
    fused = Template.from_embeddings([9 * near, 9 * near], CONTRACT, created=1.0)
    with Gallery.open(path, engine=Stretching()) as opened:
        opened.enroll("fused", fused)
        assert opened.get("p3")[0].similarity(fused) > 0.8
        assert review(opened).doubles.found == ()
        with pytest.raises(EnrolmentRefusedError, match="looks like 'fused'"):
            opened.enroll("single", Template.from_embeddings([9 * near], CONTRACT, created=1.0))
        opened.enroll("p3", fused, force=True)
        assert [(pair.first, pair.second) for pair in review(opened).doubles.found] == [("fused", "p3")]


def test_review_of_many_looks_at_each_template_once(judged, person, monkeypatch):
    monkeypatch.setattr("qcface_sdk.gallery.reviewing._AT_ONCE", 3)
    judged.enroll("twin", like(person, 9, 61, 0.1), force=True)
    steps: list[int] = []
    found = review(judged, progress=steps.append)
    assert [(pair.first, pair.second) for pair in found.doubles.found] == [("p9", "twin")]
    assert (found.unsealed, found.doubles.pairs, sum(steps)) == (11, 55, 22)


def test_review_says_who_is_below_the_gate_worst_first(judged, person):
    low = EnrolmentIssue.LOW_QUALITY
    judged.enroll("mixed", like(person, 50, 51, 0.0, 3.0), allow=low)
    judged.enroll("mixed", like(person, 50, 52, 0.1, 8.0))
    judged.enroll("poor", like(person, 53, 54, 0.0, 3.9), allow=low)
    judged.enroll("poorer", like(person, 55, 56, 0.0, 1.0), allow=low)
    found = review(judged)
    # those enrolled without an engine have no known quality
    assert [one.subject for one in found.below_gate] == [*(f"p{number}" for number in range(10)), "poorer", "poor"]
    (mixed,) = (one for one in found.people if one.subject == "mixed")
    assert (mixed.templates, mixed.worst, mixed.best) == (2, pytest.approx(30), pytest.approx(80))
    assert "12 people. Expect refusals" in said(found, "No picture known to pass the enrolment gate (quality 40)")


def test_review_without_an_engine_applies_no_gate_and_compares_nobody(gallery):
    found = review(gallery)
    assert (found.enroll_below, found.below_gate, found.doubles) == (None, (), None)
    assert found.unsealed == 10


def test_review_says_whose_time_is_over_or_near_and_what_is_not_noted(gallery):
    now = store.time.time()
    for name, days in (("p1", -1), ("p2", 10), ("p3", 29), ("p4", 31)):
        gallery.set_terms(name, expires=now + days * DAY, consent="form 17")
    found = review(gallery)
    assert [one.subject for one in found.ending()] == ["p1", "p2", "p3"]
    assert said(found, "Time is over: 1 person")
    assert said(found, "Time ends within 30 days: 2 people")
    assert said(found, "Without an end: 6 people")
    assert said(found, "Without a note of consent: 6 people")


def test_review_follows_backups_and_copies_of_the_keys(path, gallery, person, tmp_path):
    fresh = review(gallery)
    assert (fresh.keys.last_backup, fresh.keys.last_copy, fresh.keys.removed_since) == (None, None, 0)
    assert said(fresh, "No backup is noted")
    assert said(fresh, "No copy of the wrapped keys is noted")
    gallery.backup(tmp_path / "copy")
    gallery.remove("p1")
    gallery.backup_keys(tmp_path / "keys")
    kept = review(gallery)
    assert (kept.keys.keys, kept.keys.removed_since) == (9, 0)
    assert not [sentence for sentence in kept.attention if "backup" in sentence]
    gallery.set_terms("p2", expires=1000.0)
    gallery.expire()
    gallery.remove("p3")
    found = review(gallery)
    assert (found.keys.keys, found.keys.removed_since) == (7, 2)
    assert said(found, "Removed, and still readable with the copy of the wrapped keys: 2 people")
    gallery.export(tmp_path / "some", "correct horse battery", subjects=["p5"])
    gallery.import_from(tmp_path / "some", "correct horse battery", conflict="replace")
    assert review(gallery).keys.removed_since == 3


def test_review_says_what_backup_and_copy_do_not_have_yet(gallery, person, tmp_path):
    gallery.backup(tmp_path / "copy")
    gallery.enroll("first", person(50))
    gallery.backup_keys(tmp_path / "keys")
    gallery.enroll("second", person(51))
    gallery.enroll("p3", person(52))  # the same key
    found = review(gallery)
    assert (found.keys.not_backed_up, found.keys.not_copied, found.keys.rotated_since) == (2, 1, False)
    assert said(found, "Enrolled since the last backup: 2 people")
    assert said(found, "Not in the copy of the wrapped keys, so lost with the disk: 1 person")
    gallery.rotate_key()
    assert said(review(gallery), "The copy of the wrapped keys opens with an earlier master key only")
    gallery.backup_keys(tmp_path / "keys")
    gallery.backup(tmp_path / "later")
    assert not [sentence for sentence in review(gallery).attention if "copy" in sentence or "backup" in sentence]


def test_review_says_where_the_master_key_lies_and_never_what_it_is(path, gallery, tmp_path):
    secret = (path.parent / f"{path.name}.key").read_text().strip()
    beside = review(gallery)
    assert beside.keys.beside_the_data
    assert said(beside, "The master key lies beside the gallery")
    (tmp_path / "elsewhere").mkdir()
    gallery.rotate_key(tmp_path / "elsewhere" / "master.key")
    away = review(gallery)
    assert not away.keys.beside_the_data
    assert secret not in json.dumps(beside.to_dict()) + json.dumps(away.to_dict())


def test_review_says_that_a_key_is_still_to_be_overwritten(gallery, monkeypatch):
    monkeypatch.setattr(Keyring, "shred", lambda self, slots: (_ for _ in ()).throw(OSError(28, "full")))
    with pytest.raises(OSError, match="full"):
        gallery.remove("p3")
    monkeypatch.undo()
    found = review(gallery)
    assert found.keys.waiting == 1
    assert said(found, "Keys of removed people still to be overwritten: 1.")


def test_review_of_a_damaged_gallery_raises(path, gallery):
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE template SET data = zeroblob(500) WHERE template_id = 4")
    connection.close()
    with pytest.raises(GalleryFormatError, match="row 4 of subject 'p3': altered"):
        review(gallery)


def test_review_holds_nothing_biometric(gallery, person):
    text = json.dumps(review(gallery).to_dict())
    assert not {"vector", "data", "magnitude", "embedding"} & set(text.replace('"', " ").split())
    numbers = {float(found) for found in re.findall(r"-?\d+\.\d+(?:e-?\d+)?", text)}
    for number in (0, 7):
        for value in person(number).vector[:20]:
            assert not any(abs(found - float(value)) < 5e-5 for found in numbers)


def test_review_of_an_empty_gallery(path):
    with Gallery.open(path, engine=Engine()) as empty:
        found = review(empty)
    assert (found.people, found.unsealed, found.doubles.found, found.doubles.pairs) == ((), 0, (), 0)
