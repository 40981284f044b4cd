"""Thresholds, quality and gates: measured on a labelled set, stored, and looked up again.

The engine looks everything up in one `Calibration`: the bundle's, or one made on your own people by `calibrate` and the
command ``qcface calibrate``.
"""

from qcface_sdk.calibration.calibration import Calibration
from qcface_sdk.calibration.gates import Comparisons, GateFit, find_gate, measure_gate
from qcface_sdk.calibration.measure import Measured, calibrate

__all__ = ["Calibration", "Comparisons", "GateFit", "Measured", "calibrate", "find_gate", "measure_gate"]
