"""Every name of TensorRT that the code uses exists in the versions it is written for, from 8.6 to 11.4.

The names are read out of the code, so none can be added without being checked. This shows that calls exist, not that
they work: nothing is called.
"""

from __future__ import annotations

import ast
import json
from pathlib import Path

import pytest

from qcface_sdk.runtime import trt, trt_build, trt_logger
from tensorrt_bindings import VERSIONS, run_over_bindings

# Which class of TensorRT a variable of the code holds.
CLASSES = {
    "tensorrt": "",
    "_trt": "",
    "builder": "Builder",
    "network": "INetworkDefinition",
    "parser": "OnnxParser",
    "config": "IBuilderConfig",
    "profile": "IOptimizationProfile",
    "tensor": "ITensor",
    "cache": "ITimingCache",
    "runtime": "Runtime",
    "_engine": "ICudaEngine",
    "engine": "ICudaEngine",
    "_context": "IExecutionContext",
    "inspector": "EngineInspector",
    "refitter": "Refitter",
    "weights_parser": "OnnxParserRefitter",
}
# Not in every version, and asked for with hasattr or getattr before it is used: (version, name).
OPTIONAL = {
    "Builder.num_DLA_cores",
    "OnnxParserRefitter",
    "OnnxParserRefitter.refit_from_bytes",
    "Runtime.engine_host_code_allowed",
}
FLAGS = {
    "NetworkDefinitionCreationFlag": ("EXPLICIT_BATCH", "STRONGLY_TYPED"),
    "BuilderFlag": ("TF32", "VERSION_COMPATIBLE", "STRIP_PLAN", "REFIT", "GPU_FALLBACK", "FP16", "INT8", "BF16", "FP8"),
}
CODE = """
import json, sys
import tensorrt_bindings as trt
def has(path):
    thing = trt
    for part in path.split("."):
        if not hasattr(thing, part):
            return False
        thing = getattr(thing, part)
    return True
print(json.dumps({"version": trt.__version__, "has": {path: has(path) for path in PATHS}}))
"""


def names_in_code() -> set[str]:
    """Return every dotted name of TensorRT in the code, such as ``Builder.create_network``."""
    found: set[str] = set()
    for module in (trt, trt_build, trt_logger):
        for node in ast.walk(ast.parse(Path(str(module.__file__)).read_text())):
            path = _path(node)
            if path is not None:
                found.add(path)
    return found


def _path(node: ast.AST) -> str | None:
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
        if isinstance(node, ast.Attribute) and node.attr in CLASSES:
            parts.append(CLASSES[node.attr])
            break
    else:
        if not (isinstance(node, ast.Name) and node.id in CLASSES and parts):
            return None
        parts.append(CLASSES[node.id])
    return ".".join(part for part in reversed(parts) if part) or None


def test_the_names_are_found_in_the_code() -> None:
    names = names_in_code()
    assert {
        "Builder.build_serialized_network",
        "IBuilderConfig.set_timing_cache",
        "IExecutionContext.execute_async_v3",
        "ICudaEngine.get_tensor_profile_shape",
        "ILogger.Severity.ERROR",
        "BuilderFlag",
    } <= names
    assert len(names) > 40


@pytest.mark.parametrize("version", VERSIONS)
def test_every_name_the_code_uses_exists(version: str) -> None:
    names = sorted(names_in_code() | {f"{kind}.{flag}" for kind, flags in FLAGS.items() for flag in flags})
    answer = json.loads(run_over_bindings(version, f"PATHS = {names!r}\n{CODE}"))
    assert answer["version"].startswith(version)
    missing = {name for name, there in answer["has"].items() if not there}
    flags = {f"{kind}.{flag}" for kind, names in FLAGS.items() for flag in names}
    assert missing - flags - OPTIONAL == set()
    # The branches: what each version lacks is what the code asks for before it uses it.
    typed = "NetworkDefinitionCreationFlag.STRONGLY_TYPED" not in missing
    assert typed == (version != "8.6.1")
    if not typed:
        assert not missing & {"NetworkDefinitionCreationFlag.EXPLICIT_BATCH", "BuilderFlag.FP16", "BuilderFlag.INT8"}
    always = {"BuilderFlag.TF32", "BuilderFlag.REFIT", "BuilderFlag.VERSION_COMPATIBLE", "BuilderFlag.GPU_FALLBACK"}
    assert not missing & always


@pytest.mark.parametrize("version", VERSIONS)
def test_enumerations_are_numbers_as_the_code_takes_them(version: str) -> None:
    """Flags are shifted by their number, severities compared by theirs."""
    code = """
import tensorrt_bindings as trt
kinds = trt.NetworkDefinitionCreationFlag
print([int(getattr(kinds, n)) for n in ("EXPLICIT_BATCH", "STRONGLY_TYPED") if hasattr(kinds, n)])
print(int(trt.ILogger.Severity.INTERNAL_ERROR) < int(trt.ILogger.Severity.ERROR) < int(trt.ILogger.Severity.WARNING))
class Logger(trt.ILogger):
    def __init__(self):
        trt.ILogger.__init__(self)
    def log(self, severity, message):
        pass
Logger().log(trt.ILogger.Severity.ERROR, "text")
print(trt.nptype(trt.DataType.FLOAT).__name__)
"""
    numbers, ordered, kind = run_over_bindings(version, code).splitlines()
    assert json.loads(numbers) == {"8.6.1": [0], "11.4.0.106": [0]}.get(version, [0, 1])
    assert ordered == "True"
    assert kind == "float32"
