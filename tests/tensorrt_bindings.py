"""NVIDIA's Python bindings of several TensorRT versions, over a library that does nothing.

The bindings are small wheels on PyPI; the libraries they need are not. Their module needs a dozen symbols to be loaded,
which `cc` makes here; after that every class, method and enumeration of that version can be asked for, and none called.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

VERSIONS = {
    "8.6.1": ("tensorrt-bindings==8.6.1", "8"),
    "10.3.0": ("tensorrt-cu12-bindings==10.3.0", "10"),
    "10.13.3.9": ("tensorrt-cu12-bindings==10.13.3.9", "10"),
    "11.4.0.106": ("tensorrt-cu12-bindings==11.4.0.106", "11"),
}
"""Version to what pip installs and the number of its libraries: JetPack 5, JetPack 6, a late 10, and 11."""

_SYMBOLS = (
    *("createInferBuilder_INTERNAL", "createInferRefitter_INTERNAL", "createInferRuntime_INTERNAL"),
    *("createNvOnnxParser_INTERNAL", "createNvOnnxParserRefitter_INTERNAL", "getNvOnnxParserVersion"),
    *("getPluginRegistry", "getBuilderPluginRegistry", "initLibNvInferPlugins"),
    # 8.6 alone: the parsers of UFF and Caffe.
    *("_ZN11nvuffparser15createUffParserEv", "_ZN11nvuffparser8FieldMapC1EPKcPKvNS_9FieldTypeEi"),
    *("_ZN14nvcaffeparser117createCaffeParserEv", "_ZN14nvcaffeparser123shutdownProtobufLibraryEv"),
)
_LIBRARIES = ("nvinfer", "nvonnxparser", "nvinfer_plugin", "nvparsers")


def run_over_bindings(version: str, code: str) -> str:
    """Run code that may ``import tensorrt_bindings`` and return what it prints; skip where the wheel cannot be had."""
    if sys.platform != "linux" or shutil.which("cc") is None:
        pytest.skip("needs Linux and a C compiler for the stub library")
    folder = _unpacked(version)
    environment = {**os.environ, "LD_LIBRARY_PATH": str(folder), "PYTHONPATH": str(folder)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


def _unpacked(version: str) -> Path:
    tag = f"cp{sys.version_info[0]}{sys.version_info[1]}"
    root = Path(os.environ.get("QCFACE_TEST_CACHE", Path("~/.cache/qcface-tests").expanduser())) / "tensorrt"
    folder = root / f"{version}-{tag}"
    if not (folder / "ready").exists():
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        _download(VERSIONS[version][0], folder)
        _compile_stub(folder, VERSIONS[version][1])
        (folder / "ready").touch()
    return folder


def _download(requirement: str, folder: Path) -> None:
    command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--only-binary", ":all:", "--no-cache-dir"]
    command += ["--retries", "0", "--timeout", "15", "-d", str(folder), requirement]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=90)
        reason = done.stderr.strip().splitlines()[-1:] if done.returncode else []
    except subprocess.TimeoutExpired:
        reason = ["timed out"]
    wheels = list(folder.glob("*.whl"))
    if not wheels:
        pytest.skip(f"{requirement} cannot be downloaded: {' '.join(reason)}")
    with zipfile.ZipFile(wheels[0]) as wheel:
        wheel.extractall(folder)
    wheels[0].unlink()


def _compile_stub(folder: Path, number: str) -> None:
    source = folder / "stub.c"
    source.write_text("".join(f"void *{symbol}(void) {{ return 0; }}\n" for symbol in _SYMBOLS))
    for library in _LIBRARIES:
        name = f"lib{library}.so.{number}"
        flags = ["-shared", "-fPIC", "-w", f"-Wl,-soname,{name}", "-o", str(folder / name)]
        subprocess.run(["cc", *flags, str(source)], check=True)
