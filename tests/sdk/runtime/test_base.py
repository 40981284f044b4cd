"""What every runner checks before its backend sees a feed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from qcface_sdk.errors import InferenceError, InputError, ShapeError
from qcface_sdk.runtime.base import Runner, TensorSpec, closed_error

FLOAT = np.dtype(np.float32)


class DoublingRunner(Runner):
    """Doubles `x` (N, 3) and ignores `flag` (1,); keeps what it was fed."""

    name = "fake"
    inputs = (TensorSpec("x", FLOAT, (None, 3)), TensorSpec("flag", np.dtype(np.bool_), (1,)))
    outputs = (TensorSpec("y", FLOAT, (None, 3)),)

    def __init__(self) -> None:
        self.fed: dict[str, NDArray[Any]] = {}
        self.closed = 0

    def close(self) -> None:
        self.closed += 1

    def _infer(self, feeds: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        if self.closed:
            raise closed_error(self.name)
        self.fed = feeds
        return {"y": feeds["x"] * 2}


X = np.arange(6, dtype=np.float32).reshape(2, 3)
FLAG = np.array([True])


def test_infer_with_right_feeds_runs() -> None:
    np.testing.assert_array_equal(DoublingRunner().infer({"flag": FLAG, "x": X})["y"], X * 2)


def test_infer_passes_a_contiguous_array_on_without_a_copy() -> None:
    runner = DoublingRunner()
    runner.infer({"x": X, "flag": FLAG})
    assert np.shares_memory(runner.fed["x"], X)


def test_infer_makes_a_strided_array_contiguous() -> None:
    runner = DoublingRunner()
    strided = np.asfortranarray(X)
    runner.infer({"x": strided, "flag": FLAG})
    assert runner.fed["x"].flags.c_contiguous
    np.testing.assert_array_equal(runner.fed["x"], X)


@pytest.mark.parametrize("feeds", [{}, {"x": X}, {"x": X, "flag": FLAG, "z": X}, {"X": X, "flag": FLAG}])
def test_infer_with_other_names_lists_both(feeds: dict[str, NDArray[Any]]) -> None:
    with pytest.raises(InputError, match=r"feeds must be \['flag', 'x'\], got"):
        DoublingRunner().infer(feeds)


@pytest.mark.parametrize(
    "value",
    [
        X.astype(np.float64),
        X.astype(">f4"),
        X[0],
        X[None],
        X[:, :2],
        X[:0],
        X.tolist(),
        None,
    ],
    ids=["float64", "big endian", "1-d", "3-d", "other width", "empty batch", "list", "none"],
)
def test_infer_with_another_array_says_what_is_wanted(value: Any) -> None:
    with pytest.raises(ShapeError, match=r"input 'x' must be float32 of shape \(any, 3\), got"):
        DoublingRunner().infer({"x": value, "flag": FLAG})


def test_leaving_the_block_closes_even_after_an_error() -> None:
    with pytest.raises(RuntimeError, match="mine"), DoublingRunner() as runner:
        raise RuntimeError("mine")
    assert runner.closed == 1
    with pytest.raises(InferenceError, match="this fake runner is closed; open a new one"):
        runner.infer({"x": X, "flag": FLAG})
