"""From a false match rate to a decision threshold, out of a bundle's measured rows."""

from __future__ import annotations

import math
from collections.abc import Sequence

from qcface_sdk.errors import ThresholdUnavailableError
from qcface_sdk.manifest import ThresholdRow

# A rate typed as 1e-4 and one computed as 10 ** -4 are the same row.
_SAME_RATE = 1e-9


def threshold_at(rows: Sequence[ThresholdRow], fmr: float) -> ThresholdRow:
    """Return the row for one false match rate, interpolated between the two nearest if it was not measured itself.

    Parameters
    ----------
    rows : sequence of ThresholdRow
        Rows of one artefact on one runtime, in any order.
    fmr : float
        Wanted false match rate, between 0 and 1.

    Returns
    -------
    ThresholdRow
        A measured row, or one whose threshold, interval and fnmr are linear in log10(fmr) between its neighbours,
        whose counts are the smaller of theirs and whose `origin` says so.

    Raises
    ------
    ThresholdUnavailableError
        If `fmr` lies outside the supported rows, or is a row that is not supported. The message lists what there is.
    """
    for row in rows:
        if math.isclose(row.fmr, fmr, rel_tol=_SAME_RATE):
            if not row.supported:
                why = f"{row.impostors:,} impostor pairs are too few to state it"
                raise ThresholdUnavailableError(_message(rows, fmr, why))
            return row
    supported = sorted((row for row in rows if row.supported), key=lambda row: row.fmr)
    below = [row for row in supported if row.fmr < fmr]
    above = [row for row in supported if row.fmr > fmr]
    if not below or not above:
        raise ThresholdUnavailableError(_message(rows, fmr, "it lies outside the measured range"))
    return _interpolated(below[-1], above[0], fmr)


def _interpolated(low: ThresholdRow, high: ThresholdRow, fmr: float) -> ThresholdRow:
    weight = math.log(fmr / low.fmr) / math.log(high.fmr / low.fmr)

    def between(first: float, second: float) -> float:
        return first + weight * (second - first)

    return ThresholdRow(
        artifact=low.artifact,
        runtime=low.runtime,
        fmr=fmr,
        threshold=between(low.threshold, high.threshold),
        interval=(between(low.interval[0], high.interval[0]), between(low.interval[1], high.interval[1])),
        impostors=min(low.impostors, high.impostors),
        genuines=min(low.genuines, high.genuines),
        fnmr=between(low.fnmr, high.fnmr),
        supported=True,
        origin=f"interpolated in log10(fmr) between {low.fmr:g} and {high.fmr:g}; {low.origin}",
    )


def _message(rows: Sequence[ThresholdRow], fmr: float, why: str) -> str:
    rates = sorted(row.fmr for row in rows if row.supported)
    if not rates:
        return f"no threshold for fmr={fmr:g}: {why}, and no row is supported; pass threshold= explicitly"
    listed = ", ".join(f"{rate:g}" for rate in rates)
    return f"no threshold for fmr={fmr:g}: {why}; available: {listed} and all rates from {rates[0]:g} to {rates[-1]:g}"
