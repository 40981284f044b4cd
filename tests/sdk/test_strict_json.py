"""JSON to dataclasses: types are followed to the letter, and equal values give equal bytes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qcface_sdk.errors import ManifestError
from qcface_sdk.strict_json import OPTIONAL, decode, dump_object, parse_object


@dataclass(frozen=True, slots=True)
class Inner:
    count: int
    share: float


@dataclass(frozen=True, slots=True)
class Outer:
    title: str
    ready: bool
    pair: tuple[int, float]
    many: tuple[Inner, ...]
    named: Mapping[str, Inner]

    def __post_init__(self) -> None:
        if self.title == "bad":
            raise ManifestError("title must not be bad")


PLAIN: dict[str, Any] = {
    "title": "t",
    "ready": True,
    "pair": [1, 2],
    "many": [{"count": 3, "share": 0.5}],
    "named": {"a": {"count": 4, "share": 1}},
}
VALUE = Outer("t", True, (1, 2.0), (Inner(3, 0.5),), {"a": Inner(4, 1.0)})


def test_decode_builds_nested_values() -> None:
    assert decode(Outer, PLAIN, "") == VALUE


def test_dump_object_of_equal_mappings_in_another_order_gives_equal_bytes() -> None:
    rows = {"b": Inner(1, 0.0), "a": Inner(2, 0.0)}
    first = Outer("t", True, (1, 2.0), (), rows)
    second = Outer("t", True, (1, 2.0), (), MappingProxyType(dict(reversed(rows.items()))))
    assert dump_object(first) == dump_object(second)


@given(
    title=st.text().filter(lambda text: text != "bad"),
    pair=st.tuples(st.integers(), st.floats(allow_nan=False, allow_infinity=False)),
    names=st.lists(st.text(), unique=True, max_size=4),
)
def test_decode_of_dump_object_is_the_same(title: str, pair: tuple[int, float], names: list[str]) -> None:
    value = Outer(title, False, pair, (), {name: Inner(index, 0.1) for index, name in enumerate(names)})
    assert decode(Outer, parse_object(dump_object(value), "x"), "") == value


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"ready": 1}, "outer.ready must be true or false, got a whole number 1"),
        ({"title": None}, "outer.title must be text, got null"),
        ({"pair": [True, 2]}, r"outer.pair\[0\] must be a whole number, got true or false True"),
        ({"pair": [1.0, 2]}, r"outer.pair\[0\] must be a whole number, got a number 1.0"),
        ({"pair": [1, "2"]}, r"outer.pair\[1\] must be a number, got text '2'"),
        ({"pair": [1, 2, 3]}, "outer.pair must be a list of 2, got 3"),
        ({"pair": {"0": 1}}, "outer.pair must be a list, got an object"),
        ({"many": [PLAIN["many"][0], 5]}, r"outer.many\[1\] must be an object, got a whole number 5"),
        ({"named": []}, "outer.named must be an object, got a list"),
        ({"named": {"k": {"count": 1}}}, "missing key outer.named.k.share"),
        (
            {"named": {"k": {"count": 1, "share": 1, "x": 1}}},
            "unknown key outer.named.k.x; this schema knows",
        ),
        ({"title": "bad"}, "outer.title must not be bad"),
        ({"title": 10**100}, "outer.title must be text, got a whole number 1000"),
    ],
)
def test_decode_of_another_type_names_path_and_both_types(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ManifestError, match=message):
        decode(Outer, {**PLAIN, **change}, "outer")


def test_decode_quotes_no_more_than_a_line_of_a_wrong_value() -> None:
    with pytest.raises(ManifestError) as caught:
        decode(Inner, {"count": "x" * 10_000, "share": 1}, "")
    assert len(str(caught.value)) < 200


@dataclass(frozen=True)
class _Grown:
    old: int
    added: tuple[int, ...] = field(default=(), metadata=OPTIONAL)


def test_key_added_later_may_be_missing_and_is_written_where_it_says_something() -> None:
    assert decode(_Grown, {"old": 1}, "") == _Grown(1)
    assert decode(_Grown, {"old": 1, "added": [2]}, "") == _Grown(1, (2,))
    assert b"added" not in dump_object(_Grown(1))
    assert decode(_Grown, parse_object(dump_object(_Grown(1, (2,))), "x"), "") == _Grown(1, (2,))
    with pytest.raises(ManifestError, match="missing key old"):
        decode(_Grown, {"added": []}, "")
