"""Other builds of the kernels: with sanitizers, with bounds checks, and for 64-bit Arm in an emulator."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from qcface_sdk._native import match

NATIVE = Path(__file__).resolve().parents[2] / "native"
KERNEL_TESTS = [str(Path(__file__).with_name(f"test_{name}.py")) for name in ("align", "detect", "match")]

# Runs the kernels' tests on modules from a build folder, then asks them for what only a checks build refuses.
CHECKS_RUN = """
import importlib.util, pathlib, sys
import numpy as np
import pytest
import qcface_sdk._native as package

for name in ("align", "detect", "match"):
    file = next(pathlib.Path(sys.argv[1]).glob(f"{name}.*so"))
    spec = importlib.util.spec_from_file_location(f"qcface_sdk._native.{name}", file)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    setattr(package, name, module)
    spec.loader.exec_module(module)

rows = np.ones((4, 8), np.float32)
with pytest.raises(IndexError, match="out must be"):
    package.match.quantize_rows(rows, np.empty((3, 8), np.int8), np.empty(4, np.float32))
with pytest.raises(IndexError):
    package.detect.letterbox(np.empty((0, 4, 3), np.uint8), np.empty((3, 8, 8), np.float32), 4, 4)
with pytest.raises(IndexError, match="pixels of a row side by side"):
    package.detect.letterbox(np.empty((4, 8, 3), np.uint8)[:, ::2], np.empty((3, 8, 8), np.float32), 4, 4)
sys.exit(pytest.main(["-q", "-x", "-p", "no:cacheprovider", *sys.argv[2:]]))
"""


def tool(name: str) -> str:
    """Path of a program, from this Python's own folder first; skips the test without it."""
    found = shutil.which(name, path=os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]))
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


def run(*command: str | Path, **environment: str) -> str:
    done = subprocess.run(
        [str(part) for part in command],
        env={**os.environ, "OMP_NUM_THREADS": "1", **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def build(folder: Path, *options: str) -> Path:
    cmake = tool("cmake")
    generator = ["-G", "Ninja", f"-DCMAKE_MAKE_PROGRAM={tool('ninja')}"]
    run(cmake, "-S", NATIVE, "-B", folder, *generator, *options)
    run(cmake, "--build", folder)
    return folder


def build_driver(folder: Path, *options: str) -> Path:
    return build(folder, "-DQCFACE_PYTHON=OFF", "-DQCFACE_DRIVER=ON", *options) / "kernel_driver"


@pytest.mark.slow
def test_kernels_under_address_and_undefined_sanitizers_are_clean(tmp_path: Path) -> None:
    compiler = tool("g++")
    probe = tmp_path / "probe.cpp"
    probe.write_text("int main() { return 0; }\n")
    sanitizers = "-fsanitize=address,undefined"
    if subprocess.run([compiler, sanitizers, probe, "-o", tmp_path / "probe"], check=False).returncode != 0:
        pytest.skip("the compiler has no sanitizer runtime")
    flags = f"-O1 -g1 {sanitizers} -fno-sanitize-recover=all -D_GLIBCXX_ASSERTIONS"
    driver = build_driver(
        tmp_path / "build", "-DCMAKE_BUILD_TYPE=None", f"-DCMAKE_CXX_COMPILER={compiler}", f"-DCMAKE_CXX_FLAGS={flags}"
    )
    for simd in match.simd_sets():
        assert f"{simd}: " in run(driver, QCFACE_SIMD=simd)


@pytest.mark.slow
def test_kernels_for_arm_in_an_emulator_agree_with_double_precision(tmp_path: Path) -> None:
    compiler = tool("aarch64-linux-gnu-g++")
    emulator = shutil.which("qemu-aarch64-static") or tool("qemu-aarch64")
    driver = build_driver(
        tmp_path / "build",
        "-DCMAKE_SYSTEM_NAME=Linux",
        "-DCMAKE_SYSTEM_PROCESSOR=aarch64",
        f"-DCMAKE_CXX_COMPILER={compiler}",
        "-DCMAKE_EXE_LINKER_FLAGS=-static",
    )
    for simd in ("portable", "neon", "neondot"):
        assert f"{simd}: " in run(emulator, driver, QCFACE_SIMD=simd)


@pytest.mark.slow
def test_modules_with_bounds_checks_pass_and_refuse_wrong_shapes(tmp_path: Path) -> None:
    pytest.importorskip("Cython", reason="Cython is not installed")
    cython_cmake = pytest.importorskip("cython_cmake", reason="cython-cmake is not installed")
    modules = build(
        tmp_path / "build",
        "-DQCFACE_CHECKS=ON",
        "-DCMAKE_BUILD_TYPE=Debug",
        f"-DCMAKE_CXX_COMPILER={tool('g++')}",
        f"-DCMAKE_MODULE_PATH={Path(cython_cmake.__file__).parent / 'cmake'}",
        f"-DPython_EXECUTABLE={sys.executable}",
        f"-DCYTHON_EXECUTABLE={tool('cython')}",
    )
    run(sys.executable, "-c", CHECKS_RUN, modules, *KERNEL_TESTS)
