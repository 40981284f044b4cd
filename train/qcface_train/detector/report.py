"""The table that `evaluate_detector.py` prints."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any


def report_lines(figures: dict[str, Any]) -> Iterator[str]:
    """Yield the lines of the comparison, ours beside the teacher.

    Parameters
    ----------
    figures : dict
        From `evaluation.measure_all`.
    """
    ours, teacher = figures["photos"]
    yield f"{'photos, stored size':28}{'ours':>10}{'teacher':>10}"
    for key in ("threshold", "faces_24", "recall_24", "false_24", "false", "landmark_median", "landmark_p90"):
        yield f"{key:28}{_number(ours[key]):>10}{_number(teacher[key]):>10}"
    if figures["steady_landmarks"]:
        yield f"{'median against consensus':28}" + "".join(f"{value:>10.4f}" for value in figures["steady_landmarks"])
    for name, row in ours["bins"].items():
        yield f"{'recall ' + name + ' px, of ' + str(row['labelled']):28}{_recall(row)}{_recall(teacher['bins'][name])}"
    yield f"{'score threshold':28}{'recall_24, false_24, false of ours':>40}{'of the teacher':>30}"
    for row, other in zip(ours["curve"], teacher["curve"], strict=True):
        yield f"{row['threshold']:<28}{_point(row):>40}{_point(other):>30}"
    for name, pair in figures["damaged"].items():
        yield f"{name + ' recall_24':28}" + "".join(f"{_number(row['recall_24']):>10}" for row in pair)
        yield f"{name + ' false':28}" + "".join(f"{row['false']:>10}" for row in pair)
    yield f"{'face side px (views)':28}{'recall of each':>20}{'false':>12}{'landmark median':>20}"
    for size, row in figures["sweep"].items():
        yield _view_line(size, row)
    yield f"reliable sizes: {figures['reliable_sizes']}"
    for frame, shares in figures["close"].items():
        yield f"close faces, frame {frame}: share of the height"
        for share, row in shares.items():
            yield _view_line(share, row)
    for key in ("empty_photos", "empty_video"):
        yield f"{key:28}{figures[key]}"
    for size, times in figures["latency_ms"].items():
        yield f"{'latency ms ' + size:28}" + "".join(f"{value:>10.2f}" for value in times)


def _number(value: float) -> str:
    return f"{value:.4f}" if isinstance(value, float) else str(value)


def _point(row: dict[str, Any]) -> str:
    return f"{row['recall_24']:.4f} {row['false_24']:4d} {row['false']:4d}"


def _recall(row: dict[str, int]) -> str:
    share = row["found"] / row["labelled"] if row["labelled"] else float("nan")
    return f"{share:>10.4f}"


def _view_line(name: str, row: dict[str, Any]) -> str:
    head = f"{name:>6} ({row['views']})"
    if not row["views"]:
        return head
    recalls = "".join(f"{value:>10.4f}" for value in row["recall"])
    errors = "".join(f"{value:>10.4f}" for value in row["landmark_median"])
    return f"{head:28}{recalls}{row['false']!s:>12}{errors}"
