from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from qcface_sdk.service.loader import tomllib
from qcface_sdk.service.toml_lines import TomlLines

TEXT = """\
# comment with [brackets] and "quotes
a = 1
b.c = [1,
  2]   # ]
[service]
state = "x # [no]"
text = '''
[fake]
key = 1
'''
[[door]]
name = "one"
[door.rules]
fmr = 1
zone = [
  [0, 0],
  [1, 0],
]
[[door]]
"name" = "two"
open = { kind = "gpio" }
[[door.access.hours]]
begin = 07:00:00
[[door.access.hours]]
begin = 08:00:00
"""


def test_every_key_of_a_file_with_everything_is_found() -> None:
    lines = TomlLines(TEXT)
    wanted = {
        ("a",): 2,
        ("b", "c"): 3,
        ("service",): 5,
        ("service", "state"): 6,
        ("service", "text"): 7,
        ("door", 0): 11,
        ("door", 0, "name"): 12,
        ("door", 0, "rules", "fmr"): 14,
        ("door", 0, "rules", "zone"): 15,
        ("door", 0, "rules", "zone", 1): 15,
        ("door", 1): 19,
        ("door", 1, "name"): 20,
        ("door", 1, "open", "kind"): 21,
        ("door", 1, "access", "hours", 0, "begin"): 23,
        ("door", 1, "access", "hours", 1, "begin"): 25,
        ("absent",): 1,
    }
    assert {path: lines.of(path) for path in wanted} == wanted


names = st.from_regex(r"[a-z][a-z0-9_]{0,5}", fullmatch=True)
values = st.integers(0, 9) | st.text("ab#[]= ", max_size=5) | st.lists(st.integers(0, 9), max_size=3)


def _keys(value: Any, path: tuple[Any, ...]) -> Iterator[tuple[Any, ...]]:
    if isinstance(value, dict):
        for name, item in value.items():
            yield from _keys(item, (*path, name))
    else:
        yield path


@settings(max_examples=15)
@given(tables=st.dictionaries(names, st.dictionaries(names, values, min_size=1), min_size=1))
def test_the_line_of_a_key_holds_the_key(tables: dict[str, dict[str, Any]]) -> None:
    text = ""
    for table, items in tables.items():
        text += f"[{table}]\n"
        for name, value in items.items():
            shown = "[\n" + "".join(f" {item},\n" for item in value) + "]" if isinstance(value, list) else f"{value!r}"
            text += f"{name} = {shown}\n"
    lines = TomlLines(text)
    for path in _keys(tomllib.loads(text), ()):
        assert text.splitlines()[lines.of(path) - 1].startswith(f"{path[-1]} =")
