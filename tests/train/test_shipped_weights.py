"""The weights kept for warm starts are those of the recogniser that ships."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from qcface_sdk import Bundle  # noqa: E402
from qcface_sdk.runtime import open_runner  # noqa: E402
from qcface_train.arguments import Recipe  # noqa: E402
from qcface_train.backbone import EdgeNet  # noqa: E402
from qcface_train.checkpoint import load_weights  # noqa: E402

TRAIN = Path(__file__).resolve().parents[2] / "train"


def test_shipped_weights_embed_like_the_shipped_recogniser(rng: np.random.Generator) -> None:
    model = Recipe.from_yaml(TRAIN / "configs/edge.yaml").model
    network = EdgeNet(model.widths, model.blocks, model.neck).eval()
    network.load_state_dict(load_weights(TRAIN / "weights/edge.pt"))
    images = rng.normal(0, 0.5, (4, 3, 112, 112)).astype(np.float32)
    with torch.no_grad():
        ours = network(torch.from_numpy(images)).numpy()
    bundle = Bundle.load()
    with open_runner(bundle.read(bundle.artifact("onnxruntime", "fp32").file), "onnxruntime", 1) as runner:
        shipped = runner.infer({"input": images})["embedding"]
    lengths = np.linalg.norm(ours, axis=1), np.linalg.norm(shipped, axis=1)
    cosines = (ours * shipped).sum(axis=1) / lengths[0] / lengths[1]
    # these are kept in float16, those of the shipped file stand on 8-bit grids; other weights differ by far more
    assert cosines.min() > 0.999
    np.testing.assert_allclose(lengths[0], lengths[1], rtol=1e-2)
