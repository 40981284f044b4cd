"""The two packages behind the GPU's memory, as far as a machine without one can tell."""

from __future__ import annotations

import contextlib
import importlib.util
import sys
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

from qcface_sdk.errors import BackendUnavailableError, DeviceLostError, InferenceError
from qcface_sdk.runtime import device_memory
from qcface_sdk.runtime.cuda_bindings_memory import CudaBindingsMemory
from qcface_sdk.runtime.device_memory import device_error, open_device_memory
from qcface_sdk.runtime.pycuda_memory import PycudaMemory


@pytest.mark.parametrize(("status", "kind"), [(700, DeviceLostError), (719, DeviceLostError), (1, InferenceError)])
def test_faults_that_end_a_device_are_told_apart(status: int, kind: type[Exception]) -> None:
    assert type(device_error("copy 1 bytes", status, "text")) is kind


def test_without_either_package_both_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device_memory, "_installed", lambda module: False)
    with pytest.raises(BackendUnavailableError, match=r"cuda-bindings or pycuda.*qcface-sdk\[tensorrt\]"):
        open_device_memory()


def test_a_missing_parent_package_is_no_package(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not device_memory._installed("no_such_package.bindings")


class FakeRuntime:
    """`cuda.bindings.runtime` with one answer to every call; its names are checked against the real one."""

    def __init__(self, status: int = 0) -> None:
        self.status = status
        self.calls: list[tuple[Any, ...]] = []

    def __getattr__(self, name: str) -> Any:
        if name in ("cudaMemcpyKind", "cudaStreamCaptureMode"):
            return SimpleNamespace(
                cudaMemcpyHostToDevice=1, cudaMemcpyDeviceToHost=2, cudaMemcpyDeviceToDevice=3,
                cudaStreamCaptureModeThreadLocal=1,
            )  # fmt: skip
        if not name.startswith("cudaStreamNon") and not name.startswith("cudaHostAllocD"):
            return lambda *arguments: self._answer(name, arguments)
        return 1

    def _answer(self, name: str, arguments: tuple[Any, ...]) -> tuple[Any, ...]:
        self.calls.append((name, *arguments))
        if name == "cudaGetErrorString":
            return 0, b"an illegal memory access was encountered"
        if name == "cudaHostAlloc":
            self._host = np.zeros(arguments[0], np.uint8)
            return self.status, self._host.ctypes.data
        return self.status, 12060


@pytest.fixture
def bindings(monkeypatch: pytest.MonkeyPatch) -> FakeRuntime:
    fake = FakeRuntime()
    module = ModuleType("cuda.bindings")
    module.runtime = fake  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "cuda.bindings", module)
    return fake


def use_everything(memory: device_memory.DeviceMemory) -> None:
    with memory.active():
        stream, address, pinned = memory.open_stream(), memory.allocate(64), memory.pin(64)
        pinned[:] = 7
        memory.upload(address, pinned[:16], stream)
        memory.copy(address, address, 16, stream)
        memory.download(pinned[:16], address, stream)
        memory.synchronize(stream)
        memory.free(address)
        memory.unpin(pinned)
        memory.close_stream(stream)


def test_cuda_bindings_calls_exist_in_the_real_package(bindings: FakeRuntime, monkeypatch: pytest.MonkeyPatch) -> None:
    memory = CudaBindingsMemory()
    assert memory.version == "12.6"
    use_everything(memory)
    memory.begin_capture(1)
    memory.launch(memory.end_capture(1), 1)
    memory.drop_graph(5)
    monkeypatch.undo()
    if importlib.util.find_spec("cuda.bindings") is None:
        pytest.skip("cuda-bindings is not installed")
    from cuda.bindings import runtime

    names = {call[0] for call in bindings.calls}
    assert len(names) > 15
    for name in names:
        assert callable(getattr(runtime, name))
    for constant in ("cudaHostAllocDefault", "cudaStreamNonBlocking"):
        assert hasattr(runtime, constant)
    assert hasattr(runtime.cudaStreamCaptureMode, "cudaStreamCaptureModeThreadLocal")


