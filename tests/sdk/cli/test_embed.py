from __future__ import annotations

from pathlib import Path

import numpy as np

from qcface_sdk.engine import FaceEngine
from qcface_sdk.image import read_image

ANN, BOB = (60, 255, 255), (255, 60, 255)


def test_embed_writes_what_the_engine_gives(qcface, draw, bundle: Path, tmp_path: Path) -> None:
    one, two = draw("one.png", ANN), draw("two.png", ANN, BOB)
    run = qcface("embed", one, two, "--npz", tmp_path / "faces.npz", "--json")
    assert run.code == 0
    assert run.err == ""
    assert (run.document["faces"], run.document["pictures"], run.document["dimension"]) == (3, 2, 512)
    with FaceEngine(bundle) as engine:
        expected = np.stack([face.embedding for path in (one, two) for face in engine.get(read_image(path))])
        contract = engine.contract
    with np.load(tmp_path / "faces.npz") as saved:
        np.testing.assert_allclose(saved["embeddings"], expected, rtol=1e-4, atol=1e-4)
        assert saved["embeddings"].dtype == np.float32
        assert saved["picture"].tolist() == [str(one), str(two), str(two)]
        assert saved["bbox"].shape == (3, 4)
        assert saved["kps"].shape == (3, 5, 2)
        assert saved["quality"].shape == (3,)
        np.testing.assert_allclose(saved["magnitude"], np.linalg.norm(expected, axis=1), rtol=1e-4)
        assert str(saved["contract"]) == contract == run.document["contract"]


def test_embed_largest_takes_one_face_of_each_picture(qcface, draw, tmp_path: Path) -> None:
    run = qcface("embed", draw("two.png", ANN, BOB), "--npz", tmp_path / "faces.npz", "--largest")
    assert run.code == 0
    assert "1 face of 1 picture" in run.out


def test_embed_without_a_face_writes_an_empty_table(qcface, draw, tmp_path: Path) -> None:
    picture = draw("empty.png")
    run = qcface("embed", picture, "--npz", tmp_path / "faces.npz", "--json")
    assert run.code == 3
    assert run.document["without_face"] == [str(picture)]
    with np.load(tmp_path / "faces.npz") as saved:
        assert saved["embeddings"].shape == (0, 512)
        assert saved["bbox"].shape == (0, 4)


def test_embed_unreadable_picture_is_reported(qcface, draw, tmp_path: Path) -> None:
    run = qcface("embed", tmp_path / "none.png", draw("a.png", ANN), "--npz", tmp_path / "faces.npz", "--json")
    assert run.code == 2
    assert run.document["faces"] == 1
    assert run.document["errors"][0]["type"] == "ImageReadError"


def test_embed_into_another_kind_of_file_is_refused(qcface, draw, tmp_path: Path) -> None:
    run = qcface("embed", draw("a.png", ANN), "--npz", tmp_path / "faces.csv")
    assert run.code == 2
    assert ".npz" in run.err
