from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("onnx")
pytest.importorskip("onnxscript")
pytest.importorskip("torchao", reason="torchao is not installed: pip install 'qcface-sdk[qat]'")

from qcface_export.bundle_packing import INPUT  # noqa: E402
from qcface_export.calibration import calibrate  # noqa: E402
from qcface_export.calibration_table import CalibrationTable, TensorRange  # noqa: E402
from qcface_export.onnx_from_torch import fold_batch_norms, folded_to_onnx  # noqa: E402
from qcface_export.pictures import PictureSet  # noqa: E402
from qcface_train.backbone import Backbone, EdgeNet, IResNet  # noqa: E402

PREPROCESSING = dataclasses.replace(INPUT, std=(128.0, 128.0, 128.0))
"""A pixel level is 2**-7, so that arithmetic on pixels is exact, too."""


@dataclass(frozen=True)
class Exported:
    """A network with folded batch norms, its master and its table."""

    network: Backbone
    master: bytes
    table: CalibrationTable


def folded(network: Backbone) -> Backbone:
    for module in network.modules():
        if isinstance(module, (torch.nn.BatchNorm1d, torch.nn.BatchNorm2d)):
            torch.nn.init.uniform_(module.weight, 0.5, 1.5)  # the last of a block begins as 0
            torch.nn.init.uniform_(module.running_mean, -0.1, 0.1)
    return fold_batch_norms(network.eval()).requires_grad_(False)


def some(pictures: PictureSet, count: int) -> PictureSet:
    return PictureSet(pictures.names[:count], pictures.crops[:count])


def power_of_two(largest: float) -> float:
    """Return the step 2**k of the narrowest grid that holds a number."""
    return 2.0 ** math.ceil(math.log2(largest / 127))


@pytest.fixture(scope="package")
def edge(small_set: PictureSet) -> Exported:
    """A network all of whose steps are powers of two, weights on their grids and biases on a common one.

    Sums of products are then exact in float32, in any order, and two ways to compute the network must give equal bits.
    """
    torch.manual_seed(1)
    network = folded(EdgeNet((8, 8, 8, 16, 16), (1, 1, 1, 1), 16))
    for module in network.modules():
        if isinstance(module, (torch.nn.Conv2d, torch.nn.Linear)):
            for row in module.weight:
                step = power_of_two(float(row.abs().max()))
                row.mul_(127 * step / row.abs().max()).div_(step).round_().mul_(step)
            module.bias.mul_(2**12).round_().div_(2**12)
    master = folded_to_onnx(network)
    seen = calibrate(master, some(small_set, 8), preprocessing=PREPROCESSING)
    ranges = {}
    for name, one in seen.tensors.items():
        end = 127 * power_of_two(max(abs(one.minimum), abs(one.maximum)))
        low = 0.0 if one.minimum >= 0 else -end
        ranges[name] = TensorRange(low, end, dict.fromkeys(one.percentiles, end), one.numbers)
    return Exported(
        network, master, CalibrationTable.of(master, seen.images_sha256, seen.images, PREPROCESSING, ranges)
    )


@pytest.fixture(scope="package")
def iresnet(small_set: PictureSet) -> Exported:
    torch.manual_seed(2)
    network = folded(IResNet((1, 1, 1, 1), (8, 8, 8, 8, 8)))
    master = folded_to_onnx(network)
    return Exported(network, master, calibrate(master, some(small_set, 4)))
