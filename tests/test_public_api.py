"""What the package promises by its names: exports, error tree, light imports."""

from __future__ import annotations

import inspect
import subprocess
import sys

import pytest

import qcface_sdk
from qcface_sdk import errors

BUILTIN_BASES = {
    "InputError": ValueError,
    "ImageReadError": OSError,
    "ModelNotFoundError": FileNotFoundError,
    "ContractMismatchError": ValueError,
    "BackendUnavailableError": ImportError,
    "UnknownSubjectError": KeyError,
    "GalleryStorageError": OSError,
    "CameraError": OSError,
    "CameraAccessError": PermissionError,
    "EventStorageError": OSError,
    "EventTransportError": ConnectionError,
}
ERROR_CLASSES = [value for value in vars(errors).values() if inspect.isclass(value)]
PUBLIC_CLASSES = [name for name in qcface_sdk.__all__ if inspect.isclass(getattr(qcface_sdk, name))]


def test_all_is_what_the_package_really_exports() -> None:
    public = {
        name for name, value in vars(qcface_sdk).items() if not name.startswith("_") and not inspect.ismodule(value)
    }
    assert public == set(qcface_sdk.__all__)
    assert len(public) == len(qcface_sdk.__all__)


@pytest.mark.parametrize("error", ERROR_CLASSES, ids=lambda error: error.__name__)
def test_error_is_exported_in_the_tree_and_in_its_drawing(error: type[Exception]) -> None:
    assert issubclass(error, errors.QCFaceError)
    assert error.__name__ in (errors.__doc__ or "")
    assert getattr(qcface_sdk, error.__name__) is error


@pytest.mark.parametrize(("name", "base"), list(BUILTIN_BASES.items()))
def test_error_can_be_caught_as_the_builtin(name: str, base: type[Exception]) -> None:
    assert issubclass(getattr(errors, name), base)


@pytest.mark.parametrize("name", PUBLIC_CLASSES)
def test_public_class_has_docstrings(name: str) -> None:
    thing = getattr(qcface_sdk, name)
    assert inspect.getdoc(thing)
    for attribute, value in vars(thing).items():
        if not attribute.startswith("_") and callable(value):
            assert inspect.getdoc(value), f"{name}.{attribute} has no docstring"


def test_import_loads_no_runtime_and_no_framework() -> None:
    heavy = ("torch", "onnx", "onnxruntime", "openvino", "tensorrt", "matplotlib", "skimage")
    code = f"import sys, qcface_sdk; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
