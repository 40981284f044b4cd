"""Outputs of a frozen, foreign network for training pictures and test set: what a comparison on one CPU can afford.

Training a network from crops takes millions of pictures, and a comparison takes 18 trainings. Over the outputs of a
network that somebody else trained without any loss on lengths, two layers train in a minute, and what differs between
the losses, above all what the length comes to mean, shows there as well.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from qcface_sdk.evaluation import KINDS, LADDER_SEED, climb
from qcface_train.arguments import Recipe
from qcface_train.augmentation import augment
from qcface_train.data import split_identities
from qcface_train.evaluation.lfw import VerificationSet
from qcface_train.evaluation.protocol import choose_ladder_faces
from qcface_train.evaluation.recognizer import Recognizer
from qcface_train.faces import FaceSet

Floats = NDArray[np.float32]
_BLOCK = 64


@dataclass(frozen=True, slots=True)
class Features:
    """Raw outputs (length F) of the frozen network."""

    train: Floats
    """(N, F), of augmented training pictures."""
    classes: NDArray[np.int64]
    """(N,), 0 to C - 1."""
    test: Floats
    """(T, F), of the verification set."""
    ladder: Floats
    """(K, P, LEVELS + 1, F), of P faces on every rung of every kind of damage."""


def open_features(
    network: Path, recipe: Recipe, faces: FaceSet, test: VerificationSet, folder: Path, *, pictures: int, ladder: int
) -> Features:
    """Compute the features, or read them from `folder` if they are there.

    Parameters
    ----------
    network : Path
        ONNX file from (N, 3, 112, 112), RGB, (x - 127.5) / 127.5, to (N, F).
    recipe : Recipe
        Its data section counts: seed, smallest class, damage of the second phase.
    faces : FaceSet
        Training pictures.
    test : VerificationSet
        The set to measure on.
    folder : Path
        Where the features are kept; an unfinished computation goes on from there.
    pictures : int
        Training pictures, drawn at random; each is augmented once.
    ladder : int
        Faces that climb the ladder.
    """
    data = recipe.data
    split = split_identities(
        faces.labels, data.held_out, data.seed, smallest_class=data.smallest_class, use_unlabelled=False
    )
    rng = np.random.default_rng([data.seed, 11])
    rows = np.sort(rng.permutation(split.train_rows)[:pictures])
    probes, _ = choose_ladder_faces(test.subjects, ladder)
    run = _Resumable(network, folder)

    def training(index: int) -> NDArray[np.uint8]:
        own = np.random.default_rng([data.seed, 12, index])
        crop = np.asarray(faces.images[int(rows[index])])
        return augment(crop, own, data.damage_share[1], data.worst_damage[1])[None, :, :, ::-1]

    def rungs(index: int) -> NDArray[np.uint8]:
        kind, face = divmod(index, len(probes))
        return climb(test.crops[probes[face]], KINDS[kind], seed=LADDER_SEED + face)

    drawn = hashlib.sha256(repr((data, faces.labels.tobytes())).encode()).hexdigest()[:8]
    train = run.embed(f"train-{len(rows)}-{drawn}", len(rows), training)
    return Features(
        train,
        split.train_classes[rows],
        run.embed("test", len(test.crops), lambda index: test.crops[index : index + 1]),
        run.embed(f"ladder-{len(probes)}", len(KINDS) * len(probes), rungs).reshape(
            len(KINDS), len(probes), -1, train.shape[1]
        ),
    )


class _Resumable:
    """Embeds items block by block; each block is a file, so that a stopped computation loses one block."""

    def __init__(self, network: Path, folder: Path) -> None:
        self._network = network
        self._folder = folder / f"features-{hashlib.sha256(network.read_bytes()).hexdigest()[:12]}"

    def embed(self, name: str, count: int, make: Callable[[int], NDArray[np.uint8]]) -> Floats:
        from tqdm import tqdm

        whole = self._folder / f"{name}.npy"
        if whole.is_file():
            return np.asarray(np.load(whole), np.float32)
        parts_folder = self._folder / name
        parts_folder.mkdir(parents=True, exist_ok=True)
        recognizer = Recognizer(self._network, backend="onnxruntime")
        parts = []
        for start in tqdm(range(0, count, _BLOCK), desc=name, mininterval=10):
            path = parts_folder / f"{start}.npy"
            if not path.is_file():
                crops = np.concatenate([make(index) for index in range(start, min(count, start + _BLOCK))])
                scratch = path.with_suffix(".new.npy")
                np.save(scratch, recognizer.embed(np.ascontiguousarray(crops)))
                scratch.replace(path)
            parts.append(np.load(path))
        recognizer.close()
        np.save(whole, np.concatenate(parts))
        return np.asarray(np.concatenate(parts), np.float32)
