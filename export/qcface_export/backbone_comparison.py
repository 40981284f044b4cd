"""Compare networks by size, multiplications and time on one CPU thread, in float and in 8 bits.

The weights are fresh: time and size do not depend on them. What the networks learn with equal training is measured by
`qcface_export.backbone_training`.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from qcface_export.calibration import calibrate
from qcface_export.emit import emit_cpu_int8
from qcface_export.onnx_from_torch import SIDE, recognizer_to_onnx
from qcface_export.pictures import PictureSet
from qcface_sdk.runtime import open_runner
from qcface_train.arguments import ModelArguments
from qcface_train.backbone import Backbone, build_backbone, parameter_count

CANDIDATES: Mapping[str, ModelArguments] = MappingProxyType(
    {
        "edge, half width": ModelArguments(widths=(16, 16, 32, 64, 128), neck=256),
        "edge (default)": ModelArguments(),
        "edge, 1.5 width": ModelArguments(widths=(48, 48, 96, 192, 384), neck=768),
        "mobilefacenet": ModelArguments(name="mobilefacenet"),
        "iresnet18": ModelArguments(name="iresnet18"),
        "iresnet34": ModelArguments(name="iresnet34"),
        "iresnet50": ModelArguments(name="iresnet50"),
        "iresnet100": ModelArguments(name="iresnet100"),
    }
)
"""Networks by name."""

RUNTIMES = ("onnxruntime", "openvino")
_WARM_UP = 3
_PICTURES = 16


@dataclass(frozen=True, slots=True)
class Timing:
    """Milliseconds of one picture on one thread, over the repeats."""

    median: float
    """Median of the elapsed time."""
    fastest: float
    """Shortest elapsed time: nearest to an idle machine, where others compute beside."""
    cpu: float
    """Mean of the processor time."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """What was measured of one network."""

    name: str
    """A key of `CANDIDATES`."""
    parameters: int
    """Numbers that are trained."""
    macs: int
    """Multiply-adds of convolutions and linear layers for one picture."""
    int8_bytes: int | None
    """Size of the 8-bit file of ONNX Runtime; None where it was not made."""
    timings: Mapping[tuple[str, str], Timing]
    """By precision (fp32, int8) and runtime."""


def count_macs(network: nn.Module) -> int:
    """Count the multiply-adds of convolutions and linear layers for one picture."""
    total = 0
    handles = []

    def add(module: nn.Module, _: tuple[Tensor, ...], result: Tensor) -> None:
        nonlocal total
        assert isinstance(module, (nn.Conv2d, nn.Linear))
        # Each number of the result is a sum over the weights of one output channel.
        total += result.numel() * module.weight[0].numel()

    for module in network.modules():
        if isinstance(module, (nn.Conv2d, nn.Linear)):
            handles.append(module.register_forward_hook(add))
    with torch.inference_mode():
        network(torch.zeros(1, 3, SIDE, SIDE))
    for handle in handles:
        handle.remove()
    return total


def compare_backbone(
    name: str, *, int8: bool = True, repeats: int = 50, runtimes: Sequence[str] = RUNTIMES
) -> Comparison:
    """Build, export, quantise and time one of the candidates."""
    torch.manual_seed(0)
    network = _settled(build_backbone(CANDIDATES[name]))
    master = recognizer_to_onnx(network)
    files: dict[tuple[str, str], bytes] = {("fp32", runtime): master for runtime in runtimes}
    if int8:
        # One file for both runtimes: they read the same quantised ONNX.
        eight = emit_cpu_int8(master, calibrate(master, _pictures()))
        files |= {("int8", runtime): eight for runtime in runtimes}
    timings = {key: time_network(model, key[1], repeats) for key, model in files.items()}
    small = files.get(("int8", "onnxruntime"))
    return Comparison(name, parameter_count(network), count_macs(network), len(small) if small else None, timings)


def time_network(model: bytes, runtime: str, repeats: int) -> Timing:
    """Time one picture on one thread of a runtime."""
    feed = np.random.default_rng(0).uniform(-1, 1, (1, 3, SIDE, SIDE)).astype(np.float32)
    elapsed = []
    with open_runner(model, runtime, 1) as runner:
        inputs = {runner.inputs[0].name: feed}
        for _ in range(_WARM_UP):
            runner.infer(inputs)
        before = time.process_time()
        for _ in range(repeats):
            start = time.perf_counter()
            runner.infer(inputs)
            elapsed.append(time.perf_counter() - start)
        cpu = time.process_time() - before
    return Timing(1e3 * float(np.median(elapsed)), 1e3 * min(elapsed), 1e3 * cpu / repeats)


def markdown_table(rows: Sequence[Comparison], further: Mapping[str, Mapping[str, str]] | None = None) -> str:
    """Return the comparison as Markdown; times as fastest / median elapsed / processor, in ms.

    Parameters
    ----------
    rows : sequence of Comparison
        A row each.
    further : mapping of str to mapping of str to str, optional
        What else was measured: cells by column, by network.
    """
    further = further or {}
    columns = list(dict.fromkeys(column for cells in further.values() for column in cells))
    keys = list(dict.fromkeys(key for row in rows for key in row.timings))
    head = [
        "network",
        "parameters, M",
        "MACs, M",
        "INT8 file, MB",
        *(f"{p} {runtime}, ms" for p, runtime in keys),
        *columns,
    ]
    lines = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    for row in rows:
        size = "" if row.int8_bytes is None else f"{row.int8_bytes / 1e6:.1f}"
        cells = [row.name, f"{row.parameters / 1e6:.1f}", f"{row.macs / 1e6:.0f}", size]
        for key in keys:
            found = row.timings.get(key)
            cells.append(f"{found.fastest:.1f} / {found.median:.1f} / {found.cpu:.1f}" if found else "")
        cells += [further.get(row.name, {}).get(column, "") for column in columns]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _settled(network: Backbone) -> Backbone:
    """Return the network with batch norms that have seen something; fresh figures would let the numbers explode."""
    network.train()
    with torch.no_grad():
        for _ in range(2):
            network(torch.rand(4, 3, SIDE, SIDE) * 2 - 1)
    return network.eval()


def _pictures() -> PictureSet:
    crops: NDArray[np.uint8] = np.random.default_rng(1).integers(0, 256, (_PICTURES, SIDE, SIDE, 3), np.uint8)
    return PictureSet(tuple(map(str, range(_PICTURES))), crops)
