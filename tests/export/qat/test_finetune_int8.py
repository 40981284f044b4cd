"""`export/finetune_int8.py` from the weights of a tiny run to proved files, and what it refuses."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

pytest.importorskip("torch")
pytest.importorskip("torchao", reason="torchao is not installed: pip install 'qcface-sdk[qat]'")
pytest.importorskip("onnxscript")
pytest.importorskip("yaml")

from qcface_train.checkpoint import load_checkpoint, save_checkpoint
from scripts import load_script
from tiny_runs import make_trainer, tiny_recipe, write_recipe

Run = Callable[..., int]
LIMITS = """
[cosine_mean]
at_least = {least}
reason = "of the test"
next_step = "give up"
"""
MASTER = {"recognizer.qat.fp32.onnx", "recognizer.qat.table.json"}
RESULTS = {"proof.json", "recognizer.trt.int8-fp32.onnx", "recognizer.trt.int8.onnx"}


@pytest.fixture(scope="module")
def script(repository: Path) -> ModuleType:
    return load_script(repository, "finetune_int8")


@pytest.fixture
def run(script: ModuleType, tmp_path: Path) -> Run:
    """Run the script on drawn faces; named words replace those of the call that works, True gives a bare option."""
    recipe = tiny_recipe(data={"held_out": 2})
    make_trainer(recipe, tmp_path / "run").save()
    (tmp_path / "limits.toml").write_text(LIMITS.format(least=0.5))

    def call(**changes: object) -> int:
        words = {
            "recipe": write_recipe(recipe, tmp_path / "recipe.yaml"),
            "init": tmp_path / "run/checkpoint.pt",
            "out": tmp_path / "out",
            "limits": tmp_path / "limits.toml",
            "steps": 2,
            "batch": 4,
            "pictures": 12,
            "proof_pictures": 12,
            "ladder_faces": 1,
            "cache": tmp_path / "cache",
        } | changes
        command = [str(words.pop("recipe"))]
        for name, word in words.items():
            command += [f"--{name.replace('_', '-')}"] + ([] if word is True else [str(word)])
        return int(script.main(command))

    return call


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_from_weights_to_proved_files_and_again_from_the_checkpoint(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert run() == 0
    assert RESULTS | MASTER | {"proof.html", "proof-before.html", "tuning.pt", "log.jsonl"} <= names(out)
    assert "cosine_mean" in capsys.readouterr().out
    steps = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in steps] == [1, 2]
    assert all(line["distance"] > 0 and line["qc"] > 0 for line in steps)
    (tmp_path / "limits.toml").write_text(LIMITS.format(least=1.5))
    assert run(resume=True) == 3, "all steps are done: it is only judged again, and by a limit that nothing passes"
    assert "must not ship: cosine_mean" in capsys.readouterr().err
    assert not RESULTS & names(out)
    assert MASTER | {"proof.html", "tuning.pt"} <= names(out), "for a search for layers in float"


def test_what_cannot_be_used_is_status_1_and_one_line(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = write_recipe(tiny_recipe(model={"widths": (4, 4, 8, 8, 8)}, data={"held_out": 2}), tmp_path / "other.yaml")
    none = write_recipe(
        tiny_recipe(data={"drawn": 0, "shards": ("train/*.tar.gz",), "held_out": 2}), tmp_path / "none.yaml"
    )
    few = write_recipe(tiny_recipe(data={"held_out": 0}), tmp_path / "few.yaml")
    foreign, bare = tmp_path / "foreign.pt", tmp_path / "weights.pt"
    save_checkpoint(foreign, {"model": {}, "step": 1})
    save_checkpoint(bare, {"weights": load_checkpoint(tmp_path / "run/checkpoint.pt")["average"]})
    cases = [
        ({"recipe": other}, "does not hold weights of the network"),
        ({"recipe": none, "data": tmp_path}, "train/*.tar.gz"),
        ({"recipe": few}, "raise data.held_out"),
        ({"init": foreign}, "holds no weights"),
        ({"init": bare}, "give the checkpoint.pt of the run"),
        ({"init": tmp_path / "missing.pt"}, "no checkpoint at"),
        ({"steps": 0}, "steps must be at least 1"),
        ({"batch": 0}, "batch"),
        ({"limits": tmp_path / "no.toml"}, "no.toml"),
        ({"resume": True}, "leave --resume out"),
    ]
    for words, message in cases:
        assert run(**words) == 1, words
        error = capsys.readouterr().err
        assert message in error
        assert "Traceback" not in error
    assert not (tmp_path / "out").exists() or not list((tmp_path / "out").iterdir())


def test_without_torchao_it_names_the_line_to_install_it(
    run: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in [
        name for name in sys.modules if name.split(".")[0] == "torchao" or name.startswith("qcface_export.qat")
    ]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "torchao", None)
    assert run() == 1
    assert "pip install 'qcface-sdk[qat]'" in capsys.readouterr().err
