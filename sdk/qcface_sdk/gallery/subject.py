"""The id that stands for a person in a gallery."""

from __future__ import annotations

import unicodedata
from typing import Any

from qcface_sdk.errors import OptionError

MAX_SUBJECT_CHARACTERS = 256
"""Longest subject id."""

# Control characters, lone surrogates (which are no text), line and paragraph separators.
_REFUSED = frozenset({"Cc", "Cs", "Zl", "Zp"})


def check_subject(subject: Any) -> str:
    """Return `subject` unchanged if it can be the id of a person.

    Any language; compared code point by code point, so the same name in two Unicode normal forms is two subjects.

    Raises
    ------
    OptionError
        If it is not text, blank, longer than 256 characters, or holds a control character.
    """
    wanted = f"subject must be text of 1..{MAX_SUBJECT_CHARACTERS} characters without control characters"
    if not isinstance(subject, str):
        raise OptionError(f"{wanted}, got {type(subject).__name__}; convert it with str()")
    if not subject.strip():
        raise OptionError(f"{wanted}, got {subject[:20]!r}; give every person an id")
    if len(subject) > MAX_SUBJECT_CHARACTERS:
        raise OptionError(f"{wanted}, got {len(subject)} characters; use a short id and keep the rest elsewhere")
    if any(unicodedata.category(character) in _REFUSED for character in subject):
        raise OptionError(f"{wanted}, got {subject!a}; remove them")
    return subject
