"""The evaluation script from end to end, on drawn faces with a network made on the spot, and on LFW where it is."""

from __future__ import annotations

import importlib.util
import io
import json
import os
import sys
import tarfile
from pathlib import Path
from types import ModuleType

import cv2
import numpy as np
import pytest

from qcface_sdk.errors import OptionError
from qcface_sdk.evaluation import evaluate_folds, operate, score_all_pairs, score_pairs
from qcface_sdk.manifest import QualityMap, ThresholdRow
from qcface_sdk.strict_json import decode
from qcface_train.evaluation import run
from qcface_train.evaluation.comparisons import measure_identification, measure_templates
from qcface_train.evaluation.lfw import read_lfw
from qcface_train.evaluation.model_card import render_markdown
from qcface_train.evaluation.recognizer import Recognizer
from qcface_train.evaluation.report import render_page
from tiny_models import tiny_recognizer

PEOPLE, PICTURES = 30, 4


@pytest.fixture(scope="module")
def script() -> ModuleType:
    path = Path(__file__).resolve().parents[2] / "train" / "evaluate.py"
    spec = importlib.util.spec_from_file_location("evaluate_script", path)
    module = importlib.util.module_from_spec(spec)
    before = list(sys.path)
    spec.loader.exec_module(module)
    sys.path[:] = before
    return module


