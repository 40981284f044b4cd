"""Templates: fusion against a plain reference, the byte form, and everything that is not a template."""

from __future__ import annotations

import pickle
import struct
import zlib
from dataclasses import FrozenInstanceError

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from qcface_sdk.errors import (
    ContractMismatchError,
    InputError,
    NotFiniteError,
    OptionError,
    QCFaceError,
    ShapeError,
    TemplateFormatError,
)
from qcface_sdk.template import Template

CONTRACT = "qc1-0123456789abcdef0123456789abcdef"
NUMBERS = st.floats(-100, 100, width=32).filter(lambda number: number == 0 or abs(number) > 1e-3)


def template_of(*numbers: float, contract: str = CONTRACT) -> Template:
    return Template.from_embeddings([numbers], contract, created=5.0)


def sealed(body: bytes) -> bytes:
    return body + struct.pack("<I", zlib.crc32(body))


def test_from_embeddings_one_row_keeps_direction_and_length():
    template = template_of(3.0, 4.0)
    np.testing.assert_allclose(template.vector, [0.6, 0.8], rtol=1e-6)
    assert (template.magnitude, template.count, template.created) == (5.0, 1, 5.0)


def test_from_embeddings_two_rows_weights_by_magnitude():
    # (30, 0) and (0, 10): the long one has three times the weight; the sum is (30, 10), the mean (15, 5).
    template = Template.from_embeddings([[30.0, 0.0], [0.0, 10.0]], CONTRACT)
    np.testing.assert_allclose(template.vector, np.array([3.0, 1.0]) / 10**0.5, rtol=1e-6)
    assert template.magnitude == pytest.approx(250**0.5)
    assert template.count == 2


@given(arrays(np.float32, st.tuples(st.integers(1, 6), st.integers(2, 9)), elements=NUMBERS))
def test_from_embeddings_any_rows_equals_weighted_mean_of_units(rows):
    exact = rows.astype(np.float64)
    lengths = np.linalg.norm(exact, axis=1)
    if not lengths.all():
        with pytest.raises(NotFiniteError):
            Template.from_embeddings(rows, CONTRACT)
        return
    weighted = (exact / lengths[:, None] * lengths[:, None]).sum(axis=0) / lengths.sum()
    if np.linalg.norm(weighted) < 1e-5:
        return
    template = Template.from_embeddings(rows, CONTRACT)
    np.testing.assert_allclose(template.vector, weighted / np.linalg.norm(weighted), atol=2e-6)
    assert template.magnitude == pytest.approx(np.linalg.norm(exact.mean(axis=0)), rel=1e-9)
    np.testing.assert_allclose(
        template.count * template.magnitude * template.vector, exact.sum(axis=0), atol=1e-6 * lengths.sum()
    )


def test_from_embeddings_without_time_is_now(monkeypatch):
    monkeypatch.setattr("time.time", lambda: 1234.5)
    assert Template.from_embeddings([[1.0, 0.0]], CONTRACT).created == 1234.5


@pytest.mark.parametrize(
    ("rows", "error", "words"),
    [
        pytest.param(np.zeros((0, 4)), ShapeError, "at least one", id="none"),
        pytest.param(np.ones(4), ShapeError, "shape", id="one-dimensional"),
        pytest.param("abcd", ShapeError, "floats", id="text"),
        pytest.param([[1.0, np.nan]], NotFiniteError, "NaN", id="nan"),
        pytest.param([[1.0, np.inf]], NotFiniteError, "NaN", id="infinity"),
        pytest.param([[1.0, 2.0], [0.0, 0.0]], NotFiniteError, "embedding 1 has zero length", id="zero"),
        pytest.param([[1.0, 2.0], [-1.0, -2.0]], NotFiniteError, "cancel out", id="opposite"),
        pytest.param([[1.0, 0.1], [-1.0, -0.1 + 1e-9]], NotFiniteError, "cancel out", id="opposite-but-for-rounding"),
    ],
)
def test_from_embeddings_without_direction_raises(rows, error, words):
    with pytest.raises(error, match=words):
        Template.from_embeddings(rows, CONTRACT)


