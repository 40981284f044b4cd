"""TensorRT on a machine without a GPU: its interface over ONNX Runtime, its memory over the host's.

`FakeTensorRT` has the calls the SDK makes, with TensorRT's rules that can be broken by its caller: addresses before a
run, shapes within the profile, no run of a graph whose shapes have changed, nothing read before the stream is waited
for. A "plan" is a mark and the ONNX file. `HostMemory` is the GPU's memory; both can be told to fail.
"""

from __future__ import annotations

import contextlib
import ctypes
from collections.abc import Callable
from contextlib import AbstractContextManager
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray

from qcface_sdk.errors import InferenceError
from qcface_sdk.runtime.device_memory import DeviceMemory
from qcface_sdk.runtime.engine_info import Target
from qcface_sdk.runtime.trt_open import TrtEnvironment

PLAN_MARK = b"FAKEPLAN"
_TYPES = {
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
    "tensor(int64)": np.int64,
    "tensor(uint8)": np.uint8,
    "tensor(double)": np.float64,
}


class HostMemory(DeviceMemory):
    """Device memory that is host memory; work is queued and done when the stream is waited for."""

    name = "host"
    version = "12.6"

    def __init__(self, *, graphs: bool = True) -> None:
        self.graphs = graphs
        self.faults: dict[str, InferenceError] = {}
        self.blocks: dict[int, NDArray[np.uint8]] = {}
        self.pinned: dict[int, NDArray[np.uint8]] = {}
        self.calls: list[str] = []
        self._queues: dict[int, list[Callable[[], None]]] = {}
        self._recording: list[Callable[[], None]] | None = None

    def _note(self, call: str) -> None:
        self.calls.append(call)
        if call in self.faults:
            raise self.faults[call]

    def active(self) -> AbstractContextManager[object]:
        return contextlib.nullcontext()

    def allocate(self, size: int) -> int:
        self._note("allocate")
        block = np.zeros(size, np.uint8)
        self.blocks[block.ctypes.data] = block
        return block.ctypes.data

    def free(self, address: int) -> None:
        self._note("free")
        del self.blocks[address]

    def pin(self, size: int) -> NDArray[np.uint8]:
        self._note("pin")
        block = np.zeros(size, np.uint8)
        self.pinned[block.ctypes.data] = block
        return block

    def unpin(self, array: NDArray[np.uint8]) -> None:
        self._note("unpin")
        del self.pinned[array.ctypes.data]

    def open_stream(self) -> int:
        self._note("open_stream")
        stream = len(self._queues) + 1
        self._queues[stream] = []
        return stream

    def close_stream(self, stream: int) -> None:
        self._note("close_stream")
        del self._queues[stream]

    def upload(self, address: int, source: NDArray[np.uint8], stream: int) -> None:
        self._note("upload")
        assert source.ctypes.data in self.pinned, "not from pinned memory"
        self.submit(stream, lambda: self._move(address, source.ctypes.data, source.nbytes))

    def download(self, target: NDArray[np.uint8], address: int, stream: int) -> None:
        self._note("download")
        assert target.ctypes.data in self.pinned, "not into pinned memory"
        self.submit(stream, lambda: self._move(target.ctypes.data, address, target.nbytes))

    def copy(self, target: int, source: int, size: int, stream: int) -> None:
        self._note("copy")
        self.submit(stream, lambda: self._move(target, source, size))

    def synchronize(self, stream: int) -> None:
        self._note("synchronize")
        queue = self._queues.get(stream, [])
        work, queue[:] = list(queue), []
        for step in work:
            step()

    def begin_capture(self, stream: int) -> None:
        self._note("begin_capture")
        self._recording = []

    def end_capture(self, stream: int) -> Any:
        recording, self._recording = self._recording, None
        self._note("end_capture")
        return recording

    def launch(self, graph: Any, stream: int) -> None:
        self._note("launch")
        for step in graph:
            self.submit(stream, step)

    def drop_graph(self, graph: Any) -> None:
        self._note("drop_graph")

    def submit(self, stream: int, step: Callable[[], None]) -> None:
        (self._queues[stream] if self._recording is None else self._recording).append(step)

    @staticmethod
    def _move(target: int, source: int, size: int) -> None:
        ctypes.memmove(target, source, size)


class DeviceTensor:
    """An array "on the GPU", as another library would hand it over."""

    def __init__(self, array: NDArray[Any], *, stream: int | None = None) -> None:
        self._array = array
        self.__cuda_array_interface__ = {
            "shape": array.shape,
            "typestr": array.dtype.str,
            "data": (array.ctypes.data, False),
            "strides": None if array.flags.c_contiguous else array.strides,
            "version": 3,
            "stream": stream,
        }


