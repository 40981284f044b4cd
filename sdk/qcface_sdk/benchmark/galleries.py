"""Measure an encrypted gallery of a given size: to fill, to open, in memory, to search; beside a flat faiss index.

The gallery is opened and searched in a process of its own, so that its memory is nobody else's. With one thread, times
of opening and searching are the process's own processor time, fastest of several runs on both sides, which other
programs hardly disturb; with several threads, and for filling and enrolling, they are of the wall clock.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qcface_sdk.gallery import EmbeddedGallery, moving, store
from qcface_sdk.template import Template

DIMENSION = 512
_SEED = 20251017
_CONTRACT = "qc1-benchmark"
_PER_TRANSACTION = 20_000
_PROBES = 64
_RUNS = 9
_BATCH_RUNS = 2


@dataclass(frozen=True, slots=True)
class GalleryFigures:
    """What was measured; the comparison is ``None`` where faiss is not installed."""

    rows: int
    threads: int
    load: float
    """Programs that were running or waiting for a processor in the minute before, as the system counts them."""
    fill_s: float
    """Near 0 where a gallery of an earlier run was used."""
    file_mb: float
    open_s: float
    memory_mb: float
    """Most memory of the process that opened and searched the gallery."""
    stranger_ms: float
    """One probe that nobody looks like, ranked exactly."""
    known_ms: float
    """One probe that looks like somebody enrolled."""
    batch_ms: float
    """Per probe, sixty-four of them in one scan."""
    enroll_ms: float
    """One acknowledged enrolment."""
    faiss_ms: float | None
    ratio: float | None
    """`known_ms` / `faiss_ms`."""
    same_best: int | None
    """Probes, of 128, whose best row is faiss's."""

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON-ready values."""
        return asdict(self)


def measure_gallery(
    rows: int, folder: Path, threads: int = 1, progress: Callable[[int], None] | None = None
) -> GalleryFigures:
    """Fill a new gallery in `folder` with random people, then measure it.

    Parameters
    ----------
    rows : int
        People, one template of 512 numbers each.
    folder : Path
        For the gallery: about 3.4 KB a person.
    threads : int
        Threads of a search, of faiss too.
    progress : callable or None
        Called with the number of people just filled in.
    """
    path = folder / f"benchmark-{rows}.qcgallery"
    load, start = os.getloadavg()[0], time.perf_counter()
    if not _is_filled(path, rows):
        fill(path, rows, progress)
    fill_s = time.perf_counter() - start
    child = [sys.executable, "-c", f"from {__name__} import report; report()", str(path), str(rows), str(threads)]
    found = json.loads(subprocess.run(child, check=True, stdout=subprocess.PIPE, text=True).stdout)
    faiss_ms, best = _faiss(rows, threads)
    same = None if best is None else int(np.count_nonzero(best == np.array(found.pop("best"))))
    found.pop("best", None)
    ratio = None if faiss_ms is None else found["known_ms"] / faiss_ms
    file_mb = sum(file.stat().st_size for file in folder.glob(f"{path.name}*")) / 1e6
    return GalleryFigures(rows, threads, load, fill_s, file_mb, faiss_ms=faiss_ms, ratio=ratio, same_best=same, **found)


def fill(path: Path, rows: int, progress: Callable[[int], None] | None = None) -> None:
    """Make a gallery of random people, ids ``p0`` on."""
    with EmbeddedGallery.open_file(path, _CONTRACT) as gallery:
        number = 0
        for vectors in people(rows):
            for first in range(0, len(vectors), _PER_TRANSACTION):
                part = vectors[first : first + _PER_TRANSACTION]
                movers = (
                    moving.Mover(f"p{number + n}", (store.NewTemplate(Template(_CONTRACT, vector, 1.0, 1, 1.0)),))
                    for n, vector in enumerate(part)
                )
                with gallery._changing() as (connection, _):
                    head = store.bind(connection, gallery.path, _CONTRACT, DIMENSION)
                    moving.add_movers(connection, gallery.path, gallery._keys(), head, movers, progress)
                number += len(part)


def _is_filled(path: Path, rows: int) -> bool:
    """Whether an earlier run left a whole gallery; what one that was cut off left is deleted."""
    if path.exists():
        with EmbeddedGallery.open_file(path, read_only=True) as gallery:
            if len(gallery) == rows:
                return True
        for file in path.parent.glob(f"{path.name}*"):
            file.unlink()
    return False


def people(rows: int) -> Iterator[NDArray[np.float32]]:
    """Yield random unit vectors, the same ones each time."""
    rng = np.random.default_rng(_SEED)
    for start in range(0, rows, 50_000):
        block = rng.standard_normal((min(50_000, rows - start), DIMENSION), dtype=np.float32)
        yield _unit(block)


def probes(rows: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return 64 strangers and 64 pictures of enrolled people, similarity about 0.7."""
    rng = np.random.default_rng(_SEED + 1)
    strangers = _unit(rng.standard_normal((_PROBES, DIMENSION)))
    # The first rows of `people`, without the thousands after them, whose memory would be counted as the gallery's.
    count = min(rows, _PROBES)
    first = _unit(np.random.default_rng(_SEED).standard_normal((count, DIMENSION), dtype=np.float32))
    return strangers, _unit(first + _unit(rng.standard_normal(first.shape)))


