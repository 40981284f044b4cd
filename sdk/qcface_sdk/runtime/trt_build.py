"""Build a TensorRT engine out of a typed ONNX file, with the calls that TensorRT 8.6 to 11.4 have in common.

Precision is in the graph: FP16 casts and Q/DQ pairs that the exporter wrote. There is no calibrator and no per-layer
precision here, because TensorRT 11 has neither. Where versions differ, the attribute is asked for, never the version.
Nothing here may be called before `find_cuda_device` has found a GPU (TensorRT-RTX, which builds on a CPU, excepted).
"""

from __future__ import annotations

import contextlib
import json
import warnings
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from qcface_sdk.errors import ModelFormatError, OptionError
from qcface_sdk.runtime.engine_info import TensorProfile
from qcface_sdk.runtime.trt_logger import collecting_logger, last_faults

PRECISIONS = ("fp32", "fp16", "bf16", "int8", "fp8")
# Where a TensorRT without strong typing (8.6) needs leave to use a type; a strongly typed one reads it from the graph.
_WEAK_FLAGS = {"fp16": ("FP16",), "bf16": ("BF16",), "int8": ("INT8", "FP16"), "fp8": ("FP8", "FP16")}
_TYPE_WORDS = {
    "int8": ("Int8",),
    "fp8": ("FP8", "Float8"),
    "bf16": ("BF16", "BFloat16"),
    "fp16": ("FP16", "Half"),
    "fp32": ("FP32", "Float"),
    "int32": ("Int32",),
    "int64": ("Int64",),
    "bool": ("Bool",),
}


@dataclass(frozen=True, slots=True)
class ShapeRange:
    """Sizes of a dynamic axis: smallest, the one to tune for, largest."""

    minimum: int
    """Smallest."""
    optimum: int
    """The one to tune for."""
    maximum: int
    """Largest."""

    def __post_init__(self) -> None:
        if not 1 <= self.minimum <= self.optimum <= self.maximum:
            raise OptionError(f"a range must be 1 <= minimum <= optimum <= maximum, got {self}")

    def __str__(self) -> str:
        return f"{self.minimum}:{self.optimum}:{self.maximum}"


@dataclass(frozen=True, slots=True)
class BuildOptions:
    """How to build; the defaults are what the SDK itself builds with."""

    precision: str = "fp32"
    """Precision of the graph."""
    batch: ShapeRange = ShapeRange(1, 1, 16)
    """Sizes of a dynamic first axis."""
    side: ShapeRange = ShapeRange(32, 640, 1920)
    """Sizes of any other dynamic axis: height and width of a detector's input."""
    workspace: int | None = None
    """Bytes that tactics may use; None is TensorRT's default, the whole GPU."""
    level: int | None = None
    """Optimisation level 0..5; None is TensorRT's default."""
    hardware_compatible: bool = False
    """Let the engine run on every GPU from Ampere on; slower."""
    version_compatible: bool = False
    """Let later TensorRT versions run the engine."""
    strip: bool = False
    """Leave the weights out; they are put in from the ONNX file at load."""
    refit: bool = False
    """Let weights be replaced later."""
    dla_core: int | None = None
    """Deep-learning accelerator of a Jetson; layers it cannot run fall back to the GPU."""
    verbose: bool = False
    """Print TensorRT's whole log."""

    def __post_init__(self) -> None:
        if self.precision not in PRECISIONS:
            raise OptionError(f"precision must be one of {', '.join(PRECISIONS)}, got {self.precision!r}")
        if self.level is not None and not 0 <= self.level <= 5:
            raise OptionError(f"level must lie in 0..5, got {self.level}")

    def notes(self) -> dict[str, str]:
        """Return the options that change what the engine is, for its sidecar and its key."""
        chosen = {
            "hardware compatible": self.hardware_compatible,
            "version compatible": self.version_compatible,
            "stripped": self.strip,
            "refittable": self.refit,
            "level": self.level,
            "dla core": self.dla_core,
        }
        return {name: str(value) for name, value in chosen.items() if value not in (None, False)}

    def shapes(self) -> str:
        """Return the shapes in words, for the engine's key."""
        return f"batch {self.batch}, side {self.side}"


@dataclass(frozen=True, slots=True)
class BuiltEngine:
    """What `build_engine` made."""

    plan: bytes
    """The engine."""
    profiles: tuple[TensorProfile, ...]
    """Shapes it serves."""
    timing_cache: bytes
    """Measured tactics, to hand to the next build."""
    notes: tuple[str, ...] = field(default=())
    """What was not done as asked, and why."""


def build_engine(tensorrt: Any, model: bytes, options: BuildOptions, timing_cache: bytes = b"") -> BuiltEngine:
    """Build an engine.

    Parameters
    ----------
    tensorrt : module
        ``tensorrt`` or ``tensorrt_rtx``.
    model : bytes
        ONNX file whose types are those of ``options.precision``.
    options : BuildOptions
        How to build.
    timing_cache : bytes, optional
        From an earlier build with the same TensorRT on the same GPU; a foreign one is ignored.

    Raises
    ------
    ModelFormatError
        If TensorRT cannot parse or build the model; the message holds its reasons.
    OptionError
        If this TensorRT lacks what an option asks for.
    """
    logger = collecting_logger(tensorrt, verbose=options.verbose)
    builder = tensorrt.Builder(logger)
    network = builder.create_network(_creation_flags(tensorrt))
    parser = tensorrt.OnnxParser(network, logger)
    if not parser.parse(model):
        reasons = _parser_faults(parser) or last_faults(logger)
        raise ModelFormatError(f"TensorRT {tensorrt.__version__} cannot parse the ONNX file: {reasons}")
    config = builder.create_builder_config()
    notes = _configure(tensorrt, builder, config, options)
    profiles = _add_profile(builder, network, config, options)
    cache = config.create_timing_cache(timing_cache)
    with _deprecated_in_rtx():
        config.set_timing_cache(cache, False)
    plan = builder.build_serialized_network(network, config)
    if plan is None:
        raise ModelFormatError(f"TensorRT {tensorrt.__version__} cannot build the engine: {last_faults(logger)}")
    return BuiltEngine(bytes(plan), profiles, _timing_cache(config), tuple(notes))


