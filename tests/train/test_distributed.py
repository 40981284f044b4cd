"""Two processes of gloo do what one does: loss, recognizability and gradients; a run goes on with another number."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("yaml")
pytest.importorskip("tqdm")

if not torch.distributed.is_available() or not torch.distributed.is_gloo_available():
    pytest.skip("this PyTorch has no gloo", allow_module_level=True)

from qcface_train.distributed import World, WorldError  # noqa: E402
from tiny_runs import curve, environment, make_trainer, tiny_recipe, write_recipe  # noqa: E402

WORKER = Path(__file__).with_name("two_processes.py")
SECONDS = 240


def start_two(command: list[str]) -> list[tuple[int, str]]:
    """Run a command as both processes of a run; return their exit codes and outputs."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    processes = [
        subprocess.Popen(
            [sys.executable, *command],
            env=environment(
                RANK=str(rank), LOCAL_RANK=str(rank), WORLD_SIZE="2", MASTER_ADDR="127.0.0.1", MASTER_PORT=port
            ),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for rank in range(2)
    ]
    try:
        outputs = [process.communicate(timeout=SECONDS)[0] for process in processes]
    finally:
        for process in processes:
            process.kill()
    return [(process.returncode, output) for process, output in zip(processes, outputs, strict=True)]


def test_two_processes_give_loss_recognizability_and_gradients_of_one(tmp_path: Path) -> None:
    results = start_two([str(WORKER), str(tmp_path)])
    assert [code for code, _ in results] == [0, 0], results
    sys.path.insert(0, str(WORKER.parent))
    import two_processes

    for name in two_processes.HEADS:
        alone = two_processes.measure(name, World())
        together = np.load(tmp_path / f"{name}-0.npz")
        other = np.load(tmp_path / f"{name}-1.npz")
        assert len(together["weight"]) == 5
        assert len(other["weight"]) == 4
        for key in ("loss", "t"):
            np.testing.assert_allclose(together[key], alone[key], rtol=1e-5)
            np.testing.assert_allclose(other[key], alone[key], rtol=1e-5)
        np.testing.assert_allclose(np.concatenate([together["p"], other["p"]]), alone["p"], rtol=1e-5, atol=1e-7)
        np.testing.assert_allclose(
            np.concatenate([together["weight"], other["weight"]]), alone["weight"], rtol=1e-4, atol=1e-7
        )
        # the network's gradient after the processes' exchange
        np.testing.assert_allclose(together["network"], alone["network"], rtol=1e-4, atol=1e-7)
        np.testing.assert_array_equal(together["network"], other["network"])


def test_run_of_one_process_goes_on_as_two_and_as_one_again(tmp_path: Path) -> None:
    recipe = tiny_recipe(run={"steps": 2, "norm_phase": 0.0})
    make_trainer(recipe, tmp_path / "run").fit(shown=False)
    # The run is at its end; the first process reads the wish and tells the other one.
    (tmp_path / "run/control.json").write_text(json.dumps({"steps": 4, "norm_from": 3}))
    path = write_recipe(recipe, tmp_path / "recipe.yaml")
    script = str(WORKER.parents[2] / "train/train.py")
    results = start_two([script, str(path), "--out", str(tmp_path / "run"), "--resume"])
    assert [code for code, _ in results] == [0, 0], results
    alone = make_trainer(recipe, tmp_path / "run")
    alone.resume()
    assert (alone.step, alone.norm_started_at) == (4, 3)
    assert alone.optimiser.state[alone.classifier.head.weight]["exp_avg"].shape == alone.classifier.head.weight.shape
    alone.train_step(alone.make_batch(4))
    losses = curve(tmp_path / "run")
    assert sorted(losses) == [1, 2, 3, 4]
    assert all(np.isfinite(loss) for loss in losses.values())


def test_world_that_cannot_share_the_work_raises() -> None:
    with pytest.raises(WorldError, match="9 pictures a step"):
        World(0, 2).even_part(9)
    with pytest.raises(WorldError, match="too few"):
        World(0, 4).class_part(5)
    assert [World(rank, 4).class_part(10) for rank in range(4)] == [range(3), range(3, 6), range(6, 9), range(9, 10)]
    assert World(1, 2).even_part(8) == slice(4, 8)


@pytest.mark.parametrize(
    ("run", "message"),
    [({"batch": 24, "accumulate": 8}, "12 pictures a process"), ({"sync_batch_norm": True}, "needs CUDA devices")],
)
def test_recipe_that_two_processes_cannot_follow_is_refused(
    tmp_path: Path, run: dict[str, object], message: str
) -> None:
    """Parts fewer than `accumulate` would never come to the last one, after which gradients are exchanged."""
    with pytest.raises(WorldError, match=message):
        make_trainer(tiny_recipe(run=run), tmp_path, world=World(1, 2))
    assert make_trainer(tiny_recipe(run=run), tmp_path).world.size == 1


def test_more_processes_than_devices_is_a_named_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setenv("LOCAL_RANK", "2")
    with pytest.raises(WorldError, match="there are 2; start fewer"):
        World.open("cuda")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_cuda_that_is_absent_is_a_named_error() -> None:
    with pytest.raises(WorldError, match="PyTorch finds no CUDA device"):
        World.open("cuda")