@pytest.fixture(scope="module")
def drawn_set(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tar of 30 people, each a smooth random pattern, in four pictures of unequal contrast."""
    rng = np.random.default_rng(7)
    folder = tmp_path_factory.mktemp("drawn")
    with tarfile.open(folder / "drawn.tar", "w") as tar:
        for person in range(PEOPLE):
            pattern = cv2.resize(rng.normal(0, 60, (9, 9, 3)), (112, 112), interpolation=cv2.INTER_CUBIC)
            for number in range(1, PICTURES + 1):
                other = cv2.resize(rng.normal(0, 12, (20, 20, 3)), (112, 112), interpolation=cv2.INTER_CUBIC)
                crop = 127 + pattern * rng.uniform(0.05, 1.2) + other
                data = cv2.imencode(".png", np.clip(crop, 0, 255).astype(np.uint8))[1].tobytes()
                member = tarfile.TarInfo(f"P{person:02d}/P{person:02d}_{number:04d}.png")
                member.size = len(data)
                tar.addfile(member, io.BytesIO(data))
    lines = ["2\t15"]
    for fold in range(2):
        people = range(15 * fold, 15 * fold + 15)
        lines += [f"P{person:02d}\t1\t2" for person in people]
        lines += [f"P{person:02d}\t1\tP{(person + 1) % PEOPLE:02d}\t2" for person in people]
    (folder / "pairs.txt").write_text("\n".join(lines) + "\n")
    return folder


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "recognizer.onnx"
    path.write_bytes(tiny_recognizer())
    return path


@pytest.fixture(scope="module")
def report(script: ModuleType, model: Path, drawn_set: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("report")
    options = ["--ladder-faces", "2", "--replicates", "40", "--retry-fnmr", "0.5", "--data-name", "drawn faces"]
    paths = ["--model", str(model), "--lfw", str(drawn_set), "--output", str(output)]
    files = ["--thresholds", str(output / "rows.json"), "--markdown", str(output / "card.md")]
    assert script.main([*paths, *options, *files]) == 0
    return output


def test_main_drawn_faces_reports_what_the_library_measures(report: Path, model: Path, drawn_set: Path) -> None:
    figures = json.loads((report / "evaluation.json").read_text())
    faces = read_lfw(drawn_set)
    embeddings = Recognizer(model).embed(faces.crops)
    folds = evaluate_folds(score_pairs(embeddings, faces.pairs), faces.same, folds=2)
    assert figures["folds"]["accuracy"] == pytest.approx(folds.mean)
    scores = score_all_pairs(embeddings, faces.subjects, tail=0.5)
    for row in figures["rates"]:
        at = operate(scores, row["fmr"])
        assert row["threshold"] == pytest.approx(at.threshold, abs=1e-6)
        assert row["fnmr"] == pytest.approx(at.fnmr)
    assert figures["data"] == {"name": "drawn faces", "faces": PEOPLE * PICTURES, "subjects": PEOPLE}
    assert set(figures["ladder"]) == {"blur", "size", "noise", "dark", "jpeg", "motion", "occlusion"}


def test_main_report_page_is_one_file_without_names_or_links(report: Path) -> None:
    page = (report / "report.html").read_text()
    assert page.count("<svg") == 6
    assert "http" not in page
    assert "<script" not in page
    assert "P07" not in page + (report / "evaluation.json").read_text()


def test_main_markdown_holds_the_figures_in_whole_tables(report: Path) -> None:
    figures = json.loads((report / "evaluation.json").read_text())
    card = (report / "card.md").read_text()
    assert f"{100 * figures['folds']['accuracy']:.2f} %" in card
    assert f"{100 * figures['search']['rank']['5']:.2f} %" in card
    assert f"{figures['rejection']['measures']['random']['excess_areas']['FMR 0.001']['0.95']:.5f}" in card
    assert "P07" not in card
    tables = [block.splitlines() for block in card.split("\n\n") if block.startswith("|")]
    assert len(tables) >= 7
    for table in tables:
        assert {line.count("|") for line in table} == {table[0].count("|")}


def test_main_card_and_page_give_each_figure_with_its_interval(report: Path) -> None:
    figures = json.loads((report / "evaluation.json").read_text())
    areas = figures["rejection"]["measures"]["random"]["area_intervals"]["FNMR 5 %"]["0.3"]
    mean = figures["ladder_mean"]["interval"]
    shares = [
        figures["search"]["rank_interval"]["1"],
        figures["templates"]["tar_interval"]["equal"]["0.001"],
        figures["magnitude"]["with_ladder"]["span_interval"],
        figures["ladder"]["blur"]["monotone_interval"],
    ]
    wanted = [f"[{100 * low:.2f}, {100 * high:.2f}]" for low, high in filter(None, shares)]
    wanted.append(f"[{areas[0]:.5f}, {areas[1]:.5f}]")
    card, page = (report / "card.md").read_text(), (report / "report.html").read_text()
    for text in wanted:
        assert text in card
        assert text in page
    assert f"[{mean[0]:+.3f}, {mean[1]:+.3f}]" in card
    assert f"{mean[0]:.3f} to {mean[1]:.3f}" in page


def test_figures_that_were_measured_before_there_were_intervals_are_still_shown(report: Path) -> None:
    figures = json.loads((report / "evaluation.json").read_text())
    figures.pop("ladder_mean")
    for part in (figures["search"], figures["templates"], figures["qmagface"], figures["magnitude"]["clean"]):
        for key in ("rank_interval", "tar_interval", "span_interval"):
            part.pop(key, None)
    for found in (*figures["ladder"].values(), *figures["rejection"]["measures"].values()):
        found.pop("monotone_interval", None)
        found.pop("area_intervals", None)
    assert f"| rank 1 | {100 * figures['search']['rank']['1']:.2f} % |" in render_markdown(figures)
    assert "mean of kinds" not in render_page(figures)


def test_main_measures_search_templates_and_the_qmagface_score(report: Path, model: Path, drawn_set: Path) -> None:
    figures = json.loads((report / "evaluation.json").read_text())
    faces = read_lfw(drawn_set)
    embeddings = Recognizer(model).embed(faces.crops)
    search = measure_identification(embeddings, faces.subjects, replicates=40)
    templates = measure_templates(embeddings, faces.subjects, replicates=40)
    assert figures["search"] == json.loads(json.dumps(search))
    assert figures["templates"] == json.loads(json.dumps(templates))
    assert len(figures["qmagface"]["folds"]) == 2


def test_main_manifest_parts_are_accepted_by_the_manifest(report: Path) -> None:
    rows = json.loads((report / "thresholds.json").read_text())
    assert rows == json.loads((report / "rows.json").read_text())
    assert rows["tails"] == []
    assert rows["stretches"] == []  # 30 people are too few
    decoded = [decode(ThresholdRow, row, "thresholds") for row in rows["thresholds"]]
    assert {(row.artifact, row.runtime) for row in decoded} == {("recognizer-fp32", "onnxruntime")}
    assert "drawn faces" in decoded[0].origin
    (entry,) = json.loads((report / "quality.json").read_text())["quality"]
    quality = decode(QualityMap, entry, "quality")
    assert (quality.artifact, quality.runtime) == ("recognizer-fp32", "onnxruntime")
    assert quality.probe_gate.minimum == pytest.approx(50.0)
    assert quality.enroll_gate.minimum >= quality.probe_gate.minimum
    assert "measured FNMR" in quality.probe_gate.origin
    assert quality.fused == ()
    assert "drawn faces" in quality.origin


def test_main_measures_an_onnx_file_between_its_own_lengths(
    script: ModuleType,
    model: Path,
    drawn_set: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def measure(_: object, recognizer: Recognizer, __: object) -> None:
        raise OptionError(f"measured from {recognizer.la:g} to {recognizer.ua:g}")

    monkeypatch.setattr(run, "measure", measure)
    paths = ["--model", str(model), "--lfw", str(drawn_set), "--output", "unused"]
    for words, said in (["--la", "10", "--ua", "60"], "10 to 60"), (["--ua", "60"], "1 to 60"), ([], "1 to 100"):
        assert script.main([*paths, *words]) == 1
        assert f"measured from {said}" in capsys.readouterr().err


def test_main_missing_model_or_data_exits_with_one_and_a_sentence(
    script: ModuleType, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = ["--output", str(tmp_path / "report")]
    assert script.main(["--model", str(tmp_path / "no.onnx"), "--lfw", str(tmp_path), *output]) == 1
    assert "no pictures" in capsys.readouterr().err
    assert script.main(["--model", str(model), "--lfw", str(tmp_path / "none"), *output]) == 1
    assert "does not exist" in capsys.readouterr().err
    assert not (tmp_path / "report").exists()


@pytest.mark.slow
@pytest.mark.skipif(not os.environ.get("QCFACE_REFERENCE"), reason="runs a network over LFW; set QCFACE_REFERENCE=1")
def test_library_published_teacher_on_lfw_gives_its_reference_figures(data_dir: Path) -> None:
    """EdgeFace-XS on the stored crops, against the figures stated beside the data."""
    faces = read_lfw(data_dir / "lfw")
    embeddings = Recognizer(data_dir / "teachers" / "edgeface_xs_fp16w.onnx").embed(faces.crops)
    folds = evaluate_folds(score_pairs(embeddings, faces.pairs), faces.same)
    assert (round(100 * folds.mean, 2), round(100 * folds.std, 2)) == (99.55, 0.28)
    scores = score_all_pairs(embeddings, faces.subjects)
    assert (len(scores.genuine), scores.impostor_count) == (8101, 29_640_749)
    rates = [operate(scores, fmr) for fmr in (1e-3, 1e-4, 1e-5, 1e-6)]
    found = [(round(100 * at.tmr, 2), round(at.threshold, 3)) for at in rates]
    assert found == [(99.37, 0.259), (98.84, 0.324), (97.15, 0.388), (87.57, 0.500)]
