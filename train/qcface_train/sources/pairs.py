"""InsightFace's verification sets: a ``.bin`` file of encoded pictures, two a pair, and which pairs are one person."""

from __future__ import annotations

import io
import logging
import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from qcface_sdk.errors import QCFaceError
from qcface_sdk.image import decode_image
from qcface_train.faces import SIDE, DataError

_LOG = logging.getLogger("qcface_train")


@dataclass(frozen=True, slots=True)
class PairSet:
    """Decoded pairs of a verification set."""

    first: NDArray[np.uint8]
    """(P, 112, 112, 3), RGB."""
    second: NDArray[np.uint8]
    """(P, 112, 112, 3), RGB."""
    same: NDArray[np.bool_]
    """(P,), whether the two are one person."""
    skipped: int
    """Pairs left out because one of their pictures is damaged or of another size."""

    def __len__(self) -> int:
        return len(self.same)


class _PlainUnpickler(pickle.Unpickler):
    """Reads lists, tuples, bytes, numbers and truth values; a pickle that asks for code is refused."""

    def find_class(self, module: str, name: str) -> Any:
        """Allow only what Python 2 style byte strings need."""
        if (module, name) == ("_codecs", "encode"):
            return lambda text, encoding: text.encode("latin1" if encoding == "latin1" else "ascii")
        raise pickle.UnpicklingError(f"it asks for {module}.{name}, which a file of pairs never needs")


def open_pairs(path: Path) -> PairSet:
    """Read a ``.bin`` file of pairs.

    Raises
    ------
    DataError
        If the file cannot be read, is not such a file (nothing in it is ever executed), or has no whole pair.
    """
    try:
        content = _PlainUnpickler(io.BytesIO(path.read_bytes()), encoding="bytes").load()
        encoded, same = content
        if len(encoded) != 2 * len(same) or not all(isinstance(item, bytes) for item in encoded):
            raise ValueError(f"expected two pictures a pair, got {len(encoded)} for {len(same)} pairs")
    except (OSError, pickle.UnpicklingError, ValueError, TypeError, EOFError, AttributeError, IndexError) as error:
        raise DataError(f"{path} is not a file of verification pairs ({error})") from error
    pictures: list[tuple[NDArray[np.uint8], NDArray[np.uint8]]] = []
    kept = []
    for number in range(len(same)):
        try:
            one, other = (_decode(data) for data in encoded[2 * number : 2 * number + 2])
        except QCFaceError as error:
            _LOG.warning("%s: pair %d skipped: %s", path.name, number, error)
            continue
        pictures.append((one, other))
        kept.append(bool(same[number]))
    if not kept:
        raise DataError(f"no whole pair of {SIDE}x{SIDE} crops in {path}")
    first, second = (np.stack(side) for side in zip(*pictures, strict=True))
    return PairSet(first, second, np.asarray(kept, np.bool_), len(same) - len(kept))


def _decode(data: bytes) -> NDArray[np.uint8]:
    image = decode_image(data, name="picture")
    if image.shape != (SIDE, SIDE, 3):
        raise QCFaceError(f"it is {image.shape[1]}x{image.shape[0]}, not {SIDE}x{SIDE}")
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), np.uint8)
