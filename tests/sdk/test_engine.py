from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from qcface_sdk import (
    BackendUnavailableError,
    Bundle,
    ContractMismatchError,
    Face,
    FaceEngine,
    InferenceError,
    InputError,
    ModelFormatError,
    ModelHashError,
    ModelNotFoundError,
    NotFiniteError,
    OptionError,
    Outcome,
    Reason,
    ShapeError,
    ThresholdUnavailableError,
)
from qcface_sdk.measurements import FusedStretch
from qcface_sdk.recognizability import recognizability
from qcface_sdk.template import Template
from tiny_models import tiny_bundle, tiny_files, tiny_manifest, tiny_quality, tiny_recognizer


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_bundle(tmp_path_factory.mktemp("engine") / "bundle")


@pytest.fixture(scope="module")
def tiny(bundle: Path) -> FaceEngine:
    return FaceEngine(model=bundle)


def portraits(image: np.ndarray) -> list[np.ndarray]:
    return [image, cv2.resize(image, None, fx=0.6, fy=0.6), np.zeros((200, 300, 3), np.uint8), image[:, 40:480]]


# -- the shipped model on real portraits -------------------------------------------------------------------------------


def test_get_of_a_portrait_returns_a_complete_face(engine: FaceEngine, astronaut: np.ndarray) -> None:
    faces = engine.get(astronaut)
    assert len(faces) == 1
    face = faces[0]
    assert face.contract == engine.contract
    assert face.embedding is not None
    assert face.embedding.shape == (512,)
    assert face.magnitude == pytest.approx(np.linalg.norm(face.embedding))
    assert face.recognizability == pytest.approx(float(recognizability(face.magnitude)), abs=1e-6)
    assert 0 <= face.quality <= 100
    # the eyes, nose and mouth of the picture, read off by eye (pixels)
    np.testing.assert_allclose(face.kps, [[203, 101], [246, 103], [224, 127], [204, 141], [244, 141]], atol=6)


def test_get_batch_equals_single_pictures(engine: FaceEngine, astronaut: np.ndarray) -> None:
    images = portraits(astronaut)
    together = engine.get_batch(images)
    for faces, image in zip(together, images, strict=True):
        alone = engine.get(image)
        assert len(faces) == len(alone)
        for a, b in zip(faces, alone, strict=True):
            np.testing.assert_array_equal(a.bbox, b.bbox)
            # other batch sizes may take other convolution kernels
            np.testing.assert_allclose(a.embedding, b.embedding, rtol=1e-3, atol=1e-3)


def test_detect_equals_get_without_embeddings(engine: FaceEngine, astronaut: np.ndarray) -> None:
    found, got = engine.detect(astronaut), engine.get(astronaut)
    assert [face.bbox.tolist() for face in found] == [face.bbox.tolist() for face in got]
    assert all(face.embedding is None for face in found)


def test_embed_of_aligned_crops_equals_get(engine: FaceEngine, astronaut: np.ndarray) -> None:
    face = engine.get(astronaut)[0]
    rows = engine.embed(engine.align(astronaut, face.kps))
    # the crop was rounded to 8 bits on the way, and a network in 8 bits rounds the difference again
    least = 0.998 if engine.precision == "int8" else 0.9995
    assert float(rows[0] @ face.embedding / np.linalg.norm(rows[0]) / face.magnitude) > least
    assert np.linalg.norm(rows[0]) == pytest.approx(face.magnitude, rel=0.02)


