"""The part of an engine that looks things up in its calibration."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from qcface_sdk.calibration.calibration import Calibration
from qcface_sdk.measurements import QualityGate, ThresholdRow
from qcface_sdk.quality import QualityScale
from qcface_sdk.search import SearchThreshold


class Calibrated:
    """Thresholds, quality and gates of one calibration. Every method is thread-safe."""

    def __init__(self, calibration: Calibration) -> None:
        self._calibration = calibration
        self._scale = QualityScale(calibration.quality.knots, calibration.quality.fused)

    @property
    def calibration(self) -> Calibration:
        """What thresholds, quality and gates come from."""
        return self._calibration

    @property
    def retry_below(self) -> float:
        """Quality below which a face is not to be trusted for a decision, 0..100: the minimum of `probe_gate`."""
        return self.probe_gate.minimum

    @property
    def enroll_below(self) -> float:
        """Quality below which a face should not be enrolled, 0..100: the minimum of `enroll_gate`."""
        return self.enroll_gate.minimum

    @property
    def probe_gate(self) -> QualityGate:
        """What is promised of probes that are not below `retry_below`."""
        return self._calibration.quality.probe_gate

    @property
    def enroll_gate(self) -> QualityGate:
        """What is promised of enrolled faces that are not below `enroll_below`."""
        return self._calibration.quality.enroll_gate

    def quality(self, magnitudes: Any) -> NDArray[np.float64]:
        """Return the quality, 0..100, of embeddings of these magnitudes. Thread-safe."""
        return self._scale.quality(magnitudes)

    def threshold(self, fmr: float) -> float:
        """Return the smallest similarity accepted at a false-match rate. Thread-safe.

        Parameters
        ----------
        fmr : float
            Between 0 and 1, for example ``1e-4``. Between two measured rates the threshold is interpolated in log FMR.

        Returns
        -------
        float
            Similarity in -1..1 for this model, precision and runtime.

        Raises
        ------
        OptionError
            If `fmr` is not between 0 and 1.
        ThresholdUnavailableError
            If the counts behind the thresholds do not support that rate.
        """
        return self.threshold_row(fmr).threshold

    def threshold_row(self, fmr: float) -> ThresholdRow:
        """Return the threshold at a false-match rate with the measurement behind it. Thread-safe.

        Parameters and errors are those of `threshold`.
        """
        return self._calibration.threshold(fmr)

    @property
    def threshold_rows(self) -> tuple[ThresholdRow, ...]:
        """All rows measured for this model, precision and runtime, largest rate first; also unsupported ones."""
        return tuple(sorted(self._calibration.thresholds, key=lambda row: -row.fmr))

    def stretch(self, count: int | None) -> float:
        """Return by how much a threshold grows for a template of `count` pictures. Thread-safe.

        Thresholds are measured on single pictures; fused templates of two people look more alike
        (`qcface_sdk.calibration.stretch`). `verify`, galleries opened with this engine, and doors take it into account.

        Parameters
        ----------
        count : int or None
            Pictures fused; ``None`` where that is not known, which asks for the most.

        Returns
        -------
        float
            Factor, at least 1; of both templates, where both are fused. 1 where the calibration has none: fused
            templates are then held to the thresholds of single pictures.

        Raises
        ------
        OptionError
            If `count` is not positive.
        """
        return self._calibration.stretch(count)

    def search_threshold(self, fpir: float, size: int, *, extrapolate: bool = False) -> SearchThreshold:
        """Return the threshold for searching a gallery (1:N). Thread-safe.

        Parameters
        ----------
        fpir : float
            False-positive identification rate: share of strangers who may be taken for anybody enrolled.
        size : int
            Templates in the gallery. Every one is a chance for a false match, so FPIR 1e-3 over 1,000 of them needs a
            false-match rate of 1e-6.
        extrapolate : bool, default False
            Whether a rate that the counts do not support may be estimated from the tail of the impostor scores. The
            result says so in `extrapolated`.

        Raises
        ------
        OptionError
            If `fpir` or `size` is out of range.
        ThresholdUnavailableError
            If the counts do not support the rate, unless `extrapolate` is true and a tail was fitted.
        """
        return self._calibration.search_threshold(fpir, size, extrapolate=extrapolate)
