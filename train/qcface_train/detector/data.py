"""The labelled photos: reading `labels.jsonl` and keeping the decoded pictures in memory."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from qcface_train.detector.layout import Floats

Picture = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Photo:
    """One picture with its faces."""

    name: str
    """Path inside the data folder."""
    picture: Picture
    """BGR uint8 (H, W, 3)."""
    boxes: Floats
    """(N, 4) xyxy in pixels."""
    points: Floats
    """(N, 5, 2) xy in pixels."""
    scores: Floats
    """(N,) how sure the label is, in [0, 1]."""
    ignore: Floats
    """(M, 4) boxes that are neither face nor background."""
    source: str
    """Collection the photo comes from; names that start with ``noface`` hold no face."""


def read_photos(folder: Path, split: str) -> list[Photo]:
    """Read all photos of one split.

    Parameters
    ----------
    folder : Path
        Holds ``labels.jsonl`` and the pictures that it names.
    split : str
        ``train`` or ``val``.

    Returns
    -------
    list of Photo
        In the order of the labels file.

    Raises
    ------
    FileNotFoundError
        If the labels or a picture cannot be read.
    """
    labels = folder / "labels.jsonl"
    if not labels.is_file():
        raise FileNotFoundError(f"wanted a folder with labels.jsonl, found none at {labels}; pass the detection data")
    records = (json.loads(line) for line in labels.read_text(encoding="utf-8").splitlines())
    return [_photo_from_record(folder, record) for record in records if record["split"] == split]


def _photo_from_record(folder: Path, record: dict[str, object]) -> Photo:
    name = str(record["image"])
    picture = cv2.imread(str(folder / name), cv2.IMREAD_COLOR)
    if picture is None:
        raise FileNotFoundError(f"wanted a picture at {folder / name}, it is missing or unreadable; restore the data")
    faces: Iterable[dict[str, object]] = record["faces"]  # type: ignore[assignment]
    faces = list(faces)
    return Photo(
        name=name,
        picture=np.ascontiguousarray(picture, dtype=np.uint8),
        boxes=np.array([face["box"] for face in faces], np.float32).reshape(-1, 4),
        points=np.array([face["points"] for face in faces], np.float32).reshape(-1, 5, 2),
        scores=np.array([face["score"] for face in faces], np.float32),
        ignore=_ignored_boxes(record["ignore"]),
        source=str(record["source"]),
    )


def _ignored_boxes(entries: object) -> Floats:
    """Accept plain boxes and objects with a ``box``."""
    boxes = [entry["box"] if isinstance(entry, dict) else entry for entry in entries]  # type: ignore[attr-defined]
    return np.array(boxes, np.float32).reshape(-1, 4)