@pytest.mark.parametrize("contract", [None, "", "x" * 129, "qc1\n", "é", 7])
def test_template_unusable_contract_raises(contract):
    with pytest.raises(OptionError, match="contract must be"):
        Template.from_embeddings([[1.0, 0.0]], contract)


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"vector": [2.0, 0.0]}, InputError),
        ({"vector": [0.0, 0.0]}, InputError),
        ({"vector": [np.nan, 0.0]}, NotFiniteError),
        ({"vector": [1e300, 0.0]}, NotFiniteError),
        ({"vector": [[1.0, 0.0]]}, ShapeError),
        ({"vector": []}, ShapeError),
        ({"vector": "abc"}, ShapeError),
        ({"magnitude": 0.0}, OptionError),
        ({"magnitude": -1.0}, OptionError),
        ({"magnitude": float("nan")}, NotFiniteError),
        ({"magnitude": "5"}, OptionError),
        ({"count": 0}, OptionError),
        ({"count": 2**32}, OptionError),
        ({"count": 1.5}, OptionError),
        ({"created": -1.0}, OptionError),
        ({"created": float("inf")}, NotFiniteError),
    ],
    ids=str,
)
def test_template_broken_field_raises(fields, error):
    good = {"contract": CONTRACT, "vector": [1.0, 0.0], "magnitude": 5.0, "count": 1, "created": 0.0}
    Template(**good)
    with pytest.raises(error):
        Template(**{**good, **fields})


def test_template_is_immutable_and_owns_its_vector():
    source = np.array([1.0, 0.0], np.float32)
    template = Template(CONTRACT, source, 5.0, 1, 0.0)
    source[0] = 0.0
    assert template.vector[0] == 1.0
    with pytest.raises(ValueError, match="read-only"):
        template.vector[0] = 0.0
    with pytest.raises(FrozenInstanceError):
        template.count = 2


def test_repr_never_shows_the_vector():
    assert "vector" not in repr(template_of(3.0, 4.0))
    assert "0.6" not in repr(template_of(3.0, 4.0))


def test_similarity_by_hand_is_the_cosine():
    assert template_of(3.0, 0.0).similarity(template_of(1.0, 1.0)) == pytest.approx(0.5**0.5, abs=1e-7)
    assert template_of(3.0, 0.0).similarity(template_of(-2.0, 0.0)) == -1.0


@given(st.integers(0, 2**32 - 1))
def test_similarity_random_pair_is_symmetric_and_bounded(seed):
    rows = np.random.default_rng(seed).normal(size=(2, 512))
    a, b = (Template.from_embeddings(row[None], CONTRACT) for row in rows)
    assert a.similarity(b) == b.similarity(a)
    assert -1.0 <= a.similarity(b) <= 1.0
    assert a.similarity(a) == pytest.approx(1.0, abs=1e-6)
    assert a.similarity(a) <= 1.0


def test_similarity_other_contract_raises_with_both_ids():
    with pytest.raises(ContractMismatchError, match=r"model-a against model-b.*enrol again") as caught:
        template_of(1.0, 0.0, contract="model-a").similarity(template_of(1.0, 0.0, contract="model-b"))
    assert isinstance(caught.value, QCFaceError)


def test_similarity_other_dimension_raises():
    with pytest.raises(ShapeError, match="2 and 3"):
        template_of(1.0, 0.0).similarity(template_of(1.0, 0.0, 0.0))


@given(
    seed=st.integers(0, 2**32 - 1),
    dimension=st.integers(1, 600),
    magnitude=st.floats(1e-6, 1e6),
    count=st.integers(1, 2**32 - 1),
    created=st.floats(0, 1e12),
    contract=st.text(st.characters(min_codepoint=32, max_codepoint=126), min_size=1, max_size=128),
    quality=st.none() | st.floats(0, 100),
    later=st.floats(0, 1e6),
)
def test_bytes_round_trip_is_exact(seed, dimension, magnitude, count, created, contract, quality, later):
    vector = np.random.default_rng(seed).normal(size=dimension)
    vector /= np.linalg.norm(vector)
    template = Template(contract, vector, magnitude, count, created, quality, created + later)
    again = Template.from_bytes(template.to_bytes())
    assert again == template
    assert hash(again) == hash(template)
    assert again.vector.tobytes() == template.vector.tobytes()
    assert (again.contract, again.magnitude, again.count, again.created) == (contract, magnitude, count, created)
    assert (again.quality, again.updated) == (quality, created + later)
    assert not again.vector.flags.writeable


