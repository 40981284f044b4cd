"""Loads the scripts of train/ and export/ as modules, so that tests call their `main` in this process."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType


def load_script(repository: Path, name: str, folder: str = "export") -> ModuleType:
    """Return the module of ``FOLDER/NAME.py``."""
    spec = importlib.util.spec_from_file_location(name, repository / folder / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    before = list(sys.path)
    spec.loader.exec_module(module)
    sys.path[:] = before  # scripts put their own folders first
    return module
