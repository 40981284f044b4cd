"""Fine-tuning brings the rounding network nearer to its master, resumes exactly, and gives a file TensorRT takes."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("torchao", reason="torchao is not installed: pip install 'qcface-sdk[qat]'")
pytest.importorskip("onnxscript")

from qcface_export.calibration import network_input  # noqa: E402
from qcface_export.emit import emit_trt  # noqa: E402
from qcface_export.emit.quantization import symmetric_scale  # noqa: E402
from qcface_export.errors import CalibrationError, ExportError  # noqa: E402
from qcface_export.onnx_from_torch import compare  # noqa: E402
from qcface_export.qat import Placement, Tuned, Tuner, Tuning, tuned_table  # noqa: E402
from qcface_sdk.runtime.trt_build import BuildOptions, build_engine  # noqa: E402
from qcface_train.arguments import LossArguments  # noqa: E402
from qcface_train.checkpoint import CheckpointError  # noqa: E402
from qcface_train.classifier import Classifier  # noqa: E402
from qcface_train.data import Batch  # noqa: E402
from qcface_train.distributed import World  # noqa: E402
from qcface_train.heads import build_margin  # noqa: E402
from qcface_train.norm_terms import build_norm_term  # noqa: E402
from qcface_train.objective import Objective  # noqa: E402
from small_networks import run_on_one_thread, small_pictures  # noqa: E402

CLASSES, STEPS = 4, 12


@pytest.fixture(scope="module")
def objective() -> Objective:
    torch.manual_seed(3)
    loss = LossArguments(p_scale=24.0)
    return Objective(loss, Classifier(CLASSES, 512, build_margin(loss), loss.p_scale, World()), build_norm_term(loss))


@pytest.fixture(scope="module")
def inputs(edge) -> np.ndarray:
    return network_input(small_pictures(4, seed=7), edge.table.preprocessing)


@pytest.fixture(scope="module")
def batch(inputs: np.ndarray) -> Batch:
    return Batch(torch.from_numpy(inputs), torch.arange(len(inputs)) % CLASSES, torch.zeros(len(inputs), 0))


def make_tuner(edge, objective: Objective, **words: float) -> Tuner:
    settings = {"steps": STEPS, "rate": 2e-3, "step_rate": 0.1, "training_loss": 0.0} | words
    return Tuner(edge.network, Placement.of(edge.master, edge.table), objective, Tuning(**settings))


@pytest.fixture(scope="module")
def tuner(edge, objective: Objective, batch: Batch) -> Tuner:
    """At its end."""
    tuner = make_tuner(edge, objective)
    for _ in range(STEPS):
        tuner.train_step(batch)
    return tuner


@pytest.fixture(scope="module")
def tuned(tuner: Tuner) -> Tuned:
    return tuner.result()


@pytest.fixture(scope="module")
def exported(edge, tuned: Tuned):
    return tuned_table(tuned, edge.table)


def distance(one: np.ndarray, two: np.ndarray) -> float:
    return float(np.mean(np.square(one - two).sum(1) / np.square(two).sum(1)))


def test_the_emitted_file_comes_nearer_to_the_master_it_began_as(edge, exported, inputs: np.ndarray) -> None:
    wanted = run_on_one_thread(edge.master, inputs)
    before = run_on_one_thread(emit_trt(edge.master, edge.table, "int8-fp32"), inputs, optimised=False)
    after = run_on_one_thread(emit_trt(*exported, "int8-fp32"), inputs, optimised=False)
    assert distance(after, wanted) < 0.8 * distance(before, wanted)


def test_the_fine_tuned_rounding_network_is_the_file_that_is_emitted_of_it(
    tuner: Tuner, exported, inputs: np.ndarray
) -> None:
    # Its steps are learned ones now and not powers of two, so a sum in another order may turn some halves.
    with torch.inference_mode():
        ours = tuner.student(torch.from_numpy(inputs)).numpy()
    theirs = run_on_one_thread(emit_trt(*exported, "int8-fp32"), inputs, optimised=False)
    plain = run_on_one_thread(exported[0], inputs)
    assert distance(ours, theirs) < 0.1 * distance(plain, theirs)


def test_what_comes_out_is_an_fp32_master_of_the_fine_tuned_weights(edge, tuned: Tuned, exported, inputs) -> None:
    agreement = compare(tuned.network, exported[0], inputs)
    assert agreement.least_cosine > 1 - 1e-5
    assert agreement.largest_norm_error < 1e-3
    before = edge.network.state_dict()
    moved = [name for name, value in tuned.network.state_dict().items() if not torch.equal(value, before[name])]
    assert {name for name in before if name.endswith("weight")} <= set(moved)


def test_the_table_leads_the_emitter_to_the_learned_steps(edge, tuned: Tuned, exported) -> None:
    master, table = exported
    placement = Placement.of(edge.master, edge.table)
    assert set(tuned.steps) == set(placement.steps) - {placement.picture}
    assert all(tuned.steps[name] != placement.steps[name] for name in tuned.steps), "every step was learned"
    for name, step in tuned.steps.items():
        for percentile in (99.99, 99.999, 100):
            assert symmetric_scale(*table.limits(name, percentile), half=True).scale == np.float32(step)
        assert (table.tensors[name].minimum == 0) == (edge.table.tensors[name].minimum == 0)
    table.check_model(master)
    assert type(table).from_json(table.to_json()) == table


def test_rtx_parses_and_builds_the_tuned_file(exported) -> None:
    rtx = pytest.importorskip("tensorrt_rtx", reason="tensorrt-rtx-cu12 is not installed")
    for precision in ("int8", "int8-fp32"):
        assert len(build_engine(rtx, emit_trt(*exported, precision), BuildOptions("int8", level=1)).plan) > 10_000


def test_resumed_it_gives_the_very_weights_of_a_run_that_was_not_stopped(
    edge, objective: Objective, batch: Batch, tmp_path: Path
) -> None:
    first = make_tuner(edge, objective, steps=4, training_loss=1.0)
    for _ in range(2):
        first.train_step(batch)
    first.save(tmp_path)
    for _ in range(2):
        first.train_step(batch)
    second = make_tuner(edge, objective, steps=4, training_loss=1.0)
    second.resume(tmp_path)
    assert second.step == 2
    for _ in range(2):
        second.train_step(batch)
    for name, value in first.student.state_dict().items():
        assert torch.equal(value, second.student.state_dict()[name]), name


def test_at_a_rate_of_0_only_the_ranges_are_learned(edge, objective: Objective, batch: Batch) -> None:
    tuner = make_tuner(edge, objective, steps=2, rate=0.0)
    tuner.train_step(batch)
    tuned = tuner.result()
    assert all(
        torch.equal(value, edge.network.state_dict()[name]) for name, value in tuned.network.state_dict().items()
    )
    assert any(step != tuner.placement.steps[name] for name, step in tuned.steps.items())


def test_a_checkpoint_of_other_settings_weights_or_grids_is_refused(
    tuner: Tuner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(CheckpointError, match=r"no checkpoint at .*tuning\.pt"):
        tuner.resume(tmp_path)
    tuner.save(tmp_path)
    weight = next(iter(tuner.network.state_dict()))
    other = type(tuner.network)((8, 8, 8, 16, 16), (1, 1, 1, 1), 16)
    for name, value in {
        "tuning": dataclasses.replace(tuner.tuning, rate=1.0),
        "placement": dataclasses.replace(tuner.placement, steps=dict(tuner.placement.steps) | {weight: 1.0}),
        "network": other,
    }.items():
        with monkeypatch.context() as patch:
            patch.setattr(tuner, name, value)
            with pytest.raises(CheckpointError, match="begun with other weights, grids or settings"):
                tuner.resume(tmp_path)
    (tmp_path / "tuning.pt").write_bytes(b"half a file")
    with pytest.raises(CheckpointError, match="damaged"):
        tuner.resume(tmp_path)


def test_a_loss_that_is_not_finite_stops_it_and_keeps_the_weights(tuner: Tuner, batch: Batch) -> None:
    before = {name: value.clone() for name, value in tuner.result().network.state_dict().items()}
    with pytest.raises(ExportError, match="is not finite; lower the learning rate"):
        tuner.train_step(Batch(batch.images * torch.nan, batch.classes, batch.targets))
    assert all(torch.equal(value, before[name]) for name, value in tuner.result().network.state_dict().items())


def test_a_table_without_the_tensors_is_refused(edge, tuned: Tuned) -> None:
    missing = next(iter(tuned.steps))
    rest = {name: seen for name, seen in edge.table.tensors.items() if name != missing}
    with pytest.raises(CalibrationError, match=f"does not hold tensor '{missing}'"):
        tuned_table(tuned, dataclasses.replace(edge.table, tensors=rest))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"steps": 0}, "steps must be at least 1, got 0"),
        ({"steps": 1, "rate": -1.0}, "rate of the weights must be at least 0"),
        ({"steps": 1, "rate": float("nan")}, "rate of the weights must be at least 0"),
        ({"steps": 1, "step_rate": -1.0}, "rate of the activations' steps must be at least 0"),
        ({"steps": 1, "rate": 0.0, "step_rate": 0.0}, "nothing changes"),
        ({"steps": 1, "closeness": 0.0, "training_loss": 0.0}, "one of them above it"),
        ({"steps": 1, "closeness": -1.0}, "at least 0"),
    ],
)
def test_settings_that_cannot_train_are_refused(words: dict[str, float], message: str) -> None:
    with pytest.raises(ExportError, match=message):
        Tuning(**words)
