"""Finds the line on which each key of a TOML file stands, which `tomllib` does not tell."""

from __future__ import annotations

import re
from collections.abc import Sequence

Path = tuple[str | int, ...]

_HEADER = re.compile(r"^\s*(\[\[?)\s*([^\]]+?)\s*\]\]?\s*(#.*)?$")
_KEY = re.compile(r"""^\s*((?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*')(?:\s*\.\s*(?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*'))*)\s*=""")
_PART = re.compile(r"""[A-Za-z0-9_-]+|"[^"]*"|'[^']*'""")
_TEXT = re.compile(r'"""|' + r"'''|" + r'"(?:\\.|[^"\\])*"|' + r"'[^']*'|#.*")


class TomlLines:
    """Line numbers of keys. For valid TOML; keys inside inline tables have the line of the table.

    Parameters
    ----------
    text : str
        The whole file.
    """

    def __init__(self, text: str) -> None:
        self._lines: dict[Path, int] = {}
        self._tables: dict[Path, int] = {}
        table: Path = ()
        depth, closing = 0, ""
        for number, line in enumerate(text.splitlines(), 1):
            if not closing and depth == 0:
                if header := _HEADER.match(line):
                    table = self._enter(_parts(header[2]), number, repeated=header[1] == "[[")
                    self._lines.setdefault(table, number)
                    continue
                if key := _KEY.match(line):
                    self._note((*table, *_parts(key[1])), number)
            depth, closing = _after(line, depth, closing)

    def of(self, path: Sequence[str | int]) -> int:
        """Return the line of a key, or of the nearest table around it; 1 for the file itself."""
        key = tuple(path)
        while key and key not in self._lines:
            key = key[:-1]
        return self._lines.get(key, 1)

    def _note(self, path: Path, number: int) -> None:
        for length in range(1, len(path) + 1):
            self._lines.setdefault(path[:length], number)

    def _enter(self, names: Sequence[str], number: int, *, repeated: bool) -> Path:
        path: Path = ()
        for index, name in enumerate(names):
            path = (*path, name)
            self._lines.setdefault(path, number)
            last = index == len(names) - 1
            if last and repeated:
                self._tables[path] = self._tables.get(path, -1) + 1
            if path in self._tables:
                path = (*path, self._tables[path])
        return path


def _parts(dotted: str) -> list[str]:
    return [part.strip("\"'") for part in _PART.findall(dotted)]


def _after(line: str, depth: int, closing: str) -> tuple[int, str]:
    """Return the depth of brackets and the open triple quote after a line."""
    rest = line
    while rest:
        if closing:
            _, found, rest = rest.partition(closing)
            if not found:
                return depth, closing
            closing = ""
        token = _TEXT.search(rest)
        plain = rest[: token.start()] if token else rest
        depth += sum(plain.count(mark) for mark in "[{") - sum(plain.count(mark) for mark in "]}")
        if token is None:
            return depth, ""
        rest = rest[token.end() :]
        if token[0] in ('"""', "'''"):
            closing = token[0]
    return depth, closing
