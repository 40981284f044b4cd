"""Settings: the shipped file loads, unknown keys and contradictions do not."""

from __future__ import annotations

from pathlib import Path

import pytest

from qcface_train.detector.arguments import DetectorArguments


def test_from_yaml_shipped_config_loads(repository: Path) -> None:
    arguments = DetectorArguments.from_yaml(repository / "train" / "configs" / "detector.yaml")
    assert arguments.sides == (192, 256, 320, 320, 416)


def test_from_mapping_unknown_key_names_it() -> None:
    with pytest.raises(ValueError, match="unknown settings \\['stepz'\\]"):
        DetectorArguments.from_mapping({"stepz": 3})


@pytest.mark.parametrize(
    "values", [{"sides": [100]}, {"sides": []}, {"steps": 0}, {"batch": -1}], ids=["not-32", "none", "steps", "batch"]
)
def test_from_mapping_contradiction_is_rejected(values: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="change"):
        DetectorArguments.from_mapping(values)


def test_from_yaml_list_is_rejected(tmp_path: Path) -> None:
    path = tmp_path / "list.yaml"
    path.write_text("- 1\n", encoding="utf-8")
    with pytest.raises(TypeError, match="mapping"):
        DetectorArguments.from_yaml(path)


def test_changed_none_keeps_the_value() -> None:
    assert DetectorArguments().changed(steps=None, batch=3) == DetectorArguments(batch=3)
