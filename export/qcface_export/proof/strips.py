"""Ladders of face strips for the report, from pictures that may be shown: public-domain portraits."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from qcface_export.proof.gate import Embed
from qcface_sdk import FaceEngine
from qcface_sdk.demo.photographs import COLLINS, HOPPER
from qcface_sdk.errors import BackendUnavailableError
from qcface_sdk.evaluation import KINDS, LADDER_SEED, climb


@dataclass(frozen=True, slots=True)
class Strip:
    """One portrait on all rungs of one kind of damage."""

    kind: str
    """Kind of damage."""
    credit: str
    """Who is shown and why it may be shown."""
    pictures: tuple[str, ...]
    """JPEG pictures as data URLs."""
    reference: tuple[float, ...]
    """Magnitudes by the reference."""
    candidate: tuple[float, ...]
    """Magnitudes by the candidate."""


def portraits() -> list[tuple[str, NDArray[np.uint8]]]:
    """Return the public-domain portraits that are installed as (credit, aligned crop); none is no error."""
    found = []
    with FaceEngine() as engine:
        for photograph in (COLLINS, HOPPER):
            try:
                image = photograph.read()
            except BackendUnavailableError:
                continue  # the packages that carry them are an extra
            faces = engine.detect(image)
            if faces:
                crop = engine.align(image, faces[0].kps)
                found.append((f"{photograph.person} ({photograph.credit})", np.asarray(crop).reshape(112, 112, 3)))
    return found


def make_strips(reference: Embed, candidate: Embed, kinds: Sequence[str] = KINDS) -> list[Strip]:
    """Return one strip of each kind and portrait."""
    strips = []
    for credit, crop in portraits():
        for kind in kinds:
            rungs = climb(crop, kind, seed=LADDER_SEED)
            lengths = [tuple(np.linalg.norm(embed(rungs), axis=1).tolist()) for embed in (reference, candidate)]
            strips.append(Strip(kind, credit, tuple(_data_url(rung) for rung in rungs), lengths[0], lengths[1]))
    return strips


def _data_url(crop: NDArray[np.uint8]) -> str:
    _, data = cv2.imencode(".jpg", crop, [cv2.IMWRITE_JPEG_QUALITY, 80])
    return "data:image/jpeg;base64," + base64.b64encode(data.tobytes()).decode()
