from __future__ import annotations

import json
from dataclasses import FrozenInstanceError

import numpy as np
import pytest

from qcface_sdk.results import Candidate, Face, Identification, Outcome, Reason


@pytest.fixture
def face() -> Face:
    vector = np.array([3, 4, 0], np.float32)
    return Face(np.array([10, 20, 40, 70], np.float32), np.ones((5, 2)), 0.9, vector, "qc1-a", 0.4, 55.0)


def test_face_magnitude_is_the_length_of_the_embedding(face: Face) -> None:
    assert face.magnitude == face.embedding_norm == 5.0
    assert face.normed_embedding is not None
    assert face.normed_embedding.tolist() == pytest.approx([0.6, 0.8, 0.0])


def test_face_without_embedding_has_no_magnitude(face: Face) -> None:
    found = Face(face.bbox, face.kps, 0.9)
    assert (found.magnitude, found.normed_embedding, found.quality) == (None, None, None)


def test_face_box_in_other_forms(face: Face) -> None:
    assert face.bbox_xywh.tolist() == [10, 20, 30, 50]
    assert face.size == 30.0


def test_face_cannot_be_changed(face: Face) -> None:
    with pytest.raises(FrozenInstanceError):
        face.quality = 100.0  # type: ignore[misc]
    with pytest.raises(ValueError, match="read-only"):
        face.bbox[0] = 0
    assert face.embedding is not None
    with pytest.raises(ValueError, match="read-only"):
        face.embedding[0] = 0


def test_face_keeps_its_own_copy_of_the_arrays() -> None:
    vector = np.ones(3, np.float32)
    kept = Face(np.zeros(4), np.zeros((5, 2)), 0.5, vector)
    vector[:] = 9
    assert kept.embedding is not None
    assert kept.embedding.tolist() == [1, 1, 1]


def test_face_to_dict_is_json_and_holds_the_embedding_on_request_only(face: Face) -> None:
    assert "embedding" not in json.loads(json.dumps(face.to_dict()))
    assert json.loads(json.dumps(face.to_dict(embedding=True)))["embedding"] == [3, 4, 0]


def test_reason_names_lists_every_flag_once() -> None:
    assert Reason.NONE.names() == ()
    assert (Reason.NO_FACE | Reason.GREY_ZONE).names() == ("grey_zone", "no_face")


@pytest.mark.parametrize("decision", list(Outcome))
def test_identification_subject_is_named_on_accept_only(decision: Outcome) -> None:
    result = Identification((Candidate("ada", 0.8),), 0.5, decision, Reason.NONE, "qc1-a")
    assert result.subject == ("ada" if decision is Outcome.ACCEPT else None)
    assert json.loads(json.dumps(result.to_dict()))["candidates"] == [{"subject": "ada", "similarity": 0.8}]