def report() -> None:
    """Open the gallery that the command line names, search it, and print the figures as JSON; for a child process."""
    import resource

    path, rows, threads = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    clock = _clock(threads)
    start = clock()
    with EmbeddedGallery.open_file(path, threads=threads) as gallery:
        open_s = clock() - start
        strangers, known = ([_template(row) for row in group] for group in probes(rows))
        figures = {
            "open_s": open_s,
            "stranger_ms": _fastest(gallery, strangers, 1, clock),
            "known_ms": _fastest(gallery, known, 1, clock),
            "batch_ms": _fastest(gallery, known, _PROBES, clock),
            "best": [
                int(gallery.identify(probe, threshold=0.0, k=1).candidates[0].subject[1:])
                for probe in strangers + known
            ],
        }
        figures["enroll_ms"] = _enroll_ms(gallery)
    figures["memory_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    print(json.dumps(figures))  # noqa: T201 - this is the child's answer


def _clock(threads: int) -> Callable[[], float]:
    return time.process_time if threads == 1 else time.perf_counter


def _fastest(gallery: EmbeddedGallery, asked: list[Template], together: int, clock: Callable[[], float]) -> float:
    best = float("inf")
    for run in range(_RUNS if together == 1 else _BATCH_RUNS):
        # Another probe each time: a gallery keeps the rows that it read last.
        chosen = asked[:together] if together > 1 else [asked[run % len(asked)]]
        start = clock()
        gallery.identify_batch(chosen, threshold=0.5)
        best = min(best, (clock() - start) / len(chosen))
    return best * 1e3


def _enroll_ms(gallery: EmbeddedGallery) -> float:
    vectors = _unit(np.random.default_rng(_SEED + 2).standard_normal((10, DIMENSION)))
    start = time.perf_counter()
    for number, vector in enumerate(vectors):
        gallery.enroll(f"late{number}", _template(vector))
    spent = (time.perf_counter() - start) / len(vectors)
    for number in range(len(vectors)):
        gallery.remove(f"late{number}")
    return spent * 1e3


def _faiss(rows: int, threads: int) -> tuple[float | None, NDArray[np.int64] | None]:
    try:
        import faiss
    except ImportError:
        return None, None
    faiss.omp_set_num_threads(threads)
    index = faiss.IndexFlatIP(DIMENSION)
    for vectors in people(rows):
        index.add(np.ascontiguousarray(vectors, np.float32))
    strangers, known = probes(rows)
    best, clock = float("inf"), _clock(threads)
    for run in range(_RUNS):
        probe = np.ascontiguousarray(known[run : run + 1])
        start = clock()
        index.search(probe, 5)
        best = min(best, clock() - start)
    rows_found = index.search(np.concatenate([strangers, known]), 1)[1][:, 0]
    return best * 1e3, np.asarray(rows_found, np.int64)


def _template(vector: NDArray[np.float32]) -> Template:
    return Template(_CONTRACT, vector, 1.0, 1, 1.0)


def _unit(rows: NDArray[Any]) -> NDArray[np.float32]:
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), np.float32)
