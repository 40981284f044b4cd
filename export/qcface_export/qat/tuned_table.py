"""The master and the calibration table of a fine-tuned network, so that the one emitter writes its file, too."""

from __future__ import annotations

from qcface_export.calibration_table import CalibrationTable, TensorRange
from qcface_export.errors import CalibrationError
from qcface_export.onnx_from_torch import folded_to_onnx
from qcface_export.qat.tuner import Tuned

_STEPS = 127


def tuned_table(tuned: Tuned, table: CalibrationTable) -> tuple[bytes, CalibrationTable]:
    """Return the FP32 master of a fine-tuned network, and the table with the ranges that were learned with it.

    Calibrating the new master would move the grids that its weights were made for. Learned ranges stand for every
    percentile; tensors without a grid keep the range that was seen before.

    Parameters
    ----------
    tuned : Tuned
        Of `Tuner.result`.
    table : CalibrationTable
        That the placement was made of.

    Raises
    ------
    CalibrationError
        If the table is of a network with other tensors.
    """
    if missing := sorted(set(tuned.steps) - set(table.tensors)):
        raise CalibrationError(f"the table does not hold tensor {missing[0]!r}; give the one of the fine-tuning")
    master = folded_to_onnx(tuned.network)
    ranges = {
        name: _range(seen, tuned.steps[name]) if name in tuned.steps else seen for name, seen in table.tensors.items()
    }
    return master, CalibrationTable.of(master, table.images_sha256, table.images, table.preprocessing, ranges)


def _range(seen: TensorRange, step: float) -> TensorRange:
    """Return the range of the grid; what was never below 0 is not now, which unsigned grids make use of."""
    end = _STEPS * step
    low = 0.0 if seen.minimum >= 0 else -end
    return TensorRange(low, end, dict.fromkeys(seen.percentiles, end), seen.numbers)