def test_to_bytes_layout_is_the_documented_one():
    header = b"QCFT" + struct.pack("<HHIIdddd", 2, 3, 2, 1, 5.0, 5.0, 75.0, 9.0)
    body = header + b"abc" + np.array([0.6, 0.8], "<f4").tobytes()
    assert Template("abc", np.array([0.6, 0.8]), 5.0, 1, 5.0, 75.0, 9.0).to_bytes() == sealed(body)


def test_from_bytes_of_version_1_is_read_without_quality():
    header = b"QCFT" + struct.pack("<HHIIdd", 1, 3, 2, 7, 5.0, 6.0)
    old = Template.from_bytes(sealed(header + b"abc" + np.array([0.6, 0.8], "<f4").tobytes()))
    assert (old.contract, old.count, old.magnitude, old.created) == ("abc", 7, 5.0, 6.0)
    assert (old.quality, old.updated) == (None, 6.0)
    assert Template.from_bytes(old.to_bytes()) == old


@pytest.mark.parametrize("fields", [{"quality": 101.0}, {"quality": -1.0}, {"updated": 4.0}, {"updated": True}])
def test_template_with_impossible_quality_or_time_is_refused(fields):
    with pytest.raises(OptionError):
        Template("abc", np.array([0.6, 0.8]), 5.0, 1, 5.0, **fields)


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_from_bytes_any_buffer_is_read(kind):
    template = template_of(3.0, 4.0)
    assert Template.from_bytes(kind(template.to_bytes())) == template


def test_pickle_round_trip_is_exact():
    template = template_of(3.0, 4.0)
    assert pickle.loads(pickle.dumps(template)) == template


def test_from_bytes_every_truncation_raises():
    data = template_of(3.0, 4.0).to_bytes()
    for length in range(len(data)):
        with pytest.raises(TemplateFormatError):
            Template.from_bytes(data[:length])
    with pytest.raises(TemplateFormatError, match="truncated or altered"):
        Template.from_bytes(data + b"\0")


def test_from_bytes_every_flipped_bit_raises():
    data = template_of(3.0, 4.0).to_bytes()
    for position in range(8 * len(data)):
        altered = bytearray(data)
        altered[position // 8] ^= 1 << position % 8
        with pytest.raises(TemplateFormatError):
            Template.from_bytes(altered)


@pytest.mark.parametrize(
    ("start", "replacement", "words"),
    [
        pytest.param(4, struct.pack("<H", 3), "version 3.*reads versions 1 and 2", id="version"),
        pytest.param(-12, struct.pack("<ff", np.nan, 0.0), "must be finite", id="nan"),
        pytest.param(-12, struct.pack("<ff", 0.0, 0.0), "unit length", id="zero"),
        pytest.param(-12, struct.pack("<ff", 0.6, 0.9), "unit length", id="not-unit"),
        pytest.param(12, struct.pack("<I", 0), "count", id="count"),
        pytest.param(16, struct.pack("<d", -5.0), "magnitude", id="magnitude"),
        pytest.param(24, struct.pack("<d", np.inf), "created", id="created"),
        pytest.param(32, struct.pack("<d", 101.0), "quality", id="quality"),
        pytest.param(40, struct.pack("<d", 1.0), "updated", id="updated"),
        pytest.param(48, b"\xff\xff", "not valid", id="contract"),
    ],
)
def test_from_bytes_sealed_nonsense_raises(start, replacement, words):
    data = bytearray(template_of(3.0, 4.0).to_bytes())
    start %= len(data)
    data[start : start + len(replacement)] = replacement
    with pytest.raises(TemplateFormatError, match=words):
        Template.from_bytes(sealed(bytes(data[:-4])))


@pytest.mark.parametrize("data", ["text", None, 5, b"", b"SQLite format 3\0" * 10], ids=str)
def test_from_bytes_something_else_raises(data):
    with pytest.raises(TemplateFormatError):
        Template.from_bytes(data)


@given(st.binary(max_size=200))
def test_from_bytes_arbitrary_bytes_never_pass(data):
    with pytest.raises(TemplateFormatError):
        Template.from_bytes(data)
