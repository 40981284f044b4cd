"""TensorRT: an engine, its buffers and its stream.

One execution context, so runs of several threads take turns; a GPU would do them one after another anyway, and its
memory stays bounded. Input and output pass through pinned memory on a stream of the runner's own. Where the shapes of
two runs in a row are the same, the second is captured as a CUDA graph and from then on launched as one.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qcface_sdk.errors import DeviceLostError, EngineMismatchError, InferenceError, InputError, QCFaceError
from qcface_sdk.runtime.base import Runner, TensorSpec, checked_array, closed_error, one_line
from qcface_sdk.runtime.device_array import DeviceArray, is_device_array
from qcface_sdk.runtime.device_memory import DeviceMemory
from qcface_sdk.runtime.engine_info import REBUILD, TensorProfile
from qcface_sdk.runtime.trt_buffers import Buffers
from qcface_sdk.runtime.trt_logger import collecting_logger, last_faults


@dataclass(frozen=True, slots=True)
class _Ranges:
    profiles: Mapping[str, TensorProfile]
    batched: bool
    smallest: int
    largest: int


class TrtRunner(Runner):
    """A TensorRT engine; thread-safe, one run at a time.

    `infer` also takes arrays that are on the GPU already (anything with ``__cuda_array_interface__``, such as a
    PyTorch, CuPy or decoder frame); they are copied within the GPU. More rows than the engine's profile are run in
    parts, fewer than its minimum are padded.

    Parameters
    ----------
    plan : bytes
        The engine; whoever calls has checked that it was built for this machine (`EngineInfo`).
    tensorrt : module
        ``tensorrt``.
    memory : DeviceMemory
        The GPU's memory.
    graphs : bool, default True
        Use CUDA graphs where `memory` can.
    weights : bytes, optional
        ONNX file to put the weights in from, for an engine that was built without.

    Raises
    ------
    EngineMismatchError
        If TensorRT refuses the engine.
    InferenceError
        If the GPU has no memory for it.
    """

    name = "tensorrt"

    def __init__(
        self, plan: bytes, *, tensorrt: Any, memory: DeviceMemory, graphs: bool = True, weights: bytes | None = None
    ) -> None:
        self._trt = tensorrt
        self._memory = memory
        self._graphs = graphs and memory.graphs
        self._graph: Any = None
        self._shapes: dict[str, tuple[int, ...]] = {}
        self._runs = 0
        self._lock = threading.Lock()
        self._lost: DeviceLostError | None = None
        self._logger = collecting_logger(tensorrt)
        with memory.active():
            self._engine = self._deserialized(plan, weights)
            self._context: Any = self._engine.create_execution_context()
            if self._context is None:
                raise InferenceError(
                    f"TensorRT cannot run the engine on this GPU: {last_faults(self._logger)}; is its memory full?"
                )
            self.inputs, self.outputs = self._specs()
            self._ranges = self._profile_ranges()
            self._stream = memory.open_stream()
        self._buffers = Buffers(memory)

    def close(self) -> None:
        """Free the engine and its memory; a run in progress is waited for."""
        with self._lock:
            if self._context is None:
                return
            try:
                with self._memory.active():
                    self._forget_shapes()
                    self._buffers.close()
                    self._memory.close_stream(self._stream)
            except InferenceError:
                # A lost device takes its memory along.
                self._graph = None
            self._context = self._engine = None

    def inspection(self) -> str:
        """Return the engine inspector's account of the layers, as JSON."""
        inspector = self._engine.create_engine_inspector()
        return str(inspector.get_engine_information(self._trt.LayerInformationFormat.JSON))

    @property
    def profiles(self) -> tuple[TensorProfile, ...]:
        """Shapes the engine serves."""
        return tuple(self._ranges.profiles.values())

    def _checked(self, feeds: Mapping[str, Any]) -> dict[str, Any]:
        arrays = {spec.name for spec in self.inputs}
        if feeds.keys() != arrays:
            raise InputError(f"feeds must be {sorted(arrays)}, got {sorted(feeds)}; see runner.inputs")
        checked = {
            spec.name: DeviceArray.of(feeds[spec.name], spec)
            if is_device_array(feeds[spec.name])
            else checked_array(spec, feeds[spec.name])
            for spec in self.inputs
        }
        for name, array in checked.items():
            self._check_range(name, array.shape)
        return checked

    def _infer(self, feeds: dict[str, Any]) -> dict[str, NDArray[Any]]:
        with self._lock:
            if self._lost is not None:
                raise DeviceLostError(str(self._lost)) from self._lost
            if self._context is None:
                raise closed_error(self.name)
            try:
                with self._memory.active():
                    return self._run_in_parts(feeds)
            except QCFaceError as error:
                # What was bound may be half done; the next run starts from the beginning.
                self._shapes = {}
                if isinstance(error, DeviceLostError):
                    self._lost = error
                raise

    def _run_in_parts(self, feeds: dict[str, Any]) -> dict[str, NDArray[Any]]:
        if not self._ranges.batched:
            return self._run(feeds)
        rows = {len(array) for array in feeds.values()}
        if len(rows) != 1:
            raise InputError(f"inputs must have the same number of rows, got {sorted(rows)}")
        count, step = rows.pop(), self._ranges.largest
        parts = []
        for start in range(0, count, step):
            length = min(step, count - start)
            part = {name: array[start : start + length] for name, array in feeds.items()}
            parts.append({name: rows[:length] for name, rows in self._run(part).items()})
        if len(parts) == 1:
            return parts[0]
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}

    def _run(self, feeds: dict[str, Any]) -> dict[str, NDArray[Any]]:
        shapes = {name: self._padded(array.shape) for name, array in feeds.items()}
        if shapes != self._shapes:
            self._bind(shapes)
        for name, array in feeds.items():
            self._buffers.fill(name, array, self._stream)
        self._execute()
        for spec in self.outputs:
            self._buffers.fetch(spec.name, self._stream)
        self._memory.synchronize(self._stream)
        return {spec.name: self._buffers.result(spec.name) for spec in self.outputs}

    def _bind(self, shapes: dict[str, tuple[int, ...]]) -> None:
        self._forget_shapes()
        for name, shape in shapes.items():
            if not self._context.set_input_shape(name, shape):
                raise InferenceError(f"TensorRT refuses shape {shape} of input {name!r}: {last_faults(self._logger)}")
        for spec in (*self.inputs, *self.outputs):
            shape = tuple(int(size) for size in self._context.get_tensor_shape(spec.name))
            if any(size < 0 for size in shape):
                raise InferenceError(f"TensorRT gives no shape for {spec.name!r}; {REBUILD}")
            address = self._buffers.reserve(spec.name, shape, spec.dtype)
            if not self._context.set_tensor_address(spec.name, address):
                raise InferenceError(f"TensorRT refuses memory for {spec.name!r}: {last_faults(self._logger)}")
        self._shapes = shapes

    def _execute(self) -> None:
        # The first run with new shapes lets TensorRT do what cannot be captured.
        if self._graph is None and self._graphs and self._runs > 0:
            self._graph = self._captured()
        if self._graph is None:
            self._enqueue()
            self._runs += 1
        else:
            self._memory.launch(self._graph, self._stream)

    def _captured(self) -> Any:
        """Return a graph of one run, or None for an engine that cannot be captured; that is not tried again."""
        self._memory.begin_capture(self._stream)
        try:
            self._enqueue()
            return self._memory.end_capture(self._stream)
        except DeviceLostError:
            raise
        except InferenceError:
            self._graphs = False
            with contextlib.suppress(InferenceError):
                self._memory.end_capture(self._stream)
            return None

    def _enqueue(self) -> None:
        if not self._context.execute_async_v3(self._stream):
            raise InferenceError(f"TensorRT failed while running the engine: {last_faults(self._logger)}")

    def _forget_shapes(self) -> None:
        """A graph holds addresses and shapes, so it goes before they change."""
        self._shapes, self._runs = {}, 0
        if self._graph is not None:
            graph, self._graph = self._graph, None
            self._memory.drop_graph(graph)

    def _padded(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        return (max(shape[0], self._ranges.smallest), *shape[1:]) if self._ranges.batched else shape

    def _check_range(self, name: str, shape: tuple[int, ...]) -> None:
        served = self._ranges.profiles[name]
        first = 1 if self._ranges.batched else 0
        for size, low, high in zip(shape[first:], served.minimum[first:], served.maximum[first:], strict=True):
            if not low <= size <= high:
                raise InputError(
                    f"input {name!r} must have a shape from {served.minimum} to {served.maximum}, got {shape}; "
                    "resize the picture, or build the engine for larger shapes"
                )

    def _deserialized(self, plan: bytes, weights: bytes | None) -> Any:
        runtime = self._trt.Runtime(self._logger)
        # Engines for later versions carry a runtime of their own, which is code.
        if hasattr(runtime, "engine_host_code_allowed"):
            runtime.engine_host_code_allowed = True
        try:
            engine = runtime.deserialize_cuda_engine(plan)
        except Exception as error:
            raise EngineMismatchError(f"TensorRT refuses the engine: {one_line(error)}; {REBUILD}") from error
        if engine is None:
            raise EngineMismatchError(
                f"TensorRT {self._trt.__version__} refuses the engine: {last_faults(self._logger)}; {REBUILD}"
            )
        if weights is not None:
            self._refit(engine, weights)
        self._runtime = runtime
        return engine

    def _refit(self, engine: Any, weights: bytes) -> None:
        refitter = self._trt.Refitter(engine, self._logger)
        weights_parser = self._trt.OnnxParserRefitter(refitter, self._logger)
        if not (weights_parser.refit_from_bytes(weights) and refitter.refit_cuda_engine()):
            raise EngineMismatchError(f"the engine's weights cannot be put in: {last_faults(self._logger)}; {REBUILD}")

    def _specs(self) -> tuple[tuple[TensorSpec, ...], tuple[TensorSpec, ...]]:
        sides: tuple[list[TensorSpec], list[TensorSpec]] = ([], [])
        for index in range(self._engine.num_io_tensors):
            name = self._engine.get_tensor_name(index)
            shape = tuple(int(size) if size >= 0 else None for size in self._engine.get_tensor_shape(name))
            dtype = np.dtype(self._trt.nptype(self._engine.get_tensor_dtype(name)))
            is_input = self._engine.get_tensor_mode(name) == self._trt.TensorIOMode.INPUT
            sides[0 if is_input else 1].append(TensorSpec(name, dtype, shape))
        return tuple(sides[0]), tuple(sides[1])

    def _profile_ranges(self) -> _Ranges:
        profiles = {}
        for spec in self.inputs:
            low, best, high = (
                tuple(int(size) for size in shape) for shape in self._engine.get_tensor_profile_shape(spec.name, 0)
            )
            profiles[spec.name] = TensorProfile(spec.name, low, best, high)
        batched = all(spec.shape and spec.shape[0] is None for spec in (*self.inputs, *self.outputs))
        smallest = max((served.minimum[0] for served in profiles.values() if served.minimum), default=1)
        largest = min((served.maximum[0] for served in profiles.values() if served.maximum), default=1)
        return _Ranges(profiles, batched, smallest, largest)
