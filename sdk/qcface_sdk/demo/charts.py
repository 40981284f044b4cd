"""Draw the demo's charts as SVG that takes its colours from the page."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape

from qcface_sdk.demo.report import Curve, Report, Shot
from qcface_sdk.results import Outcome

Dot = tuple[float, float, Outcome]
"""x, y in the drawing, and what was decided."""


@dataclass(frozen=True, slots=True)
class _Panel:
    """A rectangle of the drawing with its own scale for y."""

    left: float
    top: float
    width: float
    height: float
    low: float
    high: float

    def y(self, value: float) -> float:
        share = (min(max(value, self.low), self.high) - self.low) / (self.high - self.low)
        return self.top + self.height * (1 - share)

    def grid(self, values: Sequence[float], text: Callable[[float], str]) -> str:
        return "".join(
            f'<line class="grid" x1="{self.left:.1f}" x2="{self.left + self.width:.1f}" y1="{self.y(v):.1f}" '
            f'y2="{self.y(v):.1f}"/><text class="tick" text-anchor="end" x="{self.left - 8:.1f}" '
            f'y="{self.y(v) + 4:.1f}">{text(v)}</text>'
            for v in values
        )

    def limit(self, value: float, label: str) -> str:
        y, right = self.y(value), self.left + self.width
        return (
            f'<line class="limit" x1="{self.left:.1f}" x2="{right:.1f}" y1="{y:.1f}" y2="{y:.1f}"/>'
            f'<text class="tick" text-anchor="end" x="{right - 4:.1f}" y="{y - 6:.1f}">{escape(label)}</text>'
        )


def decide(similarity: float, quality: float, threshold: float, retry_below: float) -> Outcome:
    """Return the outcome that these numbers stand for, by the rules of a comparison."""
    if quality < retry_below:
        return Outcome.RETRY
    return Outcome.ACCEPT if similarity >= threshold else Outcome.REJECT


def walk_chart(report: Report, walk: Sequence[Shot], stranger_walk: Sequence[Shot]) -> str:
    """Return an SVG of similarity and quality against the distance, for both people."""
    width, left, right = 1040.0, 56.0, 150.0
    distances = [shot.distance_m for shot in (*walk, *stranger_walk) if shot.distance_m is not None]
    far, near = max(distances), min(distances)

    def x(shot: Shot) -> float:
        share = math.log(far / (shot.distance_m or far)) / math.log(far / near)
        return left + share * (width - left - right)

    above = _Panel(left, 30, width - left - right, 190, -0.2, 1.0)
    below = _Panel(left, 268, width - left - right, 130, 0.0, 100.0)
    parts = [
        f'<text class="head" x="{left}" y="16">Similarity to the enrolled template</text>',
        above.grid((0.0, 0.5, 1.0), lambda v: f"{v:.1f}"),
        above.limit(report.threshold, f"threshold {report.threshold:.3f}"),
        f'<text class="head" x="{left}" y="254">Quality</text>',
        below.grid((0.0, 50.0, 100.0), lambda v: f"{v:.0f}"),
        below.limit(report.retry_below, f"retry below {report.retry_below:g}"),
    ]
    for shots, style, name in ((stranger_walk, "other", report.stranger), (walk, "main", report.person)):
        similar = [None if s.similarity is None else (x(s), above.y(s.similarity), s.outcome) for s in shots]
        quality = [None if s.quality is None else (x(s), below.y(s.quality), s.outcome) for s in shots]
        parts += [_series(similar, style, name), _series(quality, style, "")]
    parts += [
        f'<text class="tick" text-anchor="middle" x="{x(shot):.1f}" y="420">{shot.distance_m:.1f}</text>'
        for shot in walk[::3]
    ]
    parts.append(f'<text class="tick" x="{width - right + 14:.1f}" y="420">m to the door</text>')
    return _svg(width, 430, "Similarity and quality during the walk", parts)


def curve_chart(curve: Curve, report: Report) -> str:
    """Return a small SVG of quality against the level of one kind of damage."""
    width = 300.0
    panel = _Panel(30, 10, width - 42, 88, 0.0, 100.0)
    step = panel.width / (len(curve.qualities) - 1)
    points = [
        (panel.left + step * level, panel.y(quality), decide(similarity, quality, report.threshold, report.retry_below))
        for level, (quality, similarity) in enumerate(zip(curve.qualities, curve.similarities, strict=True))
    ]
    area = " ".join(f"{px:.1f},{py:.1f}" for px, py, _ in points)
    floor = f"{panel.left + panel.width:.1f},{panel.y(0):.1f} {panel.left:.1f},{panel.y(0):.1f}"
    parts = [
        panel.grid((0.0, 50.0, 100.0), lambda v: f"{v:.0f}"),
        f'<polygon class="area" points="{area} {floor}"/>',
        _series(points, "main", ""),
    ]
    return _svg(width, 112, f"Quality under rising {curve.kind}", parts)


def _series(points: Sequence[Dot | None], style: str, name: str) -> str:
    """Return a line with dots; ``None`` is a gap, for a line across it would claim what was not measured."""
    lines: list[list[Dot]] = [[]]
    for point in points:
        if point is None:
            lines.append([])
        else:
            lines[-1].append(point)
    dots = [dot for line in lines for dot in line]
    drawn = "".join(
        f'<polyline class="line {style}" points="{" ".join(f"{x:.1f},{y:.1f}" for x, y, _ in line)}"/>'
        for line in lines
        if len(line) > 1
    )
    drawn += "".join(f'<circle class="{outcome.value}" cx="{x:.1f}" cy="{y:.1f}" r="4.5"/>' for x, y, outcome in dots)
    if not (dots and name):
        return drawn
    x, y, _ = dots[-1]
    return drawn + f'<text class="name {style}" x="{x + 12:.1f}" y="{y + 4:.1f}">{escape(name)}</text>'


def _svg(width: float, height: float, title: str, parts: Sequence[str]) -> str:
    return (
        f'<svg viewBox="0 0 {width:.0f} {height:.0f}" role="img" aria-label="{escape(title)}">'
        f"<title>{escape(title)}</title>{''.join(parts)}</svg>"
    )
