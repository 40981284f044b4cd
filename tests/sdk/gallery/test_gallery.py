"""Enrol, identify, remove, list: what they promise, and what they refuse."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from qcface_sdk.errors import (
    ContractMismatchError,
    GalleryError,
    InputError,
    NotFiniteError,
    OptionError,
    ShapeError,
    UnknownSubjectError,
)
from qcface_sdk.gallery import Enrolment, Gallery
from qcface_sdk.results import Outcome, Reason
from qcface_sdk.template import Template

CONTRACT = "qc1-0123456789abcdef0123456789abcdef"


def test_enroll_identify_remove_tell_one_story(path, person):
    with Gallery.open(path) as gallery:
        assert gallery.enroll("ada", person(1)) == Enrolment("ada", template_id=1, count=1, created=1.0)
        assert gallery.enroll("ada", person(2)) == Enrolment("ada", template_id=2, count=2, created=1.0)
        assert gallery.enroll("grace", person(3)).count == 1
        assert (len(gallery), gallery.subjects(), gallery.contract) == (2, ("ada", "grace"), CONTRACT)
        assert gallery.get("ada") == (person(1), person(2))
        for number, name in ((1, "ada"), (2, "ada"), (3, "grace")):
            assert gallery.identify(person(number), threshold=0.7).subject == name
        assert gallery.identify(person(4), threshold=0.7).subject is None
        receipt = gallery.remove("ada")
        assert (receipt.subject, receipt.templates, receipt.crops) == ("ada", 2, 0)
        assert gallery.subjects() == ("grace",)
        assert gallery.identify(person(1), threshold=0.7).subject is None
        assert gallery.enroll("ada", person(1)).template_id == 4


def test_gallery_reopened_holds_what_it_held(path, person, gallery):
    gallery.remove("p3")
    gallery.close()
    with Gallery.open(path) as again:
        assert again.subjects() == tuple(f"p{n}" for n in range(10) if n != 3)
        assert again.identify(person(7), threshold=0.9).subject == "p7"
        assert again.get("p7") == (person(7),)


def test_identify_ranks_by_nearest_template(gallery, person):
    probe = Template.from_embeddings([3 * person(2).vector, 2 * person(5).vector, 1 * person(8).vector], CONTRACT)
    found = gallery.identify(probe, threshold=0.1, k=3)
    assert [candidate.subject for candidate in found.candidates] == ["p2", "p5", "p8"]
    for candidate in found.candidates:
        similarity = probe.similarity(gallery.get(candidate.subject)[0])
        assert candidate.similarity == pytest.approx(similarity, abs=1e-6)
    assert (found.decision, found.reason, found.subject) == (Outcome.ACCEPT, Reason.NONE, "p2")
    assert (found.threshold, found.contract) == (0.1, CONTRACT)


def test_identify_threshold_decides_inclusively(gallery, person):
    probe = Template.from_embeddings([person(2).vector + person(5).vector], CONTRACT)
    best = gallery.identify(probe, threshold=0.0, k=1).candidates[0].similarity
    assert gallery.identify(probe, threshold=best).decision is Outcome.ACCEPT
    above = gallery.identify(probe, threshold=np.nextafter(best, 1))
    assert (above.decision, above.reason, above.subject) == (Outcome.REJECT, Reason.BELOW_THRESHOLD, None)
    assert above.candidates[0].similarity == best


@pytest.mark.parametrize(("k", "candidates"), [(1, 1), (5, 5), (10, 10), (1000, 10)])
def test_identify_k_bounds_the_candidates(gallery, person, k, candidates):
    assert len(gallery.identify(person(0), threshold=0.5, k=k).candidates) == candidates


def test_identify_empty_gallery_rejects(path, person):
    with Gallery.open(path) as gallery:
        found = gallery.identify(person(1), threshold=-1.0)
        assert (found.candidates, found.decision, found.reason) == ((), Outcome.REJECT, Reason.EMPTY_GALLERY)
        assert (found.contract, gallery.contract, len(gallery), gallery.subjects()) == (None, None, 0, ())


def test_identify_gallery_emptied_again_rejects(gallery, person):
    for name in gallery.subjects():
        gallery.remove(name)
    found = gallery.identify(person(1), threshold=-1.0)
    assert (found.candidates, found.reason) == ((), Reason.EMPTY_GALLERY)
    assert gallery.contract == CONTRACT
    gallery.enroll("p1", person(1))
    assert gallery.identify(person(1), threshold=0.9).subject == "p1"


def test_identify_batch_equals_single_calls_in_order(gallery, person, face):
    probes = [person(4), None, person(99), face(np.full(64, np.nan)), face(7 * person(6).vector)]
    together = gallery.identify_batch(probes, threshold=0.5, k=3)
    assert [found.subject for found in together] == ["p4", None, None, None, "p6"]
    for found, probe in zip(together, probes, strict=True):
        alone = gallery.identify(probe, threshold=0.5, k=3)
        assert (found.decision, found.reason) == (alone.decision, alone.reason)
        assert [c.subject for c in found.candidates] == [c.subject for c in alone.candidates]
        np.testing.assert_allclose(
            [c.similarity for c in found.candidates], [c.similarity for c in alone.candidates], atol=1e-6
        )
    assert gallery.identify_batch([], threshold=0.5) == ()


def test_enroll_face_equals_its_template(path, person, face):
    with Gallery.open(path) as gallery:
        gallery.enroll("ada", face(7 * person(1).vector))
        (template,) = gallery.get("ada")
        assert (template.magnitude, template.count) == (pytest.approx(7, rel=1e-6), 1)
        assert gallery.identify(face(0.1 * person(1).vector), threshold=0.99).subject == "ada"


@pytest.mark.parametrize(
    "embedding",
    [np.zeros(64), np.full(64, np.nan), np.r_[np.inf, np.zeros(63)]],
    ids=["zero", "nan", "infinity"],
)
def test_gallery_face_without_direction_is_never_enrolled_or_accepted(gallery, face, embedding):
    found = gallery.identify(face(embedding), threshold=-1.0)
    assert (found.decision, found.reason, found.candidates) == (Outcome.RETRY, Reason.NOT_FINITE, ())
    with pytest.raises(NotFiniteError):
        gallery.enroll("nobody", face(embedding))
    assert "nobody" not in gallery.subjects()


def test_identify_no_face_asks_again(gallery):
    found = gallery.identify(None, threshold=-1.0)
    assert (found.decision, found.reason, found.candidates) == (Outcome.RETRY, Reason.NO_FACE, ())


@pytest.mark.parametrize(
    ("quality", "gate", "decision", "reason"),
    [
        (9.9, 10, Outcome.RETRY, Reason.LOW_QUALITY_A),
        (10.0, 10, Outcome.ACCEPT, Reason.NONE),
        (9.9, None, Outcome.ACCEPT, Reason.NONE),
        (0.0, 0, Outcome.ACCEPT, Reason.NONE),
        (None, 0, Outcome.RETRY, Reason.LOW_QUALITY_A),
        (float("nan"), 0, Outcome.RETRY, Reason.LOW_QUALITY_A),
    ],
)
def test_identify_quality_gate_asks_again_below(gallery, person, face, quality, gate, decision, reason):
    found = gallery.identify(face(person(1).vector, quality=quality), threshold=0.9, retry_below=gate)
    assert (found.decision, found.reason, found.candidates[0].subject) == (decision, reason, "p1")


def test_identify_scores_that_are_no_numbers_are_never_accepted(gallery, person, monkeypatch):
    monkeypatch.setattr("qcface_sdk.gallery.ranking.np.clip", lambda score, low, high: np.nan)
    found = gallery.identify(person(1), threshold=-1.0)
    assert (found.decision, found.reason) == (Outcome.REJECT, Reason.BELOW_THRESHOLD)


@pytest.mark.parametrize(
    "options",
    [
        {"k": 0},
        {"k": -1},
        {"k": 2.5},
        {"k": True},
        {"threshold": float("nan")},
        {"threshold": float("inf")},
        {"threshold": 1.5},
        {"threshold": "0.5"},
        {"threshold": None},
        {"retry_below": -1},
        {"retry_below": 101},
        {"retry_below": float("nan")},
        {"retry_below": "10"},
    ],
    ids=str,
)
def test_identify_option_out_of_range_raises(gallery, person, options):
    with pytest.raises(OptionError):
        gallery.identify(person(1), **{"threshold": 0.5, **options})


@pytest.mark.parametrize("timeout", [0, -1, float("nan"), "5"])
def test_open_timeout_out_of_range_raises(path, timeout):
    with pytest.raises(OptionError, match="timeout"):
        Gallery.open(path, timeout=timeout)
    assert not path.exists()


def test_gallery_of_another_contract_raises_and_changes_nothing(path, gallery, person, face):
    other = person(1, contract="qc1-other")
    words = rf"{path.name} holds embeddings of {CONTRACT}, got qc1-other; .*enrol everyone again"
    with pytest.raises(ContractMismatchError, match=words):
        gallery.enroll("eve", other)
    with pytest.raises(ContractMismatchError, match=words):
        gallery.identify(other, threshold=-1.0)
    with pytest.raises(ContractMismatchError, match=words):
        gallery.identify(face(person(1).vector, contract="qc1-other"), threshold=-1.0)
    for read_only in (False, True):
        with pytest.raises(ContractMismatchError, match=words):
            Gallery.open(path, contract="qc1-other", read_only=read_only)
    with Gallery.open(path, contract=CONTRACT) as same:
        assert len(same) == 10


def test_open_with_contract_binds_an_empty_gallery(path, person):
    with Gallery.open(path, contract=CONTRACT) as gallery:
        assert gallery.contract == CONTRACT
        with pytest.raises(ContractMismatchError):
            gallery.enroll("eve", person(1, contract="qc1-other"))
    with Gallery.open(path) as gallery:
        assert gallery.contract == CONTRACT
        with pytest.raises(ContractMismatchError):
            gallery.identify(person(1, contract="qc1-other"), threshold=0.5)


def test_open_blank_contract_raises(path):
    with pytest.raises(OptionError, match="contract"):
        Gallery.open(path, contract="")


def test_gallery_bound_by_another_handle_is_refused(path, person):
    with Gallery.open(path) as creator, Gallery.open(path, contract="qc1-other", read_only=True) as watcher:
        assert watcher.identify(person(1, contract="qc1-other"), threshold=0.5).reason is Reason.EMPTY_GALLERY
        creator.enroll("ada", person(1))
        with pytest.raises(ContractMismatchError):
            watcher.identify(person(1, contract="qc1-other"), threshold=0.5)


def test_gallery_other_dimension_raises(gallery, person):
    with pytest.raises(ShapeError, match="64 numbers, got 32"):
        gallery.enroll("eve", person(1, dimension=32))
    with pytest.raises(ShapeError, match="64 numbers, got 32"):
        gallery.identify(person(1, dimension=32), threshold=0.5)


@pytest.mark.parametrize(
    "source", [(), [1.0], "ada", 5, np.ones(64, np.float32)], ids=["tuple", "list", "str", "int", "array"]
)
def test_gallery_neither_face_nor_template_raises(gallery, source):
    with pytest.raises(InputError, match="a Face or a Template"):
        gallery.enroll("eve", source)
    with pytest.raises(InputError, match="a Face or a Template"):
        gallery.identify(source, threshold=0.5)


def test_gallery_face_from_detect_raises(path, gallery, face):
    with pytest.raises(InputError, match="engine.get"):
        gallery.enroll("eve", face(None, contract=None))
    with Gallery.open(path.with_name("empty")) as empty, pytest.raises(InputError, match="engine.get"):
        empty.identify(face(None, contract=None), threshold=0.5)


def test_remove_and_get_unknown_subject_raise(gallery):
    for call in (gallery.remove, gallery.get):
        with pytest.raises(UnknownSubjectError, match=r"no subject 'nobody'; gallery.subjects\(\)") as caught:
            call("nobody")
        assert isinstance(caught.value, KeyError)


def test_enroll_unusable_subject_raises(gallery, person):
    with pytest.raises(OptionError, match="subject must be"):
        gallery.enroll("\n", person(1))
    with pytest.raises(OptionError, match="subject must be"):
        gallery.get("")
    with pytest.raises(OptionError, match="subject must be"):
        gallery.remove(7)


def test_gallery_after_close_raises(path, person):
    gallery = Gallery.open(path)
    gallery.close()
    gallery.close()
    calls = (
        lambda: gallery.enroll("ada", person(1)),
        lambda: gallery.identify(person(1), threshold=0.5),
        lambda: gallery.identify_batch([], threshold=0.5),
        lambda: gallery.remove("ada"),
        lambda: gallery.get("ada"),
        gallery.subjects,
        lambda: len(gallery),
        lambda: gallery.contract,
    )
    for call in calls:
        with pytest.raises(GalleryError, match=r"is closed; open it again with Gallery.open"):
            call()
    assert path.name in repr(gallery)


STEPS = st.lists(
    st.tuples(st.sampled_from(["enroll", "enroll", "remove", "reopen"]), st.integers(0, 1), st.integers(0, 5)),
    max_size=12,
)


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(STEPS)
def test_two_handles_any_steps_equal_a_dictionary(person, steps):
    """Both handles see all that either did."""
    held: dict[str, list[Template]] = {}
    with tempfile.TemporaryDirectory() as folder:
        handles = [Gallery.open(Path(folder) / "g"), Gallery.open(Path(folder) / "g")]
        for number, (step, which, subject) in enumerate(steps):
            name, template = f"s{subject}", person(number)
            if step == "enroll":
                held.setdefault(name, []).append(template)
                assert handles[which].enroll(name, template).count == len(held[name])
            elif step == "reopen":
                handles[which].close()
                handles[which] = Gallery.open(Path(folder) / "g")
            elif name in held:
                assert handles[which].remove(name).templates == len(held.pop(name))
            else:
                with pytest.raises(UnknownSubjectError):
                    handles[which].remove(name)
            for handle in handles:
                assert handle.subjects() == tuple(sorted(held))
                for owner, templates in held.items():
                    assert handle.identify(templates[-1], threshold=0.99).subject == owner
                    assert list(handle.get(owner)) == templates
        for handle in handles:
            handle.close()
