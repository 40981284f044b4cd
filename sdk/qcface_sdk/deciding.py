"""The part of an engine that decides: compare, fuse, say why."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from qcface_sdk.calibration.calibrated import Calibrated
from qcface_sdk.checks import check_image
from qcface_sdk.errors import InputError, ThresholdUnavailableError
from qcface_sdk.fusion import CAPACITY, Fusion, fuse
from qcface_sdk.matching import ask_more, check_same_contract, compare_faces, grey_zone_from, pictures_of
from qcface_sdk.quality import QualityReport, assess_faces
from qcface_sdk.results import Face, Match
from qcface_sdk.template import Template

OUTLIER_SHARE = 0.6
"""A face is an outlier of a fusion below this share of the loosest measured threshold (sdk/docs/decisions.md)."""


class Deciding(Calibrated):
    """Comparisons, fusion and reasons on one calibration. Every method is thread-safe."""

    @property
    def contract(self) -> str:
        """Embedding contract id: only embeddings with the same id may be compared."""
        return self._calibration.contract

    def verify(self, face_a: Face | Template | None, face_b: Face | Template | None, fmr: float = 1e-4) -> Match:
        """Compare two faces, or templates (1:1). Thread-safe.

        Parameters
        ----------
        face_a, face_b : Face, Template or None
            Faces from `get`, or templates from `template` or a fusion; ``None`` stands for a picture without a face and
            is never accepted.
        fmr : float
            False-match rate of the threshold.

        Returns
        -------
        Match
            With the decision: accept, retry (a face is missing or below the quality gate, or the similarity lies in the
            grey zone: below the threshold, but not below that of ten times the rate) or reject. `Decision.of` says
            what to change. For templates of several pictures the threshold is that of single ones times `stretch`.

        Raises
        ------
        ContractMismatchError
            If a face was embedded by another model.
        InputError
            If a face comes from `detect`.
        OptionError, ThresholdUnavailableError
            See `threshold`.
        """
        factor = self.stretch(pictures_of(face_a)) * self.stretch(pictures_of(face_b))
        grey_from = grey_zone_from(self.threshold, fmr)
        return compare_faces(
            face_a,
            face_b,
            threshold=ask_more(self.threshold(fmr), factor),
            fmr=fmr,
            retry_below=self.retry_below,
            contract=self.contract,
            grey_from=None if grey_from is None else ask_more(grey_from, factor),
        )

    def template(self, faces: Face | Sequence[Face]) -> Template:
        """Fuse one or more faces of one person into a template. Thread-safe.

        Parameters
        ----------
        faces : Face or sequence of Face
            From `get`.

        Returns
        -------
        Template
            Magnitude-weighted mean direction and fused quality, see `qcface_sdk.fusion`. No face is left out: use
            `fusion` for a track that may hold other people.

        Raises
        ------
        InputError
            If there is no face, or one has no embedding.
        ContractMismatchError
            If a face was embedded by another model.
        """
        group = [faces] if isinstance(faces, Face) else list(faces)
        rows = []
        for face in group:
            if face.embedding is None:
                raise InputError("a template needs faces with embeddings, got one from detect(); use engine.get(image)")
            check_same_contract(self.contract, face.contract)
            rows.append(face.embedding)
        if not rows:
            raise InputError("a template needs at least one face, got none; check that a face was found")
        return fuse(np.stack(rows), self.contract, self._scale)

    def fusion(self, capacity: int = CAPACITY) -> Fusion:
        """Return an empty fusion, to gather the faces of one track. Thread-safe; the fusion itself is for one thread.

        Parameters
        ----------
        capacity : int, default 64
            Faces it keeps at most.

        Raises
        ------
        OptionError
            If `capacity` is not positive.
        ThresholdUnavailableError
            If the bundle holds no threshold, from which it follows what an outlier is.
        """
        rows = [row for row in self.threshold_rows if row.supported]
        if not rows:
            raise ThresholdUnavailableError(
                f"fusion needs a measured threshold to tell outliers, {self._calibration.data} has none; "
                "make a Fusion with outlier_below= of your own"
            )
        return Fusion(self.contract, self._scale, outlier_below=OUTLIER_SHARE * rows[0].threshold, capacity=capacity)

    def assess(self, image: Any, face: Face) -> QualityReport:
        """Say what is wrong with the picture of a face, and what a person can change. Thread-safe.

        Parameters
        ----------
        image : ndarray of uint8, shape (H, W, 3)
            BGR, the picture in which `face` was found.
        face : Face
            From `get` or `detect`.

        Returns
        -------
        QualityReport
            Quality, readings, reasons and advice, see `qcface_sdk.quality`.

        Raises
        ------
        ShapeError, ImageSizeError
            If `image` is not such an array.
        """
        return assess_faces(check_image(image), [face])[0]