@pytest.mark.parametrize("share", [0.6, 0.7, 0.8, 0.9])
@pytest.mark.parametrize("height", [240, 480, 1080])
def test_detect_finds_a_face_that_fills_the_frame(
    engine: FaceEngine, astronaut: np.ndarray, share: float, height: int
) -> None:
    """The door case: someone stands so close that the face takes most of the frame's height."""
    x1, y1, x2, y2 = engine.detect(astronaut)[0].bbox
    side = (y2 - y1) / share
    scale = height / side
    centre = np.array([(x1 + x2) / 2, (y1 + y2) / 2])
    matrix = np.array([[scale, 0, height * 2 / 3 - scale * centre[0]], [0, scale, height / 2 - scale * centre[1]]])
    frame = cv2.warpAffine(astronaut, matrix, (height * 4 // 3, height), borderMode=cv2.BORDER_REPLICATE)
    faces = engine.detect(frame)
    assert faces
    expected = np.array([x1, y1, x2, y2]).reshape(2, 2) * scale + matrix[:, 2]
    np.testing.assert_allclose(faces[0].bbox.reshape(2, 2), expected, atol=0.12 * height)


def test_verify_of_the_same_portrait_accepts(engine: FaceEngine, astronaut: np.ndarray) -> None:
    brighter = cv2.convertScaleAbs(astronaut, alpha=0.85, beta=5)
    match = engine.verify(engine.get(astronaut)[0], engine.get(brighter)[0], fmr=1e-4)
    assert (match.decision, match.reason) == (Outcome.ACCEPT, Reason.NONE)
    assert match.similarity >= match.threshold == engine.threshold(1e-4)


def test_verify_of_two_people_rejects(engine: FaceEngine, astronaut: np.ndarray, hopper: np.ndarray) -> None:
    match = engine.verify(engine.get(astronaut)[0], engine.get(hopper)[0], fmr=1e-3)
    assert (match.decision, match.reason) == (Outcome.REJECT, Reason.BELOW_THRESHOLD)


def test_quality_falls_as_the_portrait_is_blurred(engine: FaceEngine, astronaut: np.ndarray) -> None:
    kps = engine.detect(astronaut)[0].kps
    crops = [engine.align(cv2.GaussianBlur(astronaut, (0, 0), s) if s else astronaut, kps)[0] for s in (0, 2, 4, 8)]
    magnitudes = np.linalg.norm(engine.embed(crops), axis=1)
    qualities = engine.quality(magnitudes)
    assert (np.diff(magnitudes) < 0).all()
    assert qualities[0] > qualities[-1]


def test_threshold_is_stricter_at_a_lower_rate(engine: FaceEngine) -> None:
    rates = [1e-3, 3e-4, 1e-4, 1e-5]
    values = [engine.threshold(rate) for rate in rates]
    assert values == sorted(values)
    assert len(set(values)) == len(values)


def test_get_from_eight_threads_equals_one(engine: FaceEngine, astronaut: np.ndarray, hopper: np.ndarray) -> None:
    images = [astronaut, hopper, cv2.resize(astronaut, None, fx=0.7, fy=0.7)] * 8
    expected = [engine.get(image) for image in images[:3]]
    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(engine.get, images))
    for index, faces in enumerate(results):
        for a, b in zip(faces, expected[index % 3], strict=True):
            np.testing.assert_array_equal(a.embedding, b.embedding)
            np.testing.assert_array_equal(a.bbox, b.bbox)


def test_detector_by_path_drops_in(data_dir: Path, astronaut: np.ndarray, engine: FaceEngine) -> None:
    with FaceEngine(detector=data_dir / "teachers" / "yunet_n_dynamic.onnx") as other:
        theirs, ours = other.get(astronaut), engine.get(astronaut)
    assert other.verify(theirs[0], ours[0]).decision is Outcome.ACCEPT


# -- the border, on tiny models ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"threads": 0}, OptionError, "threads"),
        ({"threads": -2}, OptionError, "threads"),
        ({"min_face": 0}, OptionError, "min_face"),
        ({"min_face": float("nan")}, OptionError, "min_face"),
        ({"batch_size": 0}, OptionError, "batch_size"),
        ({"score_threshold": 1.5}, OptionError, "score_threshold"),
        ({"precision": "fp7"}, OptionError, "precision"),
        ({"precision": "int8"}, ModelNotFoundError, "int8"),
        ({"backend": "abacus"}, BackendUnavailableError, "abacus"),
        ({"model": "nowhere"}, ModelNotFoundError, "nowhere"),
        ({"detector": "nowhere.onnx"}, ModelNotFoundError, r"nowhere\.onnx"),
    ],
)
def test_engine_with_a_bad_option_says_what_to_do(
    bundle: Path, options: dict[str, object], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        FaceEngine(**{"model": bundle, **options})


@pytest.mark.parametrize("data", [b"", b"not an ONNX file", tiny_recognizer()[:500], tiny_recognizer()])
def test_engine_with_a_foreign_detector_is_refused(bundle: Path, tmp_path: Path, data: bytes) -> None:
    file = tmp_path / "detector.onnx"
    file.write_bytes(data)
    with pytest.raises(ModelFormatError):
        FaceEngine(model=bundle, detector=file)


def test_engine_with_a_tampered_bundle_is_refused(tmp_path: Path) -> None:
    folder = tiny_bundle(tmp_path / "bundle")
    file = next(folder.glob("recognizer*.onnx"))
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(bytes(data))
    with pytest.raises(ModelHashError, match=file.name):
        FaceEngine(model=folder)


@pytest.mark.parametrize("call", ["get", "detect"])
@pytest.mark.parametrize("image", [None, np.zeros((50, 50), np.uint8), np.zeros((50, 50, 3), np.float32)])
def test_get_of_no_picture_is_refused(tiny: FaceEngine, call: str, image: object) -> None:
    with pytest.raises(ShapeError, match="image must be BGR uint8"):
        getattr(tiny, call)(image)


def test_embed_of_nan_crops_is_refused(tiny: FaceEngine) -> None:
    with pytest.raises(NotFiniteError, match="NaN"):
        tiny.embed(np.full((1, 112, 112, 3), np.nan))


def test_embed_of_no_crops_is_empty(tiny: FaceEngine) -> None:
    assert tiny.embed(np.empty((0, 112, 112, 3), np.uint8)).shape == (0, 512)


def test_embed_in_batches_equals_one_by_one(tiny: FaceEngine, rng: np.random.Generator) -> None:
    crops = rng.integers(0, 256, (37, 112, 112, 3), dtype=np.uint8)
    alone = np.concatenate([tiny.embed(crop[None]) for crop in crops])
    np.testing.assert_allclose(tiny.embed(crops), alone, rtol=1e-4, atol=1e-4)


def test_embed_that_gives_a_zero_vector_is_an_error(tmp_path: Path) -> None:
    # A recogniser whose last weights are zero: loads, runs, and says nothing.
    files = {**tiny_files(), "recognizer.fp32.onnx": tiny_recognizer(gain=0.0)}
    Bundle.create(tiny_manifest(files), files).save_folder(tmp_path / "bundle")
    broken = FaceEngine(model=tmp_path / "bundle")
    with pytest.raises(InferenceError, match="no embedding"):
        broken.embed(np.full((1, 112, 112, 3), 200, np.uint8))


def test_threshold_beyond_the_table_is_refused(tiny: FaceEngine) -> None:
    with pytest.raises(ThresholdUnavailableError):
        tiny.threshold(1e-12)


def test_verify_without_a_face_asks_to_retry(tiny: FaceEngine) -> None:
    match = tiny.verify(None, None)
    assert (match.decision, match.reason) == (Outcome.RETRY, Reason.NO_FACE)


def test_verify_asks_more_of_fused_templates(bundle: Path) -> None:
    own = FaceEngine(model=bundle, backend="onnxruntime")
    calibration = own.calibration
    entry = FusedStretch(calibration.artifact, calibration.runtime, 0.5, 1.1, (1.05, 1.2), 100, 4950, "drawn")
    engine = FaceEngine(model=bundle, backend="onnxruntime", calibration=replace(calibration, stretches=(entry,)))
    rows = np.eye(512, dtype=np.float32)[:2] * 50
    single, fused = (Template.from_embeddings(np.repeat(rows[:1], count, axis=0), engine.contract) for count in (1, 4))
    probe = Face(np.zeros(4), np.zeros((5, 2)), 0.9, rows[0], engine.contract, 0.5, 99.0)
    rate = next(row.fmr for row in engine.threshold_rows if row.supported)
    plain = engine.threshold(rate)
    assert engine.stretch(1) == 1.0 < engine.stretch(4) < engine.stretch(None) == 1.2
    four = engine.stretch(4)
    for a, b, factor in ((probe, single, 1.0), (probe, fused, four), (fused, fused, four**2)):
        assert engine.verify(a, b, rate).threshold == pytest.approx(min(1.0, plain * factor))
    # Nothing is known of this template's quality, so it is not trusted, however alike.
    assert engine.verify(probe, fused, rate).decision is Outcome.RETRY
    assert own.verify(fused, fused, rate).threshold == plain
    assert own.stretch(64) == 1.0
    with pytest.raises(OptionError):
        own.stretch(0)


def test_template_of_faces_carries_the_contract(tiny: FaceEngine, rng: np.random.Generator) -> None:
    faces = [
        Face(np.zeros(4), np.zeros((5, 2)), 0.9, rng.normal(0, 1, 512), tiny.contract, 0.5, 50.0) for _ in range(3)
    ]
    template = tiny.template(faces)
    assert (template.contract, template.count) == (tiny.contract, 3)
    assert tiny.template(faces[0]).count == 1


def test_template_of_unusable_faces_is_refused(tiny: FaceEngine) -> None:
    box, points = np.zeros(4), np.zeros((5, 2))
    with pytest.raises(InputError, match="at least one face"):
        tiny.template([])
    with pytest.raises(InputError, match="detect"):
        tiny.template(Face(box, points, 0.9))
    with pytest.raises(ContractMismatchError):
        tiny.template(Face(box, points, 0.9, np.ones(512), "qc1-other", 0.5, 50.0))


def test_engine_after_close_refuses_to_work(bundle: Path) -> None:
    with FaceEngine(model=bundle) as closed:
        pass
    closed.close()
    with pytest.raises(InferenceError, match="closed"):
        closed.embed(np.zeros((1, 112, 112, 3), np.uint8))


def test_get_on_many_frame_sizes_keeps_its_memory(bundle: Path) -> None:
    """After the largest frame, sixty other sizes must not add to the peak: nothing is kept per size."""
    code = f"""
import resource
import numpy as np
from qcface_sdk import FaceEngine
engine = FaceEngine(model={str(bundle)!r}, min_face=60)
frames = [np.full((300 + 13 * i, 1300 - 11 * i, 3), 7 * i % 256, np.uint8) for i in range(60)]
engine.get(np.full((1100, 1320, 3), 255, np.uint8))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for frame in frames:
    engine.get(frame)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True)
    assert int(done.stdout) < 40_000, f"{done.stdout} KiB more"


def test_gates_are_those_of_the_artefact_in_use(tmp_path: Path) -> None:
    files = tiny_files()
    both = tiny_quality(retry_below=15.0, enroll_below=40.0)
    quality = (both[0], replace(both[1], probe_gate=both[1].enroll_gate))
    Bundle.create(tiny_manifest(files, quality=quality), files).save_folder(tmp_path / "bundle")
    with FaceEngine(model=tmp_path / "bundle", backend="onnxruntime") as gated:
        assert (gated.retry_below, gated.enroll_below) == (15.0, 40.0)
        assert (gated.probe_gate, gated.enroll_gate) == (both[0].probe_gate, both[0].enroll_gate)


def test_fusion_of_one_face_is_the_template_of_it(engine: FaceEngine, astronaut: np.ndarray) -> None:
    (face,) = engine.get(astronaut)
    fusion = engine.fusion()
    assert fusion.add(face, when=7.0)
    made = fusion.template()
    assert made.vector.tobytes() == engine.template(face).vector.tobytes()
    assert made.quality == engine.template(face).quality == pytest.approx(face.quality)


def test_fusion_needs_thresholds_to_tell_outliers(tmp_path: Path) -> None:
    files = tiny_files()
    Bundle.create(tiny_manifest(files, thresholds=()), files).save_folder(tmp_path / "bundle")
    with FaceEngine(model=tmp_path / "bundle") as bare, pytest.raises(ThresholdUnavailableError, match="outlier"):
        bare.fusion()


def test_reasons_are_reachable_from_a_face_where_they_are_asked_for(engine: FaceEngine, astronaut: np.ndarray) -> None:
    face, plain = engine.get(astronaut, reasons=True)[0], engine.get(astronaut)[0]
    assert plain.quality_reasons is None
    assert "quality_reasons" not in plain.to_dict()
    assert face.quality_reasons == engine.assess(astronaut, plain).readings
    assert face.to_dict()["quality_reasons"][0]["name"] == face.quality_reasons[0].name
    assert face.quality == plain.quality
    detected = engine.detect(astronaut, reasons=True)[0]
    assert detected.quality_reasons is not None
    assert [reading.name for reading in detected.quality_reasons] == [r.name for r in face.quality_reasons]
    assert [len(faces) for faces in engine.get_batch([astronaut[:40, :40], astronaut], reasons=True)] == [0, 1]
