"""Several pictures of one person into one template: which ones count, how much, and when there are enough.

The direction is the magnitude-weighted mean of the unit vectors, which is the normalised sum of the raw embeddings. The
fused quality is the measured share of fused tracks with as much `evidence` that were recognised. Both were chosen by
measurement: ``sdk/docs/decisions.md``, Fusion.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qcface_sdk.checks import check_fraction, check_positive_int
from qcface_sdk.errors import InputError, OptionError
from qcface_sdk.matching import check_same_contract
from qcface_sdk.quality import QualityScale
from qcface_sdk.results import Face
from qcface_sdk.template import Template

CAPACITY = 64
"""Faces a fusion keeps unless told otherwise; a track longer than that loses its least recognizable ones."""

_REPETITION = 4
"""Power of the cosine at which two frames take each other's vote; see `evidence`."""


class Fusion:
    """Evidence about one person, gathered face by face. Made by `FaceEngine.fusion`; one per track and thread.

    What is in use depends on the set of faces alone, never on their order: adding a face and removing it again gives
    the very template that was there before, bit by bit.

    Parameters
    ----------
    contract : str
        Embedding contract id of all faces.
    scale : QualityScale
        Magnitude to quality of the model in use.
    outlier_below : float
        A face whose similarity with the fused others is below this is held to be of somebody else.
    capacity : int, default 64
        Faces kept at most, so that memory is bounded; beyond it the one of the smallest magnitude leaves for good.

    Examples
    --------
    >>> fusion = Fusion("qc1-example", QualityScale([(0.0, 0.0), (50.0, 100.0)]), outlier_below=0.3)
    >>> fusion.count, fusion.quality, fusion.expected_fnmr, fusion.enough(0.1)
    (0, 0.0, 1.0, False)
    """

    def __init__(self, contract: str, scale: QualityScale, *, outlier_below: float, capacity: int = CAPACITY) -> None:
        if not -1 <= outlier_below <= 1:
            raise OptionError(f"outlier_below must be a similarity in -1..1, got {outlier_below!r}")
        self._contract = contract
        self._scale = scale
        self._outlier_below = outlier_below
        self._capacity = check_positive_int("capacity", capacity)
        self._samples: list[_Sample] = []
        self._used: list[_Sample] = []

    def add(self, face: Face, when: float | None = None) -> bool:
        """Add a face and say whether it is in use.

        Parameters
        ----------
        face : Face
            From `FaceEngine.get`.
        when : float or None
            Unix seconds of the picture; ``None`` is now.

        Returns
        -------
        bool
            False if the face is left out: it has no direction, is an outlier, or is the least of more than `capacity`.
            An outlier is kept aside and comes back when later faces agree with it.

        Raises
        ------
        ContractMismatchError
            If the face was embedded by another model.
        InputError
            If it comes from `FaceEngine.detect`, or `when` is not a time.
        """
        sample = self._sample(face, time.time() if when is None else when)
        if sample is None:
            return False
        kept = sorted([*self._samples, sample], key=_order)
        self._choose(kept[-self._capacity :])
        return any(used is sample for used in self._used)

    def remove(self, face: Face) -> None:
        """Take a face out again, whether in use or kept aside.

        Raises
        ------
        InputError
            If the fusion does not hold that face.
        """
        if face.embedding is not None:
            key = face.embedding.tobytes()
            for index, sample in enumerate(self._samples):
                if sample.key == key:
                    self._choose(self._samples[:index] + self._samples[index + 1 :])
                    return
        raise InputError("this fusion does not hold that face; remove what was added, and only once")

    def uses(self, face: Face) -> bool:
        """Return whether a face that was added is in use; False also for one that was not."""
        key = None if face.embedding is None else face.embedding.tobytes()
        return any(sample.key == key for sample in self._used)

    @property
    def count(self) -> int:
        """Number of faces in use."""
        return len(self._used)

    @property
    def set_aside(self) -> int:
        """Number of faces held to be outliers."""
        return len(self._samples) - len(self._used)

    @property
    def quality(self) -> float:
        """Quality of the fused template, 0..100, on the scale of `Face.quality`; 0 while there is none."""
        if not self._used:
            return 0.0
        rows = np.stack([sample.embedding for sample in self._used])
        return self._scale.fused_quality([sample.magnitude for sample in self._used], evidence(rows))

    @property
    def expected_fnmr(self) -> float:
        """Expected false non-match rate of the template at false match rate 1e-4, 0..1."""
        return 1.0 - self.quality / 100.0

    def enough(self, fnmr: float) -> bool:
        """Return whether the expected false non-match rate is at most `fnmr`, so that no more pictures are needed."""
        return self.expected_fnmr <= check_fraction("fnmr", fnmr)

    def template(self) -> Template:
        """Return the fused template of the faces in use.

        Raises
        ------
        InputError
            If no face is in use.
        NotFiniteError
            If they cancel out.
        """
        if not self._used:
            raise InputError("a template needs at least one face, got none in use; add faces first")
        rows = np.stack([sample.embedding for sample in self._used])
        times = [sample.when for sample in self._used]
        return fuse(rows, self._contract, self._scale, created=min(times), updated=max(times))

    def _sample(self, face: Face, when: float) -> _Sample | None:
        if face.embedding is None:
            raise InputError("fusion needs faces with embeddings, got one from detect(); use engine.get(image)")
        check_same_contract(self._contract, face.contract)
        if isinstance(when, bool) or not isinstance(when, (int, float)) or not 0 <= when < math.inf:
            raise OptionError(f"when must be unix seconds, at least 0, got {when!r}")
        length = float(np.linalg.norm(face.embedding.astype(np.float64)))
        if not math.isfinite(length) or length == 0.0:
            return None
        return _Sample(face.embedding, face.embedding.tobytes(), length, float(when))

    def _choose(self, samples: list[_Sample]) -> None:
        self._samples = samples
        if len(samples) < 2:
            self._used = list(samples)
            return
        keep = agreeing(np.stack([sample.embedding for sample in samples]), self._outlier_below)
        self._used = [sample for sample, kept in zip(samples, keep, strict=True) if kept]

    def __repr__(self) -> str:
        return f"Fusion({self.count} in use, {self.set_aside} set aside, quality {self.quality:.0f})"


