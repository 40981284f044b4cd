from __future__ import annotations

import numpy as np
import onnx
import pytest

from qcface_export.emit import prelu_as_max
from small_networks import embed, small_network, small_pictures


@pytest.mark.parametrize("largest", [0.9, 1.8], ids=["as maximum", "as sum"])
def test_prelu_as_max_computes_the_same_without_prelu(largest: float) -> None:
    master = small_network(3, activation="PRelu", largest_slope=largest)
    model = prelu_as_max(master)
    kinds = {node.op_type for node in onnx.load_from_string(model).graph.node}
    assert "PRelu" not in kinds
    assert ("Max" in kinds) or largest > 1
    crops = small_pictures(3)
    np.testing.assert_allclose(embed(model, crops), embed(master, crops), rtol=2e-5, atol=2e-4)


def test_prelu_as_max_of_a_network_without_prelu_changes_nothing() -> None:
    assert prelu_as_max(small_network()) is small_network()
