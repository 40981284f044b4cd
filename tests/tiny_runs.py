"""Runs of a network so small that a step takes milliseconds, on drawn faces."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import yaml

from qcface_train.arguments import Recipe
from qcface_train.data import split_identities
from qcface_train.distributed import World
from qcface_train.drawing import draw_faces
from qcface_train.loop import Trainer

ROOT = Path(__file__).resolve().parents[1]
STEPS = 14


def tiny_recipe(**parts: dict[str, Any]) -> Recipe:
    """Return the tiny recipe made tinier; `run={"lr": 1.0}` and the like change single values."""
    tiny = Recipe.from_yaml(ROOT / "train/configs/tiny.yaml")
    changes: dict[str, dict[str, Any]] = {
        "model": {"widths": (4, 4, 4, 8, 8), "neck": 8},
        "data": {"drawn": 6, "held_out": 0},
        "loss": {},
        "run": {"steps": STEPS, "batch": 8, "threads": 1, "warmup": 2, "tensorboard": False},
    }
    merged = {
        name: dataclasses.replace(getattr(tiny, name), **(values | parts.get(name, {})))
        for name, values in changes.items()
    }
    return Recipe(**merged)


def make_trainer(recipe: Recipe, folder: Path, **extra: Any) -> Trainer:
    """Return a trainer on the recipe's drawn faces."""
    faces = draw_faces(recipe.data.drawn, 16, recipe.data.seed)
    split = split_identities(faces.labels, recipe.data.held_out, recipe.data.seed)
    return Trainer(recipe, faces, split, None, folder, world=extra.pop("world", World()), **extra)


def write_recipe(recipe: Recipe, path: Path) -> Path:
    """Write a recipe as YAML."""
    path.write_text(yaml.safe_dump(json.loads(json.dumps(dataclasses.asdict(recipe)))))
    return path


def curve(folder: Path) -> dict[int, float]:
    """Return the loss of each step; after a resume the later line of a step counts."""
    lines = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines() if line.endswith("}")]
    return {line["step"]: line["loss"] for line in lines if "loss" in line}


def environment(**extra: str) -> dict[str, str]:
    """Return the variables that a script of the repository needs; one thread, so that several processes get on."""
    paths = os.pathsep.join(str(ROOT / name) for name in ("sdk", "train", "tests"))
    return os.environ | {"PYTHONPATH": paths, "OMP_NUM_THREADS": "1"} | extra


def run_script(recipe_path: Path, folder: Path, *extra: str) -> subprocess.Popen[bytes]:
    """Start train.py."""
    command = [sys.executable, str(ROOT / "train/train.py"), str(recipe_path), "--out", str(folder), *extra]
    return subprocess.Popen(command, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


def wait_for_steps(folder: Path, count: int) -> None:
    """Return when the run in `folder` has logged so many steps, or after five minutes."""
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline:
        if (folder / "log.jsonl").is_file() and (folder / "log.jsonl").read_text().count("\n") >= count:
            return
        time.sleep(0.005)