def test_cuda_bindings_faults_are_named(bindings: FakeRuntime) -> None:
    memory = CudaBindingsMemory()
    bindings.status = 700
    with pytest.raises(DeviceLostError, match=r"finish its work: CUDA error 700 \(an illegal memory access"):
        memory.synchronize(1)


def test_cuda_bindings_without_a_driver_say_so() -> None:
    pytest.importorskip("cuda.bindings", reason="cuda-bindings is not installed")
    from cuda.bindings import runtime

    status, count = runtime.cudaGetDeviceCount()
    if int(status) == 0 and count:
        pytest.skip("this machine has a GPU")
    with pytest.raises(InferenceError, match="the GPU failed to choose the device: CUDA error"):
        CudaBindingsMemory()


class FakePycuda(ModuleType):
    """`pycuda.driver`, as its documentation describes what is used of it."""

    def __init__(self) -> None:
        super().__init__("pycuda.driver")
        self.pushed = 0
        self.Error = type("Error", (Exception,), {})
        self.MemoryError = type("MemoryError", (self.Error,), {})
        self.LogicError = type("LogicError", (self.Error,), {})
        self.fault: Exception | None = None
        self.copies: list[str] = []

    def init(self) -> None: ...

    def Device(self, number: int) -> Any:
        context = SimpleNamespace(push=self._push, pop=self._pop, synchronize=lambda: None)
        return SimpleNamespace(retain_primary_context=lambda: context)

    def _push(self) -> None:
        self.pushed += 1

    def _pop(self) -> None:
        self.pushed -= 1

    def get_version(self) -> tuple[int, int, int]:
        return (12, 2, 0)

    def mem_alloc(self, size: int) -> Any:
        if self.fault is not None:
            raise self.fault

        class Allocation(int):
            def free(self) -> None: ...

        return Allocation(4096)

    def pagelocked_empty(self, size: int, dtype: Any) -> Any:
        class Host(np.ndarray[Any, Any]):
            base = SimpleNamespace(free=lambda: None)  # type: ignore[assignment]

        return np.zeros(size, dtype).view(Host)

    def Stream(self, flags: int) -> Any:
        assert flags == 1
        return SimpleNamespace(handle=99, synchronize=lambda: None)

    def memcpy_htod_async(self, target: int, source: Any, stream: Any) -> None:
        self.copies.append("up")

    def memcpy_dtoh_async(self, target: Any, source: int, stream: Any) -> None:
        self.copies.append("down")

    def memcpy_dtod_async(self, target: int, source: int, size: int, stream: Any) -> None:
        self.copies.append("within")


@pytest.fixture
def pycuda(monkeypatch: pytest.MonkeyPatch) -> FakePycuda:
    fake, package = FakePycuda(), ModuleType("pycuda")
    package.driver = fake  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "pycuda", package)
    monkeypatch.setitem(sys.modules, "pycuda.driver", fake)
    return fake


def test_pycuda_works_within_the_primary_context(pycuda: FakePycuda) -> None:
    memory = PycudaMemory()
    assert (memory.version, memory.graphs) == ("12.2", False)
    use_everything(memory)
    assert pycuda.copies == ["up", "within", "down"]
    assert pycuda.pushed == 0
    with contextlib.suppress(ValueError), memory.active():
        assert pycuda.pushed == 1
        raise ValueError
    assert pycuda.pushed == 0


def test_pycuda_faults_are_named(pycuda: FakePycuda) -> None:
    memory = PycudaMemory()
    pycuda.fault = pycuda.MemoryError("cuMemAlloc failed: out of memory")
    with pytest.raises(InferenceError, match="memory is full"):
        memory.allocate(8)
    pycuda.fault = pycuda.LogicError("cuMemAlloc failed: an illegal address was encountered")
    with pytest.raises(DeviceLostError, match="start the process again"):
        memory.allocate(8)


def test_pycuda_that_is_missing_names_the_other_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pycuda.driver", None)
    monkeypatch.setitem(sys.modules, "pycuda", None)
    with pytest.raises(BackendUnavailableError, match="pip install cuda-bindings"):
        PycudaMemory()
