"""The commands and code of the training documents are real."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("torch")
pytest.importorskip("onnx")

from documents import Document, check_script, run_python

NAMES = ["train/EVALUATION.md", "train/ABLATION.md"]


@pytest.mark.parametrize("name", NAMES)
def test_commands_of_the_document_exist_with_their_options(name: str) -> None:
    document = Document.of(name)
    assert document.scripts
    for line in document.scripts:
        check_script(line)
    assert not document.others


def test_python_of_the_evaluation_document_prints_what_it_says(tmp_path: Path) -> None:
    (code,) = Document.of("train/EVALUATION.md").code("python")
    run_python(code, tmp_path)
