"""The commands of train/DETECTOR.md name scripts and options that are there."""

from __future__ import annotations

import pytest

from documents import Document, check_script


@pytest.mark.parametrize("line", Document.of("train/DETECTOR.md").scripts)
def test_script_exists_and_knows_the_options(line: str) -> None:
    check_script(line)
