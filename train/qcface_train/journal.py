"""What a run writes down: every step in ``log.jsonl``, curves for TensorBoard, and the progress bar."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

_LOG = logging.getLogger("qcface_train")
_SHOWN = ("distance", "kd", "id", "p", "qc", "norm")
_GROUPS = {"id": "loss/L_ID", "qc": "loss/L_QC", "kd": "loss/distillation", "loss": "loss/total"}
_HISTOGRAM_STEPS = 50


class Journal:
    """Takes the figures of a run; a context manager.

    Parameters
    ----------
    folder : Path
        Of the run.
    step, steps : int
        Where the run is, and where it will end.
    active : bool
        False in all processes but the first: nothing is written.
    shown : bool
        Whether the bar is drawn.
    tensorboard : bool
        Whether curves for TensorBoard are written, to ``folder/tensorboard``; without the package they are left out.
    """

    def __init__(
        self, folder: Path, step: int, steps: int, *, active: bool = True, shown: bool = True, tensorboard: bool = False
    ) -> None:
        self._active = active
        self._file = (folder / "log.jsonl").open("a", buffering=1) if active else None
        self._board = _open_board(folder / "tensorboard", step) if active and tensorboard else None
        from tqdm import tqdm

        # A terminal wants to see it move; a log file wants few lines.
        interval = 0.5 if sys.stderr.isatty() else 20
        self._bar = tqdm(total=steps, initial=step, unit="step", disable=not (active and shown), mininterval=interval)

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._bar.close()
        for target in (self._file, self._board):
            if target is not None:
                target.close()

    def step(self, step: int, seconds: float, rate: float, steps: int, figures: Mapping[str, float]) -> None:
        """Note one finished step; `rate` is in pictures a second."""
        rounded = {name: round(value, 5) for name, value in figures.items()}
        rounded["lr"] = figures["lr"]
        self._write({"step": step, "seconds": round(seconds, 1), **rounded})
        self._bar.total = steps
        self._bar.set_postfix_str(
            f"{rate:.0f} img/s " + " ".join(f"{name}={figures[name]:.3g}" for name in _SHOWN if name in figures),
            refresh=False,
        )
        self._bar.update(1)
        if self._board is not None:
            for name, value in figures.items():
                self._board.add_scalar(_GROUPS.get(name, f"training/{name}"), value, step)
            self._board.add_scalar("training/images_per_second", rate, step)

    def norms(self, step: int, norms: NDArray[np.float32]) -> None:
        """Note the distribution of a step's lengths, every now and then."""
        if self._board is not None and step % _HISTOGRAM_STEPS == 0:
            self._board.add_histogram("training/norms", norms, step)

    def validation(self, step: int, samples: int, figures: Mapping[str, Any]) -> None:
        """Note an evaluation on the held-out identities and on verification pairs."""
        self._write({"step": step, "samples": samples, "validation": dict(figures)})
        _LOG.info("step %d: held-out %s", step, json.dumps(figures))
        if self._board is None:
            return
        for name in ("accuracy", "tar_1e3"):
            self._board.add_scalar(f"verification/{name}", figures[name], step)
        for part in ("ladder", "pairs"):
            for name, value in figures.get(part, {}).items():
                self._board.add_scalar(f"verification/{part}_{name}", value, step)

    def _write(self, content: Mapping[str, Any]) -> None:
        if self._file is not None:
            self._file.write(json.dumps(content) + "\n")


def _open_board(folder: Path, step: int) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        _LOG.warning("TensorBoard curves are left out; pip install 'qcface-sdk[train]'")
        return None
    # What an interrupted run wrote beyond its checkpoint is overwritten.
    return SummaryWriter(str(folder), purge_step=step + 1)
