"""The commands of export/QAT.md exist, with the options it names."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

pytest.importorskip("torch")

from documents import REPOSITORY, Document

DOCUMENT = Document.of("export/QAT.md")


def test_the_script_knows_the_options_it_is_shown_with() -> None:
    assert DOCUMENT.commands == DOCUMENT.others == []
    assert {line.split()[1] for line in DOCUMENT.scripts} == {"export/finetune_int8.py"}
    script = REPOSITORY / "export" / "finetune_int8.py"
    done = subprocess.run(
        [sys.executable, str(script), "--help"], capture_output=True, text=True, timeout=120, check=True
    )
    options = set(re.findall(r"(?<![\w-])(--[a-z][a-z0-9-]+)", DOCUMENT.text))
    assert len(options) > 8
    assert {option for option in options if option not in done.stdout} == set()
