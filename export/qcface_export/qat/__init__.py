"""Quantisation-aware training: fine-tune a network with its 8-bit rounding in place; needs torchao.

``pip install "qcface-sdk[qat]"``
"""

from __future__ import annotations

import logging

from qcface_export.errors import ExportError

# It reports each of its GPU libraries that does not load on this machine; none of them is used here.
logging.getLogger("torchao").setLevel(logging.ERROR)
try:
    from qcface_export.qat.placement import Placement
    from qcface_export.qat.quantizer import SymmetricQuantizer, fake_quantized, learned_steps
    from qcface_export.qat.tuned_table import tuned_table
    from qcface_export.qat.tuner import Tuned, Tuner, Tuning
except ImportError as error:
    raise ExportError(f"quantisation-aware training needs torchao ({error}): pip install 'qcface-sdk[qat]'") from error

__all__ = [
    "Placement",
    "SymmetricQuantizer",
    "Tuned",
    "Tuner",
    "Tuning",
    "fake_quantized",
    "learned_steps",
    "tuned_table",
]
