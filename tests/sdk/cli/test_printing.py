from __future__ import annotations

import json

import pytest

from qcface_sdk.cli.printing import number_or_dash, plural, print_json, print_json_line, print_table


def test_print_table_aligns_columns(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(("name", "ms"), [("a", "1.5"), ("long one", "10.0")], right=(1,))
    assert capsys.readouterr().out == "name        ms\n--------  ----\na          1.5\nlong one  10.0\n"


def test_print_json_line_is_one_line_of_ascii(capsys: pytest.CaptureFixture[str]) -> None:
    print_json_line({"subject": "Zoë", "faces": [1]})
    out = capsys.readouterr().out
    assert out.isascii()
    assert out.count("\n") == 1
    assert json.loads(out) == {"subject": "Zoë", "faces": [1]}


@pytest.mark.parametrize("print_one", [print_json, print_json_line])
def test_print_json_refuses_what_is_no_json(print_one) -> None:
    with pytest.raises(ValueError, match="JSON"):
        print_one({"similarity": float("nan")})


def test_number_or_dash_rounds() -> None:
    assert (number_or_dash(1.26, 1), number_or_dash(None, 1)) == ("1.3", "-")


@pytest.mark.parametrize(("count", "text"), [(0, "0 faces"), (1, "1 face"), (2, "2 faces")])
def test_plural_agrees_with_the_count(count: int, text: str) -> None:
    assert plural(count, "face") == text
