"""Line charts as inline SVG, so that a report is one file that opens anywhere, offline."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 460, 290
_LEFT, _RIGHT, _TOP, _BOTTOM = 58, 12, 30, 44
# Okabe and Ito's palette: distinguishable with any colour vision.
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")

Series = Mapping[str, tuple[Sequence[float], Sequence[float]]]


@dataclass(frozen=True, slots=True)
class Axis:
    """One axis of a chart."""

    label: str
    """What is on it, with its unit."""
    log: bool = False
    """Whether it is logarithmic; values that are not above 0 are left out."""
    limits: tuple[float, float] | None = None
    """Ends; None takes them from the data."""


def draw_lines(title: str, x: Axis, y: Axis, series: Series) -> str:
    """Return a chart of named lines as an ``svg`` element.

    Parameters
    ----------
    title : str
        Heading.
    x, y : Axis
        The axes.
    series : mapping of str to (sequence of float, sequence of float)
        x and y values of each line; points that are not finite, or not above 0 on a logarithmic axis, are left out.
    """
    points = {name: _usable(xs, ys, x, y) for name, (xs, ys) in series.items()}
    across = _Scale(x, [p[0] for line in points.values() for p in line], _LEFT, WIDTH - _RIGHT)
    up = _Scale(y, [p[1] for line in points.values() for p in line], HEIGHT - _BOTTOM, _TOP)
    parts = [_frame(title, x, y), *_grid(across, up)]
    for number, (name, line) in enumerate(points.items()):
        colour = _COLOURS[number % len(_COLOURS)]
        path = " ".join(f"{across.place(a):.1f},{up.place(b):.1f}" for a, b in line)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="1.6"/>')
        if len(points) > 1:
            top = _TOP + 14 + 14 * number
            parts.append(
                f'<text x="{WIDTH - _RIGHT - 6}" y="{top}" text-anchor="end" fill="{colour}">{escape(name)}</text>'
            )
    return f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" role="img">{"".join(parts)}</svg>'


class _Scale:
    """From values to pixels, with the places of the ticks."""

    def __init__(self, axis: Axis, values: Sequence[float], first: float, last: float) -> None:
        low, high = axis.limits or (min(values, default=0.0), max(values, default=1.0))
        self._log = axis.log
        if axis.log:
            low, high = max(low, 1e-12), max(high, 1e-12)
        if low == high:
            low, high = (low / 2, high * 2) if axis.log else (low - 0.5, high + 0.5)
        self.ticks = _decades(low, high) if axis.log else _steps(low, high)
        self._low, self._high = self._value(low), self._value(high)
        self._first, self._last = first, last

    def place(self, value: float) -> float:
        share = (self._value(value) - self._low) / (self._high - self._low)
        return self._first + min(1.0, max(0.0, share)) * (self._last - self._first)

    def _value(self, value: float) -> float:
        return math.log10(value) if self._log else value


def _usable(xs: Sequence[float], ys: Sequence[float], x: Axis, y: Axis) -> list[tuple[float, float]]:
    return [
        (a, b)
        for a, b in zip(xs, ys, strict=True)
        if math.isfinite(a) and math.isfinite(b) and (a > 0 or not x.log) and (b > 0 or not y.log)
    ]


def _decades(low: float, high: float) -> list[float]:
    return [10.0**n for n in range(math.ceil(math.log10(low) - 1e-9), math.floor(math.log10(high) + 1e-9) + 1)]


def _steps(low: float, high: float) -> list[float]:
    rough = (high - low) / 5
    size = 10.0 ** math.floor(math.log10(rough))
    step = next(size * factor for factor in (1, 2, 5, 10) if size * factor >= rough * 0.999)
    return [step * n for n in range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)]


def _frame(title: str, x: Axis, y: Axis) -> str:
    middle = (_TOP + HEIGHT - _BOTTOM) / 2
    return (
        f'<text x="{_LEFT}" y="18" font-weight="bold">{escape(title)}</text>'
        f'<text x="{(_LEFT + WIDTH - _RIGHT) / 2}" y="{HEIGHT - 8}" text-anchor="middle">{escape(x.label)}</text>'
        f'<text x="14" y="{middle}" text-anchor="middle" transform="rotate(-90 14 {middle})">{escape(y.label)}</text>'
        f'<rect x="{_LEFT}" y="{_TOP}" width="{WIDTH - _LEFT - _RIGHT}" height="{HEIGHT - _TOP - _BOTTOM}" '
        'fill="none" stroke="#888"/>'
    )


def _grid(across: _Scale, up: _Scale) -> list[str]:
    bottom, right = HEIGHT - _BOTTOM, WIDTH - _RIGHT
    parts = []
    for value in across.ticks:
        at = across.place(value)
        parts.append(f'<line x1="{at:.1f}" y1="{_TOP}" x2="{at:.1f}" y2="{bottom}" stroke="#ddd"/>')
        parts.append(f'<text x="{at:.1f}" y="{bottom + 15}" text-anchor="middle">{value:.3g}</text>')
    for value in up.ticks:
        at = up.place(value)
        parts.append(f'<line x1="{_LEFT}" y1="{at:.1f}" x2="{right}" y2="{at:.1f}" stroke="#ddd"/>')
        parts.append(f'<text x="{_LEFT - 5}" y="{at + 4:.1f}" text-anchor="end">{value:.3g}</text>')
    return parts
