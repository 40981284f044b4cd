"""One-to-many search: at which rank the right person comes, among others who are never searched for.

People in the gallery without a probe are distractors. Someone with several gallery entries counts with the best one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from qcface_sdk.checks import check_fraction, check_positive_int
from qcface_sdk.errors import InputError
from qcface_sdk.evaluation.scores import number_labels, unit_rows
from qcface_sdk.evaluation.verification import threshold_at_fmr


@dataclass(frozen=True, slots=True)
class Search:
    """Result of searching each of P probes, all of people in the gallery, among S people."""

    ranks: NDArray[np.int64]
    """(P,), 1 for the best; someone who scores exactly like the right person comes before."""
    mate_scores: NDArray[np.float32]
    """(P,), similarity to the right person."""
    people: int
    """People in the gallery, S."""

    def rate(self, k: int) -> float:
        """Return the share of probes whose person is among the first `k`.

        Raises
        ------
        OptionError
            If `k` is not a positive whole number.
        """
        return float(np.mean(self.ranks <= check_positive_int("k", k)))


def search_probes(
    probes: ArrayLike, probe_labels: ArrayLike, gallery: ArrayLike, gallery_labels: ArrayLike, *, block: int = 512
) -> Search:
    """Search every probe in the gallery by cosine.

    Parameters
    ----------
    probes, gallery : array_like of float, shape (P, D) and (G, D)
        Raw or unit.
    probe_labels, gallery_labels : array_like of int or str, shape (P,) and (G,)
        Who it is; every probe's person must be in the gallery.
    block : int, default 512
        Probes compared at a time; bounds the memory.

    Raises
    ------
    ShapeError, NotFiniteError
        If an argument has the wrong shape or an embedding is not finite or zero.
    InputError
        If a probe's person is not in the gallery.
    """
    check_positive_int("block", block)
    searched, entries = unit_rows(probes), unit_rows(gallery)
    number_labels(probe_labels, len(searched))
    person = number_labels(gallery_labels, len(entries))
    names = np.unique(np.asarray(gallery_labels))
    own = np.clip(np.searchsorted(names, np.asarray(probe_labels)), 0, len(names) - 1)
    strangers = np.flatnonzero(names[own] != np.asarray(probe_labels))
    if len(strangers):
        raise InputError(
            f"every probe's person must be in the gallery, {len(strangers)} of {len(own)} are not; search those with "
            "best_scores"
        )
    ranks, mates = [], []
    for start in range(0, len(searched), block):
        best = _best_of_people(searched[start : start + block], entries, person)
        mine = own[start : start + block]
        mate = best[np.arange(len(best)), mine]
        ranks.append((best >= mate[:, None]).sum(axis=1))  # the right one counts itself
        mates.append(mate)
    return Search(np.concatenate(ranks), np.concatenate(mates), len(names))


def best_scores(
    probes: ArrayLike, gallery: ArrayLike, gallery_labels: ArrayLike, *, block: int = 512
) -> NDArray[np.float32]:
    """Return the highest similarity of each probe to anyone in the gallery, (P,).

    Raises
    ------
    ShapeError, NotFiniteError
        As `search_probes`.
    """
    check_positive_int("block", block)
    searched, entries = unit_rows(probes), unit_rows(gallery)
    person = number_labels(gallery_labels, len(entries))
    parts = [
        _best_of_people(searched[start : start + block], entries, person).max(axis=1)
        for start in range(0, len(searched), block)
    ]
    return np.concatenate(parts)


def miss_rate(search: Search, stranger_scores: ArrayLike, fpir: float) -> tuple[float, float]:
    """Return the false negative identification rate at a false positive identification rate, and its threshold.

    Parameters
    ----------
    search : Search
        Of people in the gallery.
    stranger_scores : array_like of float, shape (Q,)
        `best_scores` of people who are not in the gallery.
    fpir : float
        Share of strangers who may be found, between 0 and 1.

    Returns
    -------
    fnir : float
        Share of the mated probes that are not first or lie below the threshold.
    threshold : float

    Raises
    ------
    ShapeError, NotFiniteError, OptionError
        If there are no strangers, a score is not finite or `fpir` is out of range.
    """
    check_fraction("fpir", fpir)
    threshold = threshold_at_fmr(np.asarray(stranger_scores, np.float32), fpir)
    found = (search.ranks == 1) & (search.mate_scores >= threshold)
    return float(1 - np.mean(found)), threshold


def _best_of_people(
    probes: NDArray[np.float32], entries: NDArray[np.float32], person: NDArray[np.int64]
) -> NDArray[np.float32]:
    order = np.argsort(person, kind="stable")
    starts = np.flatnonzero(np.diff(person[order], prepend=-1))
    return np.asarray(np.maximum.reduceat(probes @ entries[order].T, starts, axis=1), np.float32)
