"""What `qcface gallery bench` measured, as rows of a table and as an HTML page."""

from __future__ import annotations

from dataclasses import dataclass

from qcface_sdk.benchmark.galleries import DIMENSION, GalleryFigures
from qcface_sdk.charts import Axis, draw_lines
from qcface_sdk.html_page import render_page, render_table

_SIZES = (1_000, 10_000, 100_000, 1_000_000, 10_000_000)
_CODE_BYTES = DIMENSION + 12


@dataclass(frozen=True, slots=True)
class Row:
    """One figure and how it is shown."""

    field: str
    """Of `GalleryFigures`."""

    name: str
    unit: str
    meaning: str

    def value(self, figures: GalleryFigures) -> str:
        """Return the figure as text, a dash where it was not measured."""
        value = getattr(figures, self.field)
        return "-" if value is None else f"{value:,.4g}" if isinstance(value, float) else f"{value:,}"


ROWS = (
    Row("rows", "people", "", "one template of 512 numbers each"),
    Row("threads", "threads of a search", "", "more help only while memory bandwidth is left"),
    Row("load", "load of the machine", "", "programs running or waiting in the minute before; 0 is an idle machine"),
    Row("fill_s", "filling", "s", "all of them, wall clock; near 0 where an earlier run's gallery was used"),
    Row("file_mb", "files", "MB", "database, wrapped keys and master key"),
    Row("open_s", "opening", "s", "until the first search can be answered"),
    Row("memory_mb", "memory", "MB", "most that the process took, Python and its libraries with it"),
    Row("known_ms", "search, somebody enrolled", "ms", "one probe, ranked exactly"),
    Row("stranger_ms", "search, a stranger", "ms", "one probe, ranked exactly"),
    Row("batch_ms", "search, 64 in one scan", "ms", "for each of them"),
    Row("enroll_ms", "enrolment", "ms", "acknowledged, so key and database are on disk; wall clock"),
    Row("faiss_ms", "faiss, flat float32", "ms", "the same probe in the same run"),
    Row("ratio", "search / faiss", "", "the goal is at most 0.35"),
    Row("same_best", "best row the same as faiss's", "of 128", "128 is what exact means"),
)


def render(figures: GalleryFigures) -> str:
    """Return the page."""
    nanoseconds = 1e6 * figures.known_ms / figures.rows
    sizes = [float(size) for size in _SIZES]
    times = [size * nanoseconds / 1e6 for size in sizes]
    chart = draw_lines(
        "One search, computed from this run",
        Axis("people", log=True),
        Axis("ms", log=True),
        {"computed": (sizes, times), "measured": ([figures.rows / 1.05, figures.rows * 1.05], [figures.known_ms] * 2)},
    )
    parts = [
        "<p class='note'>Random people, made anew each time; nobody's face is in here.</p>",
        render_table(
            ("figure", "measured", "unit", "meaning"),
            [(row.name, row.value(figures), row.unit, row.meaning) for row in ROWS],
        ),
        "<h2>What that means for other sizes</h2>",
        f"<p>A comparison took {nanoseconds:.3g} ns here, a template {figures.file_mb * 1e3 / figures.rows:.3g} KB of "
        f"disk and {_CODE_BYTES} bytes of memory. The rest is arithmetic, not measurement; small galleries cost the "
        "reading of some rows on top.</p>",
        render_table(
            ("people", "one search", "memory of the codes", "files"),
            [
                (
                    f"{size:,.0f}",
                    f"{time:,.3g} ms",
                    f"{size * _CODE_BYTES / 1e6:,.3g} MB",
                    f"{size * figures.file_mb / figures.rows:,.3g} MB",
                )
                for size, time in zip(sizes, times, strict=True)
            ],
        ),
        chart,
    ]
    return render_page(f"Gallery of {figures.rows:,} people", parts)
