"""Training candidates at equal budget, on drawn faces; and the script that sets it beside their times."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("onnx")
pytest.importorskip("onnxscript")
pytest.importorskip("yaml")
pytest.importorskip("tqdm")

from qcface_export import backbone_comparison, backbone_training  # noqa: E402
from qcface_export.backbone_training import further_columns, train_backbone, with_budget  # noqa: E402
from qcface_train.arguments import ModelArguments, Recipe, RecipeError  # noqa: E402
from scripts import load_script  # noqa: E402
from tiny_runs import curve, tiny_recipe, write_recipe  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]
SMALL: Mapping[str, ModelArguments] = MappingProxyType(
    {
        "edge, thin": ModelArguments(widths=(4, 4, 4, 8, 8), blocks=(1, 1, 1, 1), neck=8),
        "edge (wide)": ModelArguments(widths=(6, 6, 6, 8, 8), blocks=(1, 1, 1, 1), neck=16),
    }
)


@pytest.fixture(autouse=True)
def small_candidates(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backbone_training, "CANDIDATES", SMALL)
    monkeypatch.setattr(backbone_comparison, "CANDIDATES", SMALL)


@pytest.fixture
def recipe() -> Recipe:
    return tiny_recipe(data={"held_out": 2}, run={"norm_phase": 0.0})


def test_networks_see_equally_many_pictures_and_are_measured_on_others(recipe: Recipe, tmp_path: Path) -> None:
    budget = with_budget(recipe, 30)
    found = {name: train_backbone(name, budget, tmp_path, tmp_path, tmp_path) for name in SMALL}
    assert {trained.pictures for trained in found.values()} == {32}  # four batches of eight
    assert all(0 <= trained.tar <= 1 and 0.5 <= trained.accuracy <= 1 for trained in found.values())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["edge-thin", "edge-wide"]
    assert further_columns(found["edge, thin"])["pictures seen"] == "32"


def test_finished_training_is_read_a_stopped_one_resumed_and_one_of_another_budget_refused(
    recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    budget = with_budget(recipe, 32)
    first = train_backbone("edge, thin", budget, tmp_path, tmp_path, tmp_path)
    whole = curve(tmp_path / "edge-thin")
    opened = backbone_training.open_trainer

    def must_not_open(*_: object) -> object:
        raise AssertionError("a finished training was repeated")

    monkeypatch.setattr(backbone_training, "open_trainer", must_not_open)
    assert train_backbone("edge, thin", budget, tmp_path, tmp_path, tmp_path) == first
    with pytest.raises(RecipeError, match="another recipe or budget"):
        train_backbone("edge, thin", with_budget(recipe, 40), tmp_path, tmp_path, tmp_path)
    monkeypatch.setattr(backbone_training, "open_trainer", opened)
    stopped = opened(
        Recipe(SMALL["edge, thin"], budget.data, budget.loss, budget.run), tmp_path, tmp_path, tmp_path / "b/edge-thin"
    )
    stopped.train_step(stopped.make_batch(0))
    (tmp_path / "b/edge-thin").mkdir(parents=True, exist_ok=True)
    stopped.save()
    again = train_backbone("edge, thin", budget, tmp_path, tmp_path, tmp_path / "b")
    assert (again.pictures, again.tar, again.accuracy) == (first.pictures, first.tar, first.accuracy)
    resumed = curve(tmp_path / "b/edge-thin")
    assert min(resumed) == 2
    assert resumed == pytest.approx({step: whole[step] for step in resumed}, rel=1e-6)


def test_budget_without_pictures_or_held_out_identities_is_refused(recipe: Recipe) -> None:
    with pytest.raises(RecipeError, match="above 0"):
        with_budget(recipe, 0)
    with pytest.raises(RecipeError, match=r"set data\.held_out"):
        with_budget(tiny_recipe(), 100)
    assert with_budget(recipe, 17).run.steps == 3


@pytest.fixture
def main() -> Callable[[list[str]], int]:
    found: Callable[[list[str]], int] = load_script(ROOT, "compare_backbones").main
    return found


def test_script_sets_what_was_learned_beside_the_times(
    main: Callable[[list[str]], int], recipe: Recipe, tmp_path: Path
) -> None:
    path = write_recipe(recipe, tmp_path / "recipe.yaml")
    command = ["--train", str(path), "--pictures", "16", "--out", str(tmp_path / "runs"), "--no-int8"]
    command += ["--repeats", "1", "--runtimes", "onnxruntime", "--output", str(tmp_path / "table.md")]
    assert main(command) == 0
    head, _, *rows = (tmp_path / "table.md").read_text().splitlines()
    titles = [title.strip() for title in head.strip("|").split("|")]
    cells = [dict(zip(titles, (cell.strip() for cell in row.strip("|").split("|")), strict=True)) for row in rows]
    assert [row["network"] for row in cells] == list(SMALL)
    assert [row["pictures seen"] for row in cells] == ["16", "16"]
    assert all(0 <= float(row["held-out TAR at FMR 1e-3, %"]) <= 100 for row in cells)
    assert all(row["fp32 onnxruntime, ms"] for row in cells)


def test_script_says_what_is_wrong(
    main: Callable[[list[str]], int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main(["--train", "x.yaml"])
    assert "--train needs --out" in capsys.readouterr().err
    assert main(["--train", str(tmp_path / "none.yaml"), "--out", str(tmp_path)]) == 1
    assert "cannot be read" in capsys.readouterr().err
