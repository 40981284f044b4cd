"""The gallery kernels against NumPy."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from qcface_sdk._native import match

FORMATS = ("float32", "float16", "int8")
DIMS = st.one_of(st.integers(1, 70), st.sampled_from([128, 255, 256, 511, 512, 515]))


class Gallery:
    """The same rows in one of three number formats, with the kernels for it."""

    def __init__(self, name: str, rows: NDArray[np.float32]) -> None:
        self.name = name
        self.rows = rows
        self.halves = rows.astype(np.float16)
        self.codes, self.scales = quantized(rows)

    def permuted(self, order: NDArray[np.int64]) -> Gallery:
        return Gallery(self.name, np.ascontiguousarray(self.rows[order]))

    def dot(self, probes: NDArray[np.float32]) -> NDArray[np.float32]:
        out = np.full((len(probes), len(self.rows)), np.nan, dtype=np.float32)
        if self.name == "float32":
            match.dot_float32(self.rows, probes, out)
        elif self.name == "float16":
            match.dot_float16(self.halves.view(np.uint16), probes, out)
        else:
            match.dot_int8(self.codes, self.scales, *quantized(probes), out)
        return out

    def top_k(self, probes: NDArray[np.float32], k: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        index = np.full((len(probes), k), -7, dtype=np.int64)
        score = np.full((len(probes), k), np.nan, dtype=np.float32)
        if self.name == "float32":
            match.top_k_float32(self.rows, probes, k, index, score)
        elif self.name == "float16":
            match.top_k_float16(self.halves.view(np.uint16), probes, k, index, score)
        else:
            match.top_k_int8(self.codes, self.scales, *quantized(probes), k, index, score)
        return index, score

    def exact(self, probes: NDArray[np.float32]) -> NDArray[np.float64]:
        """Products in double precision, with the numbers as the format stores them."""
        if self.name == "int8":
            codes, scales = quantized(probes)
            return (codes.astype(np.int64) @ self.codes.T.astype(np.int64)) * (scales[:, None] * self.scales)
        rows = self.rows if self.name == "float32" else self.halves
        return probes.astype(np.float64) @ rows.T.astype(np.float64)


def quantized(rows: NDArray[np.float32]) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    codes, scales = np.empty(rows.shape, dtype=np.int8), np.empty(len(rows), dtype=np.float32)
    match.quantize_rows(rows, codes, scales)
    return codes, scales


def floats(seed: int, count: int, dim: int) -> NDArray[np.float32]:
    return np.random.default_rng(seed).standard_normal((count, dim)).astype(np.float32)


def best_of(scores: NDArray[np.float32], k: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """The k best by a stable sort; padded with -1 and minus infinity."""
    scores = np.where(np.isnan(scores), -np.inf, scores)
    order = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    pad = ((0, 0), (0, k - order.shape[1]))
    best = np.take_along_axis(scores, order, axis=1)
    return np.pad(order, pad, constant_values=-1), np.pad(best, pad, constant_values=-np.inf)


@pytest.mark.parametrize("name", FORMATS)
@given(count=st.integers(1, 140), probes=st.integers(1, 9), dim=DIMS, seed=st.integers(0, 99))
def test_dot_any_size_equals_numpy(name: str, count: int, probes: int, dim: int, seed: int) -> None:
    gallery, asked = Gallery(name, floats(seed, count, dim)), floats(seed + 1, probes, dim)
    np.testing.assert_allclose(gallery.dot(asked), gallery.exact(asked), rtol=1e-6, atol=2e-6 * dim)


@pytest.mark.parametrize("name", FORMATS)
@given(count=st.integers(0, 300), probes=st.integers(1, 70), k=st.integers(1, 20), dim=st.integers(1, 40))
def test_top_k_equals_a_stable_sort(name: str, count: int, probes: int, k: int, dim: int) -> None:
    # Small whole numbers: many equal scores, and the same ones in every format and order of summation.
    gallery = Gallery(name, np.random.default_rng(count).integers(-2, 3, (count, dim)).astype(np.float32))
    asked = np.random.default_rng(k).integers(-2, 3, (probes, dim)).astype(np.float32)
    index, score = gallery.top_k(asked, k)
    wanted_index, wanted_score = best_of(gallery.dot(asked), k)
    np.testing.assert_array_equal(index, wanted_index)
    np.testing.assert_array_equal(score, wanted_score)


@pytest.mark.parametrize("name", FORMATS)
def test_scores_do_not_depend_on_place_or_company(name: str) -> None:
    gallery, asked = Gallery(name, floats(1, 151, 77)), floats(2, 11, 77)
    scores = gallery.dot(asked)
    order = np.random.default_rng(3).permutation(151)
    np.testing.assert_array_equal(gallery.permuted(order).dot(asked), scores[:, order])
    for i in range(11):
        np.testing.assert_array_equal(gallery.dot(asked[i : i + 1])[0], scores[i])


@pytest.mark.parametrize("name", FORMATS)
def test_top_k_permuted_gallery_finds_the_same_rows(name: str) -> None:
    gallery, asked = Gallery(name, floats(4, 500, 64)), floats(5, 3, 64)
    order = np.random.default_rng(6).permutation(500)
    index, score = gallery.top_k(asked, 10)
    moved_index, moved_score = gallery.permuted(order).top_k(asked, 10)
    np.testing.assert_array_equal(order[moved_index], index)
    np.testing.assert_array_equal(moved_score, score)


@pytest.mark.parametrize("name", FORMATS)
def test_top_k_repeated_is_identical(name: str) -> None:
    gallery, asked = Gallery(name, floats(7, 700, 512)), floats(8, 70, 512)
    first, second = gallery.top_k(asked, 16), gallery.top_k(asked, 16)
    np.testing.assert_array_equal(first[0], second[0])
    np.testing.assert_array_equal(first[1], second[1])


def test_top_k_nan_rows_count_as_lowest() -> None:
    rows = floats(9, 40, 16)
    rows[::2] = np.nan
    asked = floats(10, 2, 16)
    index, score = Gallery("float32", rows).top_k(asked, 30)
    wanted = best_of(asked @ rows.T, 30)[0]
    np.testing.assert_array_equal(index, wanted)
    assert (index[:, :20] % 2 == 1).all()
    assert np.isneginf(score[:, 20:]).all()


@pytest.mark.parametrize("name", FORMATS)
def test_top_k_empty_gallery_is_all_padding(name: str) -> None:
    index, score = Gallery(name, np.empty((0, 8), np.float32)).top_k(floats(11, 2, 8), 3)
    np.testing.assert_array_equal(index, -1)
    assert np.isneginf(score).all()


def test_dot_float16_special_values_are_kept() -> None:
    halves = np.array([[0.0], [-0.0], [6e-8], [6.1e-5], [65504.0], [-65504.0], [np.inf], [-np.inf]], np.float16)
    out = np.empty((1, 8), dtype=np.float32)
    match.dot_float16(halves.view(np.uint16), np.ones((1, 1), np.float32), out)
    np.testing.assert_array_equal(out[0], halves[:, 0].astype(np.float32))
    match.dot_float16(np.full((8, 1), np.nan, np.float16).view(np.uint16), np.ones((1, 1), np.float32), out)
    assert np.isnan(out).all()


@pytest.mark.parametrize("dim", [1, 15, 16, 17, 31, 32, 63, 64, 65, 512])
def test_dot_int8_extreme_bytes_are_exact(dim: int) -> None:
    ones = np.ones(2, dtype=np.float32)
    rows, probes = np.full((2, dim), -128, dtype=np.int8), np.full((2, dim), -128, dtype=np.int8)
    rows[1], probes[1] = 127, 127
    out = np.empty((2, 2), dtype=np.float32)
    match.dot_int8(rows, ones, probes, ones, out)
    wanted = np.array([[128 * 128, -128 * 127], [-128 * 127, 127 * 127]]) * dim
    np.testing.assert_array_equal(out, wanted)


@given(count=st.integers(1, 20), dim=DIMS, seed=st.integers(0, 99))
def test_quantize_rows_equals_numpy(count: int, dim: int, seed: int) -> None:
    rows = floats(seed, count, dim) * np.float32(10.0) ** np.arange(count, dtype=np.float32)[:, None] * np.float32(1e-9)
    codes, scales = quantized(rows)
    step = np.abs(rows).max(axis=1) / np.float32(127)
    np.testing.assert_array_equal(scales, step)
    np.testing.assert_array_equal(codes, np.rint(rows / step[:, None]))
    assert np.abs(codes).max() == 127


def test_quantize_rows_rounds_half_to_even() -> None:
    rows = np.array([[127.0, 0.5, 1.5, 2.5, -0.5, -1.5]], dtype=np.float32)
    np.testing.assert_array_equal(quantized(rows)[0], [[127, 0, 2, 2, 0, -2]])


@pytest.mark.parametrize("value", [0.0, 1e-45, np.nan, np.inf])
def test_quantize_rows_without_a_scale_is_finite_or_zero(value: float) -> None:
    codes, scales = quantized(np.full((1, 9), value, dtype=np.float32))
    assert codes.shape == (1, 9)
    if value < 1e-40:
        assert scales[0] == 0.0
        assert not codes.any()


def test_int8_scan_with_rerank_finds_the_float_winner() -> None:
    rows, asked = floats(12, 20_000, 512), floats(13, 100, 512)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    asked /= np.linalg.norm(asked, axis=1, keepdims=True)
    index, _ = Gallery("int8", rows).top_k(asked, 16)
    exact = np.einsum("pkd,pd->pk", rows[index], asked)
    found = np.take_along_axis(index, exact.argmax(axis=1)[:, None], axis=1)[:, 0]
    np.testing.assert_array_equal(found, (asked @ rows.T).argmax(axis=1))


def test_simd_is_one_of_the_usable_sets() -> None:
    assert match.simd() in match.simd_sets()
    assert match.simd_sets()[-1] == "portable"