@dataclass(frozen=True, slots=True, eq=False)
class _Sample:
    embedding: NDArray[np.float32]
    key: bytes
    magnitude: float
    when: float


def _order(sample: _Sample) -> tuple[float, bytes, float]:
    return sample.magnitude, sample.key, sample.when


def agreeing(embeddings: NDArray[np.float32], least: float) -> NDArray[np.bool_]:
    """Return which of several raw embeddings, none of them zero, show the person that most of them show.

    Parameters
    ----------
    embeddings : ndarray of float32, shape (N, D)
        N at least 1.
    least : float
        Smallest similarity of a face with the weighted mean of the others.

    Notes
    -----
    The start is the face that agrees best with all, weighted by magnitude, and those at least `least` similar to it;
    then every face is judged once against the mean of that start, its own share taken out. The start face stays.
    """
    rows = embeddings.astype(np.float64)
    length = np.linalg.norm(rows, axis=1)
    unit = rows / length[:, None]
    similarity = unit @ unit.T
    centre = int(np.argmax(similarity @ length))
    start = similarity[centre] >= least
    start[centre] = True
    others = rows[start].sum(axis=0)[None] - np.where(start[:, None], rows, 0.0)
    size = np.linalg.norm(others, axis=1)
    agreement = np.sum(unit * others, axis=1) / np.where(size > 0, size, 1.0)
    keep: NDArray[np.bool_] = agreement >= least
    keep[centre] = True
    return keep


def evidence(embeddings: NDArray[np.float32]) -> float:
    """Return how much raw embeddings of one person, none of them zero, shape (N, D), say together.

    Returns
    -------
    float
        The length of their sum, with frames that repeat each other counted as one: that of a single face is its
        magnitude, and so is that of a hundred copies of it.

    Notes
    -----
    Face i counts ``1 / sum_j max(0, cos_ij)^4``: different photographs of a person (cosine around 0.3 to 0.5) hardly
    lower each other, frames of one still scene (cosine above 0.9) share one vote.

    Examples
    --------
    >>> row = np.array([[3.0, 4.0]], np.float32)
    >>> evidence(row), evidence(np.repeat(row, 10, axis=0))
    (5.0, 5.0)
    """
    rows = embeddings.astype(np.float64)
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    votes = 1.0 / (np.maximum(unit @ unit.T, 0.0) ** _REPETITION).sum(axis=1)
    return round(float(np.linalg.norm(rows.sum(axis=0)) * votes.mean()), 9)


def fuse(
    embeddings: Any, contract: str, scale: QualityScale, *, created: float | None = None, updated: float | None = None
) -> Template:
    """Return the template of raw embeddings (N, D) of one person, with its quality; raises as `Template`."""
    plain = Template.from_embeddings(embeddings, contract, created)
    rows = np.asarray(embeddings, np.float32)
    quality = scale.fused_quality(np.linalg.norm(rows.astype(np.float64), axis=1), evidence(rows))
    return Template(contract, plain.vector, plain.magnitude, plain.count, plain.created, quality, updated)
