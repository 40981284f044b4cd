from __future__ import annotations

import pytest

from qcface_sdk.errors import OptionError
from qcface_sdk.gallery.subject import MAX_SUBJECT_CHARACTERS, check_subject


@pytest.mark.parametrize(
    "subject", ["7", "Ada Lovelace", "José", "王小明", "محمد", "👩‍🔬", "x" * 256, "a'; DROP TABLE subject"]
)
def test_check_subject_any_language_is_kept(subject):
    assert check_subject(subject) == subject


@pytest.mark.parametrize(
    ("subject", "words"),
    [
        pytest.param("", "give every person an id", id="empty"),
        pytest.param("  ", "give every person an id", id="blank"),
        pytest.param("x" * (MAX_SUBJECT_CHARACTERS + 1), "got 257 characters", id="long"),
        pytest.param("x" * 1_000_000, "got 1000000 characters", id="megabyte"),
        pytest.param("a\nb", r"a\\nb", id="newline"),
        pytest.param("a\0b", r"a\\x00b", id="nul"),
        pytest.param("a\u2028b", "u2028", id="line-separator"),
        pytest.param("a\ud800b", "ud800", id="lone-surrogate"),
        pytest.param(7, "got int", id="number"),
        pytest.param(None, "got NoneType", id="none"),
        pytest.param(b"ada", "got bytes", id="bytes"),
    ],
)
def test_check_subject_unusable_raises(subject, words):
    with pytest.raises(OptionError, match=words):
        check_subject(subject)
