"""Every example in a docstring of the SDK runs and prints what it says."""

from __future__ import annotations

import doctest
import importlib
import pkgutil

import numpy as np
import pytest

import qcface_sdk

MODULES = sorted(
    module.name
    for module in pkgutil.walk_packages(qcface_sdk.__path__, "qcface_sdk.")
    if not module.name.startswith("qcface_sdk._native") and not module.name.endswith("__main__")
)


@pytest.mark.parametrize("name", MODULES)
def test_docstring_examples_run(name: str, tmp_path: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(str(tmp_path))
    module = importlib.import_module(name)
    names = {"np": np, "template": _template(), "probe": _template()}
    result = doctest.testmod(module, extraglobs=names, optionflags=doctest.NORMALIZE_WHITESPACE)
    assert result.failed == 0


def _template() -> qcface_sdk.Template:
    return qcface_sdk.Template.from_embeddings(np.ones((1, 8)), "qc1-example", created=0.0)
