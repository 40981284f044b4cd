"""What a TensorRT engine says about itself: the JSON file beside it, and whether it fits this machine.

An engine is machine code for one GPU, one TensorRT and one model. TensorRT itself refuses some mismatches with a log
line, runs others slowly, and cannot know about the model; so all of it is written down at build time and compared
before TensorRT sees a byte.
"""

from __future__ import annotations

import hashlib
import platform
import re
from collections.abc import Mapping
from dataclasses import dataclass

from qcface_sdk.errors import EngineMismatchError, ManifestError, ModelFormatError, ModelHashError
from qcface_sdk.strict_json import decode, dump_object, parse_object

SCHEMA = 1
REBUILD = "build it again on this machine with export/build_trt.py"
_NUMBERS = re.compile(r"\d+")
_AMPERE = (8, 0)


@dataclass(frozen=True, slots=True)
class TensorProfile:
    """Shapes of one input that an engine serves."""

    name: str
    """Input."""
    minimum: tuple[int, ...]
    """Smallest."""
    optimum: tuple[int, ...]
    """The one it was tuned for."""
    maximum: tuple[int, ...]
    """Largest."""


@dataclass(frozen=True, slots=True)
class Target:
    """The machine an engine is for."""

    tensorrt: str
    """TensorRT's version."""
    cuda: str
    """CUDA version of the Python package that was used."""
    driver: str
    """Newest CUDA version the driver serves."""
    gpu: str
    """Product name."""
    sm: str
    """Compute capability, such as ``8.7``."""
    platform: str
    """Operating system and processor, such as ``linux-aarch64``."""


@dataclass(frozen=True, slots=True)
class EngineInfo:
    """The sidecar of an engine. Written whole with the engine, or neither is there."""

    schema: int
    """1."""
    created: str
    """UTC time, ``YYYY-MM-DDTHH:MM:SSZ``."""
    engine_sha256: str
    """SHA-256 of the engine."""
    engine_bytes: int
    """Size of the engine."""
    model_sha256: str
    """SHA-256 of the ONNX file it was built from."""
    contract: str
    """Embedding contract id of a recogniser; empty for other networks."""
    calibration_sha256: str
    """SHA-256 of the calibration table; empty if none was used."""
    precision: str
    """``fp32``, ``fp16``, ``bf16``, ``int8`` or ``fp8``."""
    target: Target
    """Where it was built."""
    profiles: tuple[TensorProfile, ...]
    """Shapes it serves."""
    options: Mapping[str, str]
    """Build options that are not at their default."""
    preprocessing: Mapping[str, str]
    """How pixels become input; empty for other networks than recognisers."""
    norm_statistics: Mapping[str, float]
    """Magnitudes of the embeddings of the gate's pictures; empty if the gate did not run."""
    layer_precisions: Mapping[str, int]
    """Number of layers per type, as the engine inspector lists them."""
    latency_ms: Mapping[str, float]
    """Measured at build time: precision to median milliseconds at batch 1."""

    @classmethod
    def from_json(cls, data: bytes, where: str) -> EngineInfo:
        """Parse a sidecar, or raise `ModelFormatError`."""
        try:
            info = decode(cls, parse_object(data, where), "")
        except ManifestError as error:
            raise ModelFormatError(f"{where} is no engine sidecar: {error}; {REBUILD}") from error
        if info.schema != SCHEMA:
            raise ModelFormatError(f"{where} must have schema {SCHEMA}, got {info.schema}; {REBUILD}")
        return info

    def to_json(self) -> bytes:
        """Return the sidecar as JSON."""
        return dump_object(self)

    def check_engine(self, engine: bytes, where: str) -> None:
        """Raise `ModelHashError` unless these are the bytes that were built."""
        if len(engine) < self.engine_bytes:
            raise ModelHashError(
                f"{where} is truncated, want {self.engine_bytes:,} bytes, got {len(engine):,}; {REBUILD}"
            )
        if len(engine) != self.engine_bytes or hashlib.sha256(engine).hexdigest() != self.engine_sha256:
            raise ModelHashError(f"{where} was altered, its SHA-256 is another; {REBUILD}")

    def check_model(self, model_sha256: str, contract: str, where: str) -> None:
        """Raise `EngineMismatchError` unless it was built from this model."""
        if self.model_sha256 != model_sha256:
            raise EngineMismatchError(
                f"{where} was built from another model ({self.model_sha256[:16]}), want {model_sha256[:16]}; {REBUILD}"
            )
        if self.contract != contract:
            raise EngineMismatchError(f"{where} gives {self.contract or 'no embeddings'}, want {contract}; {REBUILD}")

    def check_target(self, here: Target, where: str) -> None:
        """Raise `EngineMismatchError`, naming the first difference, unless it can run here."""
        built = self.target
        for what, wanted, got, fits in (
            ("platform", built.platform, here.platform, built.platform == here.platform),
            ("TensorRT", built.tensorrt, here.tensorrt, self._fits_tensorrt(here.tensorrt)),
            ("a GPU of compute capability", built.sm, here.sm, self._fits_sm(here.sm)),
            ("a driver for CUDA", built.driver, here.driver, version(here.driver) >= version(built.driver)),
        ):
            if not fits:
                raise EngineMismatchError(f"{where} was built for {what} {wanted}, this machine has {got}; {REBUILD}")

    def _fits_tensorrt(self, here: str) -> bool:
        built = self.target.tensorrt
        if "version compatible" in self.options:
            return version(here) >= version(built) and version(here)[0] - version(built)[0] <= 1
        return here == built

    def _fits_sm(self, here: str) -> bool:
        if "hardware compatible" in self.options:
            return version(here) >= _AMPERE and version(self.target.sm) >= _AMPERE
        return here == self.target.sm


def version(text: str) -> tuple[int, ...]:
    """Return the numbers of a version, for comparison."""
    return tuple(int(number) for number in _NUMBERS.findall(text))


def this_platform() -> str:
    """Return operating system and processor, such as ``linux-aarch64``."""
    return f"{platform.system()}-{platform.machine()}".lower()
