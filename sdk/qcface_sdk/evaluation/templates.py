"""Templates of many pictures, as in the IJB protocols: pictures into media, media into templates.

A video gives hundreds of pictures of one moment and a photograph gives one. So the pictures of a medium are averaged
first, and each medium then counts once.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from qcface_sdk.checks import check_choice
from qcface_sdk.errors import ShapeError
from qcface_sdk.evaluation.scores import unit_rows

WEIGHTS = ("equal", "magnitude")
"""How pictures count in a mean: all alike, or by the lengths of their embeddings."""


@dataclass(frozen=True, slots=True)
class Templates:
    """Pooled embeddings."""

    names: NDArray[np.generic]
    """(T,), the template labels, in rising order."""
    embeddings: NDArray[np.float32]
    """(T, D), means of media; not of unit length. With weights by magnitude the length is itself a mean magnitude,
    lowered where the pictures disagree, and does not grow with their number."""
    media: NDArray[np.int64]
    """(T,), number of media in each."""


def pool_templates(
    embeddings: ArrayLike, templates: ArrayLike, media: ArrayLike, *, weights: str = "magnitude"
) -> Templates:
    """Average the pictures of each medium, then the media of each template.

    Parameters
    ----------
    embeddings : array_like of float, shape (N, D)
        Raw embeddings of pictures.
    templates : array_like of int or str, shape (N,)
        Template of each picture.
    media : array_like of int or str, shape (N,)
        Medium of each picture; equal labels in two templates are two media.
    weights : {"magnitude", "equal"}
        Whether raw embeddings are averaged, so that recognizable pictures count more, or unit ones.

    Raises
    ------
    ShapeError, NotFiniteError
        If the arguments differ in length or an embedding is zero or not finite.
    OptionError
        If `weights` is unknown.

    Examples
    --------
    >>> pool_templates([[4, 0], [2, 0], [0, 3]], ["a", "a", "a"], [1, 1, 2]).embeddings.tolist()
    [[1.5, 1.5]]
    """
    check_choice("weights", weights, WEIGHTS)
    unit = unit_rows(embeddings)
    rows = unit if weights == "equal" else np.asarray(embeddings, np.float32)
    template_labels, medium_labels = np.asarray(templates), np.asarray(media)
    if template_labels.shape != (len(rows),) or medium_labels.shape != (len(rows),):
        raise ShapeError(
            f"templates and media must be one label per picture, shape ({len(rows)},), got "
            f"{template_labels.shape} and {medium_labels.shape}"
        )
    names, template = np.unique(template_labels, return_inverse=True)
    _, medium = np.unique(medium_labels, return_inverse=True)
    pairs, group = np.unique(np.stack([template.reshape(-1), medium.reshape(-1)]), axis=1, return_inverse=True)
    per_medium = _mean_rows(rows.astype(np.float64), group.reshape(-1), pairs.shape[1])
    pooled = _mean_rows(per_medium, pairs[0], len(names))
    return Templates(names, pooled.astype(np.float32), np.bincount(pairs[0], minlength=len(names)))


def _mean_rows(rows: NDArray[np.float64], group: NDArray[np.int64], count: int) -> NDArray[np.float64]:
    sums = np.zeros((count, rows.shape[1]))
    np.add.at(sums, group, rows)
    return sums / np.bincount(group, minlength=count)[:, None]
