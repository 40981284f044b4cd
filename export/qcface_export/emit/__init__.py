"""Files for each runtime, made of one FP32 master and one calibration table."""

from qcface_export.emit.cpu import emit_arm_int8, emit_cpu_int8
from qcface_export.emit.prelu import prelu_as_max
from qcface_export.emit.trt import PRECISIONS, emit_openvino_int8, emit_trt

__all__ = ["PRECISIONS", "emit_arm_int8", "emit_cpu_int8", "emit_openvino_int8", "emit_trt", "prelu_as_max"]
