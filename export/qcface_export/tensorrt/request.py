"""What `export/build_trt.py` was asked for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from qcface_export.calibration_table import DEFAULT_PERCENTILE
from qcface_export.errors import ExportError
from qcface_export.proof import DEFAULT_LIMITS
from qcface_sdk.bundle import Bundle
from qcface_sdk.manifest import Artifact
from qcface_sdk.runtime.trt_build import BuildOptions

REFERENCE_RUNTIME = "onnxruntime"
"""Backend of the FP32 file that everything is compared with."""


def silent(text: str) -> None:
    """Say nothing."""


@dataclass(frozen=True, slots=True)
class Request:
    """One run; the defaults build INT8, and FP16 beside it, of the shipped model."""

    bundle: Bundle
    """Model."""
    output: Path
    """Folder for everything that is written."""
    precisions: tuple[str, ...] = ("int8", "fp16")
    """Wanted precisions; FP16 stands beside every quantised one, to be compared with."""
    options: BuildOptions = field(default_factory=BuildOptions)
    """How engines are built; its precision is replaced by each of `precisions`."""
    calibration: tuple[Path, ...] = ()
    """Folders or tar files of aligned crops to calibrate on; none: the portraits that may be shipped."""
    table: Path | None = None
    """Calibration table made elsewhere."""
    percentile: float = DEFAULT_PERCENTILE
    """Share of activations that are not clipped."""
    excluded: tuple[str, ...] = ()
    """Layers that stay in float."""
    search: bool = True
    """Look for layers to keep in float if the gate fails without."""
    pairs: Path | None = None
    """Labelled set for the full gate."""
    limits: Path = DEFAULT_LIMITS
    """Limits of the gate."""
    allow_slower: bool = False
    """Take an INT8 engine that is slower than FP16."""
    timing_cache: Path | None = None
    """File of measured tactics, read and written."""
    say: Callable[[str], None] = silent
    """Told what is being done."""

    @property
    def quantises_anew(self) -> bool:
        """Whether something about quantisation was asked for, so that a file made before will not do."""
        default = self.percentile == DEFAULT_PERCENTILE
        return bool(self.calibration or self.table or self.excluded) or not default

    @property
    def reference(self) -> Artifact:
        """The bundle's FP32 file: what is emitted from and compared with."""
        return self.bundle.artifact(REFERENCE_RUNTIME, "fp32")

    @property
    def master(self) -> bytes:
        """Content of `reference`."""
        return self.bundle.read(self.reference.file)


def artifact_id(precision: str) -> str:
    """Return the id of a file for TensorRT in a bundle."""
    return f"recognizer-trt-{precision}"


def file_name(precision: str) -> str:
    """Return the name of a file for TensorRT in a bundle."""
    return f"recognizer.trt.{precision}.onnx"


def read_given(path: Path, what: str) -> bytes:
    """Read a file that was named on the command line, or raise `ExportError`."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise ExportError(f"{what} {path} cannot be read ({error.strerror}); check the path") from error