class FakeTensorRT:
    """The module ``tensorrt``, version 10.13 in its looks, as far as the SDK uses it."""

    __version__ = "10.13.3"

    class ILogger:
        Severity = SimpleNamespace(INTERNAL_ERROR=0, ERROR=1, WARNING=2, INFO=3, VERBOSE=4)

        def __init__(self) -> None: ...

    NetworkDefinitionCreationFlag = SimpleNamespace(EXPLICIT_BATCH=0, STRONGLY_TYPED=1)
    MemoryPoolType = SimpleNamespace(WORKSPACE="workspace")
    ProfilingVerbosity = SimpleNamespace(DETAILED="detailed")
    BuilderFlag = SimpleNamespace(
        TF32="tf32", VERSION_COMPATIBLE="vc", STRIP_PLAN="strip", REFIT="refit", GPU_FALLBACK="fallback"
    )
    HardwareCompatibilityLevel = SimpleNamespace(AMPERE_PLUS="ampere")
    DeviceType = SimpleNamespace(DLA="dla")
    LayerInformationFormat = SimpleNamespace(JSON="json")
    TensorIOMode = SimpleNamespace(INPUT="input", OUTPUT="output")

    def __init__(self, memory: HostMemory, *, scale: float = 1.0) -> None:
        self.memory = memory
        self.scale = scale  # what the "engine" multiplies its outputs by: another network than the file's
        self.builds = 0
        self.build_fails = False
        self.run_fails = False
        self.capture_fails = False
        self.refits = 0
        self.dla_cores = 0
        self.last_config: Any = None

    @staticmethod
    def nptype(dtype: Any) -> Any:
        return dtype

    def Builder(self, logger: Any) -> Any:
        return SimpleNamespace(
            create_network=lambda flags: SimpleNamespace(flags=flags, model=b"", num_inputs=0),
            create_builder_config=self._config,
            create_optimization_profile=_Profile,
            build_serialized_network=lambda network, config: self._build(network, config, logger),
            num_DLA_cores=self.dla_cores,
        )

    def OnnxParser(self, network: Any, logger: Any) -> Any:
        return _Parser(network)

    def Runtime(self, logger: Any) -> Any:
        return SimpleNamespace(
            engine_host_code_allowed=False, deserialize_cuda_engine=lambda plan: self._engine(plan, logger)
        )

    def Refitter(self, engine: Any, logger: Any) -> Any:
        return SimpleNamespace(refit_cuda_engine=lambda: True)

    def OnnxParserRefitter(self, refitter: Any, logger: Any) -> Any:
        def refit(model: bytes) -> bool:
            self.refits += 1
            return True

        return SimpleNamespace(refit_from_bytes=refit)

    def _config(self) -> Any:
        config = SimpleNamespace(flags=set(), cleared=set(), profiles=[], limits={})
        config.set_flag, config.clear_flag = config.flags.add, config.cleared.add
        config.set_memory_pool_limit = config.limits.__setitem__
        config.add_optimization_profile = config.profiles.append
        config.create_timing_cache = lambda data: SimpleNamespace(serialize=lambda: data or b"measured")
        config.set_timing_cache = lambda cache, ignore: setattr(config, "cache", cache)
        config.get_timing_cache = lambda: config.cache
        self.last_config = config
        return config

    def _build(self, network: Any, config: Any, logger: Any) -> bytes | None:
        self.builds += 1
        if self.build_fails:
            logger.log(1, "no tactic fits\nthe workspace")
            return None
        shapes = repr(config.profiles[0].shapes).encode()
        return PLAN_MARK + len(shapes).to_bytes(4, "little") + shapes + network.model

    def _engine(self, plan: bytes, logger: Any) -> Any:
        if not plan.startswith(PLAN_MARK):
            logger.log(1, "Serialization assertion magicTagRead == kMAGIC_TAG failed")
            return None
        start = len(PLAN_MARK) + 4
        end = start + int.from_bytes(plan[start - 4 : start], "little")
        return _Engine(self, eval(plan[start:end].decode()), plan[end:])  # written by _build


class _Profile:
    def __init__(self) -> None:
        self.shapes: dict[str, tuple[tuple[int, ...], ...]] = {}

    def set_shape(self, name: str, *shapes: tuple[int, ...]) -> None:
        self.shapes[name] = shapes


