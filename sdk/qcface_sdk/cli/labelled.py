"""Labelled faces for measuring: a folder with one folder per person, or an .npz of embeddings."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qcface_sdk.calibration.gates import Comparisons
from qcface_sdk.cli.pictures import Image
from qcface_sdk.cli.progress import Progress
from qcface_sdk.engine import FaceEngine
from qcface_sdk.errors import ContractMismatchError, ImageReadError, InputError
from qcface_sdk.evaluation import KINDS, LADDER_SEED, LEVELS, climb
from qcface_sdk.image import IMAGE_SUFFIXES, read_image


@dataclass(frozen=True, slots=True)
class LabelledFaces:
    """The largest face of every picture that has one."""

    embeddings: NDArray[np.float32]
    """(N, D), raw."""
    labels: NDArray[Any]
    """(N,), names of the people."""
    files: tuple[str, ...]
    """(N,), where each came from."""
    crops: tuple[Image, ...]
    """(N,), aligned faces; empty where embeddings were read from a file."""
    skipped: Counter[str]
    """Pictures left out, by reason."""

    @property
    def magnitude(self) -> NDArray[np.float64]:
        """(N,), lengths of the embeddings."""
        return np.asarray(np.linalg.norm(self.embeddings.astype(np.float64), axis=1), np.float64)

    def describe(self) -> str:
        """Return what was left out as one phrase."""
        return ", ".join(f"{count} {reason}" for reason, count in sorted(self.skipped.items()))


def read_labelled(source: Path, engine: FaceEngine) -> LabelledFaces:
    """Embed the pictures of a folder of folders, or read an .npz with `embeddings`, `labels` and `contract`.

    Raises
    ------
    ImageReadError
        If there is nothing to read, or no picture shows a face.
    InputError
        If an .npz lacks an array or they do not fit.
    ContractMismatchError
        If an .npz was made with another model.
    """
    if source.is_file():
        return _read_npz(source, engine.contract)
    return _embed_folder(source, engine)


def _read_npz(source: Path, contract: str) -> LabelledFaces:
    try:
        with np.load(source, allow_pickle=False) as arrays:
            held = {name: arrays[name] for name in ("embeddings", "labels", "contract")}
    except KeyError as error:
        raise InputError(f"{source} must hold embeddings, labels and contract: {error.args[0]}") from error
    except (OSError, ValueError) as error:
        raise ImageReadError(f"{source} is neither a folder nor an .npz file: {error}") from error
    if str(held["contract"]) != contract:
        raise ContractMismatchError(
            f"{source} was made under contract {held['contract']}, the engine has {contract}; embed it again"
        )
    embeddings, labels = held["embeddings"], held["labels"]
    if embeddings.ndim != 2 or labels.shape != (len(embeddings),):
        raise InputError(
            f"{source} must hold embeddings (N, D) and labels (N,), got {embeddings.shape} and {labels.shape}"
        )
    files = tuple(f"row {row}" for row in range(len(labels)))
    return LabelledFaces(embeddings.astype(np.float32), labels, files, (), Counter())


def _embed_folder(folder: Path, engine: FaceEngine) -> LabelledFaces:
    if not folder.is_dir():
        raise ImageReadError(f"{folder} does not exist; pass a folder that holds one folder of pictures per person")
    paths = sorted(path for path in folder.glob("*/*") if path.suffix.lower() in IMAGE_SUFFIXES and path.is_file())
    if not paths:
        raise ImageReadError(f"{folder} must hold one folder of pictures per person, found no PERSON/PICTURE in it")
    rows, labels, files, crops = [], [], [], []
    skipped: Counter[str] = Counter()
    with Progress(len(paths), "pictures") as bar:
        for path in paths:
            try:
                image = read_image(path)
                faces = engine.get(image)
            except InputError:
                skipped["unreadable"] += 1
                bar.advance()
                continue
            if not faces or faces[0].embedding is None:
                skipped["without a face"] += 1
            else:
                rows.append(faces[0].embedding)
                crops.append(engine.align(image, faces[0].kps)[0])
                labels.append(path.parent.name)
                files.append(str(path))
            bar.advance()
    if not rows:
        raise ImageReadError(f"none of the {len(paths)} pictures in {folder} shows a face")
    return LabelledFaces(np.stack(rows), np.array(labels), tuple(files), tuple(crops), skipped)


def damage(faces: LabelledFaces, engine: FaceEngine, count: int) -> Comparisons | None:
    """Damage one face each of up to `count` people in every way and compare it with their next clean picture.

    Returns
    -------
    Comparisons or None
        With magnitudes and the people's numbers in `numpy.unique` order; None where there are no crops, nobody has two
        pictures, or `count` is 0.
    """
    _, which, pictures = np.unique(faces.labels, return_inverse=True, return_counts=True)
    several = np.flatnonzero(pictures > 1)
    if not (len(several) and count and faces.crops):
        return None
    chosen = several[np.linspace(0, len(several) - 1, min(count, len(several))).astype(np.int64)]
    parts: list[tuple[NDArray[np.float64], NDArray[np.float64], float, int]] = []
    with Progress(len(chosen), "damaged faces") as bar:
        for number, person in enumerate(chosen):
            probe, mate = np.flatnonzero(which.reshape(-1) == person)[:2]
            rungs = [climb(faces.crops[probe], kind, seed=LADDER_SEED + number)[1:] for kind in KINDS]
            rows = engine.embed(np.concatenate(rungs)).astype(np.float64)
            other = faces.embeddings[mate].astype(np.float64)
            lengths, mate_length = np.linalg.norm(rows, axis=1), float(np.linalg.norm(other))
            usable = lengths > 0
            similarity = rows[usable] @ other / (lengths[usable] * mate_length)
            parts.append((similarity, lengths[usable], mate_length, int(person)))
            bar.advance()
    sizes = [len(part[0]) for part in parts]
    return Comparisons.of(
        np.concatenate([part[0] for part in parts]),
        np.repeat([part[2] for part in parts], sizes),
        np.concatenate([part[1] for part in parts]),
        np.repeat([part[3] for part in parts], sizes),
    )


DAMAGED_PER_FACE = len(KINDS) * LEVELS
"""Pictures that one damaged face makes."""
