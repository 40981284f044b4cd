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

    Examples
    --------
    >>> QualityScale([(0.0, 0.0), (50.0, 100.0)]).quality([10.0, 75.0]).tolist()
    [20.0, 100.0]
    """

    def __init__(self, knots: Sequence[tuple[float, float]]) -> None:
        self._magnitudes = np.array([knot[0] for knot in knots], dtype=np.float64)
        self._qualities = np.array([knot[1] for knot in knots], dtype=np.float64)

    def quality(self, magnitudes: ArrayLike) -> NDArray[np.float64]:
        """Return the quality, 0..100, of each magnitude; the ends hold beyond the knots."""
        return np.asarray(np.interp(np.asarray(magnitudes, np.float64), self._magnitudes, self._qualities))