class _Parser:
    def __init__(self, network: Any) -> None:
        self._network = network
        self._fault = ""
        self.num_errors = 0

    def parse(self, model: bytes) -> bool:
        try:
            graph = onnx.load_from_string(model).graph
        except Exception as error:  # noqa: BLE001 - protobuf has its own
            self._fault, self.num_errors = f"In node 0: {error}", 1
            return False
        constants = {tensor.name for tensor in graph.initializer}
        inputs = [value for value in graph.input if value.name not in constants]
        self._network.model = model
        self._network.num_inputs = len(inputs)
        self._network.get_input = lambda index: SimpleNamespace(
            name=inputs[index].name,
            shape=tuple(d.dim_value or -1 for d in inputs[index].type.tensor_type.shape.dim),
        )
        return True

    def get_error(self, index: int) -> Any:
        return SimpleNamespace(desc=lambda: self._fault)


class _Engine:
    def __init__(self, trt: FakeTensorRT, profiles: dict[str, Any], model: bytes) -> None:
        self.trt = trt
        self.profiles = profiles
        self.session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
        self.inputs = {value.name: value for value in self.session.get_inputs()}
        self.outputs = {value.name: value for value in self.session.get_outputs()}
        self.names = [*self.inputs, *self.outputs]
        self.num_io_tensors = len(self.names)

    def _value(self, name: str) -> Any:
        return self.inputs.get(name) or self.outputs[name]

    def get_tensor_name(self, index: int) -> str:
        return self.names[index]

    def get_tensor_mode(self, name: str) -> str:
        return "input" if name in self.inputs else "output"

    def get_tensor_dtype(self, name: str) -> Any:
        return _TYPES[self._value(name).type]

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        return tuple(size if isinstance(size, int) else -1 for size in self._value(name).shape)

    def get_tensor_profile_shape(self, name: str, profile: int) -> Any:
        return self.profiles[name]

    def create_execution_context(self) -> Any:
        return _Context(self)

    def create_engine_inspector(self) -> Any:
        text = '{"Layers": [{"Outputs": [{"Format/Datatype": "Row major linear FP32"}]}]}'
        return SimpleNamespace(get_engine_information=lambda kind: text)


class _Context:
    def __init__(self, engine: _Engine) -> None:
        self._engine = engine
        self._memory = engine.trt.memory
        self._shapes: dict[str, tuple[int, ...]] = {}
        self._addresses: dict[str, int] = {}
        self._fresh = True

    def set_input_shape(self, name: str, shape: tuple[int, ...]) -> bool:
        low, _, high = self._engine.profiles[name]
        if not all(a <= size <= b for a, size, b in zip(low, shape, high, strict=True)):
            return False
        self._shapes[name] = shape
        self._fresh = True
        return True

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        if name in self._shapes:
            return self._shapes[name]
        zeros = {key: np.zeros(shape, self._engine.get_tensor_dtype(key)) for key, shape in self._shapes.items()}
        return tuple(self._engine.session.run([name], zeros)[0].shape)

    def set_tensor_address(self, name: str, address: int) -> bool:
        self._addresses[name] = address
        return address in self._memory.blocks

    def execute_async_v3(self, stream: int) -> bool:
        recording = self._memory._recording is not None
        if self._engine.trt.run_fails or (recording and self._engine.trt.capture_fails):
            return False
        assert self._addresses.keys() == set(self._engine.names), "a tensor has no address"
        assert not (recording and self._fresh), "captured before the first run with these shapes"
        self._fresh = False
        shapes, addresses = dict(self._shapes), dict(self._addresses)
        self._memory.submit(stream, lambda: self._run(shapes, addresses))
        return True

    def _run(self, shapes: dict[str, tuple[int, ...]], addresses: dict[str, int]) -> None:
        assert shapes == self._shapes, "a graph was launched after its shapes had changed"
        feeds = {name: self._array(addresses[name], shape, name).copy() for name, shape in shapes.items()}
        for name, values in zip(
            self._engine.outputs, self._engine.session.run(list(self._engine.outputs), feeds), strict=True
        ):
            self._array(addresses[name], values.shape, name)[...] = values * np.asarray(
                self._engine.trt.scale, values.dtype
            )

    def _array(self, address: int, shape: tuple[int, ...], name: str) -> NDArray[Any]:
        dtype = np.dtype(self._engine.get_tensor_dtype(name))
        size = int(np.prod(shape)) * dtype.itemsize
        assert len(self._memory.blocks[address]) >= size, "beyond the memory that was given"
        return self._memory.blocks[address][:size].view(dtype).reshape(shape)


def fake_environment(**changes: Any) -> TrtEnvironment:
    """Return a machine with a GPU and TensorRT, both fake; `changes` go to `Target`."""
    memory = HostMemory()
    values = {
        "tensorrt": FakeTensorRT.__version__,
        "cuda": memory.version,
        "driver": "12.6",
        "gpu": "Fake GPU",
        "sm": "8.7",
        "platform": "linux-aarch64",
    }
    return TrtEnvironment(FakeTensorRT(memory), memory, Target(**{**values, **changes}))
