"""The kernels' tests again, under every instruction set this processor has besides the one in use."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from qcface_sdk._native import match

TESTS = [str(Path(__file__).with_name(f"test_{name}.py")) for name in ("align", "detect", "match")]


def run_python(*arguments: str, simd: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "QCFACE_SIMD": simd, "OMP_NUM_THREADS": "1"}
    return subprocess.run([sys.executable, *arguments], env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("simd", match.simd_sets())
def test_kernels_under_each_instruction_set_pass_their_tests(simd: str) -> None:
    if simd == match.simd():
        pytest.skip("the set in use is tested directly")
    # No cache and no example database: the run is only another reading of the same tests.
    run = run_python("-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *TESTS, simd=simd)
    assert run.returncode == 0, run.stdout + run.stderr


@pytest.mark.parametrize("simd", match.simd_sets())
def test_simd_forced_by_the_environment_is_used(simd: str) -> None:
    run = run_python("-c", "from qcface_sdk._native import match; print(match.simd())", simd=simd)
    assert run.stdout.split() == [simd]


@pytest.mark.parametrize("module", ["align", "detect", "match"])
def test_import_unusable_instruction_set_raises_import_error(module: str) -> None:
    run = run_python("-c", f"import qcface_sdk._native.{module}", simd="mmx")
    assert run.returncode == 1
    assert "ImportError: QCFACE_SIMD must name one of" in run.stderr
    assert match.simd_sets()[-1] in run.stderr
