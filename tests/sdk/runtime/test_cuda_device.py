"""Asking the driver for a GPU, with drivers made for the purpose."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

# A driver with one GPU; STATUS is what cuInit returns and COUNT how many GPUs there are.
DRIVER = r"""
#include <string.h>
int cuInit(unsigned f) { return STATUS; }
int cuDriverGetVersion(int *v) { *v = 12060; return 0; }
int cuDeviceGetCount(int *n) { *n = COUNT; return 0; }
int cuDeviceGet(int *d, int i) { *d = 7; return 0; }
int cuDeviceGetName(char *s, int n, int d) { strncpy(s, d == 7 ? "Orin" : "wrong handle", n); return 0; }
int cuDeviceTotalMem_v2(unsigned long *n, int d) { *n = 8ul << 30; return 0; }
int cuDeviceGetAttribute(int *v, int a, int d) { *v = a == 75 ? 8 : a == 76 ? 7 : -1; return 0; }
int cuGetErrorString(int e, const char **s) { *s = e == 803 ? "system has unsupported driver" : 0; return *s ? 0 : 1; }
"""
CODE = """
from qcface_sdk.errors import DeviceUnavailableError
from qcface_sdk.runtime.cuda_device import find_cuda_device
try:
    print(find_cuda_device())
except DeviceUnavailableError as error:
    print(error)
"""

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or shutil.which("cc") is None, reason="needs Linux and a C compiler for a driver"
)


def answer(folder: Path, status: int, count: int) -> str:
    source = folder / "driver.c"
    source.write_text(DRIVER)
    flags = [f"-DSTATUS={status}", f"-DCOUNT={count}", "-shared", "-fPIC", "-o", str(folder / "libcuda.so.1")]
    subprocess.run(["cc", *flags, str(source)], check=True)
    environment = {**os.environ, "LD_LIBRARY_PATH": str(folder)}
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, env=environment, check=True)
    return done.stdout.strip()


def test_a_gpu_is_described(tmp_path: Path) -> None:
    wanted = "CudaDevice(name='Orin', sm='8.7', driver='12.6', memory=8589934592)"
    assert answer(tmp_path, status=0, count=1) == wanted


@pytest.mark.parametrize(
    ("status", "count", "message"),
    [
        (0, 0, "shows no GPU to this process; check CUDA_VISIBLE_DEVICES"),
        (803, 1, "cuInit failed with error 803 (system has unsupported driver)"),
        (100, 1, "cuInit failed with error 100; see nvidia-smi"),
    ],
)
def test_a_driver_without_a_usable_gpu_is_named(tmp_path: Path, status: int, count: int, message: str) -> None:
    assert message in answer(tmp_path, status, count)
