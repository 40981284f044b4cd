"""The commands of export/TENSORRT.md exist, with the options it names."""

from __future__ import annotations

import re
import subprocess
import sys

from documents import REPOSITORY, Document, check_script
from tensorrt_bindings import VERSIONS

DOCUMENT = Document.of("export/TENSORRT.md")


def test_scripts_know_the_options_they_are_shown_with() -> None:
    for line in DOCUMENT.scripts:
        check_script(line)
    assert DOCUMENT.commands == DOCUMENT.others == []


def test_every_option_in_the_text_exists() -> None:
    script = REPOSITORY / "export" / "build_trt.py"
    done = subprocess.run(
        [sys.executable, str(script), "--help"], capture_output=True, text=True, timeout=120, check=True
    )
    options = set(re.findall(r"`(?:[^`]* )?(--[a-z0-9-]+)", DOCUMENT.text)) - {"--system-site-packages"}
    assert len(options) > 15
    assert {option for option in options if option not in done.stdout} == set()


def test_the_versions_named_are_those_checked() -> None:
    for version in VERSIONS:
        assert version in DOCUMENT.text
