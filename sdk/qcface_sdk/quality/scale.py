"""From the length of an embedding to a quality of 0 to 100.

NIST FRTE and ISO/IEC 29794-5 ask of a face quality that it falls as the expected false non-match rate rises. The
magnitude of a QCFace embedding orders faces that way; the bundle's knots, fitted on genuine comparisons, put it on
that scale.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray


class QualityScale:
    """A strictly increasing, piecewise linear map from magnitude to quality. Immutable and thread-safe.

    Parameters
    ----------
    knots : sequence of (float, float)
        (magnitude, quality) pairs, both strictly increasing, quality within 0..100; at least two.
    fused : sequence of (float, float)
        (evidence, quality) pairs of fused pictures, see `qcface_sdk.fusion`; empty where they were not measured.

    Examples
    --------
    >>> QualityScale([(0.0, 0.0), (50.0, 100.0)]).quality([10.0, 75.0]).tolist()
    [20.0, 100.0]
    """

    def __init__(self, knots: Sequence[tuple[float, float]], fused: Sequence[tuple[float, float]] = ()) -> None:
        self._magnitudes = np.array([knot[0] for knot in knots], dtype=np.float64)
        self._qualities = np.array([knot[1] for knot in knots], dtype=np.float64)
        self._fused = tuple(fused)

    def quality(self, magnitudes: ArrayLike) -> NDArray[np.float64]:
        """Return the quality, 0..100, of each magnitude; the ends hold beyond the knots."""
        return np.asarray(np.interp(np.asarray(magnitudes, np.float64), self._magnitudes, self._qualities))

    def fused_quality(self, magnitudes: ArrayLike, evidence: float) -> float:
        """Return the quality, 0..100, of several faces of one person together.

        Parameters
        ----------
        magnitudes : array_like of float, shape (N,)
            Of the single faces, N at least 1.
        evidence : float
            What they say together, see `qcface_sdk.fusion.evidence`.

        Returns
        -------
        float
            Never below the quality of the best of them, which it is where fusion was not measured.
        """
        best = float(self.quality(magnitudes).max())
        if not self._fused or np.size(magnitudes) == 1:
            return best
        places, qualities = zip(*self._fused, strict=True)
        return max(best, float(np.interp(evidence, places, qualities)))