def layer_precisions(inspection: str) -> Mapping[str, int]:
    """Return the number of layers per type out of the engine inspector's JSON.

    A layer's type is that of its first output; ``other`` counts those whose type the inspector does not state.

    Examples
    --------
    >>> dict(layer_precisions('{"Layers": [{"Outputs": [{"Format/Datatype": "Row major Int8 format"}]}, "fused"]}'))
    {'int8': 1, 'other': 1}
    """
    try:
        layers = json.loads(inspection).get("Layers", [])
    except (ValueError, AttributeError):
        return MappingProxyType({})
    counts: dict[str, int] = {}
    for layer in layers:
        outputs = layer.get("Outputs") or [{}] if isinstance(layer, dict) else [{}]
        text = str(outputs[0].get("Format/Datatype", ""))
        name = next((name for name, words in _TYPE_WORDS.items() if any(word in text for word in words)), "other")
        counts[name] = counts.get(name, 0) + 1
    return MappingProxyType(dict(sorted(counts.items())))


def _creation_flags(tensorrt: Any) -> int:
    known = tensorrt.NetworkDefinitionCreationFlag
    flags = 0
    # 8.6 needs the first, 10 ignores it, 11 has dropped it; 8.6 lacks the second, 11 ignores it.
    for name in ("EXPLICIT_BATCH", "STRONGLY_TYPED"):
        if hasattr(known, name):
            flags |= 1 << int(getattr(known, name))
    return flags


def is_strongly_typed(tensorrt: Any) -> bool:
    """Return whether this TensorRT takes every type from the graph; 8.6 does not, and wants float parts in FP32."""
    return hasattr(tensorrt.NetworkDefinitionCreationFlag, "STRONGLY_TYPED")


def _configure(tensorrt: Any, builder: Any, config: Any, options: BuildOptions) -> list[str]:
    if options.workspace is not None:
        config.set_memory_pool_limit(tensorrt.MemoryPoolType.WORKSPACE, options.workspace)
    config.profiling_verbosity = tensorrt.ProfilingVerbosity.DETAILED
    flags = tensorrt.BuilderFlag
    # TF32 keeps 10 bits of mantissa; the thresholds of an FP32 file were measured with 23.
    config.clear_flag(flags.TF32)
    if not is_strongly_typed(tensorrt):
        for name in _WEAK_FLAGS.get(options.precision, ()):
            config.set_flag(_known(tensorrt, flags, name))
    if options.level is not None:
        config.builder_optimization_level = options.level
    if options.hardware_compatible:
        config.hardware_compatibility_level = tensorrt.HardwareCompatibilityLevel.AMPERE_PLUS
    wanted = {
        "VERSION_COMPATIBLE": options.version_compatible,
        "STRIP_PLAN": options.strip,
        "REFIT": options.refit or options.strip,
    }
    for name, asked in wanted.items():
        if asked:
            config.set_flag(_known(tensorrt, flags, name))
    return _use_dla(tensorrt, builder, config, options)


def _known(tensorrt: Any, flags: Any, name: str) -> Any:
    if not hasattr(flags, name):
        raise OptionError(
            f"TensorRT {tensorrt.__version__} has no {name}; leave the option out or use a later TensorRT"
        )
    return getattr(flags, name)


def _use_dla(tensorrt: Any, builder: Any, config: Any, options: BuildOptions) -> list[str]:
    if options.dla_core is None:
        return []
    cores = int(getattr(builder, "num_DLA_cores", 0))
    if options.dla_core >= cores:
        return [f"this machine has {cores} DLA cores, so the engine was built for the GPU"]
    config.default_device_type = tensorrt.DeviceType.DLA
    config.DLA_core = options.dla_core
    config.set_flag(tensorrt.BuilderFlag.GPU_FALLBACK)
    return []


def _add_profile(builder: Any, network: Any, config: Any, options: BuildOptions) -> tuple[TensorProfile, ...]:
    profile = builder.create_optimization_profile()
    profiles = []
    for index in range(network.num_inputs):
        tensor = network.get_input(index)
        ranges = [
            ShapeRange(size, size, size) if size > 0 else options.side if axis else options.batch
            for axis, size in enumerate(tensor.shape)
        ]
        shapes = TensorProfile(
            tensor.name,
            tuple(one.minimum for one in ranges),
            tuple(one.optimum for one in ranges),
            tuple(one.maximum for one in ranges),
        )
        profile.set_shape(tensor.name, shapes.minimum, shapes.optimum, shapes.maximum)
        profiles.append(shapes)
    config.add_optimization_profile(profile)
    return tuple(profiles)


def _parser_faults(parser: Any) -> str:
    faults: Iterable[str] = (str(parser.get_error(index).desc()) for index in range(parser.num_errors))
    return " ".join(" | ".join(faults).split())[:400]


def _timing_cache(config: Any) -> bytes:
    with _deprecated_in_rtx():
        cache = config.get_timing_cache()
    return b"" if cache is None else bytes(cache.serialize())


@contextlib.contextmanager
def _deprecated_in_rtx() -> Iterator[None]:
    """TensorRT-RTX keeps the calls for timing caches, which do nothing there, and warns."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        yield
