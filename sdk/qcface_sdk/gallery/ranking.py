"""From approximate scores to the exact order: read float rows until no other row can matter."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from qcface_sdk.gallery.index import Snapshot
from qcface_sdk.gallery.rows import Held
from qcface_sdk.results import Candidate

_FETCHED = 128
"""Rows per probe of the first scan. Random strangers need about 40 of them to be ranked exactly, known people 16."""

_READ_TOGETHER = 16

_Best = dict[str, tuple[float, int, int]]
"""Subject to similarity, number and pictures of the most similar template."""

Read = Callable[[Sequence[int]], list[Held]]


def rank(snapshot: Snapshot, probes: NDArray[np.float32], k: int, read: Read) -> list[tuple[Candidate, ...]]:
    """Return for each of the unit vectors `probes` (M, D) the `k` most similar subjects, best first.

    A subject is as similar as its most similar template. Exact, as if every row had been compared in double precision:
    rows are read in the order of their approximate scores, until the next one's score plus the largest possible error
    is below the k-th best exact one. Of equals the one enrolled first comes first.

    Parameters
    ----------
    snapshot : Snapshot
        With at least one row.
    probes : ndarray of float32, shape (M, D)
    k : int
    read : callable
        Returns those of some rows that are still there.
    """
    results: list[tuple[Candidate, ...]] = [()] * len(probes)
    waiting, fetch, slack = list(range(len(probes))), _FETCHED + 2 * k, snapshot.slack(probes)
    while waiting:
        fetch = min(fetch, snapshot.rows)
        ids, scores = snapshot.scan(probes[waiting], fetch)
        unsettled = []
        for place, probe in enumerate(waiting):
            found = _exact(probes[probe], ids[place], scores[place] + slack[probe], k, read, fetch == snapshot.rows)
            if found is None:
                unsettled.append(probe)
            else:
                results[probe] = found
        waiting, fetch = unsettled, 4 * fetch
    return results


def _exact(
    probe: NDArray[np.float32],
    ids: NDArray[np.int64],
    bounds: NDArray[np.float64],
    k: int,
    read: Read,
    complete: bool,
) -> tuple[Candidate, ...] | None:
    """Return the best subjects, or ``None`` if rows that were not fetched might be among them."""
    wanted, best = probe.astype(np.float64), _Best()
    present = int(np.count_nonzero(ids))
    for start in range(0, present, _READ_TOGETHER):
        if _settled(best, k, bounds[start]):
            return _candidates(best, k)
        for held in read([int(number) for number in ids[start : min(present, start + _READ_TOGETHER)]]):
            # Unit vectors rounded to float32 can reach a little beyond 1. NaN stays NaN, and NaN is never accepted.
            score = float(np.clip(held.template.vector.astype(np.float64) @ wanted, -1.0, 1.0))
            known = best.get(held.subject)
            if known is None or (-score, held.template_id) < (-known[0], known[1]):
                best[held.subject] = (score, held.template_id, held.template.count)
    if complete or _settled(best, k, bounds[-1]):
        return _candidates(best, k)
    return None


def _settled(best: _Best, k: int, bound: float) -> bool:
    """Whether a row whose true score is at most `bound` cannot be among the `k` best subjects."""
    return len(best) >= k and sorted((score for score, *_ in best.values()), reverse=True)[k - 1] > bound


def _candidates(best: _Best, k: int) -> tuple[Candidate, ...]:
    order = sorted(best.items(), key=lambda item: (-item[1][0], item[1][1]))
    return tuple(Candidate(name, score, pictures) for name, (score, _, pictures) in order[:k])
