"""From the length of an embedding to recognizability, in closed form.

QCFace trains the length z of an embedding towards the optimum z*(p) of its norm loss, where p is the probability
that the identity classifier gives the true person without any margin. Inverting z*(p) reads that probability back
from the length alone, with no label and no classifier.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from qcface_sdk.errors import NotFiniteError, OptionError


def guidance_factor(ua: float, la: float) -> float:
    """Return the k that puts the optimum for p = 1/2 half-way between `la` and `ua`.

    Parameters
    ----------
    ua, la : float
        Magnitudes asked for a surely recognized (p = 1) and an unrecognizable face (p = 0), ``0 < la < ua``.

    Returns
    -------
    float
        ``ua^2 (ua + 3 la) / (la^2 (3 ua + la))``.

    Raises
    ------
    OptionError
        If not ``0 < la < ua``.

    Notes
    -----
    Solves ``z*(1/2) = (ua + la) / 2``, which is linear in k; QCFace, arXiv 2510.15289.

    Examples
    --------
    >>> round(guidance_factor(100.0, 1.0), 4)
    3421.9269
    """
    if not (np.isfinite(ua) and np.isfinite(la) and 0 < la < ua):
        raise OptionError(f"magnitude limits must satisfy 0 < la < ua, got la={la!r}, ua={ua!r}")
    return float(ua * ua * (ua + 3 * la) / (la * la * (3 * ua + la)))


def recognizability(magnitude: ArrayLike, *, ua: float = 100.0, la: float = 1.0) -> NDArray[np.float64]:
    """Return the probability p whose norm optimum z*(p) is `magnitude`.

    Parameters
    ----------
    magnitude : array_like of float, any shape
        Lengths of raw embeddings; clipped to ``[la, ua]``.
    ua, la : float
        Limits the model was trained with; they are in the bundle's manifest.

    Returns
    -------
    ndarray of float64, shape of `magnitude`
        In [0, 1], strictly increasing between `la` and `ua`.

    Raises
    ------
    NotFiniteError
        If a magnitude is NaN, infinite or negative.
    OptionError
        If not ``0 < la < ua``.

    Notes
    -----
    Inverse of ``z*(p) = sqrt(((k - 1) p + 1) / (k p / ua^2 + (1 - p) / la^2))``; QCFace, arXiv 2510.15289.

    Examples
    --------
    >>> recognizability([1.0, 50.5, 100.0]).round(6).tolist()
    [0.0, 0.5, 1.0]
    """
    k = guidance_factor(ua, la)
    z = np.asarray(magnitude, dtype=np.float64)
    if not np.isfinite(z).all() or (z < 0).any():
        raise NotFiniteError("magnitudes must be finite and not negative, got NaN, infinity or a negative number")
    square = np.square(np.clip(z, la, ua))
    above = square / (la * la) - 1.0
    below = k * (1.0 - square / (ua * ua))
    return np.asarray(above / (above + below), dtype=np.float64)
